// The order of a request's steps as Flask has it: hooks, error handlers, contexts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tandem/async/blocking.h"
#include "tandem/async/scope.h"
#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/web/test_client.h"

namespace tandem::web {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TestResponse ask(App& app, std::string target, std::string method = "GET") {
    TestClient client(app);
    return async::run(client.send(std::move(method), std::move(target)));
}

class OutOfStock : public Error {
  public:
    explicit OutOfStock(int left) : Error(Code::conflict, "too few"), left(left) {}
    int left;
};
class NothingLeft : public OutOfStock {
  public:
    NothingLeft() : OutOfStock(0) {}
};

// An app with one nested pair of blueprints whose hooks write down when they run.
struct Recorder {
    std::vector<std::string> steps;

    void watch(Scaffold& scaffold, const std::string& who) {
        for (std::string number : {"1", "2"}) {
            std::string name = who + number;
            scaffold.before_request([this, name] { steps.push_back("before " + name); });
            scaffold.after_request([this, name](Response&) { steps.push_back("after " + name); });
            scaffold.teardown_request([this, name] { steps.push_back("teardown " + name); });
        }
    }
};

// ---- hooks ----

TEST(Hooks, run_in_flask_s_order) {
    Recorder recorder;
    auto& steps = recorder.steps;
    Blueprint inner("inner");
    recorder.watch(inner, "inner");
    inner.get("/x", [&] {
        steps.push_back("view");
        after_this_request([&](Response&) { steps.push_back("this 1"); });
        after_this_request([&](Response&) { steps.push_back("this 2"); });
        return "hello";
    });
    Blueprint outer("outer");
    recorder.watch(outer, "outer");
    outer.register_blueprint(inner);
    App app("test");
    recorder.watch(app, "app");
    app.teardown_app([&] { steps.push_back("teardown_app 1"); });
    app.teardown_app([&] { steps.push_back("teardown_app 2"); });
    app.register_blueprint(outer);
    EXPECT_EQ(ask(app, "/x").body, "hello");
    EXPECT_THAT(steps, ElementsAre("before app1", "before app2", "before outer1", "before outer2", "before inner1",
                                   "before inner2", "view", "this 1", "this 2", "after inner2", "after inner1",
                                   "after outer2", "after outer1", "after app2", "after app1", "teardown inner2",
                                   "teardown inner1", "teardown outer2", "teardown outer1", "teardown app2",
                                   "teardown app1", "teardown_app 2", "teardown_app 1"));
}

TEST(Hooks, let_the_first_before_request_that_answers_win) {
    std::vector<std::string> steps;
    App app("test");
    app.before_request([&]() -> Task<std::optional<Response>> {
        steps.push_back("first");
        co_return std::nullopt;
    });
    app.before_request([&]() -> std::optional<Response> {
        steps.push_back("second");
        return Response::text("stopped");
    });
    app.before_request([&] { steps.push_back("third"); });
    app.after_request([&](Response&) { steps.push_back("after"); });
    app.get("/x", [&] {
        steps.push_back("view");
        return "hello";
    });
    EXPECT_EQ(ask(app, "/x").body, "stopped");
    EXPECT_THAT(steps, ElementsAre("first", "second", "after"));
}

TEST(Hooks, of_the_app_run_for_a_path_without_a_view_too) {
    Recorder recorder;
    App app("test");
    recorder.watch(app, "app");
    Blueprint blueprint("blueprint");
    recorder.watch(blueprint, "blueprint");
    blueprint.get("/x", [] { return "hello"; });
    app.register_blueprint(blueprint);
    EXPECT_EQ(ask(app, "/nothing").status, Status::not_found);
    EXPECT_THAT(recorder.steps, ElementsAre("before app1", "before app2", "after app2", "after app1", "teardown app2",
                                            "teardown app1"));
}

TEST(Hooks, after_a_request_may_change_or_replace_the_response) {
    App app("test");
    app.after_request([](Response response) -> Task<Response> {
        response.body += " replaced";
        co_return response;
    });
    app.after_request([](Response& response) -> Task<void> {
        response.headers.set("X-Seen", "yes");
        co_return;
    });
    app.get("/x", [] { return "hello"; });
    TestResponse response = ask(app, "/x");
    EXPECT_EQ(response.body, "hello replaced");
    EXPECT_EQ(response.header("X-Seen"), "yes");
}

TEST(Hooks, for_this_request_alone_do_not_reach_the_next) {
    App app("test");
    app.get("/<what>", [](std::string what) {
        if (what == "first") after_this_request([](Response& response) { response.headers.set("X-Once", "1"); });
        return what;
    });
    EXPECT_EQ(ask(app, "/first").header("X-Once"), "1");
    EXPECT_EQ(ask(app, "/second").header("X-Once"), "");
}

TEST(Teardown, runs_every_hook_though_some_fail_and_after_an_unhandled_error) {
    log::Capture log;
    std::vector<std::string> steps;
    App app("test");
    app.teardown_app([&] { steps.push_back("app"); });
    app.teardown_request(
        [&](const std::exception_ptr& error) { steps.push_back(error ? Error::from(error).message() : "no error"); });
    app.teardown_request([&]() -> Task<void> {
        co_await async::yield();
        steps.push_back("fails");
        throw std::runtime_error("teardown trouble");
    });
    app.get("/bad", []() -> Response { throw std::runtime_error("view trouble"); });
    app.get("/good", [] { return "good"; });
    app.get("/refused", []() -> Response { throw http::StatusError(Status::forbidden); });
    EXPECT_EQ(ask(app, "/bad").status, Status::internal_server_error);
    EXPECT_THAT(steps, ElementsAre("fails", "view trouble", "app"));
    EXPECT_TRUE(log.contains("teardown trouble"));
    steps.clear();
    EXPECT_EQ(ask(app, "/good").status, Status::ok);
    EXPECT_THAT(steps, ElementsAre("fails", "no error", "app"));
    steps.clear();
    EXPECT_EQ(ask(app, "/refused").status, Status::forbidden);
    EXPECT_THAT(steps, ElementsAre("fails", "no error", "app"));
}

TEST(Teardown, runs_when_the_request_is_cancelled) {
    bool torn_down = false;
    App app("test");
    app.get("/slow", []() -> Task<Response> {
        co_await async::sleep(1h);
        co_return Response();
    });
    app.teardown_request([&]() -> Task<void> {
        co_await async::yield();  // deaf to the cancellation
        torn_down = true;
    });
    TestClient client(app);
    EXPECT_THROW(async::run(async::with_deadline(base::Duration(1ms), client.get("/slow"))), Error);
    EXPECT_TRUE(torn_down);
}

// ---- errors ----

TEST(Errors, that_nobody_handles_become_500_without_their_text_and_are_logged) {
    log::Capture log;
    App app("test");
    app.get("/std", []() -> Task<Response> {
        throw std::runtime_error("secret 1");
        co_return Response();
    });
    app.get("/own", []() -> Task<Response> {
        fail(Code::corrupted, "secret 2");
        co_return Response();
    });
    app.get("/odd", []() -> Response { throw 3; });
    for (std::string path : {"/std", "/own", "/odd"}) {
        TestResponse response = ask(app, path);
        EXPECT_EQ(response.status, Status::internal_server_error);
        EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
        EXPECT_EQ(response.json(),
                  (boost::json::value{{"type", "about:blank"}, {"title", "Internal Server Error"}, {"status", 500}}));
    }
    EXPECT_TRUE(log.contains("secret 1"));
    EXPECT_TRUE(log.contains("secret 2"));
}

TEST(Errors, of_tandem_become_the_status_of_their_code_and_show_their_text_only_below_500) {
    log::Capture log;
    App app("test");
    app.get("/<int:code>", [](int code) -> Response { throw Error(static_cast<Code>(code), "the text"); });
    auto status_of = [&](Code code) { return ask(app, "/" + std::to_string(static_cast<int>(code))); };
    for (auto [code, status] : {std::pair(Code::invalid_argument, 400),
                                {Code::not_found, 404},
                                {Code::already_exists, 409},
                                {Code::conflict, 409},
                                {Code::permission_denied, 403},
                                {Code::unauthenticated, 401},
                                {Code::resource_exhausted, 503},
                                {Code::unavailable, 503},
                                {Code::deadline_exceeded, 504},
                                {Code::aborted, 500},
                                {Code::io, 500},
                                {Code::internal, 500}}) {
        TestResponse response = status_of(code);
        EXPECT_EQ(http::to_int(response.status), status) << to_string(code);
        EXPECT_EQ(response.body.contains("the text"), status < 500) << to_string(code);
        EXPECT_EQ(response.header("Retry-After"), status == 503 ? "1" : "");
    }
}

TEST(Errors, with_a_status_are_that_status_with_their_fields) {
    App app("test");
    app.get("/x", []() -> Response {
        throw http::StatusError(Status::too_many_requests, "slow down", {{"Retry-After", "7"}});
    });
    TestResponse response = ask(app, "/x");
    EXPECT_EQ(response.status, Status::too_many_requests);
    EXPECT_EQ(response.header("Retry-After"), "7");
    EXPECT_EQ(response.json().at("detail"), "slow down");
}

TEST(ErrorHandlers, are_found_by_status_from_the_inner_blueprint_to_the_app) {
    Blueprint inner("inner");
    inner.get("/inner", []() -> Response { throw http::StatusError(Status::not_found); });
    inner.get("/gone", []() -> Response { throw http::StatusError(Status::gone); });
    inner.error_handler(Status::not_found, [] { return "inner's 404"; });
    Blueprint outer("outer");
    outer.error_handler(Status::gone, [](const Failure& failure) -> Task<Response> {
        co_return Response::text("outer's " + std::to_string(http::to_int(failure.status)), failure.status);
    });
    outer.register_blueprint(inner);
    App app("test");
    app.error_handler(Status::not_found, [] { return Response::text("app's 404", Status::not_found); });
    app.register_blueprint(outer);
    EXPECT_EQ(ask(app, "/inner").body, "inner's 404");
    EXPECT_EQ(ask(app, "/gone").body, "outer's 410");
    EXPECT_EQ(ask(app, "/nothing").body, "app's 404");
    EXPECT_EQ(ask(app, "/nothing").status, Status::not_found);
}

TEST(ErrorHandlers, of_the_most_derived_class_win_and_codes_come_between_classes_and_error) {
    App app("test");
    // Added bases first, so that the order of adding does not decide.
    app.error_handler([](const std::exception& error) { return std::string("exception ") + error.what(); });
    app.error_handler([](const Error& error) { return "error " + error.message(); });
    app.error_handler(Code::conflict, [](const Failure& failure) { return "conflict " + failure.error.message(); });
    app.error_handler([](const OutOfStock& error) { return "stock " + std::to_string(error.left); });
    app.error_handler([](const NothingLeft&) -> Task<std::string> { co_return "nothing"; });
    app.get("/nothing", []() -> Response { throw NothingLeft(); });
    app.get("/stock", []() -> Response { throw OutOfStock(3); });
    app.get("/conflict", []() -> Response { fail(Code::conflict, "plain"); });
    app.get("/error", []() -> Response { fail(Code::io, "disk"); });
    app.get("/std", []() -> Response { throw std::runtime_error("std"); });
    EXPECT_EQ(ask(app, "/nothing").body, "nothing");
    EXPECT_EQ(ask(app, "/stock").body, "stock 3");
    EXPECT_EQ(ask(app, "/conflict").body, "conflict plain");
    EXPECT_EQ(ask(app, "/error").body, "error disk");
    EXPECT_EQ(ask(app, "/std").body, "exception std");
}

TEST(ErrorHandlers, by_status_come_before_those_by_class_for_a_status_error) {
    App app("test");
    app.error_handler([](const http::StatusError&) { return "class"; });
    app.error_handler(Status::forbidden, [] { return "status"; });
    app.get("/403", []() -> Response { throw http::StatusError(Status::forbidden); });
    app.get("/410", []() -> Response { throw http::StatusError(Status::gone); });
    EXPECT_EQ(ask(app, "/403").body, "status");
    EXPECT_EQ(ask(app, "/410").body, "class");
}

TEST(ErrorHandlers, of_500_get_the_original_error) {
    log::Capture log;
    App app("test");
    app.error_handler(Status::internal_server_error, [](const Failure& failure) -> Task<Response> {
        std::string text;
        try {
            std::rethrow_exception(failure.original);
        } catch (const std::out_of_range& error) {
            text = error.what();
        }
        co_return Response::text("original: " + text, failure.status);
    });
    app.get("/x", []() -> Response { throw std::out_of_range("index"); });
    TestResponse response = ask(app, "/x");
    EXPECT_EQ(response.status, Status::internal_server_error);
    EXPECT_EQ(response.body, "original: index");
}

TEST(ErrorHandlers, that_fail_and_after_hooks_that_fail_give_500) {
    log::Capture log;
    App app("test");
    int after = 0;
    app.error_handler(Code::io, []() -> Response { throw std::runtime_error("handler trouble"); });
    app.after_request([&](Response& response) {
        ++after;
        if (response.status == Status::accepted) throw std::runtime_error("after trouble");
    });
    app.get("/handler", []() -> Response { fail(Code::io, "disk"); });
    app.get("/after", [] { return Status::accepted; });
    EXPECT_EQ(ask(app, "/handler").status, Status::internal_server_error);
    EXPECT_EQ(after, 1);
    EXPECT_EQ(ask(app, "/after").status, Status::internal_server_error);
    EXPECT_EQ(after, 3);  // once for the view's response, once for the 500
    EXPECT_TRUE(log.contains("handler trouble"));
    EXPECT_TRUE(log.contains("after trouble"));
}

// ---- contexts ----

TEST(Contexts, use_outside_a_request_is_a_clear_error) {
    auto message = [](auto use) -> std::string {
        try {
            use();
        } catch (const Error& error) {
            return error.message();
        }
        return "no error";
    };
    EXPECT_THAT(message([] { (void)request.path(); }), HasSubstr("web::request was used outside a request"));
    EXPECT_THAT(message([] { g.set("x", 1); }), HasSubstr("web::g was used outside a request"));
    EXPECT_THAT(message([] { (void)current_app->name(); }), HasSubstr("web::current_app was used outside"));
    EXPECT_THAT(message([] { (void)session.get("x"); }), HasSubstr("web::session was used outside"));
    EXPECT_THAT(message([] { (void)url_for("x"); }), HasSubstr("web::current_app was used outside"));
    EXPECT_FALSE(has_request_context());
    EXPECT_FALSE(has_app_context());
}

TEST(Contexts, of_the_app_alone_have_g_and_current_app_but_no_request) {
    App app("test");
    bool torn_down = false;
    app.teardown_app([&] { torn_down = true; });
    async::run(app.in_context([]() -> Task<void> {
        g.set("x", 1);
        EXPECT_EQ(current_app->name(), "test");
        EXPECT_TRUE(has_app_context());
        EXPECT_FALSE(has_request_context());
        EXPECT_THROW((void)request.path(), Error);
        co_return;
    }));
    EXPECT_TRUE(torn_down);
}

TEST(Contexts, give_every_request_its_own_g_however_they_interleave) {
    App app("test");
    app.before_request([] { g.set<std::string>("path", request.path()); });
    app.get("/<int:id>", [](int id) -> Task<std::string> {
        for (int i = 0; i < id % 5; ++i) co_await async::yield();
        std::string seen = co_await async::run_blocking([] { return g.get<std::string>("path"); });
        co_return seen + " " + request.path();
    });
    auto one = [](App* app, int id, int* wrong) -> Task<void> {
        TestClient client(*app);
        std::string path = "/" + std::to_string(id);
        TestResponse response = co_await client.get(path);
        *wrong += response.body != path + " " + path;
    };
    int wrong = 0;
    async::run([](App* app, int* wrong, decltype(one)* one) -> Task<void> {
        async::Scope scope;
        for (int id = 0; id < 300; ++id) scope.spawn((*one)(app, id, wrong));
        co_await scope.join();
    }(&app, &wrong, &one));
    EXPECT_EQ(wrong, 0);
}

TEST(Contexts, copied_to_other_work_share_the_request_and_have_a_new_g) {
    App app("test");
    app.get("/x", []() -> Task<std::string> {
        g.set("number", 1);
        std::string seen;
        auto work = copy_current_request_context([&seen]() -> Task<void> {
            seen = request.path() + (g.contains("number") ? " old g" : " new g");
            g.set("number", 2);
            co_return;
        });
        async::Scope scope;
        scope.spawn(work());
        co_await scope.join();
        co_return seen + " " + std::to_string(g.get<int>("number"));
    });
    EXPECT_EQ(ask(app, "/x").body, "/x new g 1");
}

TEST(Contexts, can_be_taken_along_by_a_streamed_body) {
    App app("test");
    app.get("/with", [] {
        return Response::streaming("text/plain", stream_with_context([](http::BodyWriter& out) -> Task<void> {
                                       co_await out.write(request.path());
                                       co_await out.write(request.arg("q", ""));
                                   }));
    });
    app.get("/without", [] {
        return Response::streaming("text/plain", [](http::BodyWriter& out) -> Task<void> {
            co_await out.write(has_request_context() ? "inside" : "outside");
        });
    });
    EXPECT_EQ(ask(app, "/with?q=1").body, "/with1");
    EXPECT_EQ(ask(app, "/without").body, "outside");
}

TEST(Globals, tell_a_missing_value_and_another_type_apart) {
    Globals globals;
    globals.set("a", 1);
    EXPECT_EQ(globals.get<int>("a"), 1);
    EXPECT_EQ(globals.find<int>("b"), nullptr);
    EXPECT_THROW(globals.get<int>("b"), Error);
    EXPECT_THROW(globals.get<std::string>("a"), Error);
    EXPECT_TRUE(globals.remove("a"));
    EXPECT_FALSE(globals.contains("a"));
}

TEST(Sessions, read_as_empty_and_refuse_to_be_written) {
    log::Capture log;
    App app("test");
    app.get("/read", [] { return session.get("user").value_or("nobody"); });
    app.get("/write", []() -> Response {
        session.set("user", "me");
        return Response();
    });
    EXPECT_EQ(ask(app, "/read").body, "nobody");
    EXPECT_EQ(ask(app, "/write").status, Status::internal_server_error);
    EXPECT_TRUE(log.contains("sessions come with a later version"));
}

// ---- the test client ----

TEST(TestClients, keep_cookies_and_forget_expired_ones) {
    App app("test");
    app.get("/set", [] {
        Response response;
        response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly");
        response.headers.add("Set-Cookie", "b=2");
        return response;
    });
    app.get("/drop", [] {
        Response response;
        response.headers.add("Set-Cookie", "a=; Max-Age=0");
        return response;
    });
    app.get("/see", [] {
        return std::string(request.cookie("a").value_or("-")) + std::string(request.cookie("b").value_or("-"));
    });
    TestClient client(app);
    async::run([](TestClient* client) -> Task<void> {
        EXPECT_EQ((co_await client->get("/see")).body, "--");
        co_await client->get("/set");
        EXPECT_EQ((co_await client->get("/see")).body, "12");
        co_await client->get("/drop");
        EXPECT_EQ((co_await client->get("/see")).body, "-2");
    }(&client));
}

TEST(TestClients, can_keep_the_context_open) {
    int teardowns = 0;
    App app("test");
    app.teardown_request([&] { ++teardowns; });
    app.get("/x", [] {
        g.set("seen", 5);
        return "hello";
    });
    TestClient client(app, {.keep_context = true});
    async::run([](TestClient* client, int* teardowns) -> Task<void> {
        co_await client->get("/x?q=1");
        client->within([] {
            EXPECT_EQ(g.get<int>("seen"), 5);
            EXPECT_EQ(request.arg<int>("q", 0), 1);
        });
        EXPECT_EQ(*teardowns, 0);
        co_await client->get("/x");
        EXPECT_EQ(*teardowns, 1);
        co_await client->close();
        EXPECT_EQ(*teardowns, 2);
    }(&client, &teardowns));
}

}  // namespace
}  // namespace tandem::web
