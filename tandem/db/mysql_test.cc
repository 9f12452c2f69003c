// What only a MySQL server has: its types, its lost connections, XA.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tandem/async/combine.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/db/detail/mysql_text.h"
#include "tandem/db/testing_database.h"
#include "tandem/db/xa.h"

namespace tandem::db {
namespace {

using namespace std::chrono_literals;
using async::Task;
using ::testing::ElementsAre;
using testing::Engine;
using ::testing::HasSubstr;
using testing::MariadbServer;
using testing::TestDatabase;

template <typename T>
Task<Error> error_of(Task<T> task) {
    try {
        co_await std::move(task);
    } catch (const Error& error) {
        co_return error;
    }
    ADD_FAILURE() << "no error";
    co_return Error(Code::internal, "no error");
}

template <typename Work>
void with_server(Work work, PoolOptions options = {}) {
    const TestDatabase test(Engine::mariadb);
    async::run([&]() -> Task<void> {
        Database database(test.url(), options);
        co_await database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100))");
        co_await work(database);
    }());
}

Xid xid(std::string global) {
    return {.format_id = 7, .global_id = std::move(global), .branch_id = std::string("b\0\xff'", 4)};
}

// A branch that inserts `id`, up to and including its prepare.
Task<void> prepare(Session& session, Xid xid, int id) {
    co_await session.xa_start(xid);
    co_await session.execute("INSERT INTO t VALUES (?, 'xa')", id);
    co_await session.xa_end(xid);
    co_await session.xa_prepare(xid);
}

Task<int> count(Database& database) {
    co_return (co_await database.execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0);
}

TEST(MysqlUrl, is_read_part_by_part) {
    const detail::MysqlAddress all = detail::parse_mysql_url("mysql://us%20er:p%40ss%2F:w@db.example:3307/shop%2D1");
    EXPECT_EQ(all.user, "us er");
    EXPECT_EQ(all.password, "p@ss/:w");
    EXPECT_EQ(all.host, "db.example");
    EXPECT_EQ(all.port, 3307);
    EXPECT_EQ(all.schema, "shop-1");
    EXPECT_EQ(all.name(), "db.example:3307/shop-1");
    const detail::MysqlAddress few = detail::parse_mysql_url("mysql://[::1]");
    EXPECT_EQ(few.host, "::1");
    EXPECT_EQ(few.port, 3306);
    EXPECT_EQ(few.schema, "");
    EXPECT_EQ(detail::parse_mysql_url("mysql://u@h/s?socket=/run/x.sock").socket, "/run/x.sock");
}

TEST(MysqlText, writes_literals_that_nothing_breaks_out_of) {
    const auto text = [](std::string sql, std::vector<Value> parameters, bool escapes = true) {
        return detail::with_literals({std::move(sql), std::move(parameters)}, escapes);
    };
    EXPECT_EQ(text("SELECT ?", {"a'b\\c"}), "SELECT  'a''b\\\\c'");
    EXPECT_EQ(text("SELECT ?", {"a'b\\"}, false), "SELECT  'a''b\\'");
    EXPECT_EQ(text("SELECT '?', \"?\", `?`, ?", {1}), "SELECT '?', \"?\", `?`,  1");
    EXPECT_EQ(text("SELECT 'it''s ?', ?", {1}), "SELECT 'it''s ?',  1");
    EXPECT_EQ(text("SELECT 'a\\'?', ?", {1}), "SELECT 'a\\'?',  1");
    EXPECT_EQ(text("SELECT 'a\\', ?", {1}, false), "SELECT 'a\\',  1");
    EXPECT_EQ(text("SELECT 1-?", {-5}), "SELECT 1- -5");
    EXPECT_EQ(text("SELECT ? -- ?\n", {nullptr}), "SELECT  NULL -- ?\n");
    EXPECT_EQ(text("SELECT ? # ?", {Blob{std::byte{1}, std::byte{0xAB}}}), "SELECT  X'01AB' # ?\n");
    EXPECT_EQ(text("SELECT 1 ; /* ? */ ", {}), "SELECT 1  /* ? */ ");
    EXPECT_EQ(text("SELECT 1--#", {}), "SELECT 1--#\n") << "or the next command would be a comment";
    EXPECT_EQ(text("SELECT 'a'?", {"b"}), "SELECT 'a' 'b'");
    EXPECT_EQ(text("SELECT 1--/**/1", {}), "SELECT 1--/**/1");
}

TEST(MysqlText, refuses_what_would_change_its_neighbours) {
    for (const std::string& sql : std::initializer_list<std::string>{
             "SELECT 1; SELECT 2", "SELECT 'a", "SELECT `a", "SELECT \"a", "SELECT /* a", "SELECT /*! 1 */",
             "SELECT /*M! 1 */", "", ";", "-- x", "SELECT 'a\\'", "SELECT ?", "SELECT 1 ---;", "SELECT \"a\\\"\"",
             std::string("SELECT 1 # \0 x", 14)}) {
        EXPECT_THROW((void)detail::with_literals({sql, {}}, true), Error) << sql;
    }
    EXPECT_THROW((void)detail::with_literals({"SELECT 1", {1}}, true), Error);
    EXPECT_THROW((void)detail::with_literals({"SELECT ?", {std::numeric_limits<double>::infinity()}}, true), Error);
}

TEST(Mysql, types_come_as_documented_in_both_protocols) {
    with_server([](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        co_await session->execute_script(
            "CREATE TABLE v (u BIGINT UNSIGNED, ti TINYINT, de DECIMAL(30,10), da DATE, tm TIME(3), dt DATETIME(6), ts "
            "TIMESTAMP NULL, js JSON, bi BIT(10), ye YEAR, fl FLOAT, en ENUM('a','b'), bn VARBINARY(300), ch CHAR(5) "
            "CHARACTER SET latin1)");
        const std::string insert =
            "INSERT INTO v VALUES (?, -128, 12345678901234567890.0123456789, '2024-02-29', '-12:34:56.789', "
            "'2024-02-29 23:59:59.123456', '2024-02-29 10:00:00', '{\"a\": 1}', 513, 2024, 0.5, 'b', X'00FF', 'é')";
        std::vector<Command> batch{{insert, {std::numeric_limits<uint64_t>::max()}}, {"SELECT * FROM v", {}}};
        const std::vector<Result> results = co_await session->execute_batch(batch);
        const Result found = co_await session->execute("SELECT * FROM v");
        for (const Rows* rows : {&results[1].rows, &found.rows}) {
            const Row row = (*rows)[0];
            EXPECT_EQ(row.get<uint64_t>("u"), std::numeric_limits<uint64_t>::max());
            EXPECT_EQ(row.get<int8_t>("ti"), -128);
            EXPECT_EQ(row["de"], Value("12345678901234567890.0123456789"));
            EXPECT_EQ(row["da"], Value("2024-02-29"));
            EXPECT_EQ(row["tm"], Value("-12:34:56.789"));
            EXPECT_EQ(row["dt"], Value("2024-02-29 23:59:59.123456"));
            EXPECT_EQ(row["ts"], Value("2024-02-29 10:00:00"));
            EXPECT_EQ(row["js"], Value("{\"a\": 1}"));
            EXPECT_EQ(row.get<int>("bi"), 513);
            EXPECT_EQ(row.get<int>("ye"), 2024);
            EXPECT_EQ(row["fl"], Value(0.5));
            EXPECT_EQ(row["en"], Value("b"));
            EXPECT_EQ(row["bn"], Value(Blob{std::byte{0}, std::byte{0xFF}}));
            EXPECT_EQ(row["ch"], Value("é"));
        }
    });
}

TEST(Mysql, the_unix_socket_works_and_the_connection_has_a_number) {
    async::run([]() -> Task<void> {
        Database database(MariadbServer::shared().root_url());
        Lease session = co_await database.session();
        const Result found =
            co_await session->execute("SELECT CONNECTION_ID(), @@autocommit, @@sql_mode, @@character_set_client");
        EXPECT_EQ(found.rows[0].get<uint64_t>(0), session->connection_id());
        EXPECT_EQ(found.rows[0].get<int>(1), 1);
        EXPECT_THAT(found.rows[0].get<std::string>(2), HasSubstr("STRICT_ALL_TABLES"));
        EXPECT_EQ(found.rows[0].get<std::string>(3), "utf8mb4");
    }());
}

TEST(Mysql, a_wrong_password_is_refused_and_told_to_nobody) {
    MariadbServer& server = MariadbServer::shared();
    std::string url = server.url("x");
    url.replace(url.find("s3cr"), 4, "wr0ng");
    async::run([&]() -> Task<void> {
        Database database(url);
        const Error error = co_await error_of(database.check_health());
        EXPECT_EQ(error.code(), Code::permission_denied);
        EXPECT_THAT(error.what(), HasSubstr("1045"));
        EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("wr0ng")));
        Database missing(server.url("no_such_schema"));
        EXPECT_EQ((co_await error_of(missing.check_health())).code(), Code::not_found);
        Database nobody("mysql://u:p@127.0.0.1:1/x");
        EXPECT_EQ((co_await error_of(nobody.check_health())).code(), Code::unavailable);
        Database nowhere("mysql://u:p@host.invalid/x");
        EXPECT_EQ((co_await error_of(nowhere.check_health())).code(), Code::unavailable);
    }());
}

TEST(Mysql, a_server_that_never_answers_is_given_up_at_the_connect_timeout) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(listen(listener, 5), 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    async::run([&]() -> Task<void> {
        Database database(fmt::format("mysql://u:p@127.0.0.1:{}/x", ntohs(address.sin_port)),
                          {.connect_timeout = 100ms});
        EXPECT_EQ((co_await error_of(database.check_health())).code(), Code::deadline_exceeded);
    }());
    close(listener);
}

TEST(Mysql, a_killed_connection_is_replaced_without_an_error) {
    with_server(
        [](Database& database) -> Task<void> {
            Database root(MariadbServer::shared().root_url());
            uint64_t first = 0;
            {
                Lease session = co_await database.session();
                first = session->connection_id();
            }
            co_await root.execute("KILL CONNECTION ?", first);
            Lease killer = co_await root.session();
            while (!co_await connection_gone(*killer, first)) co_await async::sleep(1ms);
            Lease session = co_await database.session();
            EXPECT_NE(session->connection_id(), first);
            co_await session->execute("SELECT 1");
            // One that dies on loan fails once, as unavailable.
            co_await killer->execute("KILL CONNECTION ?", session->connection_id());
            EXPECT_EQ((co_await error_of(session->execute("SELECT 1"))).code(), Code::unavailable);
            EXPECT_FALSE(session->healthy());
            session.give_back();
            EXPECT_EQ(co_await count(database), 0);
        },
        {.sessions_max = 1});
}

TEST(Mysql, a_cancelled_statement_ends_on_the_server_too) {
    with_server([](Database& database) -> Task<void> {
        Lease watcher = co_await database.session();
        Lease session = co_await database.session();
        const uint64_t id = session->connection_id();
        EXPECT_EQ((co_await error_of(async::with_deadline(50ms, session->execute("SELECT SLEEP(1000)")))).code(),
                  Code::deadline_exceeded);
        EXPECT_FALSE(session->healthy());
        EXPECT_EQ((co_await error_of(session->execute("SELECT 1"))).code(), Code::unavailable);
        co_await async::with_deadline(20s, [](Session& watcher, uint64_t id) -> Task<void> {
            while (!co_await connection_gone(watcher, id)) co_await async::sleep(5ms);
        }(*watcher, id));
    });
}

TEST(Mysql, the_servers_own_time_limit_is_a_deadline) {
    with_server([](Database& database) -> Task<void> {
        const Error error = co_await error_of(database.execute(
            "SET STATEMENT max_statement_time = 0.05 FOR SELECT COUNT(*) FROM "
            "information_schema.columns a, information_schema.columns b, information_schema.columns c"));
        EXPECT_EQ(error.code(), Code::deadline_exceeded) << error.what();
    });
}

TEST(Mysql, nothing_runs_after_a_deadlock_until_the_rollback) {
    with_server([](Database& database) -> Task<void> {
        co_await database.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
        Lease a = co_await database.session();
        Lease b = co_await database.session();
        co_await a->begin();
        co_await b->begin();
        co_await a->execute("UPDATE t SET name = 'x' WHERE id = 1");
        co_await b->execute("UPDATE t SET name = 'y' WHERE id = 2");
        int aborted = 0;
        const auto second = [&](Session& session, int id) -> Task<void> {
            try {
                co_await session.execute("UPDATE t SET name = 'z' WHERE id = ?", id);
                co_await session.commit();
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), Code::aborted);
                ++aborted;
            }
            if (!session.in_transaction()) co_return;
            EXPECT_EQ((co_await error_of(session.execute("DELETE FROM t"))).code(), Code::aborted);
            EXPECT_EQ((co_await error_of(session.commit())).code(), Code::aborted);
            co_await session.rollback();
        };
        co_await async::all(second(*a, 2), second(*b, 1));
        EXPECT_EQ(aborted, 1);
        EXPECT_EQ(co_await count(database), 2);
    });
}

TEST(Mysql, a_batch_refuses_procedures) {
    with_server([](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        for (const std::string sql : {"  call p()", "/* a */ -- b\n Call p()", "EXECUTE IMMEDIATE 'COMMIT'"}) {
            std::vector<Command> batch{{sql, {}}};
            EXPECT_EQ((co_await error_of(session->execute_batch(batch))).code(), Code::unsupported);
        }
        co_await session->execute_script("CREATE PROCEDURE p() BEGIN SELECT 1 AS a; SELECT 2 AS b; END");
        const Result found = co_await session->execute("CALL p()");
        EXPECT_THAT(found.rows.columns(), ElementsAre("a"));
        co_await session->execute("SELECT 1");
    });
}

TEST(Xa, a_branch_commits_in_one_or_two_phases_on_its_own_connection) {
    with_server([](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        EXPECT_TRUE(session->supports_xa());
        co_await session->xa_start(xid("one"));
        EXPECT_TRUE(session->in_transaction());
        co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        co_await session->xa_end(xid("one"));
        co_await session->xa_commit(xid("one"), true);
        EXPECT_FALSE(session->in_transaction());
        co_await prepare(*session, xid("two"), 2);
        EXPECT_TRUE(session->in_transaction()) << "a prepared branch is not to be lent out";
        EXPECT_THAT(co_await session->xa_recover(), ElementsAre(xid("two")));
        co_await session->xa_commit(xid("two"), false);
        co_await prepare(*session, xid("three"), 3);
        co_await session->xa_rollback(xid("three"));
        EXPECT_TRUE((co_await session->xa_recover()).empty());
        EXPECT_FALSE(session->in_transaction());
        EXPECT_EQ(co_await count(database), 2);
    });
}

TEST(Xa, errors_say_what_is_wrong_with_the_branch) {
    with_server([](Database& database) -> Task<void> {
        Lease session = co_await database.session();
        EXPECT_EQ((co_await error_of(session->xa_commit(xid("none"), false))).code(), Code::not_found);
        EXPECT_EQ((co_await error_of(session->xa_rollback(xid("none")))).code(), Code::not_found);
        EXPECT_EQ((co_await error_of(session->xa_start(xid(std::string(65, 'x'))))).code(), Code::invalid_argument);
        co_await session->xa_start(xid("a"));
        EXPECT_EQ((co_await error_of(session->xa_start(xid("b")))).code(), Code::conflict);
        EXPECT_EQ((co_await error_of(session->xa_prepare(xid("a")))).code(), Code::conflict);
        EXPECT_EQ((co_await error_of(session->rollback())).code(), Code::conflict);
        Lease other = co_await database.session();
        EXPECT_EQ((co_await error_of(other->xa_start(xid("a")))).code(), Code::already_exists);
        co_await session->xa_end(xid("a"));
        co_await session->xa_rollback(xid("a"));
    });
}

TEST(Xa, an_unprepared_branch_goes_with_its_connection) {
    with_server([](Database& database) -> Task<void> {
        {
            Lease session = co_await database.session();
            co_await session->xa_start(xid("gone"));
            co_await session->execute("INSERT INTO t VALUES (1, 'a')");
        }
        co_await database.execute("INSERT INTO t VALUES (1, 'b')");  // waits for the row's lock to go
        Lease session = co_await database.session();
        EXPECT_TRUE((co_await session->xa_recover()).empty());
    });
}

TEST(Xa, a_prepared_branch_survives_its_connection_and_is_ended_from_another) {
    with_server([](Database& database) -> Task<void> {
        for (int i = 0; i < 20; ++i) {
            uint64_t preparer = 0;
            {
                Lease session = co_await database.session();
                preparer = session->connection_id();
                co_await prepare(*session, xid("survivor"), i);
            }
            Lease other = co_await database.session();
            EXPECT_NE(other->connection_id(), preparer);
            EXPECT_THAT(co_await other->xa_recover(), ElementsAre(xid("survivor")));
            if (i % 2 == 0) {
                co_await commit_prepared_elsewhere(*other, xid("survivor"), preparer);
            } else {
                co_await rollback_prepared_elsewhere(*other, xid("survivor"), preparer);
                co_await rollback_prepared_elsewhere(*other, xid("survivor"), preparer);
            }
            EXPECT_TRUE((co_await other->xa_recover()).empty());
        }
        EXPECT_EQ(co_await count(database), 10);
        Lease session = co_await database.session();
        EXPECT_EQ((co_await error_of(commit_prepared_elsewhere(*session, xid("survivor"), 0))).code(), Code::not_found);
    });
}

TEST(Xa, ending_a_branch_elsewhere_waits_for_its_preparer_to_leave) {
    with_server([](Database& database) -> Task<void> {
        Lease preparer = co_await database.session();
        Lease other = co_await database.session();
        co_await prepare(*preparer, xid("held"), 1);
        const uint64_t id = preparer->connection_id();
        EXPECT_EQ(
            (co_await error_of(async::with_deadline(50ms, commit_prepared_elsewhere(*other, xid("held"), id)))).code(),
            Code::deadline_exceeded);
        const auto leave = [](Lease& preparer) -> Task<void> {
            co_await async::sleep(20ms);
            preparer.give_back();
        };
        Lease third = co_await database.session();
        co_await async::all(commit_prepared_elsewhere(*third, xid("held"), id), leave(preparer));
        EXPECT_EQ(co_await count(database), 1);
    });
}

TEST(Xa, a_branch_that_only_read_commits_on_its_connection_and_is_aborted_on_another) {
    with_server([](Database& database) -> Task<void> {
        uint64_t preparer = 0;
        {
            Lease session = co_await database.session();
            preparer = session->connection_id();
            for (const std::string name : {"stays", "leaves"}) {
                co_await session->xa_start(xid(name));
                co_await session->execute("SELECT * FROM t");
                co_await session->xa_end(xid(name));
                co_await session->xa_prepare(xid(name));
                if (name == "stays") co_await session->xa_commit(xid(name), false);
            }
        }
        Lease other = co_await database.session();
        EXPECT_EQ((co_await error_of(commit_prepared_elsewhere(*other, xid("leaves"), preparer))).code(),
                  Code::aborted);
        EXPECT_TRUE((co_await other->xa_recover()).empty());
    });
}

}  // namespace
}  // namespace tandem::db
