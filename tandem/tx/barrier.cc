// The barrier's invariants. A row (gid, branch, operation, call) is written at most once, by the unique key; a
// transaction that writes a row another one has written and not yet ended waits for that one (InnoDB: the row's lock;
// SQLite: one writer at a time).
//
// 1. Atomic: the rows of a call and its business SQL are in one local transaction; either all of it is there or none.
// 2. Once: business SQL of an operation runs only after its own row was new in the same transaction. So a second call
//    finds the row, and does nothing.
// 3. Undo only what was done: a reversal first writes the row of the operation it reverses. If that was new, the
//    operation has not committed and there is nothing to undo: the reversal leaves its rows and does nothing else.
// 4. Never after its reversal: by 3 a reversal that committed has left (or found) the forward operation's row, so a
//    forward call that comes later finds the row and does nothing.
// 5. A check-back's "no" is final: it writes the local transaction's row with the reason rollback, if it is not there.
//    A local commit that comes later fails to write that row and does nothing.
// 6. Names are compared as they were given: each fits its column and is of characters no collation or padding alters,
//    since "INSERT IGNORE" would cut a longer one short and take it for another.
#include "tandem/tx/barrier.h"

#include <algorithm>
#include <array>

#include "tandem/base/crash_point.h"
#include "tandem/base/id.h"
#include "tandem/http/url.h"

namespace tandem::tx {

using async::Task;

namespace {

constexpr size_t branch_id_size_max = 128;  // the column's width
constexpr std::string_view message_branch = "00";
constexpr std::string_view message_call = "01";

constexpr std::array<std::string_view, 8> operations = {"action", "compensate", "try",      "confirm",
                                                        "cancel", "commit",     "rollback", "msg"};

// The operation that `operation` reverses; empty when it reverses none.
std::string_view reversed_by(std::string_view operation) {
    if (operation == "cancel") return "try";
    if (operation == "compensate" || operation == "rollback") return "action";
    return {};
}

// Gathers the four parts from wherever `find` finds them.
template <typename Find>
BranchContext gather(std::string_view prefix, Find find) {
    const auto need = [&](std::string_view name) {
        std::string full = fmt::format("{}{}", prefix, name);
        std::optional<std::string> value = find(full);
        if (!value || value->empty()) {
            fail(Code::invalid_argument, "this is no call of a global transaction: {} is missing", full);
        }
        return std::move(*value);
    };
    BranchContext branch;
    branch.gid = need("gid");
    const std::string mode = need("trans_type");
    branch.branch_id = need("branch_id");
    branch.operation = need("op");
    const std::optional<Mode> known = mode_from(mode);
    if (!known) fail(Code::invalid_argument, "trans_type '{}' is none of saga, tcc, msg, xa", mode);
    branch.mode = *known;
    branch.check();
    return branch;
}

}  // namespace

BranchContext BranchContext::from_query(std::string_view query) {
    const http::QueryPairs pairs = http::parse_query(query);
    return gather("", [&](std::string_view name) -> std::optional<std::string> {
        const auto found =
            std::ranges::find(pairs, name, [](const auto& pair) { return std::string_view(pair.first); });
        if (found == pairs.end()) return std::nullopt;
        return found->second;
    });
}

BranchContext BranchContext::from_headers(const http::Headers& headers) {
    return gather("dtm-", [&](std::string_view name) -> std::optional<std::string> {
        const std::optional<std::string_view> value = headers.get(name);
        if (!value) return std::nullopt;
        return std::string(*value);
    });
}

BranchContext BranchContext::of_message(std::string gid) {
    BranchContext branch{Mode::message, std::move(gid), std::string(message_branch), "msg"};
    branch.check();
    return branch;
}

void BranchContext::check() const {
    if (gid.size() > base::gid_size_max || !base::valid_gid_characters(gid)) {
        fail(Code::invalid_argument, "gid must be 1 to {} of A-Z a-z 0-9 and - _ . : ~", base::gid_size_max);
    }
    if (branch_id.size() > branch_id_size_max || !base::valid_gid_characters(branch_id)) {
        fail(Code::invalid_argument, "branch_id must be 1 to {} of A-Z a-z 0-9 and - _ . : ~", branch_id_size_max);
    }
    if (std::ranges::find(operations, operation) == operations.end()) {
        fail(Code::invalid_argument, "op '{}' is none of {}", operation, fmt::join(operations, ", "));
    }
}

Barrier::Barrier(BranchContext branch, BarrierOptions options) : branch_(std::move(branch)), options_(options) {
    branch_.check();
}

std::string Barrier::next_id() {
    return fmt::format("{:02}", ++calls_);
}

Task<bool> Barrier::run_once(db::Session& session, std::string barrier_id, const Work& work) {
    const std::string_view reversed = reversed_by(branch_.operation);
    BarrierRow row{branch_.mode, branch_.gid, branch_.branch_id, {}, std::move(barrier_id), branch_.operation};
    bool nothing_to_undo = false;
    if (!reversed.empty()) {
        row.operation = reversed;
        nothing_to_undo = co_await insert_barrier(session, row);
    }
    row.operation = branch_.operation;
    const bool first = co_await insert_barrier(session, row);
    if (nothing_to_undo || !first) co_return false;
    co_await work(session);
    co_return true;
}

Task<bool> Barrier::run(db::Session& session, Work work) {
    std::string barrier_id = next_id();
    if (session.in_transaction()) co_return co_await run_once(session, std::move(barrier_id), work);
    // in_transaction keeps the closure until its task has ended.
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
    const bool ran = co_await db::in_transaction(session, [&](db::Session& local) -> Task<bool> {
        const bool result = co_await run_once(local, barrier_id, work);
        TANDEM_CRASH_POINT("barrier.before_commit");
        co_return result;
    });
    TANDEM_CRASH_POINT("barrier.after_commit");
    co_return ran;
}

Task<bool> Barrier::run(db::Database& database, Work work) {
    for (int attempt = 1;; ++attempt) {
        std::optional<Error> error;
        const int calls_before = calls_;
        try {
            db::Lease session = co_await database.session();
            co_return co_await run(*session, work);
        } catch (const Error& failed) {
            error = failed;
        }
        if (error->code() != Code::aborted || attempt >= options_.attempts_max) throw *error;
        calls_ = calls_before;  // the same call again, under the same name
    }
}

Task<bool> Barrier::committed(db::Database& database) {
    if (branch_.mode != Mode::message) {
        fail(Code::invalid_argument, "only a message has a local transaction to ask for, gid {} is of mode {}",
             branch_.gid, to_string(branch_.mode));
    }
    const BarrierRow row{Mode::message, branch_.gid, std::string(message_branch), "msg", std::string(message_call),
                         "rollback"};
    db::Lease session = co_await database.session();
    if (co_await insert_barrier(*session, row)) co_return false;
    const std::optional<std::string> reason = co_await barrier_reason(*session, row);
    if (!reason) fail(Code::aborted, "gid {}: the barrier's row went away while it was read", branch_.gid);
    co_return *reason != "rollback";
}

std::string_view barrier_table(db::Dialect dialect) noexcept {
    return dialect == db::Dialect::mysql ? "dtm_barrier.barrier" : "barrier";
}

std::string barrier_schema(db::Dialect dialect) {
    if (dialect == db::Dialect::sqlite) {
        return R"(
CREATE TABLE IF NOT EXISTS barrier (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trans_type TEXT DEFAULT '',
    gid TEXT DEFAULT '',
    branch_id TEXT DEFAULT '',
    op TEXT DEFAULT '',
    barrier_id TEXT DEFAULT '',
    reason TEXT DEFAULT '',
    create_time TEXT DEFAULT CURRENT_TIMESTAMP,
    update_time TEXT DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (gid, branch_id, op, barrier_id)
);
CREATE INDEX IF NOT EXISTS barrier_create_time ON barrier (create_time);
)";
    }
    // As DTM makes it, but with a collation that tells upper from lower case.
    return R"(
CREATE DATABASE IF NOT EXISTS dtm_barrier DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS dtm_barrier.barrier (
    id bigint(22) PRIMARY KEY AUTO_INCREMENT,
    trans_type varchar(45) DEFAULT '',
    gid varchar(128) DEFAULT '',
    branch_id varchar(128) DEFAULT '',
    op varchar(45) DEFAULT '',
    barrier_id varchar(45) DEFAULT '',
    reason varchar(45) DEFAULT '' COMMENT 'the operation that wrote this row',
    create_time datetime DEFAULT now(),
    update_time datetime DEFAULT now(),
    KEY (create_time),
    KEY (update_time),
    UNIQUE KEY (gid, branch_id, op, barrier_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dtm_barrier.tandem_xa_branch (
    gid varchar(64) NOT NULL,
    branch_id varchar(64) NOT NULL,
    connection_id bigint unsigned NOT NULL COMMENT 'that began the branch',
    begun_at bigint NOT NULL COMMENT 'seconds since 1970',
    PRIMARY KEY (gid, branch_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
)";
}

Task<void> install_barrier(db::Database& database) {
    db::Lease session = co_await database.session();
    co_await session->execute_script(barrier_schema(database.dialect()));
}

Task<bool> insert_barrier(db::Session& session, BarrierRow row) {
    const bool mysql = session.dialect() == db::Dialect::mysql;
    std::string sql =
        fmt::format("INSERT {}INTO {} (trans_type, gid, branch_id, op, barrier_id, reason) VALUES (?, ?, ?, ?, ?, ?){}",
                    mysql ? "IGNORE " : "", barrier_table(session.dialect()), mysql ? "" : " ON CONFLICT DO NOTHING");
    const db::Result result =
        co_await session.execute(std::move(sql), to_string(row.mode), std::move(row.gid), std::move(row.branch_id),
                                 std::move(row.operation), std::move(row.barrier_id), std::move(row.reason));
    co_return result.affected > 0;
}

Task<std::optional<std::string>> barrier_reason(db::Session& session, BarrierRow row) {
    std::string sql = fmt::format("SELECT reason FROM {} WHERE gid = ? AND branch_id = ? AND op = ? AND barrier_id = ?",
                                  barrier_table(session.dialect()));
    const db::Result result = co_await session.execute(std::move(sql), std::move(row.gid), std::move(row.branch_id),
                                                       std::move(row.operation), std::move(row.barrier_id));
    if (result.rows.empty()) co_return std::nullopt;
    co_return result.rows[0].get<std::string>("reason");
}

}  // namespace tandem::tx
