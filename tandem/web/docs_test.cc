// The snippets of docs/web.md: each code block there is one region between `// [name]` and `// [/name]` here, so that
// what the guide shows compiles and does what it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "tandem/async/blocking.h"
#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/web/escape.h"
#include "tandem/web/events.h"
#include "tandem/web/json.h"
#include "tandem/web/static_files.h"
#include "tandem/web/test_client.h"

using namespace tandem;
using async::Task;
using http::Response;
using http::Status;
using web::TestClient;
using web::TestResponse;

namespace {

TestResponse ask(web::App& app, std::string target, http::Headers headers = {}) {
    TestClient client(app);
    return async::run(client.get(std::move(target), std::move(headers)));
}

struct Order {
    int64_t id;
    std::string item;
};

Task<std::optional<Order>> load_order(int64_t id) {
    if (id != 5) co_return std::nullopt;
    co_return Order{5, "tea"};
}

TEST(Guide, first_app) {
    // [first]
    web::App app("shop");

    app.get("/", [] { return "<h1>Tea and more</h1>"; });

    app.get("/orders/<int:id>", [](int64_t id) -> Task<Response> {
        std::optional<Order> order = co_await load_order(id);
        if (!order) fail(Code::not_found, "there is no order {}", id);
        co_return Response::text(order->item);
    });
    // [/first]
    EXPECT_EQ(ask(app, "/").body, "<h1>Tea and more</h1>");
    EXPECT_EQ(ask(app, "/orders/5").body, "tea");
    EXPECT_EQ(ask(app, "/orders/6").status, Status::not_found);
    EXPECT_EQ(ask(app, "/orders/6").json().at("detail"), "there is no order 6");
    EXPECT_EQ(ask(app, "/orders/x").status, Status::not_found);
}

TEST(Guide, rules) {
    web::App app("shop");
    // [rules]
    app.get("/tags/<name>", [](std::string name) { return name; });
    app.get("/files/<path:name>", [](std::string name) { return name; });
    app.get("/shelf/<any(tea,coffee):kind>", [](std::string kind) { return kind; });
    app.get("/price/<float:euros>", [](double euros) { return fmt::format("{:.2f}", euros); });
    app.get("/reports/<int:year>.csv", [](int year) { return std::to_string(year); }, "report");
    app.get("/id/<uuid:id>", [](web::Request& request, std::string id) { return request.path() + " has " + id; });
    app.route({http::Method::put, http::Method::patch}, "/tags/<name>", [](std::string) { return Status::no_content; });

    std::string url = app.url_for("report", {{"year", "2026"}, {"sort", "item"}});  // "/reports/2026.csv?sort=item"
    // [/rules]
    EXPECT_EQ(url, "/reports/2026.csv?sort=item");
    EXPECT_EQ(ask(app, url).body, "2026");
    EXPECT_EQ(ask(app, "/shelf/coffee").body, "coffee");
    EXPECT_EQ(ask(app, "/price/1.5").body, "1.50");
    EXPECT_EQ(ask(app, "/tags/x").body, "x");
    EXPECT_EQ(ask(app, "/files/a/b").body, "a/b");
}

TEST(Guide, request) {
    web::App app("shop");
    // [request]
    app.get("/search", [] {
        int limit = web::request.arg<int>("limit", 20);  // 400 naming "limit" for ?limit=many
        std::string words = web::request.required_arg("q");
        return fmt::format("{} results for {}", limit, web::escape_html(words));
    });

    app.post("/basket", []() -> Task<Response> {
        web::Arguments form = co_await web::request.form();
        co_return Response::redirect("/basket/" + form.required("item"));
    });
    // [/request]
    EXPECT_EQ(ask(app, "/search?q=a%3Cb").body, "20 results for a&lt;b");
    EXPECT_EQ(ask(app, "/search?q=a&limit=many").status, Status::bad_request);
    TestClient client(app);
    EXPECT_EQ(async::run(client.post_form("/basket", {{"item", "tea"}})).header("Location"), "/basket/tea");
}

TEST(Guide, json) {
    web::App app("shop");
    // [json]
    app.post("/orders", []() -> Task<Response> {
        boost::json::value document = co_await web::request.json();
        web::JsonFields fields(document);
        auto customer = fields.required<std::string>("customer");
        int64_t count = 0;
        fields.each("lines", [&](web::JsonFields line) {
            line.required<std::string>("item");
            count += line.optional<uint16_t>("count", 1);
            line.finish();
        });
        fields.finish();
        if (count == 0) fields.refuse("lines", "must not be empty");
        Response response = web::to_response(boost::json::value{{"customer", customer}, {"count", count}});
        response.status = Status::created;
        response.headers.set("Location", "/orders/5");
        co_return response;
    });
    // [/json]
    TestClient client(app);
    TestResponse made = async::run(client.post_json("/orders", {{"customer", "Ada"}, {"lines", {{{"item", "tea"}}}}}));
    EXPECT_EQ(made.status, Status::created);
    EXPECT_EQ(made.json().at("count"), 1);
    TestResponse wrong =
        async::run(client.post("/orders", R"({"customer":"Ada","lines":[{"item":3}]})", "application/json"));
    EXPECT_EQ(wrong.status, Status::bad_request);
    EXPECT_EQ(wrong.json().at("field"), "lines[0].item");
}

struct Connection {};
int connections_returned = 0;
Task<std::shared_ptr<Connection>> borrow_connection() {
    co_return std::make_shared<Connection>();
}
Task<void> give_back(std::shared_ptr<Connection>) {
    ++connections_returned;
    co_return;
}

TEST(Guide, hooks) {
    web::App app("shop");
    // [hooks]
    app.before_request([]() -> Task<std::optional<Response>> {
        if (web::request.header("Authorization").empty())
            co_return web::Problem(Status::unauthorized).detail("log in first").response();
        web::g.set("connection", co_await borrow_connection());
        co_return std::nullopt;  // go on
    });
    app.after_request([](Response& response) { response.headers.set("X-Frame-Options", "DENY"); });
    app.teardown_request([]() -> Task<void> {
        if (auto* connection = web::g.find<std::shared_ptr<Connection>>("connection")) co_await give_back(*connection);
    });
    // [/hooks]
    app.get("/", [] { return "in"; });
    EXPECT_EQ(ask(app, "/").status, Status::unauthorized);
    EXPECT_EQ(connections_returned, 0);
    TestResponse response = ask(app, "/", {{"Authorization", "Bearer x"}});
    EXPECT_EQ(response.body, "in");
    EXPECT_EQ(response.header("X-Frame-Options"), "DENY");
    EXPECT_EQ(connections_returned, 1);
}

// [errors-class]
class OutOfStock : public Error {
  public:
    explicit OutOfStock(int left) : Error(Code::conflict, "not enough in stock"), left(left) {}
    int left;
};
// [/errors-class]

TEST(Guide, errors) {
    log::Capture log;
    web::App app("shop");
    // [errors]
    app.error_handler(Status::not_found, [] { return Response::html("<p>Nothing here.", Status::not_found); });
    app.error_handler(Code::unavailable, [](const web::Failure& failure) {
        return web::Problem(failure.status).detail("the stock service is away").response();
    });
    app.error_handler([](const OutOfStock& error) {
        return web::Problem(Status::conflict).detail(error.message()).with("left", error.left).response();
    });
    // [/errors]
    app.get("/stock", []() -> Response { throw OutOfStock(2); });
    app.get("/away", []() -> Response { fail(Code::unavailable, "connection refused to 10.0.0.7"); });
    EXPECT_EQ(ask(app, "/none").body, "<p>Nothing here.");
    EXPECT_EQ(ask(app, "/stock").json().at("left"), 2);
    EXPECT_EQ(ask(app, "/away").json().at("detail"), "the stock service is away");
    EXPECT_EQ(ask(app, "/away").status, Status::service_unavailable);
}

TEST(Guide, blueprints) {
    // [blueprints]
    web::Blueprint orders("orders");
    orders.get("/", [] { return "all orders"; }, "list");
    orders.get("/<int:id>", [](int64_t id) { return "order " + std::to_string(id); }, "show");
    orders.before_request([] { web::g.set<std::string>("section", "orders"); });

    web::App app("shop");
    app.register_blueprint(orders, "/orders");
    std::string url = app.url_for("orders.show", {{"id", "5"}});  // "/orders/5"
    // [/blueprints]
    EXPECT_EQ(ask(app, url).body, "order 5");
    EXPECT_EQ(ask(app, "/orders").header("Location"), "/orders/");
}

TEST(Guide, context) {
    web::App app("shop");
    // [context]
    app.get("/report", [] {
        return Response::streaming("text/csv", web::stream_with_context([](http::BodyWriter& out) -> Task<void> {
                                       co_await out.write("asked for," + web::request.path() + "\n");
                                   }));
    });

    auto warm_up = []() -> Task<void> {
        web::g.set("started_by", web::current_app->name());
        co_return;
    };
    async::run(app.in_context(warm_up));  // current_app and g, without a request
    // [/context]
    EXPECT_EQ(ask(app, "/report").body, "asked for,/report\n");
}

TEST(Guide, files) {
    web::App app("shop");
    std::string directory = testing::TempDir();
    std::string_view script = "let x;";
    // [files]
    web::serve_directory(app, "/static", directory);
    web::serve_memory(app, "/assets", {{"app.js", "", script}},
                      {.cache_control = "max-age=3600", .endpoint = "assets"});
    // [/files]
    TestResponse response = ask(app, "/assets/app.js");
    EXPECT_EQ(response.body, script);
    EXPECT_EQ(ask(app, "/assets/app.js", {{"If-None-Match", response.header("ETag")}}).status, Status::not_modified);
}

TEST(Guide, events) {
    web::App app("shop");
    // [events]
    app.get("/countdown", [] {
        return web::event_stream([](web::EventStream& events) -> Task<void> {
            for (int left = 3; left > 0; --left) {
                co_await events.send({.event = "tick", .data = std::to_string(left), .id = std::to_string(left)});
                co_await async::sleep(std::chrono::milliseconds(1));
            }
        });
    });
    // [/events]
    EXPECT_THAT(ask(app, "/countdown").body, testing::HasSubstr("id: 2\nevent: tick\ndata: 2\n\n"));
}

web::App& make_shop() {
    static web::App app("shop");
    static bool told = [] {
        app.before_request([] { web::g.set("user", 7); });
        app.get("/me", [] { return std::to_string(web::g.get<int>("user")); });
        return true;
    }();
    EXPECT_TRUE(told);
    return app;
}

// [testing]
Task<void> test_the_shop() {
    TestClient client(make_shop(), {.keep_context = true});
    TestResponse response = co_await client.get("/me");
    EXPECT_EQ(response.status, Status::ok);
    EXPECT_EQ(response.body, "7");
    client.within([] { EXPECT_EQ(web::g.get<int>("user"), 7); });
    co_await client.close();
}
// [/testing]

TEST(Guide, testing) {
    async::run(test_the_shop());
}

// ---- the guide itself ----

std::string read(const std::string& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

// Without the indentation that all lines share.
std::string dedented(const std::vector<std::string>& lines) {
    size_t shared = std::string::npos;
    for (const std::string& line : lines)
        if (!line.empty()) shared = std::min(shared, line.find_first_not_of(' '));
    std::string text;
    for (const std::string& line : lines) text += (line.empty() ? line : line.substr(shared)) + "\n";
    return text;
}

std::map<std::string, std::string> regions() {
    std::map<std::string, std::string> found;
    std::string name;
    std::vector<std::string> inside;
    for (const std::string& line : lines_of(read(TANDEM_SOURCE_DIR "/tandem/web/docs_test.cc"))) {
        size_t start = line.find_first_not_of(' ');
        std::string text = start == std::string::npos ? "" : line.substr(start);
        bool marker = text.starts_with("// [") && text.ends_with("]");
        if (marker && text[4] != '/') {
            name = text.substr(4, text.size() - 5);
            inside.clear();
        } else if (marker) {
            found[name] = dedented(inside);
        } else {
            inside.push_back(line);
        }
    }
    return found;
}

// The blocks of docs/web.md that begin with "```cpp name".
std::map<std::string, std::string> blocks() {
    std::map<std::string, std::string> found;
    std::string name;
    bool open = false;
    for (const std::string& line : lines_of(read(TANDEM_SOURCE_DIR "/docs/web.md"))) {
        if (line.starts_with("```")) {
            EXPECT_TRUE(open || line.starts_with("```cpp ")) << "a block without a name: " << line;
            open = !open;
            if (open) name = line.substr(7);
            if (open) EXPECT_EQ(found.count(name), 0u) << name;
        } else if (open) {
            found[name] += line + "\n";
        }
    }
    return found;
}

TEST(Guide, shows_exactly_what_is_tested) {
    auto tested = regions();
    auto shown = blocks();
    EXPECT_EQ(tested.size(), 12u);
    for (const auto& [name, text] : tested) EXPECT_EQ(shown[name], text) << name;
    EXPECT_EQ(shown.size(), tested.size());
}

}  // namespace
