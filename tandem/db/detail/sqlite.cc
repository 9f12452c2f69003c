// SQLite through the blocking pool.
//
// Invariants:
// 1. A connection is used by one thread at a time: each operation is one run_blocking call, and a Session has one
//    operation under way at a time.
// 2. Within this process, at most one session writes to a file: it holds the file's writer lock (a coroutine mutex)
//    from before BEGIN IMMEDIATE until after COMMIT or ROLLBACK. So no pool thread ever sleeps on SQLite's own lock
//    for another session of ours, which could starve the pool.
// 3. Another process's lock shows as SQLITE_BUSY; we let go of the thread, wait on the loop and try again.
// 4. A commit returns after the WAL is synced (synchronous=FULL).
#include <sqlite3.h>

#include <map>

#include "tandem/async/blocking.h"
#include "tandem/async/sync.h"
#include "tandem/async/time.h"
#include "tandem/base/assert.h"
#include "tandem/db/detail/drivers.h"

namespace tandem::db::detail {

namespace {

using async::Task;

struct SqliteOptions {
    std::string path;
    std::string vfs;
    base::Duration busy_timeout;
};

// The writer lock of a file, shared by all its sessions in this process.
std::shared_ptr<async::Mutex> writer_lock(const std::string& path) {
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<async::Mutex>> locks;
    if (path == ":memory:") return std::make_shared<async::Mutex>();
    std::lock_guard guard(mutex);
    std::erase_if(locks, [](const auto& entry) { return entry.second.expired(); });
    std::shared_ptr<async::Mutex> lock = locks[path].lock();
    if (!lock) locks[path] = lock = std::make_shared<async::Mutex>();
    return lock;
}

Code code_of(int result) {
    switch (result & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return Code::aborted;
        case SQLITE_CONSTRAINT:
            switch (result) {
                case SQLITE_CONSTRAINT_UNIQUE:
                case SQLITE_CONSTRAINT_PRIMARYKEY:
                case SQLITE_CONSTRAINT_ROWID:
                    return Code::already_exists;
                default:
                    return Code::conflict;
            }
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return Code::corrupted;
        case SQLITE_FULL:
        case SQLITE_NOMEM:
            return Code::resource_exhausted;
        case SQLITE_CANTOPEN:
            return Code::unavailable;
        case SQLITE_IOERR:
            return Code::io;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return Code::permission_denied;
        case SQLITE_INTERRUPT:
            return Code::cancelled;
        default:
            return Code::invalid_argument;
    }
}

// A connection; everything here blocks and runs on a pool thread.
class Connection {
  public:
    explicit Connection(const SqliteOptions& options) : options_(options) {
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        const int result =
            sqlite3_open_v2(options.path.c_str(), &handle_, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
        if (result != SQLITE_OK) {
            Error error = make_error(result, "open");
            sqlite3_close(handle_);
            throw error;
        }
        run_script(
            "PRAGMA locking_mode=NORMAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA temp_store=MEMORY");
    }
    ~Connection() {
        for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
        sqlite3_close(handle_);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool reads_only(const std::string& sql) { return sqlite3_stmt_readonly(prepared(sql)) != 0; }
    bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
    void interrupt() noexcept { sqlite3_interrupt(handle_); }

    Result run(const std::string& sql, const std::vector<Value>& parameters) {
        sqlite3_stmt* statement = prepared(sql);
        struct Reset {
            sqlite3_stmt* statement;
            ~Reset() {
                sqlite3_reset(statement);
                sqlite3_clear_bindings(statement);
            }
        } reset{statement};
        const int wanted = sqlite3_bind_parameter_count(statement);
        if (wanted != static_cast<int>(parameters.size())) {
            fail(Code::invalid_argument, "the statement has {} parameters, {} were given: {}", wanted,
                 parameters.size(), sql);
        }
        for (int i = 0; i < wanted; ++i) bind(statement, i + 1, parameters[static_cast<size_t>(i)]);

        Result result;
        const int columns = sqlite3_column_count(statement);
        if (columns > 0) {
            std::vector<std::string> names;
            for (int i = 0; i < columns; ++i) names.emplace_back(sqlite3_column_name(statement, i));
            result.rows = Rows(std::move(names));
        }
        const int64_t changes_before = sqlite3_total_changes64(handle_);
        for (;;) {
            const int step = sqlite3_step(statement);
            if (step == SQLITE_DONE) break;
            if (step != SQLITE_ROW) throw make_error(step, sql);
            for (int i = 0; i < columns; ++i) result.rows.append(column(statement, i));
        }
        if (sqlite3_total_changes64(handle_) != changes_before) {
            result.affected = static_cast<uint64_t>(sqlite3_changes64(handle_));
            result.last_insert_id = sqlite3_last_insert_rowid(handle_);
        }
        return result;
    }

    void run_script(const std::string& sql) {
        const int result = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
        if (result != SQLITE_OK) throw make_error(result, sql);
    }

  private:
    static constexpr size_t statements_max = 128;

    Error make_error(int result, std::string_view doing) const {
        const std::string reason = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(result);
        return Error(code_of(result), fmt::format("sqlite {}: {} ({})", options_.path, reason,
                                                  doing.size() > 200 ? doing.substr(0, 200) : doing));
    }

    sqlite3_stmt* prepared(const std::string& sql) {
        if (const auto found = statements_.find(sql); found != statements_.end()) return found->second;
        if (statements_.size() >= statements_max) {
            for (auto& [text, statement] : statements_) sqlite3_finalize(statement);
            statements_.clear();
        }
        sqlite3_stmt* statement = nullptr;
        const char* tail = nullptr;
        const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                              SQLITE_PREPARE_PERSISTENT, &statement, &tail);
        if (result != SQLITE_OK) throw make_error(result, sql);
        if (!statement) fail(Code::invalid_argument, "the statement is empty: '{}'", sql);
        const std::string_view rest(tail, static_cast<size_t>(sql.data() + sql.size() - tail));
        if (rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
            sqlite3_finalize(statement);
            fail(Code::invalid_argument, "one statement at a time; after the first comes: {}", rest.substr(0, 100));
        }
        statements_.emplace(sql, statement);
        return statement;
    }

    static void bind(sqlite3_stmt* statement, int index, const Value& value) {
        struct Visitor {
            sqlite3_stmt* statement;
            int index;
            int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
            int operator()(int64_t v) const { return sqlite3_bind_int64(statement, index, v); }
            int operator()(uint64_t v) const {
                fail(Code::invalid_argument, "parameter {}: SQLite keeps signed 64-bit integers only, not {}", index,
                     v);
            }
            int operator()(double v) const { return sqlite3_bind_double(statement, index, v); }
            int operator()(const std::string& v) const {
                return sqlite3_bind_text64(statement, index, v.data(), v.size(), SQLITE_STATIC, SQLITE_UTF8);
            }
            int operator()(const Blob& v) const {
                return sqlite3_bind_blob64(statement, index, v.empty() ? "" : static_cast<const void*>(v.data()),
                                           v.size(), SQLITE_STATIC);
            }
        };
        const int result = std::visit(Visitor{statement, index}, value.data());
        if (result != SQLITE_OK) fail(code_of(result), "parameter {}: {}", index, sqlite3_errstr(result));
    }

    static Value column(sqlite3_stmt* statement, int index) {
        switch (sqlite3_column_type(statement, index)) {
            case SQLITE_INTEGER:
                return Value(static_cast<int64_t>(sqlite3_column_int64(statement, index)));
            case SQLITE_FLOAT:
                return Value(sqlite3_column_double(statement, index));
            case SQLITE_TEXT: {
                const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
                return Value(std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, index))));
            }
            case SQLITE_BLOB: {
                const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, index));
                return Value(Blob(bytes, bytes + sqlite3_column_bytes(statement, index)));
            }
            default:
                return Value();
        }
    }

    const SqliteOptions options_;
    sqlite3* handle_ = nullptr;
    std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

// Stops a running statement when the caller is cancelled.
class InterruptOnCancel final : async::CancelHook {
  public:
    explicit InterruptOnCancel(Connection& connection) : connection_(connection) {
        async::Context* context = async::Context::current();
        context->check();
        context->add(*this);
    }

  private:
    void on_cancel(const Error&) override { connection_.interrupt(); }
    Connection& connection_;
};

class SqliteSession final : public Session {
  public:
    SqliteSession(std::unique_ptr<Connection> connection, SqliteOptions options, std::shared_ptr<async::Mutex> writers)
        : connection_(std::move(connection)), options_(std::move(options)), writers_(std::move(writers)) {}

    Task<Result> execute(std::string sql, std::vector<Value> parameters) override {
        // Outside a transaction a writing statement is one of its own and needs the writer lock.
        std::optional<Result> result = co_await patiently([&]() -> std::optional<Result> {
            if (!in_transaction_ && !connection_->reads_only(sql)) return std::nullopt;
            return connection_->run(sql, parameters);
        });
        if (result) co_return std::move(*result);
        async::Permit writer = co_await writers_->lock();
        co_return co_await patiently([&] { return connection_->run(sql, parameters); });
    }

    Task<std::vector<Result>> execute_batch(std::vector<Command> commands) override {
        TANDEM_ASSERT(!in_transaction_, "a batch is a transaction of its own");
        async::Permit writer = co_await writers_->lock();
        co_return co_await patiently([&] {
            std::vector<Result> results;
            results.reserve(commands.size());
            connection_->run("BEGIN IMMEDIATE", {});
            try {
                for (const Command& command : commands) {
                    results.push_back(connection_->run(command.sql, command.parameters));
                }
                connection_->run("COMMIT", {});
            } catch (...) {
                roll_back_now();
                throw;
            }
            return results;
        });
    }

    Task<void> execute_script(std::string sql) override {
        async::Permit writer;
        if (!in_transaction_) writer = co_await writers_->lock();
        co_await patiently([&] {
            connection_->run_script(sql);
            return true;
        });
    }

    Task<void> begin(Isolation) override {
        // SQLite has one isolation level, serializable; every level asked for is met by it.
        if (in_transaction_) fail(Code::conflict, "a transaction is open on this session already");
        async::Permit writer = co_await writers_->lock();
        co_await patiently([&] { return connection_->run("BEGIN IMMEDIATE", {}); });
        writer_ = std::move(writer);
        in_transaction_ = true;
    }

    Task<void> commit() override {
        if (!in_transaction_) fail(Code::conflict, "there is no transaction to commit");
        co_await patiently([&] { return connection_->run("COMMIT", {}); });
        ended();
    }

    Task<void> rollback() override {
        if (!in_transaction_) fail(Code::conflict, "there is no transaction to roll back");
        co_await async::run_blocking([&] { roll_back_now(); });
        ended();
    }

    bool in_transaction() const noexcept override { return in_transaction_; }
    Dialect dialect() const noexcept override { return Dialect::sqlite; }
    bool healthy() const noexcept override { return healthy_; }
    Task<void> ping() override { (void)co_await execute("SELECT 1", std::vector<Value>{}); }

  private:
    // Runs `operation` on the pool, again while another process holds SQLite's lock, for at most busy_timeout.
    template <typename Operation>
    Task<std::invoke_result_t<Operation&>> patiently(Operation operation) {
        const base::TimePoint give_up = async::Loop::current().now() + options_.busy_timeout;
        base::Duration wait = std::chrono::milliseconds(1);
        for (;;) {
            std::optional<Error> error;
            {
                InterruptOnCancel interrupt(*connection_);
                try {
                    co_return co_await async::run_blocking(std::ref(operation));
                } catch (const Error& failed) {
                    error = failed;
                }
            }
            async::Context::current()->check();  // an interrupted statement: say why it was
            if (error->code() == Code::io || error->code() == Code::corrupted) healthy_ = false;
            if (error->code() != Code::aborted || async::Loop::current().now() + wait > give_up) throw *error;
            co_await async::sleep(wait);
            wait = std::min(wait * 2, base::Duration(std::chrono::milliseconds(50)));
        }
    }

    void roll_back_now() noexcept {
        if (!connection_->in_transaction()) return;  // SQLite rolled back by itself (disk full, interrupt, …)
        try {
            connection_->run("ROLLBACK", {});
        } catch (const Error&) {
            healthy_ = false;
        }
    }
    void ended() noexcept {
        in_transaction_ = false;
        writer_.release();
    }

    std::unique_ptr<Connection> connection_;
    const SqliteOptions options_;
    std::shared_ptr<async::Mutex> writers_;
    async::Permit writer_;  // while in a transaction
    bool in_transaction_ = false;
    std::atomic<bool> healthy_{true};
};

class SqliteDriver final : public Driver {
  public:
    explicit SqliteDriver(SqliteOptions options) : options_(std::move(options)), writers_(writer_lock(options_.path)) {}
    Task<std::unique_ptr<Session>> connect() override {
        async::Permit writer = co_await writers_->lock();  // switching a new file to WAL needs the lock
        auto connection = co_await async::run_blocking([this] { return std::make_unique<Connection>(options_); });
        co_return std::make_unique<SqliteSession>(std::move(connection), options_, writers_);
    }
    Dialect dialect() const noexcept override { return Dialect::sqlite; }

  private:
    const SqliteOptions options_;
    std::shared_ptr<async::Mutex> writers_;
};

}  // namespace

std::unique_ptr<Driver> sqlite_driver(std::string_view rest, const PoolOptions& options) {
    SqliteOptions sqlite{.path = std::string(rest), .vfs = {}, .busy_timeout = options.busy_timeout};
    if (const size_t query = rest.find("?vfs="); query != std::string_view::npos) {
        sqlite.path = std::string(rest.substr(0, query));
        sqlite.vfs = std::string(rest.substr(query + 5));
    }
    if (sqlite.path.empty()) fail(Code::invalid_argument, "the database URL 'sqlite:' names no file: sqlite:PATH");
    return std::make_unique<SqliteDriver>(std::move(sqlite));
}

}  // namespace tandem::db::detail
