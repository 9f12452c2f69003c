// Routing as Flask does it: converters, weights, methods, slashes, url_for, blueprints, and rules checked by the
// compiler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tandem/web/test_client.h"

namespace tandem::web {
namespace {

using http::Method;

TestResponse ask(App& app, std::string target, std::string method = "GET") {
    TestClient client(app);
    return async::run(client.send(std::move(method), std::move(target)));
}
std::string body(App& app, std::string target) {
    TestResponse response = ask(app, std::move(target));
    return response.status == Status::ok ? response.body : std::to_string(http::to_int(response.status));
}

// ---- rules and the compiler ----

using TakesInt = decltype([](int64_t) { return Status::ok; });
using TakesText = decltype([](std::string) { return Status::ok; });
using TakesRequestAndDouble = decltype([](Request&, double) { return Status::ok; });
using TakesReference = decltype([](const std::string&) { return Status::ok; });

static_assert(fit<TakesInt>("/orders/<int:id>") == RuleFit::fits);
static_assert(fit<TakesInt>("/orders") == RuleFit::number_differs);
static_assert(fit<TakesInt>("/orders/<int:id>/<int:line>") == RuleFit::number_differs);
static_assert(fit<TakesInt>("/orders/<id>") == RuleFit::type_differs);
static_assert(fit<TakesText>("/orders/<int:id>") == RuleFit::type_differs);
static_assert(fit<TakesText>("/<path:p>") == RuleFit::fits);
static_assert(fit<TakesText>("/<uuid:u>") == RuleFit::fits);
static_assert(fit<TakesText>("/<any(a,b):u>") == RuleFit::fits);
static_assert(fit<TakesText>("/<float:u>") == RuleFit::type_differs);
static_assert(fit<TakesRequestAndDouble>("/<float:u>") == RuleFit::fits);
static_assert(fit<TakesReference>("/<u>") == RuleFit::type_differs);

// What the compiler says about `app.get(rule, view)`; empty when it compiles.
std::string compiler_says(const std::string& rule, const std::string& view) {
    std::string base = ::testing::TempDir() + "tandem_rule_" + std::to_string(getpid());
    std::ofstream(base + ".cc") << "#include \"tandem/web/rule.h\"\nusing namespace tandem::web;\n"
                                << "template <typename View> void get(std::type_identity_t<Rule<View>>, View) {}\n"
                                << "void test() { get(\"" << rule << "\", " << view << "); }\n";
    std::string command = std::string(TANDEM_CXX_COMPILER) + " -std=c++23 -fsyntax-only -I" TANDEM_SOURCE_DIR " " +
                          base + ".cc 2> " + base + ".err";
    int status = std::system(command.c_str());
    std::ifstream file(base + ".err");
    std::string said{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(status == 0, said.empty()) << said;
    return said;
}

TEST(Rule, compiles_only_with_a_view_whose_parameters_fit) {
    EXPECT_EQ(compiler_says("/orders/<int:id>", "[](long id) { return id; }"), "");
    EXPECT_THAT(compiler_says("/orders/<int:id>", "[](std::string id) { return id; }"),
                testing::HasSubstr("a_parameter_of_the_view_has_another_type_than_its_converter_in_the_rule_gives"));
    EXPECT_THAT(compiler_says("/orders/<int:id>", "[] { return 1; }"),
                testing::HasSubstr("the_view_takes_another_number_of_parameters_than_the_rule_has_variables"));
    EXPECT_THAT(compiler_says("/orders/<integer:id>", "[](long id) { return id; }"),
                testing::HasSubstr("malformed_rule"));
    EXPECT_THAT(compiler_says("orders", "[] { return 1; }"), testing::HasSubstr("malformed_rule"));
}

TEST(Rule, known_only_at_run_time_is_refused_with_a_reason) {
    for (std::string rule : {"x", "/<", "/<a", "/a>", "/<a><b>", "/<a>/<a>", "/<:a>", "/<what:a>", "/<any:a>",
                             "/<any():a>", "/<int(3):a>", "//", "/a//b", "/..", "/x<path:p>", "/<path:p>/<path:q>",
                             "/<a-b>", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"}) {
        try {
            parse_rule(rule);
            ADD_FAILURE() << rule << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::invalid_argument);
            EXPECT_THAT(error.what(), testing::HasSubstr(rule));
        }
    }
}

// ---- converters ----

TEST(Routing, gives_each_converter_s_value_with_its_type) {
    App app("test");
    app.get("/int/<int:i>", [](int i) { return std::to_string(i + 1); });
    app.get("/long/<int:i>", [](int64_t i) { return std::to_string(i); });
    app.get("/small/<int:i>", [](uint8_t i) { return std::to_string(i); });
    app.get("/float/<float:f>", [](double f) { return std::to_string(f * 2); });
    app.get("/string/<s>", [](std::string s) { return s; });
    app.get("/named/<string:s>", [](std::string_view s) { return std::string(s); });
    app.get("/path/<path:p>", [](std::string p) { return p; });
    app.get("/any/<any(red,green):c>", [](std::string c) { return c; });
    app.get("/uuid/<uuid:u>", [](std::string u) { return u; });
    EXPECT_EQ(body(app, "/int/41"), "42");
    EXPECT_EQ(body(app, "/int/007"), "8");
    EXPECT_EQ(body(app, "/int/-1"), "404");
    EXPECT_EQ(body(app, "/int/1.5"), "404");
    EXPECT_EQ(body(app, "/int/2147483646"), "2147483647");
    EXPECT_EQ(body(app, "/int/2147483648"), "404");
    EXPECT_EQ(body(app, "/long/9223372036854775807"), "9223372036854775807");
    EXPECT_EQ(body(app, "/long/9223372036854775808"), "404");
    EXPECT_EQ(body(app, "/small/255"), "255");
    EXPECT_EQ(body(app, "/small/256"), "404");
    EXPECT_EQ(body(app, "/float/1.25"), "2.500000");
    EXPECT_EQ(body(app, "/float/1"), "404");
    EXPECT_EQ(body(app, "/float/.5"), "404");
    EXPECT_EQ(body(app, "/string/a%20b"), "a b");
    EXPECT_EQ(body(app, "/string/a/b"), "404");
    EXPECT_EQ(body(app, "/string/"), "404");
    EXPECT_EQ(body(app, "/named/x"), "x");
    EXPECT_EQ(body(app, "/path/a/b/c.txt"), "a/b/c.txt");
    EXPECT_EQ(body(app, "/path/a/"), "a/");
    EXPECT_EQ(body(app, "/path/"), "404");
    EXPECT_EQ(body(app, "/path//a"), "404");
    EXPECT_EQ(body(app, "/any/green"), "green");
    EXPECT_EQ(body(app, "/any/blue"), "404");
    EXPECT_EQ(body(app, "/any/red,green"), "404");
    EXPECT_EQ(body(app, "/uuid/123E4567-e89b-12d3-a456-426614174000"), "123E4567-e89b-12d3-a456-426614174000");
    EXPECT_EQ(body(app, "/uuid/123e4567e89b12d3a456426614174000"), "404");
}

TEST(Routing, lets_static_text_outweigh_converters_and_narrow_converters_wide_ones) {
    App app("test");
    app.get("/<path:p>", [](std::string p) { return "path " + p; });
    app.get("/<s>", [](std::string s) { return "string " + s; });
    app.get("/<int:i>", [](int64_t i) { return "int " + std::to_string(i); });
    app.get("/<float:f>", [](double) { return "float"; });
    app.get("/me", [] { return "static"; });
    app.get("/v<int:i>", [](int64_t i) { return "version " + std::to_string(i); });
    app.get("/<name>.csv", [](std::string name) { return "table " + name; });
    app.get("/<s>/edit", [](std::string s) { return "edit " + s; });
    EXPECT_EQ(body(app, "/me"), "static");
    EXPECT_EQ(body(app, "/5"), "int 5");
    EXPECT_EQ(body(app, "/5.5"), "float");
    EXPECT_EQ(body(app, "/99999999999999999999"), "string 99999999999999999999");
    EXPECT_EQ(body(app, "/you"), "string you");
    EXPECT_EQ(body(app, "/v2"), "version 2");
    EXPECT_EQ(body(app, "/v2x"), "string v2x");
    EXPECT_EQ(body(app, "/sales.csv"), "table sales");
    EXPECT_EQ(body(app, "/.csv"), "string .csv");
    EXPECT_EQ(body(app, "/me/edit"), "edit me");
    EXPECT_EQ(body(app, "/me/other"), "path me/other");
}

TEST(Routing, finds_what_follows_a_path) {
    App app("test");
    app.get("/wiki/<path:page>", [](std::string page) { return "show " + page; });
    app.get("/wiki/<path:page>/edit", [](std::string page) { return "edit " + page; });
    app.get("/wiki/<path:page>/v<int:n>/", [](std::string page, int n) { return page + "@" + std::to_string(n); });
    EXPECT_EQ(body(app, "/wiki/a/b"), "show a/b");
    EXPECT_EQ(body(app, "/wiki/a/b/edit"), "edit a/b");
    EXPECT_EQ(body(app, "/wiki/edit"), "show edit");
    EXPECT_EQ(body(app, "/wiki/a/edit/edit"), "edit a/edit");
    EXPECT_EQ(body(app, "/wiki/a/b/v7/"), "a/b@7");
}

// ---- methods ----

TEST(Routing, answers_head_with_get) {
    App app("test");
    app.get("/x", [] { return "hello"; });
    app.post("/y", [] { return "made"; });
    TestResponse response = ask(app, "/x", "HEAD");
    EXPECT_EQ(response.status, Status::ok);
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(response.header("Content-Type"), "text/html; charset=utf-8");
    EXPECT_EQ(ask(app, "/y", "HEAD").status, Status::method_not_allowed);
}

TEST(Routing, answers_options_by_itself_with_allow) {
    App app("test");
    app.get("/x", [] { return "hello"; });
    app.post("/x", [] { return "made"; });
    app.del("/y", [] { return Status::no_content; });
    TestResponse response = ask(app, "/x", "OPTIONS");
    EXPECT_EQ(response.status, Status::ok);
    EXPECT_EQ(response.header("Allow"), "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(ask(app, "*", "OPTIONS").header("Allow"), "GET, HEAD, POST, DELETE, OPTIONS");
    EXPECT_EQ(ask(app, "/nothing", "OPTIONS").status, Status::not_found);
}

TEST(Routing, leaves_options_to_a_view_that_wants_them) {
    App app("test");
    app.route({Method::get, Method::options}, "/x", [](Request& r) { return std::string(r.raw().method_text); });
    EXPECT_EQ(ask(app, "/x", "OPTIONS").body, "OPTIONS");
}

TEST(Routing, refuses_a_known_method_with_405_and_allow_and_an_unknown_one_with_501) {
    App app("test");
    app.get("/x", [] { return "hello"; });
    app.put("/x", [] { return "put"; });
    app.patch("/<name>", [](std::string) { return "patched"; });
    TestResponse response = ask(app, "/x", "POST");
    EXPECT_EQ(response.status, Status::method_not_allowed);
    EXPECT_EQ(response.header("Allow"), "GET, HEAD, PUT, OPTIONS, PATCH");
    EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(ask(app, "/x", "PATCH").body, "patched");
    EXPECT_EQ(ask(app, "/x", "TRACE").status, Status::method_not_allowed);
    EXPECT_EQ(ask(app, "/x", "BREW").status, Status::not_implemented);
    EXPECT_EQ(ask(app, "/no/thing", "POST").status, Status::not_found);
}

// ---- slashes and bytes ----

TEST(Routing, redirects_308_to_the_rule_s_slash_and_keeps_the_query) {
    App app("test");
    app.get("/x/", [] { return "slash"; });
    app.get("/p l/<name>/", [](std::string name) { return name; });
    app.get("/y", [] { return "plain"; });
    TestResponse response = ask(app, "/x?a=1&b=%20");
    EXPECT_EQ(response.status, Status::permanent_redirect);
    EXPECT_EQ(response.header("Location"), "/x/?a=1&b=%20");
    EXPECT_EQ(ask(app, "/p%20l/%C3%BC").header("Location"), "/p%20l/%C3%BC/");
    EXPECT_EQ(body(app, "/x/"), "slash");
    EXPECT_EQ(body(app, "/y/"), "404");
    EXPECT_EQ(ask(app, "/x", "POST").status, Status::method_not_allowed);
    EXPECT_EQ(ask(app, "//x").status, Status::not_found);  // never a redirect to another host
}

TEST(Routing, tells_the_root_and_rules_with_and_without_slash_apart) {
    App app("test");
    app.get("/", [] { return "root"; });
    app.get("/x", [] { return "plain"; });
    app.get("/x/", [] { return "slash"; });
    EXPECT_EQ(body(app, "/"), "root");
    EXPECT_EQ(body(app, "/?q"), "root");
    EXPECT_EQ(body(app, "/x"), "plain");
    EXPECT_EQ(body(app, "/x/"), "slash");
    EXPECT_EQ(body(app, "//"), "404");
}

TEST(Routing, refuses_a_path_that_is_not_utf_8) {
    App app("test");
    app.get("/<name>", [](std::string name) { return name; });
    EXPECT_EQ(ask(app, "/%FF").status, Status::bad_request);
    EXPECT_EQ(body(app, "/%E2%82%AC"), "€");
}

TEST(Routing, takes_no_route_or_hook_after_the_first_request) {
    App app("test");
    app.get("/x", [] { return "hello"; });
    ask(app, "/x");
    auto code = [](auto change) {
        try {
            change();
        } catch (const Error& error) {
            return error.code();
        }
        return Code::internal;
    };
    EXPECT_EQ(code([&] { app.get("/y", [] { return "late"; }); }), Code::conflict);
    EXPECT_EQ(code([&] { app.before_request([] {}); }), Code::conflict);
    EXPECT_EQ(code([&] { app.teardown_app([] {}); }), Code::conflict);
    EXPECT_EQ(code([&] { app.register_blueprint(Blueprint("b")); }), Code::conflict);
}

TEST(Routing, refuses_a_rule_added_twice_for_a_method) {
    App app("test");
    app.get("/<a>", [](std::string) { return "1"; });
    app.post("/<b>", [](std::string) { return "2"; });
    EXPECT_THROW(app.get("/<c>", [](std::string) { return "3"; }), Error);
    EXPECT_EQ(body(app, "/x"), "1");
}

// ---- url_for ----

TEST(UrlFor, is_the_inverse_of_routing) {
    App app("test");
    app.get("/orders/<int:id>", [](int64_t id) { return std::to_string(id); }, "order");
    app.get("/files/<path:name>", [](std::string name) { return name; }, "file");
    app.get("/say/<what>/", [](std::string what) { return what; }, "say");
    app.get("/t/<name>.csv", [](std::string name) { return name; });
    EXPECT_EQ(app.url_for("order", {{"id", "5"}}), "/orders/5");
    EXPECT_EQ(app.url_for("order", {{"id", "5"}, {"page", "a b"}, {"x", "&"}}), "/orders/5?page=a%20b&x=%26");
    EXPECT_EQ(app.url_for("/t/<name>.csv", {{"name", "ü"}}), "/t/%C3%BC.csv");
    for (std::string name : {"a/b c/d?.txt", "a/", "ü/%2F", "x/.hidden"})
        EXPECT_EQ(body(app, app.url_for("file", {{"name", name}})), name);
    for (std::string what : {"a b", "100%", "€", "a?b#c", "..."})
        EXPECT_EQ(body(app, app.url_for("say", {{"what", what}})), what);
}

TEST(UrlFor, refuses_what_would_not_come_back) {
    App app("test");
    app.get("/orders/<int:id>", [](int64_t id) { return std::to_string(id); }, "order");
    app.get("/files/<path:name>", [](std::string name) { return name; }, "file");
    app.get("/say/<what>", [](std::string what) { return what; }, "say");
    EXPECT_THROW(app.url_for("nobody"), Error);
    EXPECT_THROW(app.url_for("order"), Error);
    EXPECT_THROW(app.url_for("order", {{"id", "x"}}), Error);
    for (std::string what : {"", ".", "..", "a/b"}) EXPECT_THROW(app.url_for("say", {{"what", what}}), Error) << what;
    for (std::string name : {"", "/a", "a/../b", "./a"})
        EXPECT_THROW(app.url_for("file", {{"name", name}}), Error) << name;
}

// ---- blueprints ----

TEST(Blueprint, nests_and_prefixes) {
    Blueprint lines("lines");
    lines.get(
        "/<int:line>", [](int line) { return "line " + std::to_string(line) + " " + request->blueprint(); }, "show");
    lines.get("/up", [] { return url_for(".show", {{"line", "3"}}); });
    Blueprint orders("orders");
    orders.get("/", [] { return "orders " + request->endpoint(); }, "list");
    orders.register_blueprint(lines, "/lines");
    App app("test");
    app.register_blueprint(orders, "/shop/orders");
    app.register_blueprint(orders, "/old", "old");
    EXPECT_EQ(body(app, "/shop/orders/"), "orders orders.list");
    EXPECT_EQ(body(app, "/shop/orders/lines/7"), "line 7 orders.lines");
    EXPECT_EQ(body(app, "/old/lines/7"), "line 7 old.lines");
    EXPECT_EQ(body(app, "/old/lines/up"), "/old/lines/3");
    EXPECT_EQ(app.url_for("orders.lines.show", {{"line", "1"}}), "/shop/orders/lines/1");
}

TEST(Blueprint, may_be_gone_before_its_app) {
    App app("test");
    {
        Blueprint orders("orders");
        orders.get("/x", [] { return "still here"; });
        app.register_blueprint(orders, "/o");
    }
    EXPECT_EQ(body(app, "/o/x"), "still here");
}

TEST(Blueprint, cannot_be_registered_twice_under_a_name_or_changed_afterwards) {
    Blueprint orders("orders");
    App app("test");
    app.register_blueprint(orders, "/a");
    EXPECT_THROW(app.register_blueprint(orders, "/b"), Error);
    EXPECT_THROW(orders.get("/late", [] { return "late"; }), Error);
    EXPECT_THROW(Blueprint("a.b"), Error);
    Blueprint other("other");
    for (std::string prefix : {"x", "/x/", "/<int:id>", "/"})
        EXPECT_THROW(app.register_blueprint(other, prefix), Error) << prefix;
}

}  // namespace
}  // namespace tandem::web
