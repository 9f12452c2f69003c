#include "examples/shop/participant.h"

#include <boost/json.hpp>

#include "tandem/tx/barrier.h"
#include "tandem/web/context.h"
#include "tandem/web/json.h"

namespace shop {

namespace json = boost::json;
using http::Response;

namespace {

constexpr int64_t ledger_page_max = 1000;

Task<Demand> read_demand(std::string order) {
    const json::value body = co_await web::request.json();
    web::JsonFields fields(body);
    Demand demand{std::move(order), fields.required<std::string>("id"), fields.required<int64_t>("amount")};
    fields.finish();
    if (demand.amount <= 0) fields.refuse("amount", "must be positive");
    co_return demand;
}

}  // namespace

Participant::Participant(std::string name, Resource resource, Arguments arguments)
    : resource_(resource),
      arguments_(std::move(arguments)),
      database_(database_url(arguments_, name), pool_options()),
      client_(net::Network::real()),
      node_(client_, arguments_.node),
      app_(std::move(name)) {
    if (database_.dialect() == db::Dialect::mysql) {
        xa_.emplace(database_, node_, fmt::format("http://{}/xa", arguments_.listen), tx::XaOptions{.kept_max = 24});
    }
    add_views();
}

Task<void> Participant::run(std::vector<Row> rows) {
    co_await tx::install_barrier(database_);
    {
        const db::Lease session = co_await database_.session();
        co_await create(*session, resource_, std::move(rows));
    }
    co_await serve(app_, arguments_.listen);
    database_.close_idle();
}

void Participant::add_views() {
    app_.post("/try", [this] { return branch(Movement::hold); });
    app_.post("/confirm", [this] { return branch(Movement::take); });
    app_.post("/cancel", [this] { return branch(Movement::release); });
    app_.post("/action", [this] { return branch(Movement::spend); });
    app_.post("/compensate", [this] { return branch(Movement::give_back); });
    if (xa_) app_.post("/xa", [this] { return xa_branch(); });
    app_.get("/state", [this] { return state(); });
    app_.get("/ledger", [this] { return ledger(); });
    app_.get("/healthz", [] { return Response::json(R"({"status":"ok"})"); });
}

// The barrier lets the movement happen once however often the coordinator calls, not at all when there is nothing to
// undo, and not after its own reversal. A conflict thrown inside keeps nothing and becomes the answer 409.
Task<Response> Participant::branch(Movement movement) {
    tx::Barrier barrier(tx::BranchContext::from_query(web::request.query()));
    const Demand demand = co_await read_demand(barrier.branch().gid);
    co_await barrier.run(database_, [this, movement, demand](db::Session& session) {
        return move_amount(session, resource_, movement, demand);
    });
    co_return Response::json("{}");
}

// Both phases come to the same URL; `op` tells them apart.
Task<Response> Participant::xa_branch() {
    const tx::BranchContext branch = tx::BranchContext::from_query(web::request.query());
    if (branch.operation == "action") {
        std::string payload(co_await web::request.text());
        const Demand demand = co_await read_demand(branch.gid);
        co_await xa_->prepare(branch, std::move(payload), [this, demand](db::Session& session) {
            return move_amount(session, resource_, Movement::spend, demand);
        });
    } else {
        co_await xa_->finish(branch);
    }
    co_return Response::json("{}");
}

Task<Response> Participant::state() {
    const db::Result all =
        co_await database_.execute(fmt::format("SELECT id, {}, {}, {}, initial FROM {} ORDER BY id", resource_.free,
                                               resource_.held, resource_.gone, resource_.table));
    json::array rows;
    json::object total{{"free", 0}, {"held", 0}, {"gone", 0}, {"initial", 0}};
    bool adds_up = true;
    for (const db::Row row : all.rows) {
        const int64_t free = row.get<int64_t>(1), held = row.get<int64_t>(2), gone = row.get<int64_t>(3);
        const int64_t initial = row.get<int64_t>(4);
        adds_up = adds_up && free >= 0 && held >= 0 && gone >= 0 && free + held + gone == initial;
        rows.push_back(json::object{
            {"id", row.get<std::string>(0)}, {"free", free}, {"held", held}, {"gone", gone}, {"initial", initial}});
        total["free"].as_int64() += free;
        total["held"].as_int64() += held;
        total["gone"].as_int64() += gone;
        total["initial"].as_int64() += initial;
    }
    co_return Response::json(
        json::serialize(json::object{{"rows", std::move(rows)}, {"total", std::move(total)}, {"adds_up", adds_up}}));
}

Task<Response> Participant::ledger() {
    const int64_t limit = std::clamp<int64_t>(web::request.arg<int64_t>("limit", ledger_page_max), 1, ledger_page_max);
    const int64_t after = web::request.arg<int64_t>("after", 0);
    const db::Result page = co_await database_.execute(
        fmt::format("SELECT id, order_id, movement, subject, amount FROM {}_ledger WHERE id > ? ORDER BY id LIMIT ?",
                    resource_.table),
        after, limit);
    json::array rows;
    for (const db::Row row : page.rows) {
        rows.push_back(json::object{{"id", row.get<int64_t>("id")},
                                    {"order", row.get<std::string>("order_id")},
                                    {"movement", row.get<std::string>("movement")},
                                    {"subject", row.get<std::string>("subject")},
                                    {"amount", row.get<int64_t>("amount")}});
    }
    co_return Response::json(json::serialize(json::object{{"rows", std::move(rows)}}));
}

}  // namespace shop
