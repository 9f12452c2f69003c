#include "tandem/tx/xa_participant.h"

#include "tandem/async/combine.h"
#include "tandem/async/sync.h"
#include "tandem/async/time.h"
#include "tandem/tx/barrier_testing.h"
#include "tandem/tx/node_testing.h"
#include "tandem/tx/xa.h"

namespace tandem::tx {
namespace {

using namespace std::chrono_literals;
using async::Task;
using ::testing::ElementsAre;
using testing::error_of;
using testing::FakeWorld;
using testing::Places;

constexpr const char* own_url = "http://me/xa";

// What an XA test works with: an empty MariaDB schema, a coordinator, and one open transaction.
struct Stage {
    FakeWorld& world;
    Node& node;
    db::Database& database;
    std::string gid;

    BranchContext branch(std::string operation) const { return {Mode::xa, gid, "01", std::move(operation)}; }
    std::unique_ptr<XaParticipant> participant(XaOptions options = {}) const {
        return std::make_unique<XaParticipant>(database, node, own_url, options);
    }
    Task<int64_t> paid() {
        const db::Result result = co_await database.execute("SELECT balance FROM account WHERE id = 1");
        co_return Places::opening_balance - result.rows[0].get<int64_t>(0);
    }
    // Is the branch in doubt, as the server sees it?
    Task<bool> in_doubt() {
        db::Lease session = co_await database.session();
        for (const db::Xid& xid : co_await session->xa_recover()) {
            if (xid.global_id == gid) co_return true;
        }
        co_return false;
    }
    Task<int64_t> recorded() {
        const db::Result result =
            co_await database.execute("SELECT COUNT(*) FROM dtm_barrier.tandem_xa_branch WHERE gid = ?", gid);
        co_return result.rows[0].get<int64_t>(0);
    }
};

class XaTest : public ::testing::Test {
  protected:
    void on(std::function<Task<void>(Stage&)> body) {
        db::testing::TestDatabase place(db::testing::Engine::mariadb);
        testing::in_world([&](FakeWorld& world, Node& node) -> Task<void> {
            co_await testing::run_on(
                place.url(),
                [&](db::Database& database, std::string gid) -> Task<void> {
                    world.status[gid] = "prepared";
                    Stage stage{world, node, database, gid};
                    co_await body(stage);
                },
                Places::opening_balance);
        });
    }
};

Task<void> pay(db::Session& session) {
    co_await session.execute("UPDATE account SET balance = balance - 1 WHERE id = 1");
}

TEST_F(XaTest, registers_prepares_and_commits_on_the_connection_it_kept) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        EXPECT_EQ(participant->kept(), 1u);
        EXPECT_THAT(stage.world.asked, ElementsAre("POST /v1/transactions/" + stage.gid + "/branches"));
        EXPECT_EQ(boost::json::parse(stage.world.bodies[0]),
                  boost::json::parse(R"({"branch_id":"01","url":"http://me/xa","payload":"{}"})"));
        EXPECT_TRUE(co_await stage.in_doubt());
        EXPECT_EQ(co_await stage.paid(), 0);

        co_await participant->prepare(stage.branch("action"), "{}", pay);
        EXPECT_EQ(participant->kept(), 1u) << "the same call again changes nothing";

        for (int again = 0; again < 2; ++again) {
            co_await participant->finish(stage.branch("commit"));
            EXPECT_EQ(participant->kept(), 0u);
            EXPECT_FALSE(co_await stage.in_doubt());
            EXPECT_EQ(co_await stage.paid(), 1);
        }
        EXPECT_EQ(co_await stage.recorded(), 0);
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        EXPECT_EQ(co_await stage.paid(), 1) << "a call that comes after the commit changes nothing";
        EXPECT_EQ(participant->kept(), 0u);
    });
}

TEST_F(XaTest, rolls_back_and_keeps_a_late_prepare_out) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        for (int again = 0; again < 2; ++again) {
            co_await participant->finish(stage.branch("rollback"));
            EXPECT_EQ(participant->kept(), 0u);
            EXPECT_FALSE(co_await stage.in_doubt());
        }
        EXPECT_EQ((co_await error_of(participant->prepare(stage.branch("action"), "{}", pay)))->code(), Code::conflict);
        EXPECT_FALSE(co_await stage.in_doubt());
        EXPECT_EQ(co_await stage.paid(), 0);
        EXPECT_EQ(co_await stage.recorded(), 0);
    });
}

TEST_F(XaTest, a_rollback_before_the_prepare_fences_it_off) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->finish(stage.branch("rollback"));
        const auto error = co_await error_of(participant->prepare(stage.branch("action"), "{}", pay));
        EXPECT_EQ(error->code(), Code::conflict);
        EXPECT_THAT(error->what(), ::testing::HasSubstr("rolled back before it could prepare"));
        EXPECT_FALSE(co_await stage.in_doubt());
        EXPECT_EQ(co_await stage.paid(), 0);
        EXPECT_EQ((co_await error_of(participant->finish(stage.branch("commit"))))->code(), Code::conflict);
    });
}

TEST_F(XaTest, a_rollback_that_overtakes_the_prepare_waits_for_it) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        async::Event working;
        async::Event go_on;
        async::Scope scope;
        scope.spawn(participant->prepare(stage.branch("action"), "{}", [&](db::Session& session) -> Task<void> {
            co_await pay(session);
            working.set();
            co_await go_on.wait();
        }));
        co_await working.wait();
        scope.spawn(participant->finish(stage.branch("rollback")));
        EXPECT_EQ(co_await stage.paid(), 0);
        go_on.set();
        co_await scope.join();
        EXPECT_EQ(participant->kept(), 0u);
        EXPECT_FALSE(co_await stage.in_doubt());
        EXPECT_EQ(co_await stage.paid(), 0);
    });
}

Task<void> kill_preparer(Stage& stage) {
    const db::Result record = co_await stage.database.execute(
        "SELECT connection_id FROM dtm_barrier.tandem_xa_branch WHERE gid = ?", stage.gid);
    co_await stage.database.execute(fmt::format("KILL {}", record.rows[0].get<uint64_t>(0)));
}

TEST_F(XaTest, commits_after_the_connection_that_prepared_was_killed) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        co_await kill_preparer(stage);
        co_await participant->finish(stage.branch("commit"));
        EXPECT_EQ(co_await stage.paid(), 1);
        EXPECT_FALSE(co_await stage.in_doubt());
        EXPECT_EQ(participant->kept(), 0u);
    });
}

TEST_F(XaTest, rolls_back_after_the_connection_that_prepared_was_killed) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        co_await kill_preparer(stage);
        co_await participant->finish(stage.branch("rollback"));
        EXPECT_EQ(co_await stage.paid(), 0);
        EXPECT_FALSE(co_await stage.in_doubt());
    });
}

TEST_F(XaTest, a_successor_finishes_what_was_prepared_before_the_restart) {
    on([](Stage& stage) -> Task<void> {
        int64_t paid = 0;
        // Again and again, at once after the disconnect: that is when MariaDB loses commits of the careless.
        for (int round = 0; round < 40; ++round) {
            stage.gid = testing::fresh_gid();
            stage.world.status[stage.gid] = "prepared";
            auto before = stage.participant();
            co_await before->prepare(stage.branch("action"), "{}", pay);
            before.reset();
            const bool commits = round % 4 != 3;
            auto after = stage.participant();
            co_await after->finish(stage.branch(commits ? "commit" : "rollback"));
            paid += commits;
            EXPECT_EQ(co_await stage.paid(), paid);
            EXPECT_FALSE(co_await stage.in_doubt());
            EXPECT_EQ(co_await stage.recorded(), 0);
        }
    });
}

TEST_F(XaTest, another_process_is_asked_to_come_again_while_the_preparer_lives) {
    on([](Stage& stage) -> Task<void> {
        auto preparer = stage.participant();
        co_await preparer->prepare(stage.branch("action"), "{}", pay);
        auto other = stage.participant({.preparer_wait = 30ms});
        for (const char* operation : {"commit", "rollback"}) {
            EXPECT_EQ((co_await error_of(other->finish(stage.branch(operation))))->code(), Code::deadline_exceeded);
        }
        EXPECT_EQ((co_await error_of(other->prepare(stage.branch("action"), "{}", pay)))->code(), Code::conflict);
        EXPECT_TRUE(co_await stage.in_doubt());
        preparer.reset();
        co_await other->finish(stage.branch("commit"));
        EXPECT_EQ(co_await stage.paid(), 1);
    });
}

TEST_F(XaTest, a_connection_number_from_before_a_server_restart_is_not_waited_for) {
    on([](Stage& stage) -> Task<void> {
        auto before = stage.participant();
        co_await before->prepare(stage.branch("action"), "{}", pay);
        before.reset();
        db::Lease unrelated = co_await stage.database.session();  // has the number now
        co_await stage.database.execute(
            "UPDATE dtm_barrier.tandem_xa_branch SET connection_id = ?, begun_at = begun_at - 1000000 WHERE gid = ?",
            unrelated->connection_id(), stage.gid);
        for (;;) {  // the true preparer leaves on its own time
            const db::Result connections = co_await stage.database.execute(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'tandem'");
            if (connections.rows[0].get<size_t>(0) <= stage.database.sessions_open()) break;
        }
        auto after = stage.participant({.preparer_wait = 30ms});
        co_await after->finish(stage.branch("commit"));
        EXPECT_EQ(co_await stage.paid(), 1);
    });
}

TEST_F(XaTest, a_commit_of_a_branch_that_never_was_is_refused) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        EXPECT_EQ((co_await error_of(participant->finish(stage.branch("commit"))))->code(), Code::conflict);
    });
}

TEST_F(XaTest, a_rollback_after_the_commit_is_refused) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        co_await participant->finish(stage.branch("commit"));
        EXPECT_EQ((co_await error_of(participant->finish(stage.branch("rollback"))))->code(), Code::conflict);
        EXPECT_EQ(co_await stage.paid(), 1);
    });
}

TEST_F(XaTest, work_that_throws_leaves_nothing_and_may_come_again) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        const auto error = co_await error_of(
            participant->prepare(stage.branch("action"), "{}", [](db::Session& session) -> Task<void> {
                co_await pay(session);
                fail(Code::not_found, "no such account");
            }));
        EXPECT_EQ(error->code(), Code::not_found);
        EXPECT_EQ(participant->kept(), 0u);
        EXPECT_EQ(co_await stage.recorded(), 0);
        EXPECT_FALSE(co_await stage.in_doubt());
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        co_await participant->finish(stage.branch("commit"));
        EXPECT_EQ(co_await stage.paid(), 1);
    });
}

TEST_F(XaTest, a_branch_that_only_reads_can_be_finished_after_a_restart) {
    on([](Stage& stage) -> Task<void> {
        auto before = stage.participant();
        co_await before->prepare(stage.branch("action"), "{}", [](db::Session& session) -> Task<void> {
            co_await session.execute("SELECT balance FROM account");
        });
        before.reset();
        auto after = stage.participant();
        co_await after->finish(stage.branch("commit"));
        EXPECT_FALSE(co_await stage.in_doubt());
    });
}

TEST_F(XaTest, refuses_more_branches_than_it_may_keep_before_it_registers_them) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant({.kept_max = 1});
        co_await participant->prepare(stage.branch("action"), "{}", pay);
        BranchContext second = stage.branch("action");
        second.branch_id = "02";
        EXPECT_EQ((co_await error_of(participant->prepare(second, "{}", pay)))->code(), Code::resource_exhausted);
        EXPECT_EQ(stage.world.asked.size(), 1u);
        co_await participant->finish(stage.branch("rollback"));
        co_await participant->prepare(second, "{}", pay);
        second.operation = "rollback";
        co_await participant->finish(second);
    });
}

TEST_F(XaTest, does_nothing_when_the_coordinator_does_not_take_the_branch) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        stage.world.status.clear();
        EXPECT_EQ((co_await error_of(participant->prepare(stage.branch("action"), "{}", pay)))->code(),
                  Code::not_found);
        EXPECT_EQ(participant->kept(), 0u);
        EXPECT_EQ(co_await stage.recorded(), 0);
    });
}

TEST_F(XaTest, refuses_calls_that_are_none_of_its_own) {
    on([](Stage& stage) -> Task<void> {
        auto participant = stage.participant();
        EXPECT_EQ((co_await error_of(participant->finish(stage.branch("action"))))->code(), Code::invalid_argument);
        EXPECT_EQ((co_await error_of(participant->prepare(stage.branch("commit"), "{}", pay)))->code(),
                  Code::invalid_argument);
        EXPECT_EQ((co_await error_of(participant->prepare({Mode::tcc, stage.gid, "01", "action"}, "{}", pay)))->code(),
                  Code::invalid_argument);
        EXPECT_EQ((co_await error_of(participant->prepare({Mode::xa, std::string(65, 'g'), "01", "action"}, "{}", pay)))
                      ->code(),
                  Code::invalid_argument);
        EXPECT_TRUE(stage.world.asked.empty());
    });
}

TEST(XaOnSqlite, is_unsupported) {
    db::testing::TestDatabase place(db::testing::Engine::sqlite);
    testing::in_world([&](FakeWorld& world, Node& node) -> Task<void> {
        db::Database database(place.url());
        XaParticipant participant(database, node, own_url);
        EXPECT_EQ((co_await error_of(participant.prepare({Mode::xa, "g", "01", "action"}, "{}", pay)))->code(),
                  Code::unsupported);
        EXPECT_TRUE(world.asked.empty());
    });
}

// ---- the side that begins it ----

TEST(XaBuilder, calls_each_service_and_submits) {
    testing::in_world([](FakeWorld& world, Node& node) -> Task<void> {
        const RemoteTransaction end = co_await Xa::run(node, {}, [&](Xa& xa) -> Task<void> {
            co_await xa.call(world.url + "/a", "{}");
            co_await xa.call(world.url + "/b", "{}");
        });
        EXPECT_EQ(end.status, Status::submitted);
        EXPECT_THAT(world.asked,
                    ElementsAre("POST /v1/transactions", "POST /a", "POST /b", "POST /v1/transactions/GID/submit"));
        EXPECT_EQ(BranchContext::from_query(world.queries[2]), (BranchContext{Mode::xa, world.gid, "02", "action"}));
        EXPECT_THAT(world.queries[2], ::testing::HasSubstr("&phase2_url=" + http::percent_encode(world.url + "/b")));
    });
}

TEST(XaBuilder, a_refusal_aborts) {
    testing::in_world([](FakeWorld& world, Node& node) -> Task<void> {
        world.script = [](http::Request& request, const std::string&) -> Task<std::optional<http::Response>> {
            if (request.path != "/b") co_return std::nullopt;
            co_return http::Response::problem(http::Status::conflict, "no stock");
        };
        const auto error = co_await error_of(Xa::run(node, {}, [&](Xa& xa) -> Task<void> {
            co_await xa.call(world.url + "/a", "{}");
            co_await xa.call(world.url + "/b", "{}");
        }));
        EXPECT_EQ(error->code(), Code::conflict);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
    });
}

}  // namespace
}  // namespace tandem::tx
