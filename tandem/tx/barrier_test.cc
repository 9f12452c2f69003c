#include "tandem/tx/barrier.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "tandem/async/combine.h"
#include "tandem/async/sync.h"
#include "tandem/tx/barrier_testing.h"

namespace tandem::tx {
namespace {

using namespace std::chrono_literals;
using async::Task;
using testing::Places;

// ---- names ----

TEST(BranchContext, reads_what_the_coordinator_adds_to_a_url) {
    const BranchContext branch = BranchContext::from_query("x=1&gid=g-1&trans_type=tcc&branch_id=01&op=try&dtm=no");
    EXPECT_EQ(branch, (BranchContext{Mode::tcc, "g-1", "01", "try"}));
    EXPECT_EQ(BranchContext::from_query("gid=g&trans_type=msg&branch_id=00&op=msg"), BranchContext::of_message("g"));
    const http::Headers headers{
        {"dtm-gid", "g-1"}, {"Dtm-Trans_Type", "saga"}, {"dtm-branch_id", "02"}, {"dtm-op", "compensate"}};
    EXPECT_EQ(BranchContext::from_headers(headers), (BranchContext{Mode::saga, "g-1", "02", "compensate"}));
}

std::string refusal(std::string_view query) {
    try {
        (void)BranchContext::from_query(query);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.what();
    }
    return "accepted";
}

TEST(BranchContext, names_the_parameter_that_is_missing_or_wrong) {
    EXPECT_THAT(refusal("trans_type=tcc&branch_id=01&op=try"), ::testing::HasSubstr("gid is missing"));
    EXPECT_THAT(refusal("gid=g&branch_id=01&op=try"), ::testing::HasSubstr("trans_type is missing"));
    EXPECT_THAT(refusal("gid=g&trans_type=tcc&branch_id=&op=try"), ::testing::HasSubstr("branch_id is missing"));
    EXPECT_THAT(refusal("gid=g&trans_type=tcc&branch_id=01"), ::testing::HasSubstr("op is missing"));
    EXPECT_THAT(refusal("gid=g&trans_type=2pc&branch_id=01&op=try"), ::testing::HasSubstr("'2pc'"));
    EXPECT_THAT(refusal("gid=g&trans_type=tcc&branch_id=01&op=steal"), ::testing::HasSubstr("'steal'"));
    // The column would cut it, or the collation take it for another.
    EXPECT_THAT(refusal("gid=" + std::string(129, 'g') + "&trans_type=tcc&branch_id=01&op=try"),
                ::testing::HasSubstr("gid must be"));
    EXPECT_THAT(refusal("gid=g+&trans_type=tcc&branch_id=01&op=try"), ::testing::HasSubstr("gid must be"));
    EXPECT_THAT(refusal("gid=g&trans_type=tcc&branch_id=" + std::string(129, '1') + "&op=try"),
                ::testing::HasSubstr("branch_id must be"));
}

// ---- every path of the barrier, on every database ----

class BarrierTest : public Places {};
INSTANTIATE_TEST_SUITE_P(On, BarrierTest, Places::all(), Places::name_of);

Task<void> touch(db::Session& session) {
    co_await session.execute("UPDATE account SET balance = balance + 1 WHERE id = 1");
}
Task<bool> call(db::Database& database, BranchContext branch) {
    Barrier barrier(std::move(branch));
    co_return co_await barrier.run(database, touch);
}
Task<int64_t> touched(db::Database& database) {
    const db::Result result = co_await database.execute("SELECT balance FROM account WHERE id = 1");
    co_return result.rows[0].get<int64_t>(0) - Places::opening_balance;
}
// "trans_type branch op call reason" of a transaction's rows, in the order they were written.
Task<std::vector<std::string>> rows_of(db::Database& database, std::string gid) {
    const db::Result result = co_await database.execute(
        fmt::format("SELECT trans_type, branch_id, op, barrier_id, reason FROM {} WHERE gid = ? ORDER BY id",
                    barrier_table(database.dialect())),
        gid);
    std::vector<std::string> rows;
    for (const db::Row row : result.rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) line += (i ? " " : "") + row.get<std::string>(i);
        rows.push_back(std::move(line));
    }
    co_return rows;
}
using Lines = std::vector<std::string>;

TEST_P(BarrierTest, runs_once_however_often_it_is_called) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        const BranchContext action{Mode::saga, gid, "01", "action"};
        EXPECT_TRUE(co_await call(database, action));
        EXPECT_FALSE(co_await call(database, action));
        EXPECT_FALSE(co_await call(database, action));
        EXPECT_EQ(co_await touched(database), 1);
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"saga 01 action 01 action"}));
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid, "02", "action"})) << "another branch is another matter";
    });
}

TEST_P(BarrierTest, compensates_what_was_done_once) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid, "01", "action"}));
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid, "01", "compensate"}));
        EXPECT_FALSE(co_await call(database, {Mode::saga, gid, "01", "compensate"}));
        EXPECT_EQ(co_await touched(database), 2);
        EXPECT_EQ(co_await rows_of(database, gid),
                  (Lines{"saga 01 action 01 action", "saga 01 compensate 01 compensate"}));
    });
}

TEST_P(BarrierTest, an_empty_compensation_does_nothing_and_keeps_the_late_action_out) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_FALSE(co_await call(database, {Mode::tcc, gid, "01", "cancel"}));
        EXPECT_FALSE(co_await call(database, {Mode::tcc, gid, "01", "try"})) << "hanging: it came after its cancel";
        EXPECT_FALSE(co_await call(database, {Mode::tcc, gid, "01", "cancel"}));
        EXPECT_EQ(co_await touched(database), 0);
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"tcc 01 try 01 cancel", "tcc 01 cancel 01 cancel"}));
    });
}

TEST_P(BarrierTest, confirm_follows_try_and_runs_once) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_TRUE(co_await call(database, {Mode::tcc, gid, "01", "try"}));
        EXPECT_TRUE(co_await call(database, {Mode::tcc, gid, "01", "confirm"}));
        EXPECT_FALSE(co_await call(database, {Mode::tcc, gid, "01", "confirm"}));
        EXPECT_EQ(co_await touched(database), 2);
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"tcc 01 try 01 try", "tcc 01 confirm 01 confirm"}));
    });
}

TEST_P(BarrierTest, numbers_the_calls_of_one_request) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        for (const bool first : {true, false}) {
            Barrier barrier({Mode::saga, gid, "01", "action"});
            EXPECT_EQ(co_await barrier.run(database, touch), first);
            EXPECT_EQ(co_await barrier.run(database, touch), first);
        }
        EXPECT_EQ(co_await touched(database), 2);
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"saga 01 action 01 action", "saga 01 action 02 action"}));
    });
}

TEST_P(BarrierTest, keeps_nothing_when_the_work_throws_so_that_it_may_come_again) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        Barrier barrier({Mode::saga, gid, "01", "action"});
        try {
            (void)co_await barrier.run(database, [](db::Session& session) -> Task<void> {
                co_await touch(session);
                fail(Code::conflict, "no money");
            });
            ADD_FAILURE() << "the error was swallowed";
        } catch (const Error& error) {
            EXPECT_EQ(error.message(), "no money");
        }
        EXPECT_EQ(co_await touched(database), 0);
        EXPECT_EQ(co_await rows_of(database, gid), Lines{});
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid, "01", "action"}));
    });
}

TEST_P(BarrierTest, runs_again_when_the_database_gave_the_transaction_up) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        Barrier barrier({Mode::saga, gid, "01", "action"});
        int runs = 0;
        EXPECT_TRUE(co_await barrier.run(database, [&](db::Session& session) -> Task<void> {
            co_await touch(session);
            if (++runs < 3) fail(Code::aborted, "deadlock");
        }));
        EXPECT_EQ(runs, 3);
        EXPECT_EQ(co_await touched(database), 1);
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"saga 01 action 01 action"})) << "still its first call";

        Barrier hopeless({Mode::saga, gid, "02", "action"}, {.attempts_max = 2});
        runs = 0;
        try {
            (void)co_await hopeless.run(database, [&](db::Session&) -> Task<void> {
                ++runs;
                fail(Code::aborted, "deadlock");
                co_return;
            });
            ADD_FAILURE() << "the error was swallowed";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::aborted);
        }
        EXPECT_EQ(runs, 2);
    });
}

TEST_P(BarrierTest, joins_the_transaction_its_caller_opened) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        const BranchContext action{Mode::saga, gid, "01", "action"};
        {
            db::Lease session = co_await database.session();
            co_await session->begin();
            Barrier barrier(action);
            EXPECT_TRUE(co_await barrier.run(*session, touch));
            co_await session->rollback();
        }
        EXPECT_EQ(co_await touched(database), 0);
        {
            db::Lease session = co_await database.session();
            Barrier barrier(action);
            EXPECT_TRUE(co_await barrier.run(*session, touch)) << "a transaction of its own";
            EXPECT_FALSE(session->in_transaction());
        }
        EXPECT_EQ(co_await touched(database), 1);
    });
}

TEST_P(BarrierTest, installing_twice_keeps_the_rows) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid, "01", "action"}));
        co_await install_barrier(database);
        EXPECT_FALSE(co_await call(database, {Mode::saga, gid, "01", "action"}));
    });
}

TEST_P(BarrierTest, tells_gids_apart_that_differ_in_case_alone) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid + "a", "01", "action"}));
        EXPECT_TRUE(co_await call(database, {Mode::saga, gid + "A", "01", "action"}));
    });
}

// ---- messages ----

TEST_P(BarrierTest, a_check_back_finds_the_commit) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        EXPECT_TRUE(co_await call(database, BranchContext::of_message(gid)));
        Barrier check_back(BranchContext::of_message(gid));
        EXPECT_TRUE(co_await check_back.committed(database));
        EXPECT_TRUE(co_await check_back.committed(database)) << "asking changes nothing";
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"msg 00 msg 01 msg"}));
    });
}

TEST_P(BarrierTest, a_local_commit_that_comes_after_the_check_back_loses) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        Barrier check_back(BranchContext::of_message(gid));
        EXPECT_FALSE(co_await check_back.committed(database));
        EXPECT_FALSE(co_await call(database, BranchContext::of_message(gid)));
        EXPECT_EQ(co_await touched(database), 0);
        EXPECT_FALSE(co_await check_back.committed(database));
        EXPECT_EQ(co_await rows_of(database, gid), (Lines{"msg 00 msg 01 rollback"}));
    });
}

Task<void> ask(db::Database& database, std::string gid, std::optional<bool>* answer) {
    Barrier check_back(BranchContext::of_message(gid));
    *answer = co_await check_back.committed(database);
}

TEST_P(BarrierTest, a_check_back_waits_for_the_local_transaction_under_way) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        for (const bool commits : {true, false}) {
            const std::string id = gid + (commits ? "c" : "r");
            db::Lease session = co_await database.session();
            co_await session->begin();
            Barrier barrier(BranchContext::of_message(id));
            EXPECT_TRUE(co_await barrier.run(*session, touch));
            async::Scope scope;
            std::optional<bool> answer;
            scope.spawn(ask(database, id, &answer));
            // Enough turns for an answer that does not wait.
            for (int i = 0; i < 20; ++i) co_await session->execute("SELECT 1");
            EXPECT_FALSE(answer.has_value());
            if (commits) {
                co_await session->commit();
            } else {
                co_await session->rollback();
            }
            co_await scope.join();
            EXPECT_EQ(answer, commits);
        }
    });
}

TEST_P(BarrierTest, only_a_message_can_be_asked_for_its_commit) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        Barrier barrier({Mode::saga, gid, "01", "action"});
        try {
            (void)co_await barrier.committed(database);
            ADD_FAILURE();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::invalid_argument);
        }
    });
}

// ---- everything at once ----

// One call of a TCC branch that moves `amount`, again until the database takes it, as the coordinator would.
Task<void> tcc_call(db::Database* database, BranchContext branch, int account, int64_t amount) {
    const std::string_view operation = branch.operation;
    const std::string sql = operation == "try"
                                ? "UPDATE account SET balance = balance - ?, frozen = frozen + ? WHERE id = ?"
                            : operation == "confirm" ? "UPDATE account SET frozen = frozen - ? WHERE ? > 0 AND id = ?"
                                                     : "UPDATE account SET frozen = frozen - ?, balance = balance + ? "
                                                       "WHERE id = ?";
    for (int attempt = 0;; ++attempt) {
        std::optional<Error> error;
        try {
            Barrier barrier(branch);
            (void)co_await barrier.run(*database, [&](db::Session& session) -> Task<void> {
                co_await session.execute(sql, amount, amount, account);
            });
            co_return;
        } catch (const Error& failed) {
            error = failed;
        }
        if (error->code() != Code::aborted || attempt == 50) throw *error;
    }
}

struct Transfer {
    std::string gid;
    bool confirms;
    int account;
    int64_t amount;
    std::vector<std::string> calls;
};

Task<void> make_calls(db::Database* database, const Transfer* transfer) {
    async::Scope scope;
    // The coordinator confirms only what it knows to have been tried; it may cancel at any time.
    if (transfer->confirms) {
        co_await tcc_call(database, {Mode::tcc, transfer->gid, "01", "try"}, transfer->account, transfer->amount);
    }
    for (const std::string& operation : transfer->calls) {
        scope.spawn(
            tcc_call(database, {Mode::tcc, transfer->gid, "01", operation}, transfer->account, transfer->amount));
    }
    co_await scope.join();
}

TEST_P(BarrierTest, money_is_conserved_when_a_hundred_calls_come_twice_and_in_any_order) {
    on([](db::Database& database, std::string gid) -> Task<void> {
        base::SeededRandom random(20'261'123);
        std::vector<Transfer> transfers;
        std::map<int, int64_t> paid;
        for (int i = 0; i < 20; ++i) {
            Transfer transfer{fmt::format("{}-{}", gid, i),
                              random.chance(0.5),
                              1 + static_cast<int>(random.below(3)),
                              random.between(1, 50),
                              {}};
            const std::string decision = transfer.confirms ? "confirm" : "cancel";
            transfer.calls = {"try", "try", decision, decision, decision};
            for (size_t j = transfer.calls.size() - 1; j > 0; --j) {
                std::swap(transfer.calls[j], transfer.calls[random.below(j + 1)]);
            }
            if (transfer.confirms) paid[transfer.account] += transfer.amount;
            transfers.push_back(std::move(transfer));
        }
        async::Scope scope;
        for (const Transfer& transfer : transfers) scope.spawn(make_calls(&database, &transfer));
        co_await scope.join();

        const db::Result accounts = co_await database.execute("SELECT id, balance, frozen FROM account ORDER BY id");
        EXPECT_EQ(accounts.rows.size(), 3u);
        for (const db::Row row : accounts.rows) {
            EXPECT_EQ(row.get<int64_t>("balance"), Places::opening_balance - paid[row.get<int>("id")]);
            EXPECT_EQ(row.get<int64_t>("frozen"), 0);
        }
    });
}

#ifdef TANDEM_CRASH_POINTS
// ---- power cuts ----

Task<bool> act_on_file(std::string file) {
    db::Database database("sqlite:" + file);
    co_await install_barrier(database);
    co_await database.execute("CREATE TABLE IF NOT EXISTS done (n INTEGER)");
    Barrier barrier({Mode::saga, "g", "01", "action"});
    co_return co_await barrier.run(
        database, [](db::Session& session) -> Task<void> { co_await session.execute("INSERT INTO done VALUES (1)"); });
}

void die_at(const char* point, const std::string& file) {
    setenv("TANDEM_CRASH_AT", point, 1);
    (void)async::run(act_on_file(file));
}

// The directory outlives the child process, which starts this test again from its beginning.
std::string crash_file(const std::string& name) {
    static const std::string directory = [] {
        if (const char* inherited = getenv("TANDEM_CRASH_TEST_DIRECTORY")) return std::string(inherited);
        std::string pattern = ::testing::TempDir() + "tandem_barrier_XXXXXX";
        if (!mkdtemp(pattern.data())) abort();
        setenv("TANDEM_CRASH_TEST_DIRECTORY", pattern.c_str(), 1);
        return pattern;
    }();
    return directory + "/" + name;
}

TEST(BarrierCrash, before_the_commit_nothing_is_kept_and_the_call_runs_when_it_comes_again) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const std::string file = crash_file("before.db");
    EXPECT_EXIT(die_at("barrier.before_commit", file), ::testing::KilledBySignal(SIGKILL), "");
    EXPECT_TRUE(async::run(act_on_file(file)));
    std::filesystem::remove(file);
}

TEST(BarrierCrash, after_the_commit_the_call_does_nothing_when_it_comes_again) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const std::string file = crash_file("after.db");
    EXPECT_EXIT(die_at("barrier.after_commit", file), ::testing::KilledBySignal(SIGKILL), "");
    EXPECT_FALSE(async::run(act_on_file(file)));
    std::filesystem::remove(file);
}
#endif

}  // namespace
}  // namespace tandem::tx
