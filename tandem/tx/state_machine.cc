#include "tandem/tx/state_machine.h"

#include <algorithm>

#include "tandem/base/assert.h"

namespace tandem::tx {

namespace {

bool forward(const Transaction& transaction) noexcept {
    return transaction.status == Status::submitted;
}

// Do branches wait for each other? TCC's and XA's second phase never: each branch has already agreed.
bool in_order(const Transaction& transaction) noexcept {
    return (transaction.mode == Mode::saga || transaction.mode == Mode::message) && !transaction.options.concurrent;
}

// The branches that `index` waits for, going forward.
std::vector<size_t> waits_for(const Transaction& transaction, size_t index) {
    if (in_order(transaction)) return index > 0 ? std::vector<size_t>{index - 1} : std::vector<size_t>{};
    std::vector<size_t> before;
    if (const auto found = transaction.options.orders.find(static_cast<int>(index));
        found != transaction.options.orders.end()) {
        for (int other : found->second) before.push_back(static_cast<size_t>(other));
    }
    return before;
}

bool waits_for_branch(const Transaction& transaction, size_t index, size_t other) {
    const std::vector<size_t> before = waits_for(transaction, index);
    return std::ranges::find(before, other) != before.end();
}

bool free_to_begin(const Transaction& transaction, size_t index) {
    return std::ranges::all_of(waits_for(transaction, index),
                               [&](size_t other) { return transaction.branches[other].status == BranchStatus::done; });
}

std::vector<size_t> callable_forward(const Transaction& transaction) {
    std::vector<size_t> now;
    for (size_t i = 0; i < transaction.branches.size(); ++i) {
        if (transaction.branches[i].status == BranchStatus::pending && free_to_begin(transaction, i)) now.push_back(i);
    }
    return now;
}

std::vector<size_t> callable_backward(const Transaction& transaction) {
    std::vector<size_t> to_undo;
    for (size_t i = 0; i < transaction.branches.size(); ++i) {
        const BranchStatus status = transaction.branches[i].status;
        if (status != BranchStatus::undone && status != BranchStatus::skipped) to_undo.push_back(i);
    }
    // A branch is undone after all that waited for it.
    std::vector<size_t> now;
    for (size_t i : to_undo) {
        const bool blocked = std::ranges::any_of(
            to_undo, [&](size_t later) { return later != i && waits_for_branch(transaction, later, i); });
        if (!blocked) now.push_back(i);
    }
    return now;
}

}  // namespace

std::string_view operation(const Transaction& transaction) noexcept {
    const bool ahead = forward(transaction);
    switch (transaction.mode) {
        case Mode::saga:
            return ahead ? "action" : "compensate";
        case Mode::tcc:
            return ahead ? "confirm" : "cancel";
        case Mode::message:
            return "action";
        case Mode::xa:
            return ahead ? "commit" : "rollback";
    }
    return "";
}

const std::string& url_now(const Transaction& transaction, const Branch& branch) noexcept {
    return forward(transaction) ? branch.forward : branch.backward;
}

std::vector<size_t> callable(const Transaction& transaction) {
    if (transaction.status == Status::submitted) return callable_forward(transaction);
    // A message that was not submitted has called nobody.
    if (transaction.status == Status::aborting && transaction.mode != Mode::message) {
        return callable_backward(transaction);
    }
    return {};
}

void apply(Transaction& transaction, size_t index, const Answer& answer, int64_t now_ms) {
    TANDEM_ASSERT(index < transaction.branches.size(), "an answer for a branch that is not there");
    Branch& branch = transaction.branches[index];
    const bool ahead = forward(transaction);
    if (answer.verdict == Verdict::success) {
        branch.status = ahead ? BranchStatus::done : BranchStatus::undone;
        branch.attempts = 0;
        branch.last_error.clear();
        branch.finished_ms = now_ms;
        return;
    }
    if (answer.verdict != Verdict::ongoing) ++branch.attempts;
    branch.last_error = answer.detail;
    const bool may_refuse = ahead && transaction.mode == Mode::saga;
    const int64_t limit = transaction.options.retry_limit;
    const bool given_up = answer.verdict == Verdict::error && limit > 0 && branch.attempts > limit;
    if (may_refuse && (answer.verdict == Verdict::refused || given_up)) {
        branch.status = BranchStatus::refused;
        branch.attempts = 0;
        branch.finished_ms = now_ms;
        if (transaction.reason.empty()) {
            transaction.reason = given_up
                                     ? "branch " + branch.id + " failed more often than retry_limit: " + answer.detail
                                     : "branch " + branch.id + " refused: " + answer.detail;
        }
    }
}

void settle(Transaction& transaction, int64_t now_ms) {
    const auto finish = [&](Status status) {
        transaction.status = status;
        transaction.finished_ms = now_ms;
        transaction.failures = 0;
    };
    if (transaction.status == Status::submitted) {
        const auto& branches = transaction.branches;
        if (std::ranges::all_of(branches, [](const Branch& b) { return b.status == BranchStatus::done; })) {
            finish(Status::succeeded);
        } else if (std::ranges::any_of(branches, [](const Branch& b) { return b.status == BranchStatus::refused; })) {
            turn_back(transaction, {});
        } else if (transaction.mode == Mode::saga && transaction.options.timeout_to_fail_ms > 0 &&
                   now_ms >= transaction.created_ms + transaction.options.timeout_to_fail_ms) {
            turn_back(transaction, "timed out");
        }
    } else if (transaction.status == Status::aborting && callable(transaction).empty()) {
        finish(Status::failed);
    }
}

void turn_back(Transaction& transaction, std::string reason) {
    // Its answer may have been lost with a crash: a pending branch counts as begun unless something stood before it.
    // A TCC or XA branch is registered before it acts, so each of them may have begun.
    if (transaction.status == Status::submitted) {
        for (size_t i = 0; i < transaction.branches.size(); ++i) {
            Branch& branch = transaction.branches[i];
            if (branch.status == BranchStatus::pending && !free_to_begin(transaction, i)) {
                branch.status = BranchStatus::skipped;
            }
        }
    }
    transaction.status = Status::aborting;
    transaction.failures = 0;
    if (transaction.reason.empty()) transaction.reason = std::move(reason);
}

int64_t expires_ms(const Transaction& transaction, int64_t prepared_timeout_ms) noexcept {
    const int64_t own = transaction.options.timeout_to_fail_ms;
    if (transaction.status == Status::prepared) return transaction.created_ms + (own > 0 ? own : prepared_timeout_ms);
    if (transaction.status == Status::submitted && transaction.mode == Mode::saga && own > 0) {
        return transaction.created_ms + own;
    }
    return 0;
}

int64_t back_off_ms(int failures, int64_t interval_ms, int64_t maximum_ms) noexcept {
    int64_t wait = std::max<int64_t>(interval_ms, 1);
    for (int i = 1; i < failures && wait < maximum_ms; ++i) wait *= 2;
    return std::min(wait, std::max(maximum_ms, interval_ms));
}

}  // namespace tandem::tx
