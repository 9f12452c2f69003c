// Driving transactions: one coroutine for each that is under way here, and the pump that picks up what is due.
//
// Invariants:
// 1. A branch is called only under a lease of ours that is on disk and outlives the call.
// 2. What a call brought is on disk before anything that follows from it is called.
// 3. A drive that cannot get further writes when to try again, gives the lease back and ends.
#include <set>

#include "tandem/async/combine.h"
#include "tandem/async/time.h"
#include "tandem/base/crash_point.h"
#include "tandem/base/log.h"
#include "tandem/tx/coordinator.h"

namespace tandem::tx {

using async::Task;
using std::chrono::milliseconds;

namespace {

constexpr size_t pick_up_max = 512;  // transactions claimed in one go, and so in one commit

std::string origin_of(const std::string& url) {
    const size_t scheme = url.find("://");
    const size_t path = scheme == std::string::npos ? std::string::npos : url.find('/', scheme + 3);
    return url.substr(0, path);
}

using Outcomes = std::vector<std::pair<size_t, Answer>>;

// Takes the branches that have nothing to call as far as they go, in `view` and in `outcomes`; returns those to call.
std::vector<size_t> plan(Transaction& view, Outcomes& outcomes, const std::set<size_t>& tried, int64_t now_ms) {
    const Status direction = view.status;
    for (;;) {
        settle(view, now_ms);
        if (view.status != direction) return {};
        std::vector<size_t> to_call;
        bool went_on = false;
        for (size_t index : callable(view)) {
            if (url_now(view, view.branches[index]).empty()) {
                outcomes.emplace_back(index, Answer{Verdict::success, {}});
                apply(view, index, outcomes.back().second, now_ms);
                went_on = true;
            } else if (!tried.contains(index)) {
                to_call.push_back(index);
            }
        }
        if (!went_on) return to_call;
    }
}

// Notes outcomes of calls made while the transaction went in `direction`; it may have been turned back meanwhile.
void note(Transaction& transaction, Status direction, const Outcomes& outcomes, int64_t now_ms) {
    for (const auto& [index, answer] : outcomes) {
        if (transaction.status == direction) {
            apply(transaction, index, answer, now_ms);
        } else if (answer.verdict == Verdict::success && transaction.branches[index].status == BranchStatus::pending) {
            transaction.branches[index].status = BranchStatus::done;  // to be undone now
        }
    }
}

}  // namespace

Task<void> Coordinator::start() {
    co_await store_.open();
    const int64_t unfinished = co_await store_.release_leases(options_.node_id);
    if (unfinished > 0) log::info("recovering transactions", {{"unfinished", unfinished}});
    TANDEM_CRASH_POINT("coordinator.recovery");
    scope_ = std::make_unique<async::Scope>(&async::Loop::current().root_context(), async::Scope::OnError::keep_going);
    scope_->spawn(pump());
    scope_->spawn(forget_old());
}

Task<void> Coordinator::stop() {
    driving_ = false;
    if (!scope_) co_return;
    scope_->cancel(Error(Code::cancelled, "the coordinator is stopping"));
    try {
        co_await scope_->join();
    } catch (const Error& error) {
        if (error.code() != Code::cancelled)
            log::error("the coordinator ended with an error", {{"error", error.what()}});
    }
    scope_.reset();
}

int64_t Coordinator::request_timeout_ms(const Transaction& transaction) const {
    const int64_t own = transaction.options.request_timeout_ms;
    return own > 0 ? own : options_.request_timeout / milliseconds(1);
}

void Coordinator::extend_lease(Transaction& transaction) const {
    transaction.owner = options_.node_id;
    transaction.lease_until_ms = now_ms() + request_timeout_ms(transaction) + options_.lease_margin / milliseconds(1);
}

void Coordinator::reschedule(Transaction& transaction, bool ongoing_only) {
    const int64_t own = transaction.options.retry_interval_ms;
    const int64_t interval = own > 0 ? own : options_.retry_interval / milliseconds(1);
    // "Not yet" is an answer, not a failure: it is asked again at an even pace.
    const int64_t wait =
        ongoing_only ? interval
                     : back_off_ms(++transaction.failures, interval, options_.retry_interval_max / milliseconds(1));
    const int64_t jitter = wait / 10;
    transaction.next_attempt_ms = now_ms() + wait + random_.between(-jitter, jitter);
    const int64_t expires = expires_ms(transaction, 0);
    if (transaction.status == Status::submitted && expires > 0) {
        transaction.next_attempt_ms = std::min(transaction.next_attempt_ms, std::max(expires, now_ms()));
    }
    transaction.lease_until_ms = 0;
}

void Coordinator::wake_pump_for(int64_t due_ms) {
    if (due_ms < pump_sleeps_until_ms_) due_changed_.set();
}

bool Coordinator::start_driving(const EntryPointer& entry) {
    if (entry->driven) return true;
    const Transaction& record = *entry->record;
    const bool leased = record.owner == options_.node_id && record.lease_until_ms > now_ms();
    if (!scope_ || scope_->context().cancelled() || driven_ >= options_.driving_max || !leased) return false;
    entry->driven = true;
    ++driven_;
    entry->drive_ended.reset();
    scope_->spawn(drive(entry));
    return true;
}

Task<Transaction> Coordinator::drive_after_decision(EntryPointer entry, bool wait) {
    if (!start_driving(entry)) wake_pump_for(0);
    if (wait && entry->driven) co_await async::wait_for(entry->drive_ended, options_.wait_max);
    co_await load(entry);
    co_return *entry->record;
}

Task<void> Coordinator::drive(EntryPointer entry) {
    std::optional<Error> error;
    try {
        co_await drive_to_the_end(entry);
    } catch (const Error& failed) {
        error = failed;
    }
    entry->driven = false;
    if (driven_-- >= options_.driving_max) wake_pump_for(0);
    entry->drive_ended.set();
    // The lease runs out by itself, and the transaction is picked up again.
    if (error && error->code() != Code::cancelled) {
        log::error("driving a transaction broke off", {{"gid", entry->gid}, {"error", error->what()}});
    }
}

Task<void> Coordinator::drive_to_the_end(EntryPointer entry) {
    std::set<size_t> tried;  // branches called in this drive and direction: each once
    Status direction = Status::prepared;
    for (;;) {
        co_await load(entry);
        Transaction view = *entry->record;
        if (is_final(view.status) || view.owner != options_.node_id || view.lease_until_ms == 0) co_return;
        if (view.status == Status::prepared) {
            if (!co_await take_open_decision(entry)) co_return;
            continue;
        }
        if (std::exchange(direction, view.status) != view.status) tried.clear();

        Outcomes outcomes;
        std::vector<size_t> to_call = plan(view, outcomes, tried, now_ms());
        if (to_call.size() > options_.calls_per_transaction_max) to_call.resize(options_.calls_per_transaction_max);
        if (!to_call.empty()) {
            std::vector<Task<Answer>> calls;
            for (size_t index : to_call) {
                const Branch& branch = view.branches[index];
                calls.push_back(
                    call_branch(view, branch.id, url_now(view, branch), std::string(operation(view)), branch.payload));
                tried.insert(index);
            }
            std::vector<Answer> answers = co_await async::all(std::move(calls));
            for (size_t i = 0; i < to_call.size(); ++i) outcomes.emplace_back(to_call[i], std::move(answers[i]));
            TANDEM_CRASH_POINT("coordinator.after_call");
        }
        if (!co_await write_outcomes(entry, direction, outcomes, tried)) co_return;
    }
}

Task<bool> Coordinator::write_outcomes(EntryPointer entry, Status direction, const Outcomes& outcomes,
                                       const std::set<size_t>& tried) {
    bool go_on = false;
    const Transaction now = co_await write(entry, [&](Transaction& transaction) {
        go_on = false;
        if (is_final(transaction.status) || transaction.owner != options_.node_id) return false;
        note(transaction, direction, outcomes, now_ms());
        settle(transaction, now_ms());
        if (is_final(transaction.status)) {
            transaction.lease_until_ms = 0;
            return true;
        }
        const bool turned = transaction.status != direction;
        Transaction view = transaction;
        Outcomes ignored;
        if (turned || !plan(view, ignored, tried, now_ms()).empty() || !ignored.empty()) {
            extend_lease(transaction);
            go_on = true;
            return true;
        }
        const auto is = [](Verdict verdict) {
            return [=](const auto& outcome) { return outcome.second.verdict == verdict; };
        };
        if (std::ranges::any_of(outcomes, is(Verdict::success))) transaction.failures = 0;
        const bool ongoing_only =
            std::ranges::none_of(outcomes, is(Verdict::error)) && std::ranges::none_of(outcomes, is(Verdict::refused));
        reschedule(transaction, ongoing_only);
        return true;
    });
    TANDEM_CRASH_POINT("coordinator.after_outcome");
    if (go_on) co_return true;
    if (!is_final(now.status)) {
        wake_pump_for(now.next_attempt_ms);
        raise_alert(now);
    }
    co_return false;
}

void Coordinator::raise_alert(const Transaction& transaction) {
    if (transaction.failures != options_.alert_after) return;
    std::string error;
    for (const Branch& branch : transaction.branches) {
        if (!branch.last_error.empty()) error = fmt::format("branch {}: {}", branch.id, branch.last_error);
    }
    log::warn("a transaction does not get further",
              {{"gid", transaction.gid}, {"failures", transaction.failures}, {"error", error}});
    if (options_.alert && scope_->size() < 2 * options_.driving_max) scope_->spawn(options_.alert(transaction));
}

Task<bool> Coordinator::take_open_decision(EntryPointer entry) {
    const Transaction view = *entry->record;
    Answer answer{Verdict::refused, "it was not decided in time"};
    const int64_t expires = expires_ms(view, options_.prepared_timeout / milliseconds(1));
    const bool expired = now_ms() >= expires;
    if (expired && view.mode == Mode::message && !view.check_back.empty()) {
        answer = co_await call_branch(view, "00", view.check_back, "msg", {});
    }
    bool decided = false;
    const Transaction now = co_await write(entry, [&](Transaction& transaction) {
        decided = false;
        if (transaction.status != Status::prepared || transaction.owner != options_.node_id) {
            decided = transaction.owner == options_.node_id;  // decided by its initiator meanwhile
            return false;
        }
        if (!expired) {
            transaction.next_attempt_ms = expires;
            transaction.lease_until_ms = 0;
        } else if (answer.verdict == Verdict::success) {
            transaction.status = Status::submitted;
            transaction.failures = 0;
            extend_lease(transaction);
            decided = true;
        } else if (answer.verdict == Verdict::refused) {
            turn_back(transaction, answer.detail);
            extend_lease(transaction);
            decided = true;
        } else {
            reschedule(transaction, answer.verdict == Verdict::ongoing);
        }
        return true;
    });
    TANDEM_CRASH_POINT("coordinator.after_open_decision");
    if (!decided && !is_final(now.status)) {
        wake_pump_for(now.next_attempt_ms);
        raise_alert(now);
    }
    co_return decided;
}

Coordinator::OriginPointer Coordinator::origin(const std::string& name) {
    std::weak_ptr<Origin>& known = origins_[name];
    OriginPointer found = known.lock();
    if (!found) known = found = std::make_shared<Origin>(*this, name);
    return found;
}

Task<std::optional<async::Permit>> Coordinator::wait_for_slot(Origin& origin) {
    if (async::Permit free = origin.slots.try_acquire()) co_return free;
    // However slow one origin is, half of what may be driven is left for the others, and no wait outlives the lease.
    if (origin.waiting >= waiting_max()) co_return std::nullopt;
    struct Waiting {
        Coordinator& coordinator;
        size_t& count;
        Waiting(Coordinator& c, size_t& n) : coordinator(c), count(n) { ++count; }
        ~Waiting() {
            if (--count == coordinator.waiting_max() / 2) coordinator.wake_pump_for(0);  // for what was held back
        }
    } waiting(*this, origin.waiting);
    const auto acquire = [](async::Semaphore* slots) -> Task<async::Permit> { co_return co_await slots->acquire(); };
    try {
        co_return co_await async::with_deadline(options_.lease_margin / 2, acquire(&origin.slots));
    } catch (const Error& error) {
        if (error.code() != Code::deadline_exceeded) throw;
    }
    co_return std::nullopt;
}

Task<Answer> Coordinator::call_branch(Transaction snapshot, std::string branch_id, std::string url,
                                      std::string operation, std::string payload) {
    const OriginPointer to = origin(origin_of(url));
    std::optional<async::Permit> slot = co_await wait_for_slot(*to);
    if (!slot) co_return Answer{Verdict::ongoing, fmt::format("{} has too many calls under way already", to->name)};
    ++stats_.calls;
    TANDEM_CRASH_POINT("coordinator.before_call");
    BranchCall call{.url = std::move(url),
                    .gid = snapshot.gid,
                    .mode = snapshot.mode,
                    .branch_id = std::move(branch_id),
                    .operation = std::move(operation),
                    .payload = std::move(payload),
                    .headers = snapshot.options.branch_headers,
                    .timeout = milliseconds(request_timeout_ms(snapshot))};
    Answer answer = co_await caller_.call(std::move(call));
    if (answer.verdict == Verdict::error) ++stats_.call_errors;
    co_return answer;
}

Task<void> Coordinator::pump() {
    static constexpr int pages_max = 16;
    int pages = 0;
    for (;;) {
        due_changed_.reset();
        base::Duration rest = options_.poll_interval;
        pump_sleeps_until_ms_ = now_ms() + rest / milliseconds(1);
        try {
            const PickedUp found = co_await pick_up_due();
            driving_ = true;
            if (found.started > 0) continue;
            // Behind a saturated origin's transactions there may be others: look on, but not for ever.
            if (look_from_ms_ > 0 && ++pages < pages_max) continue;
            pages = 0;
            if (found.held_back == 0 && driven_ < options_.driving_max) {
                const int64_t now = now_ms();
                if (const auto next = co_await store_.next_due_ms(now)) {
                    rest = std::clamp<base::Duration>(milliseconds(*next - now), milliseconds(1), rest);
                }
            }
        } catch (const Error& error) {
            async::Context::current()->check();
            log::error("cannot look for due transactions", {{"error", error.what()}});
        }
        pump_sleeps_until_ms_ = now_ms() + rest / milliseconds(1);
        co_await async::wait_for(due_changed_, rest);
    }
}

bool Coordinator::would_wait(const Transaction& transaction) const {
    const std::vector<size_t> next = callable(transaction);
    const std::string& url = transaction.status == Status::prepared ? transaction.check_back
                             : next.empty()                         ? std::string()
                                            : url_now(transaction, transaction.branches[next.front()]);
    if (url.empty()) return false;
    const auto known = origins_.find(origin_of(url));
    const OriginPointer origin = known == origins_.end() ? nullptr : known->second.lock();
    return origin && origin->waiting >= waiting_max();
}

Task<Coordinator::PickedUp> Coordinator::pick_up_due() {
    PickedUp result;
    if (driven_ >= options_.driving_max) co_return result;
    const size_t limit = std::min(pick_up_max, options_.driving_max - driven_);
    std::vector<Transaction> due = co_await store_.due(now_ms(), look_from_ms_, limit);
    const bool full = due.size() == limit;
    const int64_t last_ms = due.empty() ? 0 : due.back().next_attempt_ms;
    result.held_back = std::erase_if(due, [this](const Transaction& found) { return would_wait(found); });
    std::vector<EntryPointer> claimed(due.size());
    std::vector<Task<void>> claims;
    for (size_t i = 0; i < due.size(); ++i) claims.push_back(claim(std::move(due[i]), &claimed[i]));
    co_await async::all(std::move(claims));
    for (const EntryPointer& entry : claimed) result.started += entry && start_driving(entry);
    // A page of nothing but what is held back: look behind it next time, and from the start again at the end.
    look_from_ms_ = full && result.held_back > 0 ? std::max(last_ms, look_from_ms_ + 1) : 0;
    co_return result;
}

Task<void> Coordinator::claim(Transaction found, EntryPointer* claimed) {
    EntryPointer here = entry(found.gid);
    if (here->driven) co_return;
    if (!here->record) here->record = std::move(found);
    bool ours = false;
    co_await write(here, [&](Transaction& transaction) {
        ours = !is_final(transaction.status) && transaction.lease_until_ms <= now_ms() &&
               transaction.next_attempt_ms <= now_ms();
        if (ours) extend_lease(transaction);
        return ours;
    });
    if (ours) *claimed = std::move(here);
}

Task<void> Coordinator::forget_old() {
    static constexpr size_t at_once = 1000;
    for (;;) {
        try {
            const int64_t before = now_ms() - options_.history / milliseconds(1);
            while (co_await store_.forget_finished_before(before, at_once) >= static_cast<int64_t>(at_once)) {
            }
        } catch (const Error& error) {
            async::Context::current()->check();
            log::warn("cannot remove old transactions", {{"error", error.what()}});
        }
        co_await async::sleep(std::chrono::minutes(1));
    }
}

}  // namespace tandem::tx
