// Where a coordinator keeps its transactions: tables behind tandem/db, in SQLite by default or MariaDB by URL.
//
// Writes of many transactions go into one database transaction (group commit): while one is being synced the next
// gathers. A write is conditional on the record's version, so that of two nodes that share a store only one makes a
// transition.
//
// Thread rules: belongs to the loop it was opened on. Errors are db's; `corrupted` for a record that cannot be read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/db/value.h"
#include "tandem/tx/model.h"

namespace tandem::db {
class Database;
}

namespace tandem::tx {

struct StoreOptions {
    size_t group_max = 512;        // writes in one commit
    size_t waiting_max = 100'000;  // writes waiting; one more fails with resource_exhausted
};

struct ListFilter {
    std::optional<Status> status;
    std::optional<Mode> mode;
    int64_t created_from_ms = 0;
    int64_t created_to_ms = 0;  // 0: open
    std::string after;          // where the page before ended: page_cursor() of its last transaction
    bool unfinished_only = false;
    size_t limit = 100;
};

// Opaque to clients; invalid ones are invalid_argument in list().
std::string page_cursor(const Transaction& last);

struct StoreStats {
    uint64_t commits = 0;  // database transactions
    uint64_t writes = 0;   // transitions in them
};

class Store {
  public:
    explicit Store(db::Database& database, StoreOptions options = {});
    ~Store();

    // Makes or migrates the tables; refuses a schema newer than this program knows.
    async::Task<void> open();
    // Waits for writes under way. Call before the loop ends.
    async::Task<void> close();

    // False when the gid is taken. On disk when it returns.
    async::Task<bool> insert(const Transaction& transaction);
    // Writes the record if the stored version is still transaction.version - 1. On disk when it returns.
    async::Task<bool> update(const Transaction& transaction);
    async::Task<std::optional<Transaction>> load(std::string gid);

    // Unfinished transactions that are due and that nobody drives, those due longest first; of these the ones that
    // became due at from_ms or later.
    async::Task<std::vector<Transaction>> due(int64_t now_ms, int64_t from_ms, size_t limit);
    // When the next that nobody drives becomes due; nullopt when there is none.
    async::Task<std::optional<int64_t>> next_due_ms(int64_t now_ms);
    // At start: what this node drove when it died is free at once. Returns how many are unfinished.
    async::Task<int64_t> release_leases(std::string owner);

    // Newest first.
    async::Task<std::vector<Transaction>> list(ListFilter filter);
    async::Task<int64_t> count_unfinished();
    // Makes unfinished transactions that would wait longer than until `after_ms` due now; how many.
    async::Task<int64_t> hasten(int64_t after_ms, int64_t now_ms, size_t limit);
    // Removes finished transactions older than that; how many.
    async::Task<int64_t> forget_finished_before(int64_t finished_ms, size_t limit);

    // Topics: names that messages' steps fan out by.
    async::Task<void> subscribe(std::string topic, std::string url, std::string remark);
    async::Task<bool> unsubscribe(std::string topic, std::string url);
    async::Task<bool> delete_topic(std::string topic);
    async::Task<std::vector<std::string>> subscribers(std::string topic);

    // Throws when the database does not answer.
    async::Task<void> check();
    StoreStats stats() const noexcept;

  private:
    class Writer;
    async::Task<std::vector<Transaction>> select(std::string sql, std::vector<db::Value> parameters);

    db::Database& database_;
    std::unique_ptr<Writer> writer_;
};

}  // namespace tandem::tx
