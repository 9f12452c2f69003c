// What a transaction may do next: the rules of saga, TCC, two-phase message and XA as pure functions on the record.
// No clock, no network, no store: the coordinator supplies those, and a test can walk every path.
//
//                begin                 decide to commit                  all forward done
//      (none) ──────────▶ prepared ───────────────────────▶ submitted ───────────────────▶ succeeded
//         │                  │                                  │
//         │                  │ decide to abort,                 │ saga only: an action refuses,
//         │                  │ time-out, check-back "no"        │ time-out, decide to abort
//         │                  ▼                                  ▼
//         │               aborting ◀────────────────────────────┘
//         │                  │  all undone
//         │                  └───────────────────────────────▶ failed
//         └── submit of a saga goes straight to submitted
//
// Invariants:
// 1. A status is on disk before anything that follows from it is done (the coordinator writes, then calls).
// 2. From submitted only a saga turns back; TCC, XA and message are retried until they have gone forward.
// 3. While aborting, every branch whose forward call may have begun is undone; one that cannot have begun is left.
// 4. succeeded and failed are final.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/tx/model.h"

namespace tandem::tx {

enum class Verdict : unsigned char {
    success,
    refused,  // the branch said no for good
    ongoing,  // not yet; ask again
    error,    // no answer, or one that says neither: ask again
};

struct Answer {
    Verdict verdict = Verdict::error;
    std::string detail;  // what was wrong, for people
};

// The word for the call that `transaction` now makes on its branches: action, compensate, confirm, cancel, commit,
// rollback.
std::string_view operation(const Transaction& transaction) noexcept;
// Where that call goes; empty: nothing to call.
const std::string& url_now(const Transaction& transaction, const Branch& branch) noexcept;

// Branches that may be called now, in the transaction's present direction. Those given together may be called together.
std::vector<size_t> callable(const Transaction& transaction);

// Notes the outcome of one call of callable().
void apply(Transaction& transaction, size_t branch, const Answer& answer, int64_t now_ms);

// Takes the steps that follow from the branches' statuses and the time: to aborting, succeeded or failed.
void settle(Transaction& transaction, int64_t now_ms);

// The decision to abort: from prepared, or a submitted saga. Branches that cannot have begun are skipped.
void turn_back(Transaction& transaction, std::string reason);

// When an open decision is taken by default (prepared), or a submitted saga gives up; 0: never.
int64_t expires_ms(const Transaction& transaction, int64_t prepared_timeout_ms) noexcept;

// The wait before the next try after `failures` failures in a row, without jitter: doubling, from interval to maximum.
int64_t back_off_ms(int failures, int64_t interval_ms, int64_t maximum_ms) noexcept;

}  // namespace tandem::tx
