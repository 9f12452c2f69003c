// What a request is asked: arguments, forms, JSON; and problem documents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tandem/web/json.h"
#include "tandem/web/test_client.h"

namespace tandem::web {
namespace {

using testing::HasSubstr;
namespace json = boost::json;

TestResponse post(App& app, std::string body, std::string type = "application/json") {
    TestClient client(app);
    return async::run(client.post("/x", std::move(body), std::move(type)));
}

TEST(RequestArguments, have_types_and_name_the_parameter_that_does_not_parse) {
    App app("test");
    app.get("/x", [](Request& r) {
        return fmt::format("{} {} {} {}", r.arg<int>("limit", 20), r.arg<bool>("all", false), r.arg("name", "none"),
                           r.arg<double>("rate", 0.5));
    });
    app.get("/required", [] { return request.required_arg("name"); });
    TestClient client(app);
    auto body = [&](std::string target) { return async::run(client.get(target)).body; };
    EXPECT_EQ(body("/x"), "20 false none 0.5");
    EXPECT_EQ(body("/x?limit=-3&all=true&name=a+b%26&rate=2"), "-3 true a b& 2");
    EXPECT_EQ(body("/required?name="), "");
    for (std::string query : {"limit=x", "limit=", "limit=1x", "limit=99999999999", "limit=+1"}) {
        TestResponse response = async::run(client.get("/x?" + query));
        EXPECT_EQ(response.status, Status::bad_request) << query;
        EXPECT_THAT(response.body, HasSubstr("limit"));
    }
    EXPECT_THAT(body("/x?all=yes"), HasSubstr("must be true or false"));
    EXPECT_THAT(body("/x?name=%zz"), HasSubstr("two hex digits"));
    EXPECT_EQ(async::run(client.get("/x?name=%FF")).status, Status::bad_request);
    EXPECT_THAT(body("/required"), HasSubstr("is missing"));
}

TEST(RequestArguments, of_a_query_are_bounded) {
    AppOptions options;
    options.limits.max_arguments = 3;
    App app("test", options);
    app.get("/x", [](Request& r) { return std::to_string(r.args().size()); });
    TestClient client(app);
    EXPECT_EQ(async::run(client.get("/x?a&b&c")).body, "3");
    EXPECT_EQ(async::run(client.get("/x?a&b&c&d")).status, Status::bad_request);
}

TEST(RequestForm, is_read_from_urlencoded_content_alone) {
    App app("test");
    app.post("/x", []() -> Task<std::string> {
        Arguments form = co_await request.form();
        co_return fmt::format("{} {}", form.required<int>("count"), fmt::join(form.get_all("tag"), "|"));
    });
    TestClient client(app);
    EXPECT_EQ(async::run(client.post_form("/x", {{"count", "2"}, {"tag", "a b"}, {"tag", "c"}})).body, "2 a b|c");
    EXPECT_EQ(post(app, "count=1", "text/plain").status, Status::unsupported_media_type);
}

TEST(RequestJson, refuses_another_type_415_malformed_text_400_and_too_much_413) {
    AppOptions options;
    options.limits.max_body_bytes = 100;
    App app("test", options);
    app.post("/x", []() -> Task<json::value> {
        json::value first = co_await request.json();
        json::value second = co_await request.json();  // the body was kept
        EXPECT_EQ(first, second);
        co_return json::object{{"got", first}};
    });
    EXPECT_EQ(post(app, R"({"a":[1,2]})").json(), (json::value{{"got", {{"a", {1, 2}}}}}));
    EXPECT_EQ(post(app, "1", "application/vnd.x+json; charset=utf-8").status, Status::ok);
    TestResponse other = post(app, "{}", "text/json");
    EXPECT_EQ(other.status, Status::unsupported_media_type);
    EXPECT_EQ(other.header("Accept-Post"), "application/json");
    EXPECT_EQ(post(app, std::string(101, ' ')).status, Status::content_too_large);
    TestResponse malformed = post(app, "{\"a\": 1,\n  \"b\": x}");
    EXPECT_EQ(malformed.status, Status::bad_request);
    EXPECT_EQ(malformed.json().at("line"), 2);
    EXPECT_EQ(malformed.json().at("column"), 8);
    EXPECT_THAT(malformed.body, HasSubstr("line 2, column 8"));
}

TEST(Json, is_bounded_in_depth_and_must_be_one_whole_value) {
    auto problem = [](std::string text) -> std::string {
        try {
            parse_json(text);
        } catch (const http::StatusError& error) {
            return error.message();
        }
        return "fine";
    };
    EXPECT_EQ(problem(std::string(32, '[') + std::string(32, ']')), "fine");
    EXPECT_THAT(problem(std::string(33, '[') + std::string(33, ']')), HasSubstr("deeper than 32"));
    EXPECT_THAT(problem("{\"a\":"), HasSubstr("ends too early"));
    EXPECT_THAT(problem(""), HasSubstr("ends too early"));
    EXPECT_THAT(problem("1 2"), HasSubstr("something follows"));
    EXPECT_EQ(problem(" 1 \n"), "fine");
    EXPECT_NE(problem("\"\xff\""), "fine");
    EXPECT_NE(problem("{'a':1}"), "fine");
}

// ---- JsonFields ----

struct Complaint {
    std::string field;
    std::string detail;
    bool operator==(const Complaint&) const = default;
};

template <typename Read>
Complaint complaint(std::string_view text, Read read) {
    json::value document = parse_json(text);
    try {
        JsonFields fields(document);
        read(fields);
        fields.finish();
    } catch (const ProblemError& error) {
        EXPECT_EQ(error.status(), Status::bad_request);
        return {std::string(error.problem().members().at("field").as_string()), error.message()};
    }
    return {};
}

TEST(JsonFields, reads_required_optional_and_nested_fields) {
    json::value document = parse_json(
        R"({"gid":"g1","n":7,"ok":true,"rate":2,"none":null,"tags":["a","b"],"o":{"x":1},"steps":[{"u":"1"},{"u":"2"}]})");
    JsonFields fields(document);
    EXPECT_EQ(fields.required<std::string>("gid"), "g1");
    EXPECT_EQ(fields.required<uint8_t>("n"), 7);
    EXPECT_TRUE(fields.required<bool>("ok"));
    EXPECT_EQ(fields.required<double>("rate"), 2.0);
    EXPECT_EQ(fields.optional<int64_t>("absent", 5), 5);
    EXPECT_EQ(fields.optional<int64_t>("none", 6), 6);
    EXPECT_EQ(fields.optional<std::string>("absent"), std::nullopt);
    EXPECT_THAT(fields.list<std::string>("tags"), testing::ElementsAre("a", "b"));
    JsonFields nested = fields.object("o");
    EXPECT_EQ(nested.required<int>("x"), 1);
    nested.finish();
    std::string urls;
    fields.each("steps", [&](JsonFields step) {
        urls += step.required<std::string>("u");
        step.finish();
    });
    EXPECT_EQ(urls, "12");
    fields.finish();
}

TEST(JsonFields, names_the_field_that_is_missing_unknown_or_of_the_wrong_type) {
    auto steps = [](JsonFields& fields) {
        fields.each("a", [](JsonFields a) {
            JsonFields b = a.object("b");
            b.required<std::string>("c");
            b.finish();
        });
    };
    EXPECT_EQ(complaint(R"({"a":[{"b":{"c":"x"}}]})", steps), Complaint());
    EXPECT_EQ(complaint(R"({"a":[{"b":{"c":"x"}},{"b":{"c":1}}]})", steps),
              (Complaint{"a[1].b.c", "a[1].b.c must be a string"}));
    EXPECT_EQ(complaint(R"({"a":[{"b":{}}]})", steps), (Complaint{"a[0].b.c", "a[0].b.c is missing"}));
    EXPECT_EQ(complaint(R"({"a":[{"b":{"c":"x","d":1}}]})", steps),
              (Complaint{"a[0].b.d", "a[0].b.d is not a known field"}));
    EXPECT_EQ(complaint(R"({"a":[5]})", steps), (Complaint{"a[0]", "a[0] must be an object"}));
    EXPECT_EQ(complaint(R"({"a":{}})", steps), (Complaint{"a", "a must be an array"}));
    EXPECT_EQ(complaint("[]", steps), (Complaint{"", "the document must be an object"}));
    auto small = [](JsonFields& fields) { fields.required<int8_t>("n"); };
    EXPECT_EQ(complaint(R"({"n":127})", small), Complaint());
    EXPECT_EQ(complaint(R"({"n":128})", small), (Complaint{"n", "n must be an integer from -128 to 127"}));
    EXPECT_EQ(complaint(R"({"n":1.5})", small), (Complaint{"n", "n must be an integer"}));
    auto refuse = [](JsonFields& fields) { fields.refuse("mode", "must be saga or tcc"); };
    EXPECT_EQ(complaint("{}", refuse), (Complaint{"mode", "mode must be saga or tcc"}));
}

TEST(Problems, carry_members_of_their_own_through_an_app) {
    App app("test");
    app.post("/x", []() -> Task<Response> {
        json::value document = co_await request.json();
        JsonFields fields(document);
        fields.required<std::string>("gid");
        co_return Problem(Status::conflict).type("https://example.org/taken").detail("taken").with("gid", 5).response();
    });
    TestResponse missing = post(app, "{}");
    EXPECT_EQ(missing.status, Status::bad_request);
    EXPECT_EQ(missing.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(missing.json(), (json::value{{"type", "about:blank"},
                                           {"title", "Bad Request"},
                                           {"status", 400},
                                           {"detail", "gid is missing"},
                                           {"field", "gid"}}));
    TestResponse taken = post(app, R"({"gid":"1"})");
    EXPECT_EQ(taken.status, Status::conflict);
    EXPECT_EQ(taken.json().at("gid"), 5);
    EXPECT_THROW(Problem(Status::ok).with("status", 1), Error);
}

}  // namespace
}  // namespace tandem::web
