#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tandem/async/combine.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/db/testing_database.h"

namespace tandem::db {
namespace {

using namespace std::chrono_literals;
using async::Task;
using testing::Engine;
using testing::TestDatabase;

template <typename Work>
void with_database(Work work, PoolOptions options = {}, std::string suffix = "") {
    const TestDatabase test(Engine::sqlite);
    async::run([&]() -> Task<void> {
        Database database(test.url() + suffix, options);
        co_await database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
        co_await work(database, test.url());
    }());
}

template <typename T>
Task<std::optional<Error>> error_of(Task<T> task) {
    try {
        co_await std::move(task);
    } catch (const Error& error) {
        co_return error;
    }
    ADD_FAILURE() << "no error";
    co_return std::nullopt;
}

TEST(Sqlite, files_are_in_wal_mode_with_full_syncs_and_foreign_keys) {
    with_database([](Database& database, const std::string&) -> Task<void> {
        const auto pragma = [&](std::string name) -> Task<std::string> {
            const Result found = co_await database.execute("PRAGMA " + name);
            co_return found.rows[0].get<std::string>(0);
        };
        EXPECT_EQ(co_await pragma("journal_mode"), "wal");
        EXPECT_EQ(co_await pragma("synchronous"), "2") << "FULL";
        EXPECT_EQ(co_await pragma("foreign_keys"), "1");
    });
}

TEST(Sqlite, two_databases_on_one_file_wait_for_each_other) {
    with_database([](Database& first, const std::string& url) -> Task<void> {
        Database second(url);
        const auto add = [](Database& database, int from) -> Task<void> {
            for (int i = 0; i < 50; ++i) co_await database.execute("INSERT INTO t VALUES (?, 'x')", from + i);
        };
        co_await async::all(add(first, 0), add(second, 1000));
        EXPECT_EQ((co_await first.execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 100);
    });
}

TEST(Sqlite, another_process_that_holds_the_lock_is_waited_for_and_then_given_up) {
    with_database(
        [](Database& database, const std::string& url) -> Task<void> {
            co_await database.execute("INSERT INTO t VALUES (1, 'a')");
            int hold[2];
            int told[2];
            EXPECT_EQ(pipe(hold), 0);
            EXPECT_EQ(pipe(told), 0);
            const std::string path = url.substr(7);
            const std::string script = fmt::format(
                "import sqlite3, sys, os\nc = sqlite3.connect({:?}, isolation_level=None)\nc.execute('BEGIN "
                "IMMEDIATE')\nos.write({}, b'x')\nos.read({}, 1)\nc.execute('ROLLBACK')\n",
                path, told[1], hold[0]);
            const pid_t child = fork();
            if (child == 0) {
                execlp("python3", "python3", "-c", script.c_str(), nullptr);
                _exit(127);
            }
            char byte = 0;
            EXPECT_EQ(read(told[0], &byte, 1), 1);
            const auto error = co_await error_of(database.execute("INSERT INTO t VALUES (2, 'b')"));
            EXPECT_EQ(error->code(), Code::aborted);
            EXPECT_EQ((co_await database.execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 1);
            EXPECT_EQ(write(hold[1], "x", 1), 1);
            int status = 0;
            waitpid(child, &status, 0);
            EXPECT_EQ(status, 0);
            co_await database.execute("INSERT INTO t VALUES (2, 'b')");
            for (const int fd : {hold[0], hold[1], told[0], told[1]}) close(fd);
        },
        {.busy_timeout = 100ms});
}

TEST(Sqlite, a_memory_database_is_one_session_that_stays) {
    async::run([]() -> Task<void> {
        Database database("sqlite::memory:", {.sessions_max = 4, .idle_max = 0s});
        co_await database.execute("CREATE TABLE t (id INTEGER)");
        co_await database.execute("INSERT INTO t VALUES (?)", 1);
        EXPECT_EQ((co_await database.execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 1);
        EXPECT_EQ(database.stats().open, 1u);
    }());
}

TEST(Sqlite, a_named_vfs_is_used) {
    with_database([](Database&, const std::string&) -> Task<void> { co_return; }, {}, "?vfs=unix-excl");
    const TestDatabase test(Engine::sqlite);
    async::run([&]() -> Task<void> {
        Database no_wal(test.url() + "?vfs=unix-dotfile");
        EXPECT_EQ((co_await error_of(no_wal.check_health()))->code(), Code::unsupported);
        Database database(test.url() + "?vfs=nonesuch");
        const auto error = co_await error_of(database.check_health());
        EXPECT_THAT(error->what(), ::testing::HasSubstr("nonesuch"));
    }());
}

TEST(Sqlite, a_transaction_begun_by_statement_is_refused_and_undone) {
    with_database(
        [](Database& database, const std::string&) -> Task<void> {
            for (const std::string sql : {"BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a"}) {
                const auto error = co_await error_of(database.execute(sql));
                EXPECT_EQ(error->code(), Code::invalid_argument) << sql;
            }
            const auto work = [](Session& session) -> Task<void> {
                co_await session.execute_script("BEGIN; INSERT INTO t VALUES (1, 'a')");
            };
            Lease session = co_await database.session();
            EXPECT_EQ((co_await error_of(work(*session)))->code(), Code::invalid_argument);
            EXPECT_TRUE((co_await session->execute("SELECT * FROM t")).rows.empty());
        },
        {.sessions_max = 1});
}

TEST(Sqlite, a_statement_after_an_interrupted_write_does_not_run_outside_its_transaction) {
    with_database([](Database& database, const std::string&) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->begin();
        co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        // An interrupted INSERT makes SQLite roll the whole transaction back.
        const auto error = co_await error_of(async::with_deadline(
            50ms, session->execute("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n) INSERT INTO t "
                                   "SELECT i, 'x' FROM n")));
        EXPECT_EQ(error->code(), Code::deadline_exceeded);
        EXPECT_EQ((co_await error_of(session->execute("INSERT INTO t VALUES (3, 'c')")))->code(), Code::aborted);
        EXPECT_EQ((co_await error_of(session->commit()))->code(), Code::aborted);
        co_await session->rollback();
        EXPECT_TRUE((co_await session->execute("SELECT * FROM t")).rows.empty());
    });
}

TEST(Sqlite, a_number_above_its_range_is_refused) {
    with_database([](Database& database, const std::string&) -> Task<void> {
        const auto error = co_await error_of(database.execute("SELECT ?", std::numeric_limits<uint64_t>::max()));
        EXPECT_EQ(error->code(), Code::invalid_argument);
    });
}

TEST(Sqlite, a_file_that_is_no_database_is_corrupted_and_a_missing_folder_unavailable) {
    const TestDatabase test(Engine::sqlite);
    const std::string path = test.url().substr(7);
    std::ofstream(path) << std::string(8192, 'x');
    async::run([&]() -> Task<void> {
        Database database(test.url());
        EXPECT_EQ((co_await error_of(database.check_health()))->code(), Code::corrupted);
        Database nowhere("sqlite:/nonexistent/folder/x.db");
        EXPECT_EQ((co_await error_of(nowhere.check_health()))->code(), Code::unavailable);
    }());
}

TEST(Sqlite, has_no_xa_and_says_so) {
    with_database([](Database& database, const std::string&) -> Task<void> {
        Lease session = co_await database.session();
        EXPECT_FALSE(session->supports_xa());
        EXPECT_EQ(session->connection_id(), 0u);
        EXPECT_EQ((co_await error_of(session->xa_start({})))->code(), Code::unsupported);
    });
}

}  // namespace
}  // namespace tandem::db
