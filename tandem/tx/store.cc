// Invariants:
// 1. Every transition is one conditional UPDATE (or one INSERT that ignores a taken gid), so it happens wholly or not.
// 2. A caller is told of its write only after the commit that carries it has returned, that is, after the sync.
// 3. unfinished is 1 exactly while the status is not final; next_attempt_ms of a finished record is when it finished,
//    so that one index serves both the search for what is due and the removal of old history.
#include "tandem/tx/store.h"

#include <deque>

#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/base/assert.h"
#include "tandem/base/log.h"
#include "tandem/db/database.h"
#include "tandem/db/migrate.h"

namespace tandem::tx {

namespace {

using async::Task;

constexpr std::string_view sqlite_schema = R"(
CREATE TABLE IF NOT EXISTS tandem_transactions (
  gid TEXT PRIMARY KEY,
  mode TEXT NOT NULL,
  status TEXT NOT NULL,
  unfinished INTEGER NOT NULL,
  next_attempt_ms INTEGER NOT NULL,
  lease_until_ms INTEGER NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  finished_ms INTEGER NOT NULL,
  document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tandem_transactions_due ON tandem_transactions (unfinished, next_attempt_ms);
CREATE INDEX IF NOT EXISTS tandem_transactions_created ON tandem_transactions (created_ms, gid);
CREATE TABLE IF NOT EXISTS tandem_topics (
  topic TEXT NOT NULL, url TEXT NOT NULL, remark TEXT NOT NULL, PRIMARY KEY (topic, url)
) WITHOUT ROWID;
)";

constexpr std::string_view mysql_schema = R"(
CREATE TABLE IF NOT EXISTS tandem_transactions (
  gid VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
  mode VARCHAR(16) NOT NULL,
  status VARCHAR(16) NOT NULL,
  unfinished TINYINT NOT NULL,
  next_attempt_ms BIGINT NOT NULL,
  lease_until_ms BIGINT NOT NULL,
  owner VARCHAR(64) NOT NULL,
  version BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  finished_ms BIGINT NOT NULL,
  document LONGTEXT CHARACTER SET utf8mb4 NOT NULL,
  KEY tandem_transactions_due (unfinished, next_attempt_ms),
  KEY tandem_transactions_created (created_ms, gid)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS tandem_topics (
  topic VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  url VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  remark TEXT NOT NULL, PRIMARY KEY (topic, url)
) ENGINE=InnoDB;
)";

constexpr std::string_view columns =
    "gid, mode, status, next_attempt_ms, lease_until_ms, owner, version, created_ms, updated_ms, finished_ms, document";

Transaction read_row(const db::Row& row) {
    Transaction transaction;
    transaction.gid = row.get<std::string>(0);
    const std::optional<Mode> mode = mode_from(row[1].as<std::string_view>());
    const std::optional<Status> status = status_from(row[2].as<std::string_view>());
    if (!mode || !status) {
        fail(Code::corrupted, "transaction {}: mode '{}' or status '{}' is unknown", transaction.gid,
             row.get<std::string>(1), row.get<std::string>(2));
    }
    transaction.mode = *mode;
    transaction.status = *status;
    transaction.next_attempt_ms = row.get<int64_t>(3);
    transaction.lease_until_ms = row.get<int64_t>(4);
    transaction.owner = row.get<std::string>(5);
    transaction.version = row.get<int64_t>(6);
    transaction.created_ms = row.get<int64_t>(7);
    transaction.updated_ms = row.get<int64_t>(8);
    transaction.finished_ms = row.get<int64_t>(9);
    from_document(row[10].as<std::string_view>(), transaction);
    return transaction;
}

int64_t stored_next_attempt(const Transaction& transaction) {
    return is_final(transaction.status) ? transaction.finished_ms : transaction.next_attempt_ms;
}

std::pair<int64_t, std::string> parse_cursor(const std::string& cursor) {
    const size_t dot = cursor.find('.');
    char* end = nullptr;
    const int64_t created = std::strtoll(cursor.c_str(), &end, 10);
    if (dot == std::string::npos || end != cursor.c_str() + dot) {
        fail(Code::invalid_argument, "cursor: '{}' is not one that this node gave out", cursor);
    }
    return {created, cursor.substr(dot + 1)};
}

}  // namespace

std::string page_cursor(const Transaction& last) {
    return fmt::format("{}.{}", last.created_ms, last.gid);
}

// Gathers writes and commits them together, one commit at a time.
class Store::Writer {
  public:
    Writer(db::Database& database, StoreOptions options)
        : database_(database), options_(options), scope_(&async::Loop::current().root_context()) {
        scope_.spawn(commit_for_ever());
    }

    // One write; true when it changed its row. Waits for its commit even when the caller is cancelled, since the
    // write may be on its way to the disk.
    Task<bool> write(db::Command command) {
        async::Context::current()->check();
        if (waiting_.size() >= options_.waiting_max) {
            fail(Code::resource_exhausted, "{} writes wait for the transaction store already (store.waiting_max)",
                 waiting_.size());
        }
        Pending pending{.command = std::move(command)};
        waiting_.push_back(&pending);
        has_work_.set();
        co_await Committed{pending};
        if (pending.error) throw *pending.error;
        co_return pending.affected > 0;
    }

    Task<void> close() {
        closing_ = true;
        has_work_.set();
        co_await scope_.join();
    }

    StoreStats stats;

  private:
    struct Pending {
        db::Command command;
        async::Continuation continuation;
        uint64_t affected = 0;
        std::optional<Error> error;
    };
    struct Committed {
        Pending& pending;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) noexcept { pending.continuation.capture(handle); }
        void await_resume() const noexcept {}
    };

    Task<void> commit_for_ever() { co_await async::shielded(commit_until_closed()); }

    Task<void> commit_until_closed() {
        for (;;) {
            if (waiting_.empty()) {
                if (closing_) co_return;
                has_work_.reset();
                co_await has_work_.wait();
                continue;
            }
            std::vector<Pending*> group;
            while (!waiting_.empty() && group.size() < options_.group_max) {
                group.push_back(waiting_.front());
                waiting_.pop_front();
            }
            co_await commit(group);
            for (Pending* pending : group) pending->continuation.schedule();
        }
    }

    Task<void> commit(const std::vector<Pending*>& group) {
        const std::optional<Error> error = co_await try_commit(group);
        if (!error) co_return;
        if (group.size() == 1) {
            group.front()->error = error;
            co_return;
        }
        // One bad write must not take the others down with it.
        for (Pending* pending : group) pending->error = co_await try_commit({pending});
    }

    Task<std::optional<Error>> try_commit(const std::vector<Pending*>& group) {
        try {
            std::vector<db::Command> commands;
            commands.reserve(group.size());
            for (Pending* pending : group) commands.push_back(pending->command);
            db::Lease session = co_await database_.session();
            const std::vector<db::Result> results = co_await session->execute_batch(std::move(commands));
            for (size_t i = 0; i < group.size(); ++i) group[i]->affected = results[i].affected;
            ++stats.commits;
            stats.writes += group.size();
        } catch (const Error& error) {
            co_return error;
        }
        co_return std::nullopt;
    }

    db::Database& database_;
    const StoreOptions options_;
    std::deque<Pending*> waiting_;
    async::Event has_work_;
    bool closing_ = false;
    async::Scope scope_;
};

Store::Store(db::Database& database, StoreOptions options)
    : database_(database), writer_(std::make_unique<Writer>(database, options)) {}
Store::~Store() = default;

Task<void> Store::open() {
    const bool sqlite = database_.dialect() == db::Dialect::sqlite;
    db::Lease session = co_await database_.session();
    co_await db::migrate(*session, "transactions", {std::string(sqlite ? sqlite_schema : mysql_schema)});
}

Task<void> Store::close() {
    co_await writer_->close();
}

Task<bool> Store::insert(const Transaction& t) {
    static constexpr std::string_view values =
        " INTO tandem_transactions (gid, mode, status, unfinished, next_attempt_ms, lease_until_ms, owner, version,"
        " created_ms, updated_ms, finished_ms, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const bool sqlite = database_.dialect() == db::Dialect::sqlite;
    return writer_->write(
        {fmt::format("INSERT {}IGNORE{}", sqlite ? "OR " : "", values),
         {t.gid, to_string(t.mode), to_string(t.status), is_final(t.status) ? 0 : 1, stored_next_attempt(t),
          t.lease_until_ms, t.owner, t.version, t.created_ms, t.updated_ms, t.finished_ms, to_document(t)}});
}

Task<bool> Store::update(const Transaction& t) {
    return writer_->write(
        {"UPDATE tandem_transactions SET status = ?, unfinished = ?, next_attempt_ms = ?, lease_until_ms = ?, owner = "
         "?,"
         " version = ?, updated_ms = ?, finished_ms = ?, document = ? WHERE gid = ? AND version = ?",
         {to_string(t.status), is_final(t.status) ? 0 : 1, stored_next_attempt(t), t.lease_until_ms, t.owner, t.version,
          t.updated_ms, t.finished_ms, to_document(t), t.gid, t.version - 1}});
}

Task<std::vector<Transaction>> Store::select(std::string sql, std::vector<db::Value> parameters) {
    db::Lease session = co_await database_.session();
    const db::Result result = co_await session->execute(std::move(sql), std::move(parameters));
    std::vector<Transaction> found;
    found.reserve(result.rows.size());
    for (const db::Row row : result.rows) found.push_back(read_row(row));
    co_return found;
}

Task<std::optional<Transaction>> Store::load(std::string gid) {
    std::vector<Transaction> found = co_await select(
        fmt::format("SELECT {} FROM tandem_transactions WHERE gid = ?", columns), {db::Value(std::move(gid))});
    if (found.empty()) co_return std::nullopt;
    co_return std::move(found.front());
}

Task<std::vector<Transaction>> Store::due(int64_t now_ms, int64_t from_ms, size_t limit) {
    return select(fmt::format("SELECT {} FROM tandem_transactions WHERE unfinished = 1 AND next_attempt_ms >= ? AND "
                              "next_attempt_ms <= ? AND lease_until_ms <= ? ORDER BY next_attempt_ms LIMIT ?",
                              columns),
                  {from_ms, now_ms, now_ms, limit});
}

Task<std::optional<int64_t>> Store::next_due_ms(int64_t now_ms) {
    const db::Result result = co_await database_.execute(
        "SELECT next_attempt_ms FROM tandem_transactions WHERE unfinished = 1 AND lease_until_ms <= ? "
        "ORDER BY next_attempt_ms LIMIT 1",
        now_ms);
    if (result.rows.empty()) co_return std::nullopt;
    co_return result.rows[0].get<int64_t>(0);
}

Task<int64_t> Store::release_leases(std::string owner) {
    co_await database_.execute(
        "UPDATE tandem_transactions SET lease_until_ms = 0 WHERE unfinished = 1 AND owner = ? AND lease_until_ms > 0",
        std::move(owner));
    co_return co_await count_unfinished();
}

Task<std::vector<Transaction>> Store::list(ListFilter filter) {
    std::string sql = fmt::format("SELECT {} FROM tandem_transactions WHERE 1 = 1", columns);
    std::vector<db::Value> parameters;
    const auto where = [&](std::string_view condition, db::Value value) {
        sql += condition;
        parameters.push_back(std::move(value));
    };
    if (filter.unfinished_only) sql += " AND unfinished = 1";
    if (filter.status) where(" AND status = ?", to_string(*filter.status));
    if (filter.mode) where(" AND mode = ?", to_string(*filter.mode));
    if (filter.created_from_ms) where(" AND created_ms >= ?", filter.created_from_ms);
    if (filter.created_to_ms) where(" AND created_ms < ?", filter.created_to_ms);
    if (!filter.after.empty()) {
        const auto [created, gid] = parse_cursor(filter.after);
        where(" AND (created_ms < ?", created);
        where(" OR (created_ms = ?", created);
        where(" AND gid < ?))", gid);
    }
    where(" ORDER BY created_ms DESC, gid DESC LIMIT ?", filter.limit);
    co_return co_await select(std::move(sql), std::move(parameters));
}

Task<int64_t> Store::count_unfinished() {
    const db::Result result =
        co_await database_.execute("SELECT COUNT(*) FROM tandem_transactions WHERE unfinished = 1");
    co_return result.rows[0].get<int64_t>(0);
}

Task<int64_t> Store::hasten(int64_t after_ms, int64_t now_ms, size_t limit) {
    const db::Result result = co_await database_.execute(
        "UPDATE tandem_transactions SET next_attempt_ms = ? WHERE gid IN (SELECT gid FROM (SELECT gid FROM "
        "tandem_transactions WHERE unfinished = 1 AND next_attempt_ms > ? ORDER BY next_attempt_ms LIMIT ?) AS late)",
        now_ms, after_ms, limit);
    co_return static_cast<int64_t>(result.affected);
}

Task<int64_t> Store::forget_finished_before(int64_t finished_ms, size_t limit) {
    const db::Result result = co_await database_.execute(
        "DELETE FROM tandem_transactions WHERE gid IN (SELECT gid FROM (SELECT gid FROM tandem_transactions WHERE "
        "unfinished = 0 AND next_attempt_ms < ? ORDER BY next_attempt_ms LIMIT ?) AS old)",
        finished_ms, limit);
    co_return static_cast<int64_t>(result.affected);
}

Task<void> Store::subscribe(std::string topic, std::string url, std::string remark) {
    co_await database_.execute("REPLACE INTO tandem_topics (topic, url, remark) VALUES (?, ?, ?)", std::move(topic),
                               std::move(url), std::move(remark));
}

Task<bool> Store::unsubscribe(std::string topic, std::string url) {
    const db::Result result = co_await database_.execute("DELETE FROM tandem_topics WHERE topic = ? AND url = ?",
                                                         std::move(topic), std::move(url));
    co_return result.affected > 0;
}

Task<bool> Store::delete_topic(std::string topic) {
    const db::Result result = co_await database_.execute("DELETE FROM tandem_topics WHERE topic = ?", std::move(topic));
    co_return result.affected > 0;
}

Task<std::vector<std::string>> Store::subscribers(std::string topic) {
    const db::Result result =
        co_await database_.execute("SELECT url FROM tandem_topics WHERE topic = ? ORDER BY url", std::move(topic));
    std::vector<std::string> urls;
    for (const db::Row row : result.rows) urls.push_back(row.get<std::string>(0));
    co_return urls;
}

Task<void> Store::check() {
    return database_.check_health();
}

StoreStats Store::stats() const noexcept {
    return writer_->stats;
}

}  // namespace tandem::tx
