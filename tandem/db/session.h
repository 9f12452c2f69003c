// One conversation with a database, whichever driver carries it. Parameters are written `?` in the SQL of every driver.
//
// Thread rules: a Session belongs to the loop of its Database; one operation at a time.
// Errors: invalid_argument (the SQL, a constraint's type), already_exists (a unique key), conflict (a foreign key,
// check or NOT NULL), aborted (deadlock, serialization, lock wait time-out: run the transaction again), unavailable
// (connection lost: the outcome of the statement is unknown), deadline_exceeded, cancelled, unsupported. After a
// cancelled or failed transaction the session rolls back before anything else happens on it. A statement that is
// cancelled while a MySQL server works on it costs the connection: it is closed, and the server is told to kill it and
// so to roll back.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/async/time.h"
#include "tandem/db/value.h"

namespace tandem::db {

enum class Dialect : unsigned char { sqlite, mysql };

enum class Isolation : unsigned char {
    engine_default,
    read_uncommitted,
    read_committed,
    repeatable_read,
    serializable,
};

struct Result {
    Rows rows;
    uint64_t affected = 0;       // rows changed by INSERT, UPDATE, DELETE (matched rows of an UPDATE count)
    int64_t last_insert_id = 0;  // the last generated key, 0 when none
};

struct Command {
    std::string sql;
    std::vector<Value> parameters;
};

// An XA transaction branch's name (X/Open XA, "Distributed Transaction Processing: The XA Specification", 4.2).
struct Xid {
    int32_t format_id = 1;
    std::string global_id;  // gtrid, at most 64 bytes
    std::string branch_id;  // bqual, at most 64 bytes
    bool operator==(const Xid&) const = default;
};

class Session {
  public:
    virtual ~Session() = default;

    // One statement. It is prepared on first use and kept, so the same text again is cheap.
    virtual async::Task<Result> execute(std::string sql, std::vector<Value> parameters) = 0;
    template <typename... Parameters>
    async::Task<Result> execute(std::string sql, Parameters... parameters) {
        std::vector<Value> values;
        values.reserve(sizeof...(parameters));
        (values.emplace_back(std::move(parameters)), ...);
        return execute(std::move(sql), std::move(values));
    }
    // All of them, in order, in one transaction of their own and in as few trips as the driver can; the results in
    // order. On an error nothing is kept. Not inside an open transaction.
    virtual async::Task<std::vector<Result>> execute_batch(std::vector<Command> commands) = 0;
    // Statements without parameters or results, separated by semicolons: schemas.
    virtual async::Task<void> execute_script(std::string sql) = 0;

    virtual async::Task<void> begin(Isolation isolation = Isolation::engine_default) = 0;
    // A transaction that may only read; on SQLite it runs beside a writer instead of waiting for it.
    virtual async::Task<void> begin_read_only() = 0;
    virtual async::Task<void> commit() = 0;
    virtual async::Task<void> rollback() = 0;
    virtual bool in_transaction() const noexcept = 0;

    // XA verbs. `unsupported` where the driver has none.
    virtual bool supports_xa() const noexcept { return false; }
    virtual async::Task<void> xa_start(Xid xid);
    virtual async::Task<void> xa_end(Xid xid);
    virtual async::Task<void> xa_prepare(Xid xid);
    virtual async::Task<void> xa_commit(Xid xid, bool one_phase);
    virtual async::Task<void> xa_rollback(Xid xid);
    virtual async::Task<std::vector<Xid>> xa_recover();

    // The server's number for this connection; 0 where there is no server.
    virtual uint64_t connection_id() const noexcept { return 0; }
    virtual Dialect dialect() const noexcept = 0;
    // False once the connection is lost or its state unknown: the pool then drops it.
    virtual bool healthy() const noexcept = 0;
    // Asks the server for a sign of life.
    virtual async::Task<void> ping() = 0;
};

// Runs `work(session)` in a transaction: commits when it returns, rolls back (even when cancelled) when it throws.
//     co_await in_transaction(session, [](db::Session& s) -> Task<void> { co_await s.execute("…"); });
template <typename Work>
auto in_transaction(Session& session, Work work, Isolation isolation = Isolation::engine_default)
    -> std::invoke_result_t<Work&, Session&> {
    using T = typename std::invoke_result_t<Work&, Session&>::value_type;
    co_await session.begin(isolation);
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await work(session);
            co_await session.commit();
            co_return;
        } else {
            T result = co_await work(session);
            co_await session.commit();
            co_return result;
        }
    } catch (...) {
        error = std::current_exception();
    }
    if (session.healthy() && session.in_transaction()) {
        try {
            co_await async::shielded(session.rollback());
        } catch (const Error&) {
            // The first error tells more; a session that cannot roll back is unhealthy and the pool drops it.
        }
    }
    std::rethrow_exception(error);
}

}  // namespace tandem::db
