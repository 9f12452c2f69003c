// A database by URL, with a bounded pool of sessions.
//
//     sqlite:/var/lib/shop.db      sqlite::memory:      mysql://user:password@host:3306/schema
//
// SQLite files are opened in WAL mode with full syncs (a commit is on disk when it returns) and worked on the blocking
// pool. `mysql:` speaks to MariaDB and MySQL through libmariadb's non-blocking interface.
//
// Thread rules: a Database belongs to the loop it is first used on; make one for each loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tandem/async/sync.h"
#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/db/session.h"

namespace tandem::db {

struct PoolOptions {
    size_t sessions_max = 8;                                // more callers wait in order of arrival
    size_t waiting_max = 10'000;                            // more waiting callers fail with resource_exhausted
    base::Duration idle_max = std::chrono::minutes(5);      // idle longer: closed at the pool's next use
    base::Duration ping_after = std::chrono::seconds(30);   // idle longer than that: checked before it is handed out
    base::Duration busy_timeout = std::chrono::seconds(5);  // SQLite: how long to wait for another process's lock
    base::Duration connect_timeout = std::chrono::seconds(5);
};

struct PoolStats {
    size_t open = 0;           // sessions, on loan or idle
    size_t idle = 0;           // of these
    size_t waiting = 0;        // callers
    uint64_t waits_total = 0;  // callers that had to wait for a session
};

class Database;

// A session on loan; goes back to the pool when this dies. One that is unhealthy or still inside a transaction is
// closed instead, which rolls back.
class Lease {
  public:
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) noexcept;
    ~Lease() { give_back(); }
    Session& operator*() const noexcept { return *session_; }
    Session* operator->() const noexcept { return session_.get(); }
    void give_back() noexcept;

  private:
    friend class Database;
    Lease(Database& database, std::unique_ptr<Session> session, async::Permit permit)
        : database_(&database), session_(std::move(session)), permit_(std::move(permit)) {}
    Database* database_;
    std::unique_ptr<Session> session_;
    async::Permit permit_;
};

// Makes sessions; one implementation a driver.
class Driver {
  public:
    virtual ~Driver() = default;
    virtual async::Task<std::unique_ptr<Session>> connect() = 0;
    virtual Dialect dialect() const noexcept = 0;
    // The database is its one session's own and gone with it: the pool then keeps exactly one.
    virtual bool lives_in_session() const noexcept { return false; }
};

class Database {
  public:
    // Throws invalid_argument when the URL is no database's; connects on first use.
    explicit Database(std::string_view url, PoolOptions options = {});
    Database(std::unique_ptr<Driver> driver, PoolOptions options);
    ~Database();

    async::Task<Lease> session();
    // One statement on a session of its own.
    template <typename... Parameters>
    async::Task<Result> execute(std::string sql, Parameters... parameters) {
        Lease lease = co_await session();
        co_return co_await lease->execute(std::move(sql), std::move(parameters)...);
    }
    // `work(session)` in a transaction on a session of its own; see in_transaction().
    template <typename Work>
    auto transaction(Work work, Isolation isolation = Isolation::engine_default)
        -> std::invoke_result_t<Work&, Session&> {
        Lease lease = co_await session();
        if constexpr (std::is_void_v<typename std::invoke_result_t<Work&, Session&>::value_type>) {
            co_await in_transaction(*lease, std::move(work), isolation);
        } else {
            co_return co_await in_transaction(*lease, std::move(work), isolation);
        }
    }

    Dialect dialect() const noexcept { return driver_->dialect(); }
    size_t sessions_open() const noexcept { return open_; }
    PoolStats stats() const noexcept { return {open_, idle_.size(), waiting_, waits_total_}; }
    // Closes idle sessions. A database that lives in memory is gone then.
    void close_idle() noexcept;
    // Can a session be had and does it answer?
    async::Task<void> check_health();

  private:
    friend class Lease;
    struct Idle {
        std::unique_ptr<Session> session;
        base::TimePoint since;
    };
    async::Task<async::Permit> permit();
    async::Task<std::unique_ptr<Session>> idle_session();
    void close_expired() noexcept;
    void give_back(std::unique_ptr<Session> session) noexcept;

    const std::unique_ptr<Driver> driver_;
    const PoolOptions options_;
    async::Semaphore permits_;
    size_t waiting_ = 0;
    uint64_t waits_total_ = 0;
    size_t open_ = 0;
    std::deque<Idle> idle_;  // most recently used at the back
};

// The URL with its password replaced by "***", for logs and pages.
std::string redact(std::string_view url);

}  // namespace tandem::db
