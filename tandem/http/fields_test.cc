// Headers, URLs, dates, methods and statuses.
#include <gtest/gtest.h>

#include "tandem/async/loop.h"
#include "tandem/http/date.h"
#include "tandem/http/headers.h"
#include "tandem/http/line_scan.h"
#include "tandem/http/message.h"
#include "tandem/http/status_error.h"
#include "tandem/http/url.h"

namespace tandem::http {
namespace {

template <typename F>
Code code_of(F call) {
    try {
        call();
    } catch (const Error& error) {
        return error.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return Code::internal;
}

TEST(Headers, names_are_found_in_any_case_and_order_is_kept) {
    Headers headers{{"A", "1"}, {"b", "2"}, {"a", "3"}};
    EXPECT_EQ(headers.get("a"), "1");
    EXPECT_EQ(headers.get_all("A"), (std::vector<std::string_view>{"1", "3"}));
    EXPECT_EQ(headers.get("c"), std::nullopt);
    headers.set("A", "4");
    ASSERT_EQ(headers.size(), 2u);
    EXPECT_EQ(headers[0], (Field{"b", "2"}));
    EXPECT_EQ(headers[1], (Field{"A", "4"}));
    EXPECT_EQ(headers.remove("B"), 1u);
    EXPECT_EQ(headers.remove("B"), 0u);
    EXPECT_EQ(headers.size(), 1u);
}

TEST(Headers, a_value_taken_from_the_same_headers_may_be_set) {
    Headers headers{{"A", "some value"}};
    for (int i = 0; i < 100; ++i) headers.add("B", *headers.get("A"));
    headers.set("A", *headers.get("A"));
    EXPECT_EQ(headers.get("A"), "some value");
    EXPECT_EQ(headers.get_all("B").size(), 100u);
    EXPECT_EQ(headers.get_all("B")[99], "some value");
}

TEST(Headers, refuse_what_would_begin_another_field) {
    Headers headers{{"A", "1"}};
    for (std::string_view value : {"x\r\nSet-Cookie: y", "x\ny", "x\ry", "x\x7fy"})
        EXPECT_EQ(code_of([&] { headers.set("A", value); }), Code::invalid_argument);
    EXPECT_EQ(code_of([&] { headers.add("A", std::string_view("\0", 1)); }), Code::invalid_argument);
    for (std::string_view name : {"", "A B", "A:", "A\r\n"})
        EXPECT_EQ(code_of([&] { headers.add(name, "1"); }), Code::invalid_argument);
    EXPECT_EQ(headers.size(), 1u);
    EXPECT_EQ(headers.get("A"), "1");
}

TEST(Headers, lists_are_searched_by_member) {
    Headers headers{{"Connection", "keep-alive , Upgrade"}, {"Connection", "x"}};
    EXPECT_TRUE(headers.has_token("connection", "upgrade"));
    EXPECT_TRUE(headers.has_token("connection", "X"));
    EXPECT_FALSE(headers.has_token("connection", "keep"));
}

TEST(LineScan, finds_control_characters_wherever_they_stand) {
    for (size_t size : {0, 1, 15, 16, 17, 31, 40}) {
        std::string text(size, '\xff');
        EXPECT_EQ(detail::find_control(text.data(), text.data() + size), text.data() + size);
        for (size_t i = 0; i < size; ++i) {
            for (int c = 0; c < 256; ++c) {
                text[i] = static_cast<char>(c);
                bool control = (c < 0x20 && c != '\t') || c == 0x7f;
                EXPECT_EQ(detail::find_control(text.data(), text.data() + size) - text.data(),
                          static_cast<long>(control ? i : size))
                    << "byte " << c << " at " << i << " of " << size;
            }
            text[i] = 'a';
        }
    }
}

TEST(Url, parses_what_a_client_dials) {
    Url url = Url::parse("HTTP://Example.COM:8080/a%20b?c=d#e");
    EXPECT_EQ(url.scheme, "http");
    EXPECT_EQ(url.host, "example.com");
    EXPECT_EQ(url.port, 8080);
    EXPECT_EQ(url.target(), "/a%20b?c=d");
    EXPECT_EQ(url.authority(), "example.com:8080");
    EXPECT_EQ(url.to_string(), "http://example.com:8080/a%20b?c=d");
    EXPECT_EQ(Url::parse("http://a").target(), "/");
    EXPECT_EQ(Url::parse("http://a?b").target(), "/?b");
    EXPECT_EQ(Url::parse("https://a").port, 443);
    EXPECT_EQ(Url::parse("http://[::1]:81/").authority(), "[::1]:81");
    EXPECT_EQ(Url::parse("http://[::1]/").host, "::1");
    Url unix_url = Url::parse("http+unix://%2Frun%2Fx.sock/p");
    EXPECT_EQ(unix_url.address(), net::Address::unix_socket("/run/x.sock"));
    EXPECT_EQ(Url::parse(unix_url.to_string()), unix_url);
}

TEST(Url, refuses_what_it_cannot_dial) {
    for (std::string_view text :
         {"", "/path", "a:80", "ftp://a/", "http://", "http:///x", "http://a:x/", "http://a:0/", "http://a:99999/",
          "http://me:you@a/", "http://a b/", "http://a/\r\nX: y", "http://[::1/", "http://[g]/", "http+unix:///x"})
        EXPECT_EQ(code_of([&] { (void)Url::parse(text); }), Code::invalid_argument) << text;
}

TEST(Url, percent_encoding_goes_there_and_back) {
    std::string all;
    for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
    EXPECT_EQ(percent_decode(percent_encode(all)), all);
    EXPECT_EQ(percent_encode("/a b", true), "/a%20b");
    EXPECT_EQ(percent_encode("/a"), "%2Fa");
    for (std::string_view bad : {"%", "%1", "%g0", "%0g", "a%"}) EXPECT_EQ(percent_decode(bad), std::nullopt) << bad;
}

TEST(Url, a_query_becomes_ordered_pairs) {
    EXPECT_EQ(parse_query("a=1&b&=x&&a=%26+%2B=y"), (QueryPairs{{"a", "1"}, {"b", ""}, {"", "x"}, {"a", "& +=y"}}));
    EXPECT_TRUE(parse_query("").empty());
    EXPECT_EQ(code_of([] { (void)parse_query("a=%x"); }), Code::invalid_argument);
    EXPECT_EQ(code_of([] { (void)parse_query("a&b&c", 2); }), Code::invalid_argument);
    QueryPairs pairs{{"a b", "ä&="}, {"", ""}};
    EXPECT_EQ(parse_query(encode_query(pairs)), pairs);
}

TEST(Url, paths_lose_their_dot_segments) {
    auto normalized = [](std::string_view raw) {
        std::string path;
        return normalize_path(raw, path) ? path : "refused";
    };
    EXPECT_EQ(normalized("/"), "/");
    EXPECT_EQ(normalized("/."), "/");
    EXPECT_EQ(normalized("/.."), "/");
    EXPECT_EQ(normalized("/a/.."), "/");
    EXPECT_EQ(normalized("/a/../../b"), "/b");
    EXPECT_EQ(normalized("/a//b/"), "/a//b/");
    EXPECT_EQ(normalized("/a/..b/.c/..."), "/a/..b/.c/...");
    EXPECT_EQ(normalized("/%2e%2e%2fb"), "/b");
    EXPECT_EQ(normalized("/a/b/./"), "/a/b/");
    EXPECT_EQ(normalized("/.well-known"), "/.well-known");
    EXPECT_EQ(normalized("a"), "refused");
    EXPECT_EQ(normalized(""), "refused");
    EXPECT_EQ(normalized("/%00"), "refused");
}

constexpr Seconds example{std::chrono::seconds(784111777)};

TEST(Date, all_three_forms_mean_the_same) {
    Seconds now = example + std::chrono::years(30);
    EXPECT_EQ(format_date(example), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", now), example);
    EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", now), example);
    EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994", now), example);
}

TEST(Date, two_digit_years_are_never_more_than_fifty_years_ahead) {
    Seconds now = *parse_date("Thu, 01 Jan 2026 00:00:00 GMT", {});
    EXPECT_EQ(parse_date("Sunday, 06-Nov-76 08:49:37 GMT", now), parse_date("Sat, 06 Nov 2076 08:49:37 GMT", now));
    EXPECT_EQ(parse_date("Sunday, 06-Nov-77 08:49:37 GMT", now), parse_date("Sun, 06 Nov 1977 08:49:37 GMT", now));
}

TEST(Date, nonsense_is_not_a_date) {
    for (std::string_view text :
         {"", "Sun", "Sun,", "Sun, ", "yesterday", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
          "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT",
          "Sun Nov 6 08:49:37 1994", "Sun, -1 Nov 1994 08:49:37 GMT"})
        EXPECT_EQ(parse_date(text, {}), std::nullopt) << text;
}

TEST(Date, the_date_line_follows_the_clock) {
    base::ManualClock clock;
    DateLine line(clock);
    EXPECT_EQ(line.get(), "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    clock.advance(std::chrono::milliseconds(999));
    EXPECT_EQ(line.get(), "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    clock.advance(std::chrono::milliseconds(1));
    EXPECT_EQ(line.get(), "Date: Thu, 01 Jan 2026 00:00:01 GMT\r\n");
}

TEST(Status, every_code_has_a_phrase_and_unknown_ones_have_none) {
    EXPECT_EQ(reason_phrase(Status::not_found), "Not Found");
    EXPECT_EQ(reason_phrase(Status::continue_), "Continue");
    EXPECT_EQ(reason_phrase(static_cast<Status>(299)), "");
    EXPECT_EQ(StatusError(Status::not_found).code(), Code::not_found);
    EXPECT_EQ(problem_json(Status::conflict, "a \"b\"\n"),
              R"({"type":"about:blank","title":"Conflict","status":409,"detail":"a \"b\"\u000a"})");
}

async::Task<std::string> read_all(std::string content, size_t limit) {
    BodyReader body(std::move(content));
    co_return co_await body.read_all(limit);
}

TEST(BodyReader, reads_content_from_memory_up_to_its_bound) {
    EXPECT_EQ(async::run(read_all("", 0)), "");
    EXPECT_EQ(async::run(read_all("hello", 5)), "hello");
    EXPECT_EQ(code_of([] { (void)async::run(read_all("hello", 4)); }), Code::resource_exhausted);
    EXPECT_EQ(BodyReader().length(), 0u);
    EXPECT_EQ(BodyReader("hi").length(), 2u);
    EXPECT_TRUE(BodyReader().trailers().empty());
}

TEST(Method, safe_and_idempotent_ones) {
    EXPECT_EQ(parse_method("DELETE"), Method::delete_);
    EXPECT_EQ(parse_method("delete"), Method::unknown);
    EXPECT_EQ(parse_method(""), Method::unknown);
    EXPECT_EQ(to_string(Method::patch), "PATCH");
    EXPECT_TRUE(is_idempotent(Method::put));
    EXPECT_FALSE(is_safe(Method::put));
    EXPECT_FALSE(is_idempotent(Method::post));
    EXPECT_FALSE(is_idempotent(Method::patch));
}

}  // namespace
}  // namespace tandem::http
