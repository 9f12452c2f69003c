// The code of docs/transactions.md; each region between `// [name]` and `// [/name]` stands there word for word.
#include <gtest/gtest.h>

#include "tandem/async/combine.h"
#include "tandem/tx/barrier_testing.h"
#include "tandem/tx/message.h"
#include "tandem/tx/node_testing.h"
#include "tandem/tx/saga.h"
#include "tandem/tx/tcc.h"
#include "tandem/tx/xa.h"
#include "tandem/tx/xa_participant.h"

namespace tandem {
namespace {

using async::Task;

// [saga]
Task<bool> order_by_saga(tx::Node& node, std::string stock, std::string wallet) {
    const tx::RemoteTransaction end = co_await tx::Saga(node)
                                          .step(stock + "/take", stock + "/give_back", "3")
                                          .step(wallet + "/pay", wallet + "/refund", "30")
                                          .wait()
                                          .submit();
    co_return end.status == tx::Status::succeeded;
}
// [/saga]

// [branch]
Task<http::Response> take_stock(http::Request& request, db::Database& database) {
    tx::Barrier barrier(tx::BranchContext::from_query(request.query));
    const int count = std::stoi(co_await request.body.read_all());
    try {
        co_await barrier.run(database, [=](db::Session& session) -> Task<void> {
            const db::Result taken = co_await session.execute("UPDATE stock SET n = n - ? WHERE n >= ?", count, count);
            if (taken.affected == 0) fail(Code::conflict, "out of stock");
        });
    } catch (const Error& error) {
        if (error.code() != Code::conflict) throw;
        co_return http::Response::problem(http::Status::conflict, error.what());
    }
    co_return http::Response::json("{}");
}

Task<http::Response> give_stock_back(http::Request& request, db::Database& database) {
    tx::Barrier barrier(tx::BranchContext::from_query(request.query));
    const int count = std::stoi(co_await request.body.read_all());
    co_await barrier.run(database, [=](db::Session& session) -> Task<void> {
        co_await session.execute("UPDATE stock SET n = n + ?", count);
    });
    co_return http::Response::json("{}");
}
// [/branch]

// [order]
Task<tx::RemoteTransaction> order_in_parallel(tx::Node& node, std::string shop) {
    co_return co_await tx::Saga(node)
        .step(shop + "/take", shop + "/give_back", "3")  // 0
        .step(shop + "/pay", shop + "/refund", "30")     // 1, together with 0
        .step(shop + "/ship", shop + "/call_back", "3")  // 2
        .after(2, {0, 1})
        .submit();
}
// [/order]

// [tcc]
Task<void> order_by_tcc(tx::Node& node, std::string stock, std::string wallet) {
    co_await tx::Tcc::run(node, {}, [&](tx::Tcc& tcc) -> Task<void> {
        co_await tcc.call(stock + "/reserve", stock + "/take_reserved", stock + "/release", "3");
        co_await tcc.call(wallet + "/freeze", wallet + "/pay_frozen", wallet + "/unfreeze", "30");
    });
}
// [/tcc]

// [message]
Task<void> order_by_message(tx::Node& node, db::Database& database, std::string own_url, std::string points) {
    tx::Message message(node);
    message.step(points + "/add", "30");
    co_await message.prepare(own_url + "/order_committed");
    co_await message.do_and_submit(database, [](db::Session& session) -> Task<void> {
        co_await session.execute("INSERT INTO orders (price) VALUES (30)");
    });
}

Task<http::Response> order_committed(http::Request& request, db::Database& database) {
    tx::Barrier barrier(tx::BranchContext::from_query(request.query));
    const bool committed = co_await barrier.committed(database);
    co_return http::Response(committed ? http::Status::ok : http::Status::conflict);
}
// [/message]

// [xa]
Task<void> order_by_xa(tx::Node& node, std::string stock, std::string wallet) {
    co_await tx::Xa::run(node, {}, [&](tx::Xa& xa) -> Task<void> {
        co_await xa.call(stock + "/xa", "3");
        co_await xa.call(wallet + "/xa", "30");
    });
}

Task<http::Response> stock_xa(http::Request& request, tx::XaParticipant& participant) {
    const tx::BranchContext branch = tx::BranchContext::from_query(request.query);
    if (branch.operation != "action") {
        co_await participant.finish(branch);  // commit or rollback
        co_return http::Response::json("{}");
    }
    std::string payload = co_await request.body.read_all();
    const int count = std::stoi(payload);
    co_await participant.prepare(branch, std::move(payload), [=](db::Session& session) -> Task<void> {
        co_await session.execute("UPDATE stock SET n = n - ?", count);
    });
    co_return http::Response::json("{}");
}
// [/xa]

// [headers]
Task<http::ClientResponse> ask_price(http::Client& client, std::string shop) {
    http::ClientRequest request = http::ClientRequest::get(shop + "/price");
    tx::add_current_headers(request);
    co_return co_await client.send(std::move(request));
}
// [/headers]

using db::testing::Engine;
using db::testing::TestDatabase;
using tx::testing::FakeWorld;

http::Request request_of(tx::BranchContext branch, std::string body) {
    http::Request request;
    request.query = fmt::format("gid={}&trans_type={}&branch_id={}&op={}", branch.gid, to_string(branch.mode),
                                branch.branch_id, branch.operation);
    request.body = http::BodyReader(std::move(body));
    return request;
}

Task<void> make_shop(db::Database& database) {
    co_await tx::install_barrier(database);
    co_await database.execute("CREATE TABLE stock (n INTEGER)");
    co_await database.execute("INSERT INTO stock VALUES (5)");
    co_await database.execute("CREATE TABLE orders (price INTEGER)");
}
Task<int64_t> number(db::Database& database, std::string sql) {
    co_return (co_await database.execute(std::move(sql))).rows[0].get<int64_t>(0);
}

TEST(Documentation, a_branch_keeps_to_its_barrier) {
    const TestDatabase place(Engine::sqlite);
    async::run([](std::string url) -> Task<void> {
        db::Database database(url);
        co_await make_shop(database);
        const auto call = [&](std::string operation, std::string count) {
            return request_of({tx::Mode::saga, "g" + count, "01", operation}, count);
        };
        http::Request take = call("action", "3");
        EXPECT_EQ((co_await take_stock(take, database)).status, http::Status::ok);
        http::Request too_much = call("action", "4");
        EXPECT_EQ((co_await take_stock(too_much, database)).status, http::Status::conflict);
        EXPECT_EQ(co_await number(database, "SELECT n FROM stock"), 2);
        http::Request undo_nothing = call("compensate", "4");
        EXPECT_EQ((co_await give_stock_back(undo_nothing, database)).status, http::Status::ok);
        EXPECT_EQ(co_await number(database, "SELECT n FROM stock"), 2);
        http::Request undo = call("compensate", "3");
        EXPECT_EQ((co_await give_stock_back(undo, database)).status, http::Status::ok);
        EXPECT_EQ(co_await number(database, "SELECT n FROM stock"), 5);
    }(place.url()));
}

TEST(Documentation, sagas_and_tcc_reach_the_coordinator) {
    tx::testing::in_world([](FakeWorld& world, tx::Node& node) -> Task<void> {
        EXPECT_FALSE(co_await order_by_saga(node, world.url, world.url)) << "submitted, but not at its end here";
        (void)co_await order_in_parallel(node, world.url);
        EXPECT_EQ(boost::json::parse(world.bodies.back()).at("options").at("orders"),
                  boost::json::parse(R"({"2":[0,1]})"));
        co_await order_by_tcc(node, world.url, world.url);
        EXPECT_EQ(world.status[world.gid], "submitted");
        EXPECT_TRUE((co_await ask_price(world.client, world.url)).ok());
    });
}

TEST(Documentation, a_message_goes_out_with_its_order) {
    const TestDatabase place(Engine::sqlite);
    tx::testing::in_world([&](FakeWorld& world, tx::Node& node) -> Task<void> {
        db::Database database(place.url());
        co_await make_shop(database);
        co_await order_by_message(node, database, world.url, world.url);
        EXPECT_EQ(world.status[world.gid], "submitted");
        EXPECT_EQ(co_await number(database, "SELECT COUNT(*) FROM orders"), 1);
        http::Request check_back = request_of(tx::BranchContext::of_message(world.gid), "");
        EXPECT_EQ((co_await order_committed(check_back, database)).status, http::Status::ok);
        http::Request other = request_of(tx::BranchContext::of_message("other"), "");
        EXPECT_EQ((co_await order_committed(other, database)).status, http::Status::conflict);
    });
}

TEST(Documentation, an_xa_branch_commits_in_phase_two) {
    const TestDatabase place(Engine::mariadb);
    tx::testing::in_world([&](FakeWorld& world, tx::Node& node) -> Task<void> {
        db::Database database(place.url());
        co_await make_shop(database);
        tx::XaParticipant participant(database, node, world.url + "/stock/xa");
        world.script = [&](http::Request& request, const std::string& body) -> Task<std::optional<http::Response>> {
            if (request.path != "/stock/xa") co_return std::nullopt;
            request.body = http::BodyReader(body);
            co_return co_await stock_xa(request, participant);
        };
        co_await order_by_xa(node, world.url + "/stock", world.url + "/wallet");
        EXPECT_EQ(world.status[world.gid], "submitted");
        EXPECT_EQ(co_await number(database, "SELECT n FROM stock"), 5);
        http::Request commit = request_of({tx::Mode::xa, world.gid, "01", "commit"}, "");
        EXPECT_EQ((co_await stock_xa(commit, participant)).status, http::Status::ok);
        EXPECT_EQ(co_await number(database, "SELECT n FROM stock"), 2);
    });
}

}  // namespace
}  // namespace tandem
