#include "tandem/web/test_client.h"

#include <boost/json/serialize.hpp>

#include "tandem/base/assert.h"
#include "tandem/base/clock.h"
#include "tandem/http/date.h"
#include "tandem/web/detail/exchange.h"
#include "tandem/web/json.h"

namespace tandem::web {

// A request with what the app made of it.
struct TestClient::Kept {
    http::Request request;
    App::Exchange exchange;
};

namespace {

class StringWriter final : public http::BodyWriter {
  public:
    Task<void> write(std::string_view bytes) override {
        text.append(bytes);
        co_return;
    }
    std::string text;
};

void fill(http::Request& request, const std::string& method, const std::string& target, TestRequest& given) {
    request.method_text = method;
    request.method = http::parse_method(method);
    request.target = target;
    size_t question = target.find('?');
    std::string_view path = std::string_view(target).substr(0, question);
    if (path == "*") {
        request.path = "*";
    } else if (!http::normalize_path(path, request.path)) {
        fail(Code::invalid_argument, "\"{}\" is not a request target", target);
    }
    if (question != std::string::npos) request.query = target.substr(question + 1);
    request.authority = "localhost";
    request.headers = std::move(given.headers);
    if (!request.headers.contains("Host")) request.headers.add("Host", "localhost");
    if (!given.body.empty()) request.body = http::BodyReader(std::move(given.body));
}

TestRequest with_body(std::string_view content_type, std::string body) {
    TestRequest request;
    request.headers.set("Content-Type", content_type);
    request.body = std::move(body);
    return request;
}

}  // namespace

boost::json::value TestResponse::json() const {
    return parse_json(body, {.max_bytes = body.size()});
}

TestClient::TestClient(App& app, TestClientOptions options) : app_(app), options_(options) {}

TestClient::~TestClient() {
    TANDEM_ASSERT(!kept_ || !options_.keep_context, "a TestClient died before close() was awaited");
}

Task<TestResponse> TestClient::send(std::string method, std::string target, TestRequest given) {
    co_await close();
    kept_ = std::make_unique<Kept>();
    http::Request& request = kept_->request;
    App::Exchange& exchange = kept_->exchange;
    fill(request, method, target, given);
    if (options_.use_cookies && !cookies_.empty() && !request.headers.contains("Cookie")) {
        std::string line;
        for (const auto& [name, value] : cookies_) line.append(line.empty() ? "" : "; ").append(name + "=" + value);
        request.headers.add("Cookie", line);
    }
    Response response;
    if (options_.keep_context) {
        app_.begin(exchange, request);
        async::Context context(async::Context::current());
        context.set(detail::state_key, &exchange.state);
        response = co_await async::with_context(context, app_.respond(exchange));
    } else {
        response = co_await app_.handle(request);
    }
    TestResponse result{response.status, std::move(response.headers), std::move(response.body)};
    if (response.stream && request.method != http::Method::head) {
        StringWriter writer;
        co_await response.stream(writer);
        result.body = std::move(writer.text);
    }
    if (request.method == http::Method::head) result.body.clear();
    if (!options_.keep_context) kept_.reset();
    if (options_.use_cookies) take_cookies(result.headers);
    co_return result;
}

void TestClient::take_cookies(const http::Headers& headers) {
    for (std::string_view field : headers.get_all("Set-Cookie")) {
        std::string_view pair = field.substr(0, field.find(';'));
        size_t equals = pair.find('=');
        if (equals == std::string_view::npos) continue;
        std::string name(http::trim_whitespace(pair.substr(0, equals)));
        bool expired = false;
        for (std::string_view rest = field.substr(pair.size()); !rest.empty();) {
            rest.remove_prefix(1);
            std::string_view attribute = http::trim_whitespace(rest.substr(0, rest.find(';')));
            rest.remove_prefix(std::min(rest.find(';'), rest.size()));
            size_t at = attribute.find('=');
            if (at == std::string_view::npos) continue;
            std::string_view key = attribute.substr(0, at);
            std::string_view value = attribute.substr(at + 1);
            if (http::equals_ignoring_case(key, "max-age")) expired = value.starts_with('-') || value == "0";
        }
        if (expired) {
            cookies_.erase(name);
        } else {
            cookies_[name] = http::trim_whitespace(pair.substr(equals + 1));
        }
    }
}

void TestClient::within(const std::function<void()>& look) {
    if (!kept_ || !options_.keep_context) fail(Code::conflict, "the client keeps no context; see keep_context");
    async::Context context;
    context.set(detail::state_key, &kept_->exchange.state);
    async::ContextGuard guard(&context);
    look();
}

Task<void> TestClient::close() {
    std::unique_ptr<Kept> kept = std::move(kept_);
    if (!kept || !options_.keep_context) co_return;
    async::Context context(async::Context::current());
    context.set(detail::state_key, &kept->exchange.state);
    co_await async::with_context(context, app_.teardown(kept->exchange));
}

Task<TestResponse> TestClient::get(std::string target, http::Headers headers) {
    return send("GET", std::move(target), {std::move(headers), {}});
}
Task<TestResponse> TestClient::head(std::string target, http::Headers headers) {
    return send("HEAD", std::move(target), {std::move(headers), {}});
}
Task<TestResponse> TestClient::options(std::string target) {
    return send("OPTIONS", std::move(target));
}
Task<TestResponse> TestClient::del(std::string target) {
    return send("DELETE", std::move(target));
}
Task<TestResponse> TestClient::post(std::string target, std::string body, std::string content_type) {
    return send("POST", std::move(target), with_body(content_type, std::move(body)));
}
Task<TestResponse> TestClient::post_json(std::string target, boost::json::value document) {
    return send("POST", std::move(target), with_body("application/json", boost::json::serialize(document)));
}
Task<TestResponse> TestClient::put_json(std::string target, boost::json::value document) {
    return send("PUT", std::move(target), with_body("application/json", boost::json::serialize(document)));
}
Task<TestResponse> TestClient::post_form(std::string target, http::QueryPairs fields) {
    return send("POST", std::move(target), with_body("application/x-www-form-urlencoded", http::encode_query(fields)));
}

}  // namespace tandem::web
