// DTM's HTTP interface under /api, so that its clients in any language work unchanged.
//
// Answers: 200 {"dtm_result":"SUCCESS"}; 409 {"dtm_result":"FAILURE","message":…}; 425 {"dtm_result":"ONGOING",…};
// 500 {"message":…}. A body that is wrong in itself gets a problem document that names the field, with DTM's "message"
// beside it.
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

Response answer(Status status, json::object document) {
    return Response::json(json::serialize(document), status);
}
Response success() {
    return answer(Status::ok, {{"dtm_result", "SUCCESS"}});
}
Response failure(std::string_view message) {
    return answer(Status::conflict, {{"dtm_result", "FAILURE"}, {"message", message}});
}
Response ongoing(std::string_view message) {
    return answer(Status::too_early, {{"dtm_result", "ONGOING"}, {"message", message}});
}
Response broken(std::string_view message) {
    return answer(Status::internal_server_error, {{"message", message}});
}

// How errors look to DTM's clients.
Response answer_for(const Error& error) {
    if (error.code() == Code::conflict) return failure(error.message());
    return broken(error.message());
}

// A message's steps "topic://name" become one branch for each subscriber: "01-01", "01-02", …
Task<void> expand_topics(const ApiContext& api, Transaction& transaction) {
    const auto is_topic = [](const tx::Branch& branch) { return branch.forward.starts_with("topic://"); };
    if (std::ranges::none_of(transaction.branches, is_topic)) co_return;
    // A submit after a prepare goes to those who were subscribed then.
    if (const auto known = co_await api.at_home(api.coordinator.find(transaction.gid))) {
        transaction.branches = known->branches;
        co_return;
    }
    std::vector<tx::Branch> expanded;
    for (const tx::Branch& branch : transaction.branches) {
        if (!is_topic(branch)) {
            expanded.push_back(branch);
            continue;
        }
        const std::string topic = branch.forward.substr(std::string_view("topic://").size());
        const std::vector<std::string> urls = co_await api.at_home(api.coordinator.store().subscribers(topic));
        if (urls.empty()) fail(Code::invalid_argument, "steps: topic '{}' has no subscribers", topic);
        for (size_t i = 0; i < urls.size(); ++i) {
            tx::Branch copy = branch;
            copy.id = fmt::format("{}-{:02}", branch.id, i + 1);
            copy.forward = urls[i];
            expanded.push_back(std::move(copy));
        }
    }
    transaction.branches = std::move(expanded);
}

Task<Response> prepare(const ApiContext& api, json::value body) {
    Transaction request = transaction_from_dtm(body, api.allowed);
    co_await expand_topics(api, request);
    request.reason.clear();
    const Transaction now = (co_await api.at_home(api.coordinator.begin(std::move(request)))).transaction;
    if (now.status != tx::Status::prepared) {
        co_return failure(fmt::format("transaction {} is {}, it cannot be prepared", now.gid, to_string(now.status)));
    }
    co_return success();
}

Task<Response> submit(const ApiContext& api, json::value body) {
    Transaction request = transaction_from_dtm(body, api.allowed);
    co_await expand_topics(api, request);
    request.reason.clear();
    const bool wait = request.options.wait_result;
    const Transaction now = (co_await api.at_home(api.coordinator.submit(std::move(request)))).transaction;
    if (!wait || now.status == tx::Status::succeeded) co_return success();
    if (now.status == tx::Status::failed) co_return failure(now.reason);
    co_return ongoing(fmt::format("transaction {} is {}", now.gid, to_string(now.status)));
}

Task<Response> abort(const ApiContext& api, json::value body) {
    web::JsonFields fields(body);
    std::string gid = fields.required<std::string>("gid");
    std::string reason = fields.optional<std::string>("rollback_reason", "");
    co_await api.at_home(api.coordinator.abort(std::move(gid), std::move(reason)));
    co_return success();
}

Task<Response> register_branch(const ApiContext& api, json::value body) {
    // Clients of one mode call an address of that mode's name and may leave the mode out.
    json::object& object = body.is_object() ? body.get_object() : body.emplace_object();
    if (!object.contains("trans_type")) object["trans_type"] = object.contains("confirm") ? "tcc" : "xa";
    web::JsonFields fields(body);
    std::string gid = fields.required<std::string>("gid");
    tx::Branch branch = branch_from_dtm(body, api.allowed);
    const tx::Mode mode = *tx::mode_from(fields.required<std::string>("trans_type"));
    co_await api.at_home(api.coordinator.add_branch(std::move(gid), mode, std::move(branch)));
    co_return success();
}

Task<Response> force_stop(const ApiContext& api, json::value body) {
    web::JsonFields fields(body);
    std::string gid = fields.required<std::string>("gid");
    co_await api.at_home(api.coordinator.force(std::move(gid), tx::Status::failed, "stopped by force"));
    co_return success();
}

Task<Response> retry_now(const ApiContext& api, json::value body) {
    web::JsonFields fields(body);
    co_await api.at_home(api.coordinator.retry_now(fields.required<std::string>("gid")));
    co_return success();
}

Task<Response> query(const ApiContext& api) {
    std::string gid = web::request.arg("gid", "");
    if (gid.empty()) co_return broken("gid is empty");
    const std::optional<Transaction> found = co_await api.at_home(api.coordinator.find(std::move(gid)));
    if (!found) co_return answer(Status::ok, {{"transaction", nullptr}, {"branches", json::array()}});
    co_return answer(Status::ok, {{"transaction", transaction_to_dtm(*found)}, {"branches", branches_to_dtm(*found)}});
}

Task<Response> all(const ApiContext& api) {
    json::array shown;
    std::string next;
    if (std::string gid = web::request.arg("gid", ""); !gid.empty()) {
        if (auto found = co_await api.at_home(api.coordinator.find(std::move(gid)))) {
            shown.push_back(transaction_to_dtm(*found));
        }
    } else {
        tx::ListFilter filter;
        filter.after = web::request.arg("position", "");
        filter.limit = static_cast<size_t>(std::clamp<int64_t>(web::request.arg<int64_t>("limit", 100), 1, 1000));
        filter.status = tx::status_from(web::request.arg("status", ""));
        filter.mode = tx::mode_from(web::request.arg("transType", ""));
        filter.created_from_ms = web::request.arg<int64_t>("createTimeStart", 0);
        filter.created_to_ms = web::request.arg<int64_t>("createTimeEnd", 0);
        const size_t limit = filter.limit;
        const std::vector<Transaction> page = co_await api.at_home(api.coordinator.list(std::move(filter)));
        for (const Transaction& transaction : page) shown.push_back(transaction_to_dtm(transaction));
        if (page.size() == limit) next = tx::page_cursor(page.back());
    }
    co_return answer(Status::ok, {{"transactions", std::move(shown)}, {"next_position", next}});
}

Task<Response> reset_cron_time(const ApiContext& api) {
    const int64_t timeout = std::clamp<int64_t>(web::request.arg<int64_t>("timeout", 60), 0, 365 * 86400);
    const int64_t limit = std::clamp<int64_t>(web::request.arg<int64_t>("limit", 100), 1, 10'000);
    const int64_t count =
        co_await api.at_home(api.coordinator.retry_all(std::chrono::seconds(timeout), static_cast<size_t>(limit)));
    co_return answer(Status::ok, {{"has_remaining", count >= limit}, {"succeed_count", count}});
}

Task<Response> subscribe(const ApiContext& api) {
    const std::string topic = web::request.arg("topic", ""), url = web::request.arg("url", "");
    if (topic.empty() || url.empty()) co_return broken("topic and url must not be empty");
    if (const auto refusal = api.allowed.refusal(url)) {
        throw web::ProblemError(web::Problem(Status::bad_request).detail(*refusal).with("field", "url"));
    }
    co_await api.at_home(api.coordinator.store().subscribe(topic, url, web::request.arg("remark", "")));
    co_return success();
}

Task<Response> unsubscribe(const ApiContext& api) {
    const std::string topic = web::request.arg("topic", ""), url = web::request.arg("url", "");
    if (!co_await api.at_home(api.coordinator.store().unsubscribe(topic, url))) {
        co_return broken(fmt::format("'{}' is not subscribed to topic '{}'", url, topic));
    }
    co_return success();
}

Task<Response> delete_topic(const ApiContext& api, std::string topic) {
    if (!co_await api.at_home(api.coordinator.store().delete_topic(topic))) {
        co_return broken(fmt::format("there is no topic '{}'", topic));
    }
    co_return success();
}

using Operation = Task<Response> (*)(const ApiContext&, json::value);

// What DTM's clients expect of an error, around any of its calls.
Task<Response> guarded(Task<Response> call) {
    try {
        co_return co_await std::move(call);
    } catch (const web::ProblemError& error) {
        web::Problem problem = error.problem();
        problem.with("message", json::string(error.message()));
        co_return problem.response();
    } catch (const http::StatusError&) {
        throw;
    } catch (const Error& error) {
        co_return answer_for(error);
    }
}

Task<Response> read_body_and(const ApiContext& api, Operation operation) {
    json::value body = co_await web::request.json();
    co_return co_await operation(api, std::move(body));
}

Operation operation_of(std::string_view method) {
    if (method == "prepare") return prepare;
    if (method == "submit") return submit;
    if (method == "abort") return abort;
    if (method == "registerBranch") return register_branch;
    return nullptr;
}

Response new_gid(const ApiContext& api) {
    return answer(Status::ok, {{"gid", api.coordinator.new_gid()}, {"dtm_result", "SUCCESS"}});
}

// JSON-RPC 2.0 with DTM's own codes: -32901 FAILURE, -32902 ONGOING.
Task<Response> json_rpc(const ApiContext& api) {
    json::object reply{{"jsonrpc", "2.0"}, {"id", nullptr}};
    const auto error = [&](int code, std::string_view message) {
        reply["error"] = json::object{{"code", code}, {"message", message}};
        return answer(Status::ok, reply);
    };
    boost::system::error_code malformed;
    const json::value body = json::parse(co_await web::request.text(), malformed);
    if (malformed) co_return error(-32700, "the body is not JSON: " + malformed.message());
    if (!body.is_object()) co_return error(-32600, "the request must be an object");
    const json::object& request = body.get_object();
    if (const json::value* id = request.if_contains("id")) reply["id"] = *id;
    const json::value* method = request.if_contains("method");
    if (!method || !method->is_string()) co_return error(-32600, "method: must be a string");
    const json::value* params = request.if_contains("params");

    std::optional<Response> response;
    if (method->get_string() == "newGid") {
        response = new_gid(api);
    } else if (const Operation operation = operation_of(method->get_string())) {
        response = co_await guarded(operation(api, params ? *params : json::value(json::object())));
    } else {
        co_return error(-32601, fmt::format("there is no method '{}'", std::string_view(method->get_string())));
    }
    const json::value result = json::parse(response->body);
    const auto message = [&] {
        const json::value* text = result.get_object().if_contains("message");
        return text ? std::string(text->as_string()) : std::string();
    };
    switch (response->status) {
        case Status::ok:
            break;
        case Status::conflict:
            co_return error(-32901, message());
        case Status::too_early:
            co_return error(-32902, message());
        case Status::bad_request:
            co_return error(-32602, message());
        default:
            co_return error(-32603, message());
    }
    reply["result"] = result;
    co_return answer(Status::ok, std::move(reply));
}

}  // namespace

void add_dtm(web::App& app, const ApiContext& api) {
    web::Blueprint dtm("dtm");
    const auto add_post = [&](auto rule, Operation operation) {
        dtm.route_text({http::Method::post}, rule, [api, operation](web::Request&, std::span<const std::string_view>) {
            return guarded(read_body_and(api, operation));
        });
    };
    add_post("/prepare", prepare);
    add_post("/submit", submit);
    add_post("/abort", abort);
    add_post("/registerBranch", register_branch);
    add_post("/registerXaBranch", register_branch);
    add_post("/registerTccBranch", register_branch);
    add_post("/forceStop", force_stop);
    add_post("/resetNextCronTime", retry_now);
    add_post("/prepareWorkflow", [](const ApiContext&, json::value) -> Task<Response> {
        co_return broken("workflow transactions are not offered yet; there are saga, tcc, msg and xa");
    });
    dtm.get("/version", [] { return answer(Status::ok, {{"version", "tandem " TANDEM_VERSION}}); });
    dtm.get("/newGid", [api] { return new_gid(api); });
    dtm.get("/query", [api] { return guarded(query(api)); });
    dtm.get("/all", [api] { return guarded(all(api)); });
    dtm.get("/resetCronTime", [api] { return guarded(reset_cron_time(api)); });
    dtm.get("/subscribe", [api] { return guarded(subscribe(api)); });
    dtm.get("/unsubscribe", [api] { return guarded(unsubscribe(api)); });
    dtm.del("/topic/<name>", [api](std::string name) { return guarded(delete_topic(api, std::move(name))); });
    app.register_blueprint(dtm, "/api/dtmsvr");
    app.get("/api/ping", [] { return answer(Status::ok, {{"msg", "pong"}}); });
    app.post("/api/json-rpc", [api] { return json_rpc(api); });
}

}  // namespace tandem::node
