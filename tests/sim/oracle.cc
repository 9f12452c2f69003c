// The invariants:
// 1. A durable status never goes back: only the arrows of tx/state_machine.h, through every crash.
// 2. All or nothing: every branch of a transaction that succeeded has its forward effect exactly once and no backward
//    one; of one that failed, either no effect or both, the backward one after the forward one.
// 3. No acknowledged decision is lost: what a client was told is what the record says at the end.
// 4. Nothing is unfinished, and no database shows an effect of a transaction that the coordinator does not know.
// 5. Money is conserved, none of it frozen or on its way.
// 6. A branch that waits for another acts after it, and is undone before it.
#include "oracle.h"

#include <algorithm>

#include "tandem/http/url.h"

namespace tandem::sim {

using tx::Mode;
using tx::Status;
using tx::Transaction;

namespace {

bool may_follow(Mode mode, Status from, Status to) {
    if (from == to) return true;
    switch (from) {
        case Status::prepared:
            return true;  // several transitions may be one write
        case Status::submitted:
            return to == Status::succeeded || mode == Mode::saga;
        case Status::aborting:
            return to == Status::failed;
        case Status::succeeded:
        case Status::failed:
            return false;
    }
    return false;
}

std::string_view forward_operation(Mode mode) {
    return mode == Mode::tcc ? "try" : "action";
}

// The operation that makes the forward one final or undoes it.
std::string_view second_operation(Mode mode, bool succeeded) {
    if (mode == Mode::tcc) return succeeded ? "confirm" : "cancel";
    return mode == Mode::saga && !succeeded ? "compensate" : "";
}

std::string show(const std::vector<const Effect*>& effects) {
    std::string text;
    for (const Effect* each : effects) {
        text += fmt::format("{}{}@{}#{}", text.empty() ? "" : ", ", each->operation, each->host, each->order);
    }
    return text.empty() ? "none" : text;
}

const Effect* find(const std::vector<const Effect*>& effects, std::string_view operation) {
    const auto found = std::ranges::find(effects, operation, [](const Effect* each) { return each->operation; });
    return found == effects.end() ? nullptr : *found;
}

}  // namespace

void Oracle::violation(std::string what) {
    world_.trace.add("VIOLATION {}", what);
    violations_.push_back(std::move(what));
}

void Oracle::observe(const Transaction& now) {
    world_.trace.add("{} {} v{} {}", to_string(now.mode), now.gid, now.version, to_string(now.status));
    const auto [found, first] = seen_.try_emplace(now.gid, Seen{now.status, now.version});
    Seen& before = found->second;
    if (first) return;
    if (!may_follow(now.mode, before.status, now.status)) {
        violation(
            fmt::format("{} was durably {} and is now {}", now.gid, to_string(before.status), to_string(now.status)));
    }
    if (now.version <= before.version) {
        violation(fmt::format("{} was durably at version {} and is now at {}", now.gid, before.version, now.version));
    }
    before = {now.status, now.version};
}

void Oracle::judge_branch(const Transaction& record, const tx::Branch& branch, const Effects& effects) {
    const bool succeeded = record.status == Status::succeeded;
    const std::string_view forward = forward_operation(record.mode);
    const std::string_view second = second_operation(record.mode, succeeded);
    const std::string host = http::Url::parse(branch.forward).host;
    bool right = std::ranges::all_of(effects, [&](const Effect* each) { return each->host == host; });
    if (effects.empty()) {
        right = right && !succeeded;
    } else if (second.empty()) {
        right = right && succeeded && effects.size() == 1 && effects[0]->operation == forward;
    } else {
        right = right && effects.size() == 2 && effects[0]->operation == forward && effects[1]->operation == second;
    }
    if (!right) {
        violation(fmt::format("{} {} is {}, but branch {} at {} shows: {}", to_string(record.mode), record.gid,
                              to_string(record.status), branch.id, host, show(effects)));
    }
}

void Oracle::judge_order(const Transaction& record, const std::map<std::string, Effects>& by_branch) {
    if (record.mode != Mode::saga) return;
    for (size_t i = 0; i < record.branches.size(); ++i) {
        std::vector<size_t> before;
        if (!record.options.concurrent && i > 0) before.push_back(i - 1);
        if (const auto found = record.options.orders.find(static_cast<int>(i)); found != record.options.orders.end()) {
            for (int each : found->second) before.push_back(static_cast<size_t>(each));
        }
        const auto later = by_branch.find(record.branches[i].id);
        if (later == by_branch.end()) continue;
        for (size_t other : before) {
            const auto earlier = by_branch.find(record.branches[other].id);
            const Effects none;
            const Effects& effects = earlier == by_branch.end() ? none : earlier->second;
            const Effect* first = find(effects, "action");
            const Effect* second = find(later->second, "action");
            if (second && (!first || first->at_ns > second->at_ns)) {
                violation(fmt::format("{}: branch {} acted before branch {}, which it waits for", record.gid,
                                      record.branches[i].id, record.branches[other].id));
            }
            first = find(effects, "compensate");
            second = find(later->second, "compensate");
            if (first && second && first->at_ns < second->at_ns) {
                violation(fmt::format("{}: branch {} was undone before branch {}, which waited for it", record.gid,
                                      record.branches[other].id, record.branches[i].id));
            }
        }
    }
}

void Oracle::judge_transaction(const Transaction& record, const std::map<std::string, Effects>& by_branch) {
    if (!is_final(record.status)) {
        violation(fmt::format("{} {} is unfinished: {}", to_string(record.mode), record.gid, to_string(record.status)));
        return;
    }
    const Effects none;
    const auto effects_of = [&](const std::string& branch) -> const Effects& {
        const auto found = by_branch.find(branch);
        return found == by_branch.end() ? none : found->second;
    };
    for (const tx::Branch& branch : record.branches) judge_branch(record, branch, effects_of(branch.id));
    if (record.mode == Mode::message) {
        const size_t local = effects_of("00").size();
        if (local != (record.status == Status::succeeded ? 1 : 0)) {
            violation(fmt::format("message {} is {}, but its local transaction committed {} times", record.gid,
                                  to_string(record.status), local));
        }
    }
    for (const auto& [branch, effects] : by_branch) {
        const bool known = std::ranges::any_of(record.branches, [&](const auto& each) { return each.id == branch; });
        if (!known && !(record.mode == Mode::message && branch == "00")) {
            violation(fmt::format("{} has no branch {}, but there is: {}", record.gid, branch, show(effects)));
        }
    }
    judge_order(record, by_branch);
}

void Oracle::judge_told(const std::string& gid, const Intent& intent, const Transaction* record) {
    const bool told = intent.begun || intent.submitted || intent.aborted || intent.told_end;
    if (!record) {
        if (told) violation(fmt::format("{}: a client was told of it, but the coordinator has no record", gid));
        return;
    }
    const auto differs = [&](std::string_view what) {
        violation(fmt::format("{} {}: the client was told that it is {}, but it is {}", to_string(intent.mode), gid,
                              what, to_string(record->status)));
    };
    const bool succeeded = record->status == Status::succeeded;
    if (intent.submitted && intent.mode != Mode::saga && !succeeded) differs("submitted");
    if (intent.aborted && succeeded) differs("aborted");
    if (intent.given_up && succeeded) differs("given up");
    if (intent.told_end && *intent.told_end != record->status) differs(to_string(*intent.told_end));
    if (intent.submitted && record->branches.size() != intent.branches) {
        violation(fmt::format("{}: {} branches were acknowledged, the record has {}", gid, intent.branches,
                              record->branches.size()));
    }
}

void Oracle::judge(const std::vector<Transaction>& records, const std::vector<Effect>& effects, const Money& money,
                   int64_t money_at_start) {
    std::map<std::string, std::map<std::string, Effects>> by_gid;
    for (const Effect& each : effects) by_gid[each.gid][each.branch_id].push_back(&each);
    std::map<std::string, const Transaction*> by_record;
    for (const Transaction& each : records) {
        by_record[each.gid] = &each;
        if (is_final(each.status))
            ++(each.status == Status::succeeded ? world_.counts.succeeded : world_.counts.failed);
        judge_transaction(each, by_gid[each.gid]);
    }
    for (const auto& [gid, branches] : by_gid) {
        if (by_record.contains(gid)) continue;
        for (const auto& [branch, found] : branches) {
            violation(
                fmt::format("{} is unknown to the coordinator, but branch {} shows: {}", gid, branch, show(found)));
        }
    }
    for (const auto& [gid, intent] : intents_) {
        const auto found = by_record.find(gid);
        judge_told(gid, intent, found == by_record.end() ? nullptr : found->second);
    }
    for (const auto& [gid, seen] : seen_) {
        const auto found = by_record.find(gid);
        if (found == by_record.end()) {
            violation(fmt::format("{} was durable once and is gone", gid));
            continue;
        }
        // The record may be ahead: the coordinator died after the last write and before it was told that it succeeded.
        const Transaction& record = *found->second;
        if (record.version < seen.version || !may_follow(record.mode, seen.status, record.status)) {
            violation(fmt::format("{} was durably {} (version {}), its record says {} (version {})", gid,
                                  to_string(seen.status), seen.version, to_string(record.status), record.version));
        }
    }
    if (money.frozen != 0 || money.incoming != 0) {
        violation(fmt::format("{} is still frozen, {} still on its way", money.frozen, money.incoming));
    }
    if (money.balance != money_at_start) {
        violation(fmt::format("there was money worth {}, now it is {}", money_at_start, money.balance));
    }
}

}  // namespace tandem::sim
