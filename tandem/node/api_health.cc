// What operators and orchestrators ask for.
#include <boost/json.hpp>

#include "tandem/base/bytes.h"
#include "tandem/base/metrics.h"
#include "tandem/node/api.h"
#include "tandem/web/context.h"

namespace tandem::node {

using async::Task;
using http::Response;
using http::Status;

namespace {

Task<Response> metrics_text() {
    co_return Response(Status::ok, "text/plain; version=0.0.4; charset=utf-8", metrics::Registry::global().text());
}

// On the coordinator's loop, whose counters it reads.
Task<Response> metrics(const ApiContext& api) {
    co_return co_await async::on_loop(api.home, metrics_text());
}

// What stands in the way of being ready; empty: nothing.
Task<std::string> not_ready_because(tx::Coordinator& coordinator) {
    if (!coordinator.driving()) co_return "recovery has not begun to drive yet";
    try {
        co_await coordinator.store().check();
    } catch (const Error& error) {
        co_return fmt::format("the transaction store does not answer: {}", error.what());
    }
    co_return "";
}

Task<Response> ready(const ApiContext& api) {
    const std::string obstacle = co_await async::on_loop(api.home, not_ready_because(api.coordinator));
    if (obstacle.empty()) co_return Response::text("ready\n");
    Response response = Response::text(obstacle + "\n", Status::service_unavailable);
    response.headers.set("Retry-After", "1");
    co_return response;
}

}  // namespace

void add_health(web::App& app, const ApiContext& api) {
    app.get("/", [] {
        return Response::text("Tandem " TANDEM_VERSION
                              "\n\n"
                              "/v1/transactions   the RESTful interface\n"
                              "/v1/events         every transition, as server-sent events\n"
                              "/api/dtmsvr        DTM's interface\n"
                              "/healthz /readyz /metrics\n");
    });
    app.get("/healthz", [] { return Response::text("ok\n"); });
    app.get("/readyz", [api] { return ready(api); });
    app.get("/metrics", [api] { return metrics(api); });
    app.get("/api/metrics", [api] { return metrics(api); });
}

void require_token(web::App& app, const std::string& token) {
    if (token.empty()) return;
    app.before_request([expected = "Bearer " + token]() -> std::optional<Response> {
        const std::string& path = web::request.path();
        if (path == "/healthz" || path == "/readyz" || path == "/api/ping") return std::nullopt;
        const std::string_view given = web::request.header("Authorization");
        if (base::equal_in_constant_time(base::as_bytes(given), base::as_bytes(expected))) return std::nullopt;
        Response response = Response::problem(Status::unauthorized, "this node asks for its bearer token");
        response.headers.set("WWW-Authenticate", "Bearer realm=\"tandem\"");
        return response;
    });
}

}  // namespace tandem::node
