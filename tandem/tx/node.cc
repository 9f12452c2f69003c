#include "tandem/tx/node.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tandem/async/time.h"
#include "tandem/http/status.h"
#include "tandem/http/url.h"
#include "tandem/tx/headers.h"

namespace tandem::tx {

namespace json = boost::json;
using async::Task;

namespace {

constexpr size_t quoted_max = 300;  // how much of an answer an error quotes

json::object to_json(const Options& options) {
    json::object object;
    const auto number = [&](std::string_view name, int64_t value) {
        if (value != 0) object[name] = value;
    };
    if (options.wait_result) object["wait"] = true;
    if (options.concurrent) object["concurrent"] = true;
    number("timeout_ms", options.timeout_to_fail_ms);
    number("request_timeout_ms", options.request_timeout_ms);
    number("retry_interval_ms", options.retry_interval_ms);
    number("retry_limit", options.retry_limit);
    number("delay_ms", options.delay_ms);
    if (!options.orders.empty()) {
        json::object orders;
        for (const auto& [step, before] : options.orders) {
            orders[std::to_string(step)] = json::array(before.begin(), before.end());
        }
        object["orders"] = std::move(orders);
    }
    if (!options.branch_headers.empty()) {
        json::object headers;
        for (const auto& [name, value] : options.branch_headers) headers[name] = value;
        object["headers"] = std::move(headers);
    }
    return object;
}

json::object to_json(const NewTransaction& transaction) {
    json::object object;
    object["mode"] = transaction.mode == Mode::message ? std::string_view("message") : to_string(transaction.mode);
    object["gid"] = transaction.gid;
    if (!transaction.steps.empty()) {
        json::array steps;
        json::array payloads;
        for (const NewTransaction::Step& step : transaction.steps) {
            json::object urls{{"action", step.action}};
            if (!step.compensate.empty()) urls["compensate"] = step.compensate;
            steps.push_back(std::move(urls));
            payloads.push_back(json::string(step.payload));
        }
        object["steps"] = std::move(steps);
        object["payloads"] = std::move(payloads);
    }
    if (!transaction.check_back.empty()) object["check_back"] = transaction.check_back;
    if (json::object options = to_json(transaction.options); !options.empty()) object["options"] = std::move(options);
    return object;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// An answer's JSON object; empty when it is none.
json::object object_of(std::string_view body) {
    boost::system::error_code error;
    json::value value = json::parse(body, error);
    return !error && value.is_object() ? std::move(value.get_object()) : json::object();
}

RemoteTransaction read_transaction(const http::ClientResponse& response) {
    RemoteTransaction transaction;
    transaction.document = object_of(response.body);
    transaction.gid = text_of(transaction.document, "gid");
    transaction.reason = text_of(transaction.document, "reason");
    const std::optional<Mode> mode = mode_from(text_of(transaction.document, "mode"));
    const std::optional<Status> status = status_from(text_of(transaction.document, "status"));
    if (transaction.gid.empty() || !mode || !status) {
        fail(Code::corrupted, "the coordinator's answer is no transaction: {}", response.body.substr(0, quoted_max));
    }
    transaction.mode = *mode;
    transaction.status = *status;
    return transaction;
}

// An answer other than 2xx (RFC 9457) as an error.
[[noreturn]] void fail_with(const http::ClientResponse& response) {
    const json::object problem = object_of(response.body);
    std::string detail = text_of(problem, "detail");
    if (detail.empty()) detail = text_of(problem, "title");
    if (detail.empty()) detail = response.body.substr(0, quoted_max);
    const std::string field = text_of(problem, "field");
    fail(http::code_for(static_cast<http::Status>(response.status)), "the coordinator answered {}: {}{}{}",
         response.status, field, field.empty() ? "" : ": ", detail);
}

std::string path_of(std::string_view gid, std::string_view rest = {}) {
    return fmt::format("/v1/transactions/{}{}", http::percent_encode(gid), rest);
}

base::GidGenerator& gids() {
    static base::GidGenerator generator(base::Clock::real(), base::Random::real());
    return generator;
}

}  // namespace

Payload::Payload(const json::value& body) : text(json::serialize(body)) {}
Payload::Payload(const json::object& body) : text(json::serialize(body)) {}

Node::Node(http::Client& client, std::string url, std::string token, NodeOptions options)
    : client_(client), url_(std::move(url)), token_(std::move(token)), options_(options) {
    while (url_.ends_with('/')) url_.pop_back();
    (void)http::Url::parse(url_);
}

std::string Node::new_gid() {
    return (options_.gids ? *options_.gids : gids()).next();
}

Task<http::ClientResponse> Node::send(http::Method method, std::string path, std::string body, bool wait) {
    base::Duration pause = options_.retry_interval;
    for (int attempt = 1;; ++attempt) {
        http::ClientRequest request;
        request.method = method;
        request.url = url_ + path;
        request.timeout = wait ? options_.wait_timeout : options_.request_timeout;
        if (method == http::Method::post) request.headers.set("Content-Type", "application/json");
        if (!token_.empty()) request.headers.set("Authorization", "Bearer " + token_);
        request.body = body;
        add_current_headers(request);
        std::optional<Error> error;
        try {
            http::ClientResponse response = co_await client_.send(std::move(request));
            if (response.ok() || (method == http::Method::get && response.status == 404)) co_return response;
            fail_with(response);
        } catch (const Error& failed) {
            error = failed;
        }
        if (error->code() != Code::unavailable || attempt >= options_.attempts_max) throw *error;
        co_await async::sleep(pause);
        pause *= 2;
    }
}

Task<RemoteTransaction> Node::create(NewTransaction transaction) {
    if (transaction.gid.empty()) transaction.gid = new_gid();
    co_return read_transaction(co_await send(http::Method::post, "/v1/transactions",
                                             json::serialize(to_json(transaction)), transaction.options.wait_result));
}

Task<void> Node::add_branch(std::string gid, NewBranch branch) {
    json::object object{{"branch_id", branch.id}};
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) object[name] = value;
    };
    add("confirm", branch.confirm);
    add("cancel", branch.cancel);
    add("url", branch.url);
    add("payload", branch.payload);
    (void)co_await send(http::Method::post, path_of(gid, "/branches"), json::serialize(object));
}

Task<RemoteTransaction> Node::submit(std::string gid, bool wait) {
    json::object object;
    if (wait) object["wait"] = true;
    co_return read_transaction(
        co_await send(http::Method::post, path_of(gid, "/submit"), json::serialize(object), wait));
}

Task<RemoteTransaction> Node::abort(std::string gid, std::string reason) {
    const json::object object{{"reason", reason}};
    co_return read_transaction(co_await send(http::Method::post, path_of(gid, "/abort"), json::serialize(object)));
}

Task<std::optional<RemoteTransaction>> Node::find(std::string gid) {
    const http::ClientResponse response = co_await send(http::Method::get, path_of(gid), {});
    if (response.status == 404) co_return std::nullopt;
    co_return read_transaction(response);
}

}  // namespace tandem::tx
