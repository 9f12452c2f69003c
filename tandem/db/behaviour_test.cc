// What every driver does alike: the same tests over SQLite and MariaDB.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tandem/async/combine.h"
#include "tandem/async/scope.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/db/migrate.h"
#include "tandem/db/testing_database.h"

namespace tandem::db {
namespace {

using namespace std::chrono_literals;
using async::Task;
using testing::Engine;
using testing::TestDatabase;

template <typename T>
Task<Code> code_of(Task<T> task) {
    try {
        (void)co_await std::move(task);
    } catch (const Error& error) {
        co_return error.code();
    }
    ADD_FAILURE() << "no error";
    co_return Code::internal;
}
Task<Code> code_of(Task<void> task) {
    try {
        co_await std::move(task);
    } catch (const Error& error) {
        co_return error.code();
    }
    ADD_FAILURE() << "no error";
    co_return Code::internal;
}

Blob bytes(std::string_view text) {
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    return Blob(begin, begin + text.size());
}

class Behaviour : public ::testing::TestWithParam<Engine> {
  protected:
    bool sqlite() const { return GetParam() == Engine::sqlite; }
    // Statements that the dialects spell differently.
    std::string slow() const {
        return sqlite() ? "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
                        : "SELECT SLEEP(100)";
    }
    // Runs `work(database)` on a loop with a table `t (id, name)` made before.
    template <typename Work>
    void with_table(Work work, PoolOptions options = {}) {
        async::run([&]() -> Task<void> {
            Database database(test_.url(), options);
            co_await database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100) UNIQUE)");
            co_await work(database);
        }());
    }
    TestDatabase test_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(every_driver, Behaviour, ::testing::Values(Engine::sqlite, Engine::mariadb),
                         [](const auto& info) { return info.param == Engine::sqlite ? "sqlite" : "mariadb"; });

Task<int64_t> count(Database& database) {
    const Result found = co_await database.execute("SELECT COUNT(*) FROM t");
    co_return found.rows[0].get<int64_t>(0);
}

TEST_P(Behaviour, values_of_every_type_come_back_as_they_went) {
    async::run([&]() -> Task<void> {
        Database database(test_.url());
        co_await database.execute(
            sqlite() ? "CREATE TABLE v (i BIGINT, d DOUBLE, s TEXT, b BLOB)"
                     : "CREATE TABLE v (i BIGINT, d DOUBLE, s LONGTEXT CHARACTER SET utf8mb4, b LONGBLOB)");
        const std::string long_text(70'000, 'x');
        std::string all_bytes(256, '\0');
        std::iota(all_bytes.begin(), all_bytes.end(), '\0');
        const std::vector<std::vector<Value>> rows{
            {std::numeric_limits<int64_t>::min(), -0.1, "", Blob{}},
            {std::numeric_limits<int64_t>::max(), 1.7976931348623157e308, "a'b\\\"c;-- ?", bytes(all_bytes)},
            {nullptr, nullptr, nullptr, nullptr},
            {0, 5e-324, "héllo, 世界, 🦀", bytes(std::string("\0\0", 2))},
            {-1, 3.0, long_text, bytes(long_text + long_text)},
            {1, 0.1, std::string(256, 'y'), bytes(std::string(257, 'z'))},
        };
        for (const auto& row : rows) {
            // Both ways in: alone and in a batch.
            Lease session = co_await database.session();
            co_await session->execute("DELETE FROM v");
            co_await session->execute("INSERT INTO v (i, d, s, b) VALUES (?, ?, ?, ?)", row);
            std::vector<Command> batch;
            batch.push_back({"INSERT INTO v (i, d, s, b) VALUES (?, ?, ?, ?)", row});
            batch.push_back({"SELECT i, d, s, b FROM v", {}});
            const std::vector<Result> results = co_await session->execute_batch(std::move(batch));
            const Result found = co_await session->execute("SELECT i, d, s, b FROM v");
            for (const Rows* back : {&results[1].rows, &found.rows}) {
                EXPECT_EQ(back->size(), 2u);
                for (const Row got : *back) {
                    for (size_t i = 0; i < row.size(); ++i) EXPECT_EQ(got[i], row[i]) << "column " << i;
                }
            }
        }
    }());
}

TEST_P(Behaviour, rows_are_read_by_name_and_type) {
    with_table([&](Database& database) -> Task<void> {
        co_await database.execute("INSERT INTO t VALUES (?, ?)", 7, "seven");
        co_await database.execute("INSERT INTO t VALUES (?, ?)", 8, nullptr);
        const Result found = co_await database.execute("SELECT id, name FROM t ORDER BY id");
        EXPECT_THAT(found.rows.columns(), ::testing::ElementsAre("id", "name"));
        EXPECT_EQ(found.rows[0].get<int>("id"), 7);
        EXPECT_EQ(found.rows[0].get<std::string>("name"), "seven");
        EXPECT_EQ(found.rows[1].get<std::optional<std::string>>("name"), std::nullopt);
        EXPECT_EQ(found.rows[0].get<bool>("id"), true);
    });
}

TEST_P(Behaviour, a_wrong_column_or_type_is_named_in_the_error) {
    with_table([&](Database& database) -> Task<void> {
        co_await database.execute("INSERT INTO t VALUES (?, ?)", 300, "x");
        const Result found = co_await database.execute("SELECT id, name FROM t");
        const auto what = [&](auto read) {
            try {
                read();
            } catch (const Error& error) {
                return std::string(error.what());
            }
            return std::string("no error");
        };
        EXPECT_THAT(what([&] { (void)found.rows[0].get<int>("nmae"); }), ::testing::HasSubstr("id, name"));
        EXPECT_THAT(what([&] { (void)found.rows[0].get<int>("name"); }), ::testing::HasSubstr("name: 'x'"));
        EXPECT_THAT(what([&] { (void)found.rows[0].get<int8_t>("id"); }), ::testing::HasSubstr("id: 300"));
        EXPECT_THAT(what([&] { (void)found.rows[5]; }), ::testing::HasSubstr("row 5"));
    });
}

TEST_P(Behaviour, a_wrong_number_of_parameters_is_refused_and_harmless) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO t VALUES (?, ?)", 1)), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(session->execute("SELECT 1", 1)), Code::invalid_argument);
        std::vector<Command> batch{{"INSERT INTO t VALUES (?, ?)", {1}}};
        EXPECT_EQ(co_await code_of(session->execute_batch(batch)), Code::invalid_argument);
        co_await session->execute("INSERT INTO t VALUES (?, ?)", 1, "one");
    });
}

TEST_P(Behaviour, affected_rows_are_those_matched_and_keys_are_told) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->execute_script(sqlite() ? "CREATE TABLE k (id INTEGER PRIMARY KEY AUTOINCREMENT, n INT)"
                                                  : "CREATE TABLE k (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INT)");
        EXPECT_EQ((co_await session->execute("INSERT INTO k (n) VALUES (?)", 1)).last_insert_id, 1);
        EXPECT_EQ((co_await session->execute("INSERT INTO k (n) VALUES (?)", 1)).last_insert_id, 2);
        const Result same = co_await session->execute("UPDATE k SET n = 1");
        EXPECT_EQ(same.affected, 2u) << "rows that match count though they did not change";
        EXPECT_EQ(same.last_insert_id, 0);
        EXPECT_EQ((co_await session->execute("SELECT * FROM k")).affected, 0u);
        EXPECT_EQ((co_await session->execute("DELETE FROM k WHERE id = 9")).affected, 0u);
        std::vector<Command> batch{{"UPDATE k SET n = 1 WHERE id = ?", {1}}, {"UPDATE k SET n = 2", {}}};
        const std::vector<Result> results = co_await session->execute_batch(batch);
        EXPECT_EQ(results.size(), 2u);
        EXPECT_EQ(results[0].affected, 1u);
        EXPECT_EQ(results[1].affected, 2u);
    });
}

TEST_P(Behaviour, errors_have_the_same_codes) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->execute_script(
            "CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER, CHECK (id < 100), FOREIGN KEY (parent) "
            "REFERENCES t (id)); CREATE TABLE must (v INTEGER NOT NULL)");
        co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO t VALUES (1, 'b')")), Code::already_exists);
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO t VALUES (2, 'a')")), Code::already_exists);
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO child VALUES (1, 9)")), Code::conflict);
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO child VALUES (100, 1)")), Code::conflict);
        EXPECT_EQ(co_await code_of(session->execute("INSERT INTO must VALUES (NULL)")), Code::conflict);
        EXPECT_EQ(co_await code_of(session->execute("SELEC 1")), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(session->execute("SELECT x FROM t")), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(session->execute("SELECT x FROM nowhere")), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(session->execute("")), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(session->execute("SELECT 1; SELECT 2")), Code::invalid_argument);
        EXPECT_TRUE(session->healthy());
    });
}

TEST_P(Behaviour, a_statement_may_end_in_a_comment_or_semicolon) {
    with_table([&](Database& database) -> Task<void> {
        EXPECT_EQ((co_await database.execute("SELECT ? -- what?", 5)).rows[0].get<int>(0), 5);
        EXPECT_EQ((co_await database.execute("SELECT ? /* ? */;", 5)).rows[0].get<int>(0), 5);
    });
}

TEST_P(Behaviour, a_transaction_is_kept_or_undone) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->begin();
        EXPECT_TRUE(session->in_transaction());
        co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        co_await session->commit();
        EXPECT_FALSE(session->in_transaction());
        co_await session->begin();
        co_await session->execute("INSERT INTO t VALUES (2, 'b')");
        co_await session->rollback();
        EXPECT_FALSE(session->in_transaction());
        EXPECT_EQ(co_await count(database), 1);
        EXPECT_EQ(co_await code_of(session->commit()), Code::conflict);
        EXPECT_EQ(co_await code_of(session->rollback()), Code::conflict);
        co_await session->begin();
        EXPECT_EQ(co_await code_of(session->begin()), Code::conflict);
        EXPECT_EQ(co_await code_of(session->execute_batch({})), Code::conflict);
        co_await session->rollback();
    });
}

TEST_P(Behaviour, others_do_not_see_what_is_not_committed) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->begin();
        co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        EXPECT_EQ(co_await count(database), 0);
        co_await session->commit();
        EXPECT_EQ(co_await count(database), 1);
    });
}

TEST_P(Behaviour, every_isolation_level_can_be_asked_for) {
    with_table([&](Database& database) -> Task<void> {
        for (const Isolation level : {Isolation::read_uncommitted, Isolation::read_committed,
                                      Isolation::repeatable_read, Isolation::serializable}) {
            co_await database.transaction(
                [](Session& session) -> Task<void> { co_await session.execute("SELECT * FROM t"); }, level);
        }
    });
}

TEST_P(Behaviour, a_read_only_transaction_sees_one_state_and_refuses_writes) {
    with_table([&](Database& database) -> Task<void> {
        Lease reader = co_await database.session();
        Lease writer = co_await database.session();
        co_await writer->begin();  // a reader does not wait for it
        co_await reader->begin_read_only();
        EXPECT_TRUE((co_await reader->execute("SELECT * FROM t")).rows.empty());
        co_await writer->execute("INSERT INTO t VALUES (1, 'a')");
        co_await writer->commit();
        EXPECT_TRUE((co_await reader->execute("SELECT * FROM t")).rows.empty());
        EXPECT_EQ(co_await code_of(reader->execute("INSERT INTO t VALUES (2, 'b')")), Code::invalid_argument);
        co_await reader->commit();
        EXPECT_EQ((co_await reader->execute("SELECT * FROM t")).rows.size(), 1u);
    });
}

TEST_P(Behaviour, in_transaction_undoes_what_threw_and_leaves_the_session_clean) {
    with_table(
        [&](Database& database) -> Task<void> {
            const Code code = co_await code_of(database.transaction([](Session& session) -> Task<void> {
                co_await session.execute("INSERT INTO t VALUES (1, 'a')");
                fail(Code::internal, "no");
            }));
            EXPECT_EQ(code, Code::internal);
            EXPECT_EQ(co_await count(database), 0);
            EXPECT_EQ(database.stats().open, 1u);
            const int answer = co_await database.transaction([](Session& session) -> Task<int> {
                co_await session.execute("INSERT INTO t VALUES (1, 'a')");
                co_return 42;
            });
            EXPECT_EQ(answer, 42);
            EXPECT_EQ(co_await count(database), 1);
        },
        {.sessions_max = 1});
}

TEST_P(Behaviour, in_transaction_undoes_what_was_cancelled) {
    with_table(
        [&](Database& database) -> Task<void> {
            const auto work = [](Session& session) -> Task<void> {
                co_await session.execute("INSERT INTO t VALUES (1, 'a')");
                co_await async::sleep(1h);
            };
            EXPECT_EQ(co_await code_of(async::with_deadline(100ms, database.transaction(work))),
                      Code::deadline_exceeded);
            EXPECT_EQ(co_await count(database), 0);
            co_await database.execute("INSERT INTO t VALUES (1, 'a')");
        },
        {.sessions_max = 1});
}

TEST_P(Behaviour, a_lease_given_back_inside_a_transaction_is_undone) {
    with_table(
        [&](Database& database) -> Task<void> {
            {
                Lease session = co_await database.session();
                co_await session->begin();
                co_await session->execute("INSERT INTO t VALUES (1, 'a')");
            }
            EXPECT_EQ(database.stats().open, 0u);
            EXPECT_EQ(co_await count(database), 0);
        },
        {.sessions_max = 1});
}

TEST_P(Behaviour, a_batch_is_kept_whole_or_not_at_all) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        std::vector<Command> batch;
        for (int i = 0; i < 2000; ++i) batch.push_back({"INSERT INTO t VALUES (?, ?)", {i, fmt::format("n{}", i)}});
        EXPECT_EQ((co_await session->execute_batch(batch)).size(), 2000u);
        EXPECT_EQ(co_await count(database), 2000);
        batch.resize(2);
        batch[0].parameters = {5000, "other"};
        EXPECT_EQ(co_await code_of(session->execute_batch(batch)), Code::already_exists);
        EXPECT_EQ(co_await count(database), 2000);
        EXPECT_FALSE(session->in_transaction());
        EXPECT_TRUE((co_await session->execute_batch({})).empty());
        batch = {{"DELETE FROM t", {}}, {"SELECT 'open", {}}};
        EXPECT_EQ(co_await code_of(session->execute_batch(batch)), Code::invalid_argument);
        batch = {{"DELETE FROM t", {}}, {"SELECT 1; DELETE FROM t", {}}};
        EXPECT_EQ(co_await code_of(session->execute_batch(batch)), Code::invalid_argument);
        EXPECT_EQ(co_await count(database), 2000);
    });
}

TEST_P(Behaviour, a_batch_larger_than_a_packet_is_still_one_transaction) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->execute_script(sqlite() ? "CREATE TABLE big (s TEXT)" : "CREATE TABLE big (s LONGTEXT)");
        std::vector<Command> batch;
        for (int i = 0; i < 30; ++i) batch.push_back({"INSERT INTO big VALUES (?)", {std::string(100'000, 'x')}});
        EXPECT_EQ((co_await session->execute_batch(batch)).size(), 30u);
        batch.push_back({"INSERT INTO t VALUES (1, 'a')", {}});
        batch.push_back({"INSERT INTO t VALUES (1, 'a')", {}});
        EXPECT_EQ(co_await code_of(session->execute_batch(batch)), Code::already_exists);
        EXPECT_EQ((co_await session->execute("SELECT COUNT(*) FROM big")).rows[0].get<int>(0), 30);
    });
}

TEST_P(Behaviour, a_slow_statement_ends_at_its_deadline) {
    with_table(
        [&](Database& database) -> Task<void> {
            const base::TimePoint start = async::Loop::current().now();
            EXPECT_EQ(co_await code_of(async::with_deadline(100ms, database.execute(slow()))), Code::deadline_exceeded);
            EXPECT_LT(async::Loop::current().now() - start, 20s);
            EXPECT_EQ(co_await count(database), 0) << "the pool's only session works again, or was replaced";
        },
        {.sessions_max = 1});
}

TEST_P(Behaviour, a_slow_statement_cancelled_in_a_transaction_leaves_nothing_behind) {
    with_table(
        [&](Database& database) -> Task<void> {
            const auto work = [this](Session& session) -> Task<void> {
                co_await session.execute("INSERT INTO t VALUES (1, 'a')");
                co_await session.execute(slow());
            };
            EXPECT_EQ(co_await code_of(async::with_deadline(100ms, database.transaction(work))),
                      Code::deadline_exceeded);
            // The server needs a moment to notice; the row's lock makes us wait for that.
            co_await database.execute("INSERT INTO t VALUES (1, 'a')");
        },
        {.sessions_max = 1});
}

TEST_P(Behaviour, writers_that_block_each_other_end_in_aborted_or_in_turn) {
    with_table([&](Database& database) -> Task<void> {
        co_await database.execute("INSERT INTO t VALUES (1, 'a')");
        co_await database.execute("INSERT INTO t VALUES (2, 'b')");
        int aborted = 0;
        const auto update_both = [&](int first, int second) -> Task<void> {
            for (bool done = false; !done;) {
                try {
                    co_await database.transaction([first, second](Session& session) -> Task<void> {
                        co_await session.execute("UPDATE t SET name = ? WHERE id = ?", fmt::format("x{}", first),
                                                 first);
                        co_await async::sleep(20ms);
                        co_await session.execute("UPDATE t SET name = ? WHERE id = ?", fmt::format("y{}", second),
                                                 second);
                    });
                    done = true;
                } catch (const Error& error) {
                    if (error.code() != Code::aborted) throw;
                    ++aborted;
                }
            }
        };
        co_await async::all(update_both(1, 2), update_both(2, 1));
        if (sqlite()) {
            EXPECT_EQ(aborted, 0) << "one writer at a time";
        } else {
            EXPECT_GE(aborted, 1) << "they lock in opposite order";
        }
    });
}

TEST_P(Behaviour, fifty_coroutines_share_four_sessions) {
    with_table(
        [&](Database& database) -> Task<void> {
            async::Scope scope;
            const auto work = [&](int id) -> Task<void> {
                co_await database.execute("INSERT INTO t VALUES (?, ?)", id, fmt::format("n{}", id));
                const Result found = co_await database.execute("SELECT name FROM t WHERE id = ?", id);
                EXPECT_EQ(found.rows[0].get<std::string>(0), fmt::format("n{}", id));
                EXPECT_LE(database.stats().open, 4u);
            };
            for (int i = 0; i < 50; ++i) scope.spawn(work(i));
            co_await scope.join();
            EXPECT_EQ(co_await count(database), 50);
            EXPECT_EQ(database.stats().open, 4u);
            EXPECT_EQ(database.stats().idle, 4u);
            EXPECT_GT(database.stats().waits_total, 0u);
        },
        {.sessions_max = 4});
}

TEST_P(Behaviour, more_statements_than_a_session_keeps_go_on_working) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < 300; ++i) {
                EXPECT_EQ((co_await session->execute(fmt::format("SELECT {}, ?", i), 1)).rows[0].get<int>(0), i);
            }
        }
    });
}

TEST_P(Behaviour, migrations_run_once_and_refuse_a_newer_schema) {
    with_table([&](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        const std::vector<std::string> steps{"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)",
                                             "ALTER TABLE a ADD COLUMN y INTEGER"};
        EXPECT_EQ(co_await migrate(*session, "shop", {steps[0]}), 1u);
        EXPECT_EQ(co_await migrate(*session, "shop", steps), 1u);
        EXPECT_EQ(co_await migrate(*session, "shop", steps), 0u);
        EXPECT_EQ(co_await migrate(*session, "other", {"CREATE TABLE b (x INTEGER)"}), 1u);
        EXPECT_EQ(co_await code_of(migrate(*session, "shop", {steps[0]})), Code::unsupported);
        EXPECT_EQ(co_await code_of(migrate(*session, "third", {"CREATE TABLE c (x INTEGER)", "nonsense"})),
                  Code::invalid_argument);
        EXPECT_EQ(co_await migrate(*session, "third", {"CREATE TABLE c (x INTEGER)"}), 0u);
        co_await session->execute("SELECT x, y FROM a");
        EXPECT_FALSE(session->in_transaction());
    });
}

TEST_P(Behaviour, several_migrate_at_once) {
    with_table([&](Database& database) -> Task<void> {
        size_t ran = 0;
        const auto work = [&]() -> Task<void> {
            Lease session = co_await database.session();
            ran += co_await migrate(*session, "shop", {"CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)"});
        };
        async::Scope scope;
        for (int i = 0; i < 4; ++i) scope.spawn(work());
        co_await scope.join();
        EXPECT_EQ(ran, 2u);
    });
}

}  // namespace
}  // namespace tandem::db
