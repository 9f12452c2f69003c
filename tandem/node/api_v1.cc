// /v1/transactions: the RESTful interface.
#include <boost/json.hpp>

#include "tandem/node/api.h"
#include "tandem/node/transaction_json.h"
#include "tandem/web/context.h"
#include "tandem/web/json.h"

namespace tandem::node {

namespace json = boost::json;
using async::Task;
using http::Response;
using http::Status;
using tx::Transaction;

namespace {

constexpr int64_t page_max = 1000;

std::string path_of(const std::string& gid) {
    return "/v1/transactions/" + gid;
}
std::string etag_of(const Transaction& transaction) {
    return fmt::format("\"{}\"", transaction.version);
}

Response show(const Transaction& transaction, Status status = Status::ok) {
    Response response = Response::json(json::serialize(transaction_to_json(transaction)), status);
    response.headers.set("ETag", etag_of(transaction));
    return response;
}

// The body as a JSON object; an empty body is an empty object.
Task<json::value> body_or_empty() {
    const std::string_view text = co_await web::request.text();
    if (text.empty()) co_return json::object();
    co_return co_await web::request.json();
}

[[noreturn]] void bad_parameter(std::string_view name, std::string_view detail) {
    throw web::ProblemError(web::Problem(Status::bad_request)
                                .detail(fmt::format("{}: {}", name, detail))
                                .with("field", json::string(name)));
}

Task<Transaction> find(const ApiContext& api, std::string gid) {
    std::optional<Transaction> found = co_await api.at_home(api.coordinator.find(gid));
    if (!found) fail(Code::not_found, "there is no transaction {}", gid);
    co_return std::move(*found);
}

Task<Response> create(const ApiContext& api) {
    const json::value body = co_await web::request.json();
    Transaction request = transaction_from_json(body, api.allowed);
    if (request.gid.empty()) request.gid = api.coordinator.new_gid();
    const bool at_once = request.mode == tx::Mode::saga;
    const tx::Accepted accepted = co_await api.at_home(at_once ? api.coordinator.submit(std::move(request))
                                                               : api.coordinator.begin(std::move(request)));
    Response response = show(accepted.transaction, accepted.created ? Status::created : Status::ok);
    response.headers.set("Location", path_of(accepted.transaction.gid));
    co_return response;
}

Task<Response> show_one(const ApiContext& api, std::string gid) {
    const Transaction found = co_await find(api, std::move(gid));
    if (web::request.header("If-None-Match") == etag_of(found)) {
        Response unchanged(Status::not_modified);
        unchanged.headers.set("ETag", etag_of(found));
        co_return unchanged;
    }
    co_return show(found);
}

tx::ListFilter filter_from_request() {
    tx::ListFilter filter;
    if (const std::string status = web::request.arg("status", ""); status == "unfinished") {
        filter.unfinished_only = true;
    } else if (!status.empty()) {
        filter.status = tx::status_from(status);
        if (!filter.status) {
            bad_parameter("status", "must be prepared, submitted, aborting, succeed, failed or unfinished");
        }
    }
    if (const std::string mode = web::request.arg("mode", ""); !mode.empty()) {
        filter.mode = tx::mode_from(mode);
        if (!filter.mode) bad_parameter("mode", "must be saga, tcc, message or xa");
    }
    const int64_t limit = web::request.arg<int64_t>("limit", 100);
    if (limit < 1 || limit > page_max) bad_parameter("limit", fmt::format("must be from 1 to {}", page_max));
    filter.limit = static_cast<size_t>(limit);
    filter.created_from_ms = web::request.arg<int64_t>("created_from_ms", 0);
    filter.created_to_ms = web::request.arg<int64_t>("created_to_ms", 0);
    filter.after = web::request.arg("cursor", "");
    return filter;
}

Task<Response> list(const ApiContext& api) {
    tx::ListFilter filter = filter_from_request();
    const size_t limit = filter.limit++;  // one more tells whether there is a next page
    std::vector<Transaction> page = co_await api.at_home(api.coordinator.list(filter));
    const bool more = page.size() > limit;
    if (more) page.pop_back();
    json::array shown;
    for (const Transaction& transaction : page) shown.push_back(transaction_to_json(transaction));
    json::object document;
    document["transactions"] = std::move(shown);
    std::string next;
    if (more) {
        http::QueryPairs query;
        for (const auto& [name, value] : web::request.args().pairs()) {
            if (name != "cursor") query.emplace_back(name, value);
        }
        query.emplace_back("cursor", tx::page_cursor(page.back()));
        next = "/v1/transactions?" + http::encode_query(query);
        document["next"] = next;
    }
    Response response = Response::json(json::serialize(document));
    if (more) response.headers.set("Link", fmt::format("<{}>; rel=\"next\"", next));
    co_return response;
}

Task<Response> add_branch(const ApiContext& api, std::string gid) {
    const json::value body = co_await web::request.json();
    const Transaction found = co_await find(api, gid);
    if (found.mode != tx::Mode::tcc && found.mode != tx::Mode::xa) {
        fail(Code::conflict, "transaction {} is a {}: its branches are its steps, none can be added", gid,
             tx::to_string(found.mode));
    }
    tx::Branch branch = branch_from_json(body, found.mode, api.allowed);
    const Transaction now = co_await api.at_home(api.coordinator.add_branch(gid, found.mode, std::move(branch)));
    Response response = show(now, Status::created);
    response.headers.set("Location", path_of(gid));
    co_return response;
}

Task<Response> submit(const ApiContext& api, std::string gid) {
    const json::value body = co_await body_or_empty();
    web::JsonFields fields(body);
    const bool wait = fields.optional<bool>("wait", false);
    fields.finish();
    co_return show(co_await api.at_home(api.coordinator.commit(std::move(gid), wait)));
}

Task<Response> abort(const ApiContext& api, std::string gid) {
    const json::value body = co_await body_or_empty();
    web::JsonFields fields(body);
    std::string reason = fields.optional<std::string>("reason", "");
    fields.finish();
    co_return show(co_await api.at_home(api.coordinator.abort(std::move(gid), std::move(reason))));
}

// A person's decision. submit and abort still call every branch; succeed and failed declare the outcome.
Task<Response> decide(const ApiContext& api, std::string gid) {
    const json::value body = co_await web::request.json();
    web::JsonFields fields(body);
    const std::string outcome = fields.required<std::string>("outcome");
    std::string reason = fields.required<std::string>("reason");
    if (reason.empty()) fields.refuse("reason", "must say why");
    fields.finish();
    if (const std::string_view wanted = web::request.header("If-Match"); !wanted.empty() && wanted != "*") {
        const Transaction found = co_await find(api, gid);
        if (wanted != etag_of(found)) {
            throw http::StatusError(Status::precondition_failed,
                                    fmt::format("transaction {} has changed; read it again", gid));
        }
    }
    tx::Coordinator& coordinator = api.coordinator;
    if (outcome == "submit") co_return show(co_await api.at_home(coordinator.commit(std::move(gid), false)));
    if (outcome == "abort") co_return show(co_await api.at_home(coordinator.abort(std::move(gid), std::move(reason))));
    if (outcome != "succeed" && outcome != "failed") {
        fields.refuse("outcome", "must be submit, abort, succeed or failed");
    }
    co_return show(
        co_await api.at_home(coordinator.force(std::move(gid), *tx::status_from(outcome), std::move(reason))));
}

Task<Response> retry(const ApiContext& api, std::string gid) {
    co_return show(co_await api.at_home(api.coordinator.retry_now(std::move(gid))));
}

Response new_gid(const ApiContext& api) {
    json::object document;
    document["gid"] = api.coordinator.new_gid();
    return Response::json(json::serialize(document), Status::created);
}

}  // namespace

void ApiContext::refuse(const Error& error) {
    const size_t colon = error.message().find(": ");
    web::Problem problem(Status::bad_request);
    problem.detail(error.message());
    if (colon != std::string::npos && error.message().find(' ') > colon) {
        problem.with("field", json::string(error.message().substr(0, colon)));
    }
    throw web::ProblemError(std::move(problem));
}

void add_v1(web::App& app, const ApiContext& api) {
    app.post("/v1/transactions", [api] { return create(api); }, "v1.create");
    app.get("/v1/transactions", [api] { return list(api); }, "v1.list");
    app.get("/v1/transactions/<gid>", [api](std::string gid) { return show_one(api, std::move(gid)); }, "v1.show");
    app.post(
        "/v1/transactions/<gid>/branches", [api](std::string gid) { return add_branch(api, std::move(gid)); },
        "v1.add_branch");
    app.post(
        "/v1/transactions/<gid>/submit", [api](std::string gid) { return submit(api, std::move(gid)); }, "v1.submit");
    app.post("/v1/transactions/<gid>/abort", [api](std::string gid) { return abort(api, std::move(gid)); }, "v1.abort");
    app.post(
        "/v1/transactions/<gid>/decision", [api](std::string gid) { return decide(api, std::move(gid)); }, "v1.decide");
    app.post("/v1/transactions/<gid>/retry", [api](std::string gid) { return retry(api, std::move(gid)); }, "v1.retry");
    app.post("/v1/gids", [api] { return new_gid(api); }, "v1.new_gid");
}

}  // namespace tandem::node
