#include "tandem/tx/node.h"

#include "tandem/async/combine.h"
#include "tandem/async/sync.h"
#include "tandem/db/testing_database.h"
#include "tandem/http/trace.h"
#include "tandem/tx/message.h"
#include "tandem/tx/node_testing.h"
#include "tandem/tx/saga.h"
#include "tandem/tx/tcc.h"

namespace tandem::tx {
namespace {

using async::Task;
using ::testing::ElementsAre;
using testing::error_of;
using testing::FakeWorld;
using ::testing::HasSubstr;
using testing::in_world;

namespace json = boost::json;

http::Response answer(int status, std::string body) {
    http::Response response(static_cast<http::Status>(status));
    response.body = std::move(body);
    return response;
}

// Answers requests whose path ends so; the others go on to the built-in behaviour.
FakeWorld::Script answer_at(std::string path_end, int status, std::string body) {
    return [=](http::Request& request, const std::string&) -> Task<std::optional<http::Response>> {
        if (!request.path.ends_with(path_end)) co_return std::nullopt;
        co_return answer(status, body);
    };
}

// ---- the coordinator's client ----

TEST(Node, creates_finds_submits_and_aborts) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        const RemoteTransaction begun =
            co_await node.create({.mode = Mode::tcc, .gid = "g1", .steps = {}, .check_back = {}, .options = {}});
        EXPECT_EQ(begun.gid, "g1");
        EXPECT_EQ(begun.mode, Mode::tcc);
        EXPECT_EQ(begun.status, Status::prepared);
        EXPECT_EQ((co_await node.submit("g1", true)).status, Status::submitted);
        EXPECT_EQ((co_await node.abort("g1", "no stock")).status, Status::aborting);
        EXPECT_EQ((co_await node.find("g1"))->status, Status::aborting);
        EXPECT_FALSE((co_await node.find("g2")).has_value());
        EXPECT_THAT(world.asked, ElementsAre("POST /v1/transactions", "POST /v1/transactions/GID/submit",
                                             "POST /v1/transactions/GID/abort", "GET /v1/transactions/GID",
                                             "GET /v1/transactions/g2"));
        EXPECT_EQ(json::parse(world.bodies[1]), json::parse(R"({"wait":true})"));
        EXPECT_EQ(json::parse(world.bodies[2]), json::parse(R"({"reason":"no stock"})"));
        EXPECT_EQ(world.headers[0].get("Authorization"), "Bearer secret");
    });
}

TEST(Node, gids_are_never_the_same) {
    in_world([](FakeWorld&, Node& node) -> Task<void> {
        const std::string first = node.new_gid();
        EXPECT_LT(first, node.new_gid());
        co_return;
    });
}

TEST(Node, says_which_field_the_coordinator_refused) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        world.script = answer_at("/branches", 400, R"({"title":"Bad Request","detail":"is no URL","field":"confirm"})");
        const auto error = co_await error_of(
            node.add_branch("g", {.id = "01", .confirm = "x", .cancel = {}, .url = {}, .payload = {}}));
        EXPECT_EQ(error->code(), Code::invalid_argument);
        EXPECT_THAT(error->what(), HasSubstr("confirm: is no URL"));
        EXPECT_EQ(world.asked.size(), 1u) << "asking again would not help";
    });
}

TEST(Node, asks_again_while_the_coordinator_is_unavailable_but_not_for_ever) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        int refusals = 2;
        world.script = [&](http::Request&, const std::string&) -> Task<std::optional<http::Response>> {
            if (refusals-- > 0) co_return answer(503, "restarting");
            co_return std::nullopt;
        };
        EXPECT_EQ(
            (co_await node.create({.mode = Mode::xa, .gid = "g", .steps = {}, .check_back = {}, .options = {}})).status,
            Status::prepared);
        EXPECT_EQ(world.asked.size(), 3u);
        refusals = 3;
        EXPECT_EQ((co_await error_of(node.submit("g")))->code(), Code::unavailable);
    });
}

TEST(Node, an_answer_that_is_no_transaction_is_corrupted) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        for (const char* body : {"", "[]", "{", R"({"gid":"g","mode":"saga","status":"fine"})", R"({"gid":7})"}) {
            world.script = answer_at("/submit", 200, body);
            EXPECT_EQ((co_await error_of(node.submit("g")))->code(), Code::corrupted) << body;
        }
    });
}

// ---- saga ----

TEST(SagaBuilder, hands_over_steps_orders_and_options_as_they_were_given) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        const RemoteTransaction saga = co_await Saga(node, "g7")
                                           .step("http://a/do", "http://a/undo", json::object{{"n", 1}})
                                           .step("http://b/do", "", "text")
                                           .step("http://c/do", "http://c/undo")
                                           .after(2, {0, 1})
                                           .retry_limit(4)
                                           .timeout(std::chrono::seconds(9))
                                           .header("x-tenant", "7")
                                           .wait()
                                           .submit();
        EXPECT_EQ(saga.status, Status::submitted);
        EXPECT_EQ(json::parse(world.bodies.at(0)), json::parse(R"({"mode":"saga","gid":"g7",
            "steps":[{"action":"http://a/do","compensate":"http://a/undo"},{"action":"http://b/do"},
                     {"action":"http://c/do","compensate":"http://c/undo"}],
            "payloads":["{\"n\":1}","text",""],
            "options":{"wait":true,"concurrent":true,"timeout_ms":9000,"retry_limit":4,"orders":{"2":[0,1]},
                       "headers":{"x-tenant":"7"}}})"));
    });
}

TEST(SagaBuilder, refuses_an_order_among_steps_that_are_not_there) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        Saga saga(node);
        saga.step("http://a", "").after(0, {1});
        try {
            (void)co_await saga.submit();
            ADD_FAILURE();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::invalid_argument);
        }
        EXPECT_TRUE(world.asked.empty());
    });
}

// ---- TCC ----

TEST(TccBuilder, registers_each_branch_before_its_try_and_submits_at_the_end) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        std::string said;
        const RemoteTransaction end = co_await Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> {
            said = co_await tcc.call(world.url + "/a/try", "http://a/confirm", "http://a/cancel", "{}");
            co_await tcc.call(world.url + "/b/try?x=1", "http://b/confirm", "http://b/cancel", "{}");
        });
        EXPECT_EQ(end.status, Status::submitted);
        EXPECT_EQ(said, R"({"answer":"fine"})");
        EXPECT_THAT(world.asked, ElementsAre("POST /v1/transactions", "POST /v1/transactions/GID/branches",
                                             "POST /a/try", "POST /v1/transactions/GID/branches", "POST /b/try",
                                             "POST /v1/transactions/GID/submit"));
        EXPECT_EQ(json::parse(world.bodies[1]),
                  json::parse(
                      R"({"branch_id":"01","confirm":"http://a/confirm","cancel":"http://a/cancel","payload":"{}"})"));
        EXPECT_EQ(BranchContext::from_query(world.queries[4]), (BranchContext{Mode::tcc, world.gid, "02", "try"}));
        EXPECT_EQ(BranchContext::from_headers(world.headers[4]), (BranchContext{Mode::tcc, world.gid, "02", "try"}));
        const auto received = received_transaction({}, world.queries[4]);
        EXPECT_EQ(received->branch.gid, world.gid);
        EXPECT_EQ(received->node_url, world.url);
    });
}

TEST(TccBuilder, a_refused_try_aborts) {
    for (const auto& [status, body] : {std::pair(409, "no money"), std::pair(200, R"({"dtm_result":"FAILURE"})")}) {
        in_world([status, body](FakeWorld& world, Node& node) -> Task<void> {
            world.script = answer_at("/b/try", status, body);
            const auto error = co_await error_of(Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> {
                co_await tcc.call(world.url + "/a/try", "", "");
                co_await tcc.call(world.url + "/b/try", "", "");
                ADD_FAILURE() << "went on after a refusal";
            }));
            EXPECT_EQ(error->code(), Code::conflict);
            EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
            EXPECT_THAT(world.bodies.back(), HasSubstr("branch 02 refused"));
        });
    }
}

TEST(TccBuilder, a_failed_call_aborts_even_when_the_function_does_not_care) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        world.script = answer_at("/a/try", 500, "broken");
        const auto error = co_await error_of(Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> {
            try {
                co_await tcc.call(world.url + "/a/try", "", "");
            } catch (const Error& failed) {
                EXPECT_EQ(failed.code(), Code::unavailable);
            }
        }));
        EXPECT_EQ(error->code(), Code::unavailable);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
    });
}

struct OwnError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

TEST(TccBuilder, throws_on_what_the_function_threw) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        bool caught = false;
        try {
            (void)co_await Tcc::run(node, {}, [](Tcc&) -> Task<void> {
                throw OwnError("changed my mind");
                co_return;
            });
        } catch (const OwnError&) {
            caught = true;
        }
        EXPECT_TRUE(caught);
        EXPECT_THAT(world.bodies.back(), HasSubstr("changed my mind"));
    });
}

TEST(TccBuilder, aborts_when_its_caller_is_cancelled) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        async::Event trying;
        async::Event never;
        world.script = [&](http::Request& request, const std::string&) -> Task<std::optional<http::Response>> {
            if (request.path == "/a/try") {
                trying.set();
                co_await never.wait();
            }
            co_return std::nullopt;
        };
        std::optional<Error> error;
        async::Scope scope(async::Scope::OnError::keep_going);
        scope.spawn([](FakeWorld& world, Node& node, std::optional<Error>& error) -> Task<void> {
            error = co_await error_of(
                Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> { co_await tcc.call(world.url + "/a/try", "", ""); }));
        }(world, node, error));
        co_await trying.wait();
        scope.cancel();
        co_await scope.join();
        EXPECT_EQ(error->code(), Code::cancelled);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
        EXPECT_EQ(world.status[world.gid], "aborting");
        never.set();
    });
}

TEST(TccBuilder, an_unreachable_abort_leaves_the_first_error_standing) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        world.script = answer_at("/abort", 503, "gone");
        const auto error = co_await error_of(Tcc::run(node, {}, [](Tcc&) -> Task<void> {
            fail(Code::not_found, "no such product");
            co_return;
        }));
        EXPECT_EQ(error->code(), Code::not_found);
    });
}

TEST(TccBuilder, calls_nothing_when_the_transaction_could_not_begin) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        world.script = answer_at("/v1/transactions", 503, "gone");
        const auto error = co_await error_of(
            Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> { co_await tcc.call(world.url + "/a/try", "", ""); }));
        EXPECT_EQ(error->code(), Code::unavailable);
        for (const std::string& asked : world.asked) EXPECT_EQ(asked, "POST /v1/transactions");
    });
}

TEST(TccBuilder, takes_the_name_that_its_caller_chose) {
    in_world([](FakeWorld& world, Node& node) -> Task<void> {
        std::string inside;
        const RemoteTransaction end = co_await Tcc::run(
            node, {},
            [&](Tcc& tcc) -> Task<void> {
                inside = tcc.gid();
                co_return;
            },
            "order-7");
        EXPECT_EQ(inside, "order-7");
        EXPECT_EQ(end.gid, "order-7");
        EXPECT_EQ(world.gid, "order-7");
    });
}

TEST(TccBuilder, the_transaction_is_the_current_one_inside_and_only_there) {
    in_world([](FakeWorld&, Node& node) -> Task<void> {
        EXPECT_EQ(current_transaction(), nullptr);
        (void)co_await Tcc::run(node, {}, [&](Tcc& tcc) -> Task<void> {
            EXPECT_NE(current_transaction(), nullptr);
            if (!current_transaction()) co_return;
            EXPECT_EQ(current_transaction()->branch.gid, tcc.gid());
            EXPECT_EQ(current_transaction()->branch.mode, Mode::tcc);
            EXPECT_EQ(current_transaction()->node_url, node.url());
        });
        EXPECT_EQ(current_transaction(), nullptr);
    });
}

// ---- headers ----

TEST(TransactionHeaders, carry_the_current_transaction_and_the_trace) {
    async::run([]() -> Task<void> {
        base::SeededRandom random(1);
        const base::TraceContext trace = base::TraceContext::start(random);
        TransactionScope scope({{Mode::saga, "g", "02", "action"}, "http://node"});
        scope.context().set(http::trace_key, &trace);
        co_await async::with_context(scope.context(), [](const base::TraceContext& trace) -> Task<void> {
            http::ClientRequest request = http::ClientRequest::get("http://x/");
            add_current_headers(request);
            EXPECT_THAT(std::string(request.headers.get_or("traceparent", "")), HasSubstr(trace.trace_id_hex()));
            const auto received = received_transaction(request.headers, "");
            EXPECT_EQ(received->branch, (BranchContext{Mode::saga, "g", "02", "action"}));
            EXPECT_EQ(received->node_url, "http://node");
            co_return;
        }(trace));
    }());
}

TEST(TransactionHeaders, a_request_outside_of_a_transaction_has_none) {
    EXPECT_FALSE(received_transaction({}, "gid=7&page=2").has_value());
    EXPECT_FALSE(received_transaction({}, "").has_value());
    EXPECT_THROW((void)received_transaction({{"dtm-gid", "g"}}, ""), Error) << "half of one is refused";
    EXPECT_THROW((void)received_transaction({}, "gid=7&trans_type=tcc"), Error);
}

// ---- message ----

// A world and an empty SQLite database.
void with_database(std::function<Task<void>(FakeWorld&, Node&, db::Database&)> body) {
    db::testing::TestDatabase place(db::testing::Engine::sqlite);
    in_world([&](FakeWorld& world, Node& node) -> Task<void> {
        db::Database database(place.url());
        co_await install_barrier(database);
        co_await database.execute("CREATE TABLE orders (n INTEGER)");
        co_await body(world, node, database);
    });
}
Task<void> insert_order(db::Session& session) {
    co_await session.execute("INSERT INTO orders VALUES (1)");
}
Task<int64_t> orders(db::Database& database) {
    co_return (co_await database.execute("SELECT COUNT(*) FROM orders")).rows[0].get<int64_t>(0);
}
Task<void> prepare(FakeWorld& world, Message& message) {
    message.step(world.url + "/points/add", "{}").delay(std::chrono::seconds(2));
    co_await message.prepare(world.url + "/check");
}

TEST(MessageBuilder, submits_after_the_local_commit) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        co_await prepare(world, message);
        const auto end = co_await message.do_and_submit(database, insert_order);
        EXPECT_EQ(end->status, Status::submitted);
        EXPECT_EQ(co_await orders(database), 1);
        EXPECT_THAT(world.asked, ElementsAre("POST /v1/transactions", "POST /v1/transactions/GID/submit"));
        const json::value sent = json::parse(world.bodies[0]);
        EXPECT_EQ(sent.at("mode").as_string(), "message");
        EXPECT_EQ(sent.at("check_back").as_string(), world.url + "/check");
        EXPECT_EQ(sent.at("options").at("delay_ms").as_int64(), 2000);
        Barrier check_back(BranchContext::of_message(message.gid()));
        EXPECT_TRUE(co_await check_back.committed(database));
    });
}

TEST(MessageBuilder, aborts_when_the_local_work_throws) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        co_await prepare(world, message);
        const auto error = co_await error_of(message.do_and_submit(database, [](db::Session& session) -> Task<void> {
            co_await insert_order(session);
            fail(Code::not_found, "no such product");
        }));
        EXPECT_EQ(error->code(), Code::not_found);
        EXPECT_EQ(co_await orders(database), 0);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
    });
}

TEST(MessageBuilder, a_commit_after_the_check_back_said_no_does_not_happen) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        co_await prepare(world, message);
        Barrier check_back(BranchContext::of_message(message.gid()));
        EXPECT_FALSE(co_await check_back.committed(database));
        const auto error = co_await error_of(message.do_and_submit(database, insert_order));
        EXPECT_EQ(error->code(), Code::conflict);
        EXPECT_EQ(co_await orders(database), 0);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
    });
}

TEST(MessageBuilder, done_twice_works_once_and_submits_again) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        co_await prepare(world, message);
        (void)co_await message.do_and_submit(database, insert_order);
        EXPECT_TRUE((co_await message.do_and_submit(database, insert_order)).has_value());
        EXPECT_EQ(co_await orders(database), 1);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/submit");
    });
}

TEST(MessageBuilder, a_submit_that_does_not_arrive_is_left_to_the_check_back) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        world.script = answer_at("/submit", 503, "gone");
        Message message(node);
        co_await prepare(world, message);
        EXPECT_FALSE((co_await message.do_and_submit(database, insert_order)).has_value());
        EXPECT_EQ(co_await orders(database), 1);
        EXPECT_NE(world.asked.back(), "POST /v1/transactions/GID/abort");
    });
}

// A commit whose fate is unknown: the work breaks the session under it after its own end.
TEST(MessageBuilder, a_commit_that_failed_is_settled_by_asking_the_database) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        co_await prepare(world, message);
        const auto error = co_await error_of(message.do_and_submit(database, [](db::Session& session) -> Task<void> {
            co_await insert_order(session);
            co_await session.rollback();  // so the commit finds no transaction
        }));
        EXPECT_EQ(error->code(), Code::conflict);
        EXPECT_EQ(co_await orders(database), 0);
        EXPECT_EQ(world.asked.back(), "POST /v1/transactions/GID/abort");
        Barrier check_back(BranchContext::of_message(message.gid()));
        EXPECT_FALSE(co_await check_back.committed(database)) << "and it stays that way";
    });
}

TEST(MessageBuilder, needs_prepare_first) {
    with_database([](FakeWorld& world, Node& node, db::Database& database) -> Task<void> {
        Message message(node);
        EXPECT_EQ((co_await error_of(message.do_and_submit(database, insert_order)))->code(), Code::invalid_argument);
        EXPECT_TRUE(world.asked.empty());
    });
}

}  // namespace
}  // namespace tandem::tx
