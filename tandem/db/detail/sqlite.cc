// SQLite through the blocking pool.
//
// Invariants:
// 1. A connection is used by one thread at a time: each operation is one run_blocking call, and a Session has one
//    operation under way at a time.
// 2. Within this process, at most one session writes to a file: it holds the file's writer lock (a coroutine mutex)
//    from before BEGIN IMMEDIATE until after COMMIT or ROLLBACK. So no pool thread ever sleeps on SQLite's own lock
//    for another session of ours, which could starve the pool.
// 3. Another process's lock shows as SQLITE_BUSY; we let go of the thread, wait on the loop and try again.
//    The exception are reads, which WAL lets run beside a writer.
// 4. A commit returns after the WAL is synced (synchronous=FULL).
// 5. SQLite may roll a transaction back by itself (an interrupt, a full disk). The session then is `doomed_`: it runs
//    nothing but rollback(), since SQLite would run the next statement by itself, outside any transaction.
// 6. A connection is closed on the blocking pool, since closing the last one writes the WAL back; the writer lock it
//    holds, if any, is given back after that.
#include <sqlite3.h>

#include <filesystem>
#include <list>
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

constexpr std::string_view memory_path = ":memory:";

// The writer lock of a file, shared by all its sessions in this process.
std::shared_ptr<async::Mutex> writer_lock(const std::string& spelling) {
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<async::Mutex>> locks;
    if (spelling == memory_path) return std::make_shared<async::Mutex>();
    std::error_code error;
    const std::string path = std::filesystem::weakly_canonical(spelling, error).string();
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
        case SQLITE_TOOBIG:
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
        sqlite3_progress_handler(handle_, progress_steps, &Connection::should_stop, this);
        try {
            configure();
        } catch (const Error&) {
            close();
            throw;
        }
    }
    ~Connection() { close(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool reads_only(const std::string& sql) { return sqlite3_stmt_readonly(prepared(sql)) != 0; }
    bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
    // From any thread: ends what runs, and what is about to, until resume().
    void interrupt() noexcept {
        interrupted_ = true;
        sqlite3_interrupt(handle_);
    }
    void resume() noexcept { interrupted_ = false; }

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
        sqlite3_set_last_insert_rowid(handle_, 0);
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
    struct Finalizer {
        void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    };
    struct Statement {
        std::string sql;
        std::unique_ptr<sqlite3_stmt, Finalizer> handle;
    };
    using Statements = std::list<Statement>;
    static constexpr size_t statements_max = 128;
    static constexpr int progress_steps = 10'000;  // virtual machine steps between two looks at interrupted_

    void close() noexcept {
        by_sql_.clear();
        statements_.clear();  // SQLite keeps a connection that still has statements
        sqlite3_close(handle_);
    }

    static int should_stop(void* self) { return static_cast<Connection*>(self)->interrupted_ ? 1 : 0; }

    void configure() {
        sqlite3_busy_timeout(handle_, 0);
        if (options_.path != memory_path) {
            const Result mode = run("PRAGMA journal_mode=WAL", {});
            if (mode.rows[0].get<std::string>(0) != "wal") {
                fail(Code::unsupported, "sqlite {}: this file cannot be used in WAL mode", options_.path);
            }
        }
        run_script("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY");
    }

    Error make_error(int result, std::string_view doing) const {
        const std::string reason = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(result);
        return Error(code_of(result), fmt::format("sqlite {}: {} ({})", options_.path, reason,
                                                  doing.size() > 200 ? doing.substr(0, 200) : doing));
    }

    sqlite3_stmt* prepared(const std::string& sql) {
        if (const auto found = by_sql_.find(sql); found != by_sql_.end()) {
            statements_.splice(statements_.begin(), statements_, found->second);
            return found->second->handle.get();
        }
        sqlite3_stmt* statement = nullptr;
        const char* tail = nullptr;
        const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                              SQLITE_PREPARE_PERSISTENT, &statement, &tail);
        if (result != SQLITE_OK) throw make_error(result, sql);
        if (!statement) fail(Code::invalid_argument, "the statement is empty: '{}'", sql);
        std::unique_ptr<sqlite3_stmt, Finalizer> owner(statement);
        refuse_a_second_statement(tail, sql.data() + sql.size());
        if (statements_.size() >= statements_max) {
            by_sql_.erase(statements_.back().sql);
            statements_.pop_back();
        }
        statements_.push_front({sql, std::move(owner)});
        by_sql_.emplace(statements_.front().sql, statements_.begin());
        return statement;
    }

    // Comments and spaces may follow a statement; SQLite compiles them to nothing.
    void refuse_a_second_statement(const char* tail, const char* end) {
        while (tail < end) {
            sqlite3_stmt* more = nullptr;
            const char* next = nullptr;
            const int result = sqlite3_prepare_v3(handle_, tail, static_cast<int>(end - tail), 0, &more, &next);
            sqlite3_finalize(more);
            if (result != SQLITE_OK || more) {
                fail(Code::invalid_argument, "one statement at a time; after the first comes: {}",
                     std::string_view(tail, end).substr(0, 100));
            }
            if (next <= tail) break;
            tail = next;
        }
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
    std::atomic<bool> interrupted_{false};
    Statements statements_;  // most recently used in front
    std::unordered_map<std::string_view, Statements::iterator> by_sql_;
};

// Stops a running statement when the caller is cancelled.
class InterruptOnCancel final : async::CancelHook {
  public:
    explicit InterruptOnCancel(Connection& connection) : connection_(connection) {
        async::Context* context = async::Context::current();
        context->check();
        connection_.resume();
        context->add(*this);
    }

  private:
    void on_cancel(const Error&) override { connection_.interrupt(); }
    Connection& connection_;
};

// Closes a connection on the blocking pool, then gives the writer lock back; deletes itself.
class CloseJob final : async::BlockingPool::Job {
  public:
    static void start(std::unique_ptr<Connection> connection, std::shared_ptr<async::Mutex> writers,
                      async::Permit writer) noexcept {
        async::Loop* loop = async::Loop::current_or_null();
        async::BlockingPool* pool = loop ? loop->blocking_pool() : nullptr;
        if (!pool) {  // the simulator, or no loop any more: right here
            connection.reset();
            writer.release();
            return;
        }
        auto job = std::make_unique<CloseJob>();
        job->writers_ = std::move(writers);
        job->writer_ = std::move(writer);
        job->connection_ = std::move(connection);
        try {
            pool->submit(*job);
            (void)job.release();
        } catch (const Error&) {
            // The pool's queue is full: the connection is closed here, with the job.
        }
    }

  private:
    void run_on_pool() noexcept override { delete this; }

    // Dies from the last to the first.
    std::shared_ptr<async::Mutex> writers_;
    async::Permit writer_;
    std::unique_ptr<Connection> connection_;
};

class SqliteSession final : public Session {
  public:
    SqliteSession(std::unique_ptr<Connection> connection, SqliteOptions options, std::shared_ptr<async::Mutex> writers)
        : connection_(std::move(connection)), options_(std::move(options)), writers_(std::move(writers)) {}
    ~SqliteSession() override { CloseJob::start(std::move(connection_), std::move(writers_), std::move(writer_)); }
    SqliteSession(const SqliteSession&) = delete;
    SqliteSession& operator=(const SqliteSession&) = delete;

    Task<Result> execute(std::string sql, std::vector<Value> parameters) override {
        refuse_if_doomed();
        if (mode_ == Mode::writing) {
            co_return co_await in_transaction_of_ours([&] { return connection_->run(sql, parameters); });
        }
        // Outside a transaction a writing statement is one of its own and needs the writer lock.
        std::optional<Result> result = co_await patiently([&]() -> std::optional<Result> {
            if (!connection_->reads_only(sql)) return std::nullopt;
            return run_alone(sql, parameters);
        });
        if (result) co_return std::move(*result);
        if (mode_ == Mode::reading) fail(Code::invalid_argument, "a read-only transaction cannot run: {}", sql);
        const async::Permit writer = co_await writers_->lock();
        co_return co_await patiently([&] { return run_alone(sql, parameters); });
    }

    Task<std::vector<Result>> execute_batch(std::vector<Command> commands) override {
        if (mode_ != Mode::none) {
            fail(Code::conflict, "a batch is a transaction of its own; one is open on this session");
        }
        const async::Permit writer = co_await writers_->lock();
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
        refuse_if_doomed();
        if (mode_ == Mode::reading) fail(Code::invalid_argument, "a read-only transaction cannot run a script");
        async::Permit writer;
        if (mode_ == Mode::none) writer = co_await writers_->lock();
        // Not again when SQLite is busy: what came before in the script may have been done.
        co_await in_transaction_of_ours([&] {
            connection_->run_script(sql);
            return true;
        });
        if (mode_ == Mode::none) co_await async::shielded(leave_no_transaction());
    }

    Task<void> begin(Isolation) override {
        // SQLite has one isolation level, serializable; every level asked for is met by it.
        if (mode_ != Mode::none) fail(Code::conflict, "a transaction is open on this session already");
        async::Permit writer = co_await writers_->lock();
        co_await patiently([&] { return connection_->run("BEGIN IMMEDIATE", {}); });
        writer_ = std::move(writer);
        mode_ = Mode::writing;
    }

    Task<void> begin_read_only() override {
        if (mode_ != Mode::none) fail(Code::conflict, "a transaction is open on this session already");
        co_await patiently([&] { return connection_->run("BEGIN DEFERRED", {}); });
        mode_ = Mode::reading;
    }

    Task<void> commit() override {
        if (mode_ == Mode::none) fail(Code::conflict, "there is no transaction to commit");
        refuse_if_doomed();
        co_await in_transaction_of_ours([&] { return connection_->run("COMMIT", {}); });
        ended();
    }

    Task<void> rollback() override {
        if (mode_ == Mode::none) fail(Code::conflict, "there is no transaction to roll back");
        co_await async::run_blocking([&] { roll_back_now(); });
        ended();
    }

    bool in_transaction() const noexcept override { return mode_ != Mode::none; }
    Dialect dialect() const noexcept override { return Dialect::sqlite; }
    bool healthy() const noexcept override { return healthy_; }
    Task<void> ping() override { (void)co_await execute("SELECT 1", std::vector<Value>{}); }

  private:
    enum class Mode : unsigned char { none, reading, writing };

    void refuse_if_doomed() const {
        if (doomed_) fail(Code::aborted, "SQLite gave this transaction up; roll it back and run it again");
    }

    // A statement outside a transaction; on the pool. A BEGIN in it would leave one open behind our back.
    Result run_alone(const std::string& sql, const std::vector<Value>& parameters) {
        const bool before = connection_->in_transaction();
        Result result = connection_->run(sql, parameters);
        if (connection_->in_transaction() == before) return result;
        roll_back_now();
        doomed_ = before;
        fail(Code::invalid_argument, "use begin(), commit() and rollback() instead of: {}", sql);
    }

    Task<void> leave_no_transaction() {
        return async::run_blocking([this] {
            if (!connection_->in_transaction()) return;
            roll_back_now();
            fail(Code::invalid_argument, "the script began a transaction that it did not end; it was rolled back");
        });
    }

    // Once; inside a transaction of ours nobody else can be in the way.
    template <typename Operation>
    Task<std::invoke_result_t<Operation&>> in_transaction_of_ours(Operation operation) {
        return attempt(std::move(operation), base::Duration::zero());
    }

    // Again while another process holds SQLite's lock, for at most busy_timeout.
    template <typename Operation>
    Task<std::invoke_result_t<Operation&>> patiently(Operation operation) {
        return attempt(std::move(operation), options_.busy_timeout);
    }

    // Runs `operation` on the pool.
    template <typename Operation>
    Task<std::invoke_result_t<Operation&>> attempt(Operation operation, base::Duration patience) {
        const base::TimePoint give_up = async::Loop::current().now() + patience;
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
            // Nothing runs on the connection now, so it may be asked here.
            if (mode_ != Mode::none && !connection_->in_transaction()) doomed_ = true;
            async::Context::current()->check();  // an interrupted statement: say why it was
            if (error->code() == Code::io || error->code() == Code::corrupted) healthy_ = false;
            if (error->code() != Code::aborted || async::Loop::current().now() + wait > give_up) throw *error;
            co_await async::sleep(wait);
            wait = std::min(wait * 2, base::Duration(std::chrono::milliseconds(50)));
        }
    }

    void roll_back_now() noexcept {
        connection_->resume();
        if (!connection_->in_transaction()) return;  // SQLite rolled back by itself
        try {
            connection_->run("ROLLBACK", {});
        } catch (const Error&) {
            healthy_ = false;
        }
    }
    void ended() noexcept {
        mode_ = Mode::none;
        doomed_ = false;
        writer_.release();
    }

    std::unique_ptr<Connection> connection_;
    const SqliteOptions options_;
    std::shared_ptr<async::Mutex> writers_;
    async::Permit writer_;  // while writing
    Mode mode_ = Mode::none;
    bool doomed_ = false;
    std::atomic<bool> healthy_{true};
};

class SqliteDriver final : public Driver {
  public:
    explicit SqliteDriver(SqliteOptions options) : options_(std::move(options)), writers_(writer_lock(options_.path)) {}
    Task<std::unique_ptr<Session>> connect() override {
        const base::TimePoint give_up = async::Loop::current().now() + options_.busy_timeout;
        // Without the writer lock, whose holder may be who asks for a second session. Only a file that is not in WAL
        // mode yet can be busy here, for the moment in which another session makes it so.
        for (;;) {
            std::optional<Error> error;
            try {
                auto connection =
                    co_await async::run_blocking([this] { return std::make_unique<Connection>(options_); });
                co_return std::make_unique<SqliteSession>(std::move(connection), options_, writers_);
            } catch (const Error& failed) {
                error = failed;
            }
            if (error->code() != Code::aborted || async::Loop::current().now() > give_up) throw *error;
            co_await async::sleep(std::chrono::milliseconds(5));
        }
    }
    bool lives_in_session() const noexcept override { return options_.path == memory_path; }
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
