// `TestClient`: asks an App directly, without a server or a socket, and keeps cookies between its requests.
//
//     TestClient client(app);
//     TestResponse response = co_await client.post_json("/orders", {{"item", "tea"}});
//     EXPECT_EQ(response.status, Status::created);
//
// With `keep_context` the request's context stays open after the answer, and within() looks into it; its teardown
// hooks run at the next request, or when close() is awaited, which must happen before the client dies.
//
// Thread rules: belongs to one loop; one request at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "tandem/web/app.h"

namespace tandem::web {

struct TestResponse {
    Status status = Status::ok;
    http::Headers headers;
    std::string body;  // also when it was streamed; empty for HEAD

    std::string_view header(std::string_view name) const noexcept { return headers.get_or(name, {}); }
    // Throws what parse_json throws when it is none.
    boost::json::value json() const;
};

struct TestRequest {
    http::Headers headers;
    std::string body;
};

struct TestClientOptions {
    bool keep_context = false;
    bool use_cookies = true;
};

class TestClient {
  public:
    explicit TestClient(App& app, TestClientOptions options = {});
    ~TestClient();
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;

    // `target` is what stands in a request line: "/path?query", percent-encoded. `method` may be any token.
    Task<TestResponse> send(std::string method, std::string target, TestRequest request = {});
    Task<TestResponse> get(std::string target, http::Headers headers = {});
    Task<TestResponse> head(std::string target, http::Headers headers = {});
    Task<TestResponse> options(std::string target);
    Task<TestResponse> del(std::string target);
    Task<TestResponse> post(std::string target, std::string body, std::string content_type);
    Task<TestResponse> post_json(std::string target, boost::json::value document);
    Task<TestResponse> put_json(std::string target, boost::json::value document);
    Task<TestResponse> post_form(std::string target, http::QueryPairs fields);

    // Calls `look` with the kept context as the current one.
    void within(const std::function<void()>& look);
    // Runs the teardown hooks of the kept context, if there is one.
    Task<void> close();

    std::map<std::string, std::string>& cookies() noexcept { return cookies_; }

  private:
    struct Kept;
    void take_cookies(const http::Headers& headers);

    App& app_;
    TestClientOptions options_;
    std::map<std::string, std::string> cookies_;
    std::unique_ptr<Kept> kept_;
};

}  // namespace tandem::web
