// The code of docs/database.md; each region between `// [name]` and `// [/name]` stands there word for word.
#include <gtest/gtest.h>

#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/db/migrate.h"
#include "tandem/db/testing_database.h"
#include "tandem/db/xa.h"

namespace tandem {
namespace {

using async::Task;

// [first]
Task<std::string> greet() {
    db::Database database("sqlite::memory:");
    co_await database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL)");
    co_await database.execute("INSERT INTO people (id, name) VALUES (?, ?)", 1, "Ada");
    const db::Result found = co_await database.execute("SELECT id, name FROM people WHERE id = ?", 1);
    co_return "Hello, " + found.rows[0].get<std::string>("name");
}
// [/first]

// [transfer]
Task<void> transfer(db::Database& database, int from, int to, int64_t cents) {
    co_await database.transaction([=](db::Session& session) -> Task<void> {
        const db::Result taken = co_await session.execute(
            "UPDATE accounts SET cents = cents - ? WHERE id = ? AND cents >= ?", cents, from, cents);
        if (taken.affected == 0) fail(Code::conflict, "account {} has less than {} cents", from, cents);
        co_await session.execute("UPDATE accounts SET cents = cents + ? WHERE id = ?", cents, to);
    });
}
// [/transfer]

// [again]
Task<void> transfer_patiently(db::Database& database, int from, int to, int64_t cents) {
    for (int attempt = 1;; ++attempt) {
        try {
            co_return co_await transfer(database, from, to, cents);
        } catch (const Error& error) {
            if (error.code() != Code::aborted || attempt == 5) throw;
        }
        co_await async::sleep(std::chrono::milliseconds(10) * attempt);
    }
}
// [/again]

// [migrate]
Task<void> open_shop(db::Database& database) {
    db::Lease session = co_await database.session();
    co_await db::migrate(*session, "shop",
                         {
                             "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, cents BIGINT NOT NULL)",
                             "CREATE INDEX IF NOT EXISTS accounts_by_cents ON accounts (cents)",
                         });
}
// [/migrate]

// [batch]
Task<void> fill(db::Database& database) {
    std::vector<db::Command> commands;
    for (int id = 1; id <= 100; ++id) {
        commands.push_back({"INSERT INTO accounts (id, cents) VALUES (?, ?)", {id, 1000}});
    }
    db::Lease session = co_await database.session();
    co_await session->execute_batch(std::move(commands));
}
// [/batch]

// [xa]
Task<void> pay(db::Database& database, db::Xid xid) {
    db::Lease session = co_await database.session();
    co_await session->xa_start(xid);
    co_await session->execute("UPDATE accounts SET cents = cents - ? WHERE id = ?", 100, 1);
    co_await session->xa_end(xid);
    co_await session->xa_prepare(xid);  // from here on the branch survives a crash of either side
    co_await session->xa_commit(xid, false);
}
// [/xa]

TEST(DatabaseDocs, the_first_example_greets) {
    EXPECT_EQ(async::run(greet()), "Hello, Ada");
}

class DatabaseDocs : public ::testing::TestWithParam<db::testing::Engine> {};
INSTANTIATE_TEST_SUITE_P(every_driver, DatabaseDocs,
                         ::testing::Values(db::testing::Engine::sqlite, db::testing::Engine::mariadb));

TEST_P(DatabaseDocs, the_examples_move_money) {
    const db::testing::TestDatabase test(GetParam());
    async::run([&]() -> Task<void> {
        db::Database database(test.url());
        co_await open_shop(database);
        co_await fill(database);
        co_await transfer_patiently(database, 1, 2, 900);
        try {
            co_await transfer(database, 1, 2, 900);
            ADD_FAILURE() << "the account is overdrawn";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::conflict);
        }
        const db::Result sum = co_await database.execute("SELECT SUM(cents) FROM accounts");
        EXPECT_EQ(sum.rows[0].get<int64_t>(0), 100'000);
        if (GetParam() != db::testing::Engine::mariadb) co_return;
        co_await pay(database, {.format_id = 1, .global_id = "order-17", .branch_id = "wallet"});
        const db::Result left = co_await database.execute("SELECT cents FROM accounts WHERE id = 1");
        EXPECT_EQ(left.rows[0].get<int64_t>(0), 0);
    }());
}

}  // namespace
}  // namespace tandem
