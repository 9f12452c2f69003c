// A global transaction as the coordinator keeps it: its mode, its status, its branches and how to drive them.
//
// The whole record is one row of the store, its branches a JSON document in it, so that every transition is one
// conditional UPDATE: atomic, cheap to commit in groups, and readable with SQL.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::tx {

enum class Mode : unsigned char {
    saga,     // actions, and compensations in reverse when one refuses
    tcc,      // try by the initiator; confirm or cancel by the coordinator
    message,  // two-phase message: prepare, local transaction, submit; check-back when the submit does not come
    xa,       // prepared database branches; commit or rollback by the coordinator
};

enum class Status : unsigned char {
    prepared,   // begun; the decision is open
    submitted,  // decided: forward (for a saga: forward unless an action refuses)
    aborting,   // decided: backward
    succeeded,  // every branch went forward
    failed,     // every branch was undone
};

enum class BranchStatus : unsigned char {
    pending,  // forward not yet known to have happened
    done,     // forward happened
    refused,  // a saga's action said no
    undone,   // backward happened
    skipped,  // turned back before forward could begin: nothing to undo
};

// "saga", "tcc", "msg" and "xa" as DTM's clients write them; v1 also takes "message" for msg.
std::string_view to_string(Mode mode) noexcept;
std::string_view to_string(Status status) noexcept;
std::string_view to_string(BranchStatus status) noexcept;
std::optional<Mode> mode_from(std::string_view name) noexcept;
std::optional<Status> status_from(std::string_view name) noexcept;

inline bool is_final(Status status) noexcept {
    return status == Status::succeeded || status == Status::failed;
}

struct Branch {
    std::string id;        // "01", "02", …; a topic's fan-out "01-01"
    std::string forward;   // URL of the action, confirm or commit; empty: nothing to call, counts as success
    std::string backward;  // URL of the compensation, cancel or rollback; empty likewise
    std::string payload;   // body of each call; calls without one are GET
    BranchStatus status = BranchStatus::pending;
    int attempts = 0;        // of the call now due, since it last succeeded
    std::string last_error;  // of the last attempt, empty when it succeeded
    int64_t finished_ms = 0;

    bool operator==(const Branch&) const = default;
};

struct Options {
    bool wait_result = false;                // submit answers when the transaction has ended
    bool concurrent = false;                 // saga, message: branches do not wait for each other
    std::map<int, std::vector<int>> orders;  // saga: branch index -> indexes it waits for (with concurrent)
    int64_t timeout_to_fail_ms = 0;          // 0: the mode's default (saga: never)
    int64_t request_timeout_ms = 0;          // of one branch call; 0: the node's default
    int64_t retry_interval_ms = 0;           // first back-off; 0: the node's default
    int64_t retry_limit = 0;                 // saga: an action that failed so often is taken as refused; 0: never
    int64_t delay_ms = 0;                    // message: the first call is this long after submit
    std::map<std::string, std::string> branch_headers;  // added to every branch call

    bool operator==(const Options&) const = default;
};

struct Transaction {
    std::string gid;
    Mode mode = Mode::saga;
    Status status = Status::prepared;
    Options options;
    std::vector<Branch> branches;
    std::string check_back;   // message: asked whether the local transaction committed (DTM: query_prepared)
    std::string custom_data;  // as the client gave it; shown, not read
    std::string reason;       // why it is aborting or failed
    bool forced = false;      // a person forced the outcome: heuristic

    int64_t created_ms = 0;
    int64_t updated_ms = 0;
    int64_t finished_ms = 0;
    int64_t next_attempt_ms = 0;  // when there is something to do next
    int failures = 0;             // attempts in a row that did not get further

    // Optimistic lock: each transition is written `WHERE version = …` and adds one.
    int64_t version = 0;
    // The node that drives it, and until when no other may.
    std::string owner;
    int64_t lease_until_ms = 0;
};

// The branches' part of the record, as stored. from_document throws corrupted.
std::string to_document(const Transaction& transaction);
void from_document(std::string_view document, Transaction& transaction);

// True when both describe the same work (what a client asked for, not how far it has come): a repeated request.
bool same_request(const Transaction& a, const Transaction& b);

}  // namespace tandem::tx
