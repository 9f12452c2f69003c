// Static files, conditional requests and ranges; what Flask gets wrong against RFC 9110 is here done right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tandem/web/static_files.h"
#include "tandem/web/test_client.h"

namespace tandem::web {
namespace {

using testing::HasSubstr;

constexpr std::string_view digits = "0123456789";
constexpr std::string_view modified = "Thu, 01 Jan 2026 00:00:00 GMT";
constexpr std::string_view before = "Wed, 31 Dec 2025 00:00:00 GMT";

class StaticFiles : public testing::Test {
  protected:
    StaticFiles() {
        namespace fs = std::filesystem;
        root_ = fs::path(testing::TempDir()) / fmt::format("tandem_static_{}", getpid());
        fs::create_directories(root_ / "files" / "css");
        std::ofstream(root_ / "secret.txt") << "secret";
        std::ofstream(root_ / "files" / "ten.txt") << digits;
        std::ofstream(root_ / "files" / "css" / "a b.css") << "p {}";
        std::ofstream(root_ / "files" / ".hidden") << "hidden";
        std::ofstream(root_ / "files" / "empty");
        std::string large;
        for (int i = 0; i < 30'000; ++i) large += fmt::format("{:05}\n", i);
        std::ofstream(root_ / "files" / "large.bin") << large;
        fs::create_symlink(root_ / "secret.txt", root_ / "files" / "link");
        fs::create_symlink(root_, root_ / "files" / "up");
        ::mkfifo((root_ / "files" / "fifo").c_str(), 0600);
        StaticOptions options;
        options.stream_from_bytes = 1000;
        options.chunk_bytes = 4096;
        serve_directory(app_, "/static", (root_ / "files").string(), options);
        StaticOptions memory;
        memory.endpoint = "memory";
        memory.cache_control = "max-age=60";
        auto when = http::parse_date(modified, {});
        serve_memory(app_, "/mem",
                     {{"ten.txt", "", digits, when}, {"x/y.bin", "application/x-y", "ABC"}, {"empty", "", ""}}, memory);
    }
    ~StaticFiles() override { std::filesystem::remove_all(root_); }

    TestResponse get(std::string target, http::Headers headers = {}) {
        return async::run(client_.get(std::move(target), std::move(headers)));
    }
    TestResponse range(std::string_view value) { return get("/mem/ten.txt", {{"Range", value}}); }

    std::filesystem::path root_;
    App app_{"test"};
    TestClient client_{app_};
};

TEST_F(StaticFiles, come_with_type_etag_date_and_length) {
    TestResponse response = get("/static/ten.txt");
    EXPECT_EQ(response.status, Status::ok);
    EXPECT_EQ(response.body, digits);
    EXPECT_EQ(response.header("Content-Type"), "text/plain; charset=utf-8");
    EXPECT_EQ(response.header("Cache-Control"), "no-cache");
    EXPECT_EQ(response.header("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(response.header("Accept-Ranges"), "bytes");
    EXPECT_TRUE(response.header("ETag").starts_with('"'));
    EXPECT_TRUE(response.headers.contains("Last-Modified"));
    EXPECT_EQ(get("/static/css/a%20b.css").header("Content-Type"), "text/css; charset=utf-8");
    EXPECT_EQ(get("/static/empty").body, "");
    EXPECT_EQ(get("/static/empty").header("Content-Type"), "application/octet-stream");
    EXPECT_EQ(get("/mem/x/y.bin").body, "ABC");
    EXPECT_EQ(get("/mem/x/y.bin").header("Content-Type"), "application/x-y");
    EXPECT_EQ(get("/mem/ten.txt").header("Last-Modified"), modified);
    EXPECT_EQ(get("/mem/ten.txt").header("Cache-Control"), "max-age=60");
    EXPECT_EQ(get("/mem/empty").status, Status::ok);
    EXPECT_EQ(app_.url_for("static", {{"name", "css/a b.css"}}), "/static/css/a%20b.css");
}

TEST_F(StaticFiles, give_nothing_outside_their_directory_and_no_dot_files) {
    for (std::string target :
         {"/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt",
          "/static/%252e%252e/secret.txt", "/static/css/../../secret.txt", "/static/.hidden", "/static/link",
          "/static/up/secret.txt", "/static/css", "/static/css/", "/static/", "/static//ten.txt", "/static/ten.txt/",
          "/static/ten.txt/x", "/static/none", "/static/fifo", "/mem/none", "/mem/../static/.hidden"}) {
        TestResponse response = get(target);
        EXPECT_EQ(response.status, Status::not_found) << target << " " << response.body;
    }
    // The path as a view gets it from elsewhere, without the server's normalization.
    App app("direct");
    app.get("/",
            [this](Request& request) { return send_file(request, (root_ / "files").string(), request.arg("f", "")); });
    TestClient client(app);
    for (std::string name : {"../secret.txt", "css/../../secret.txt", "/etc/passwd", "", ".", "..", "%00"})
        EXPECT_EQ(async::run(client.get("/?f=" + name)).status, Status::not_found) << name;
    EXPECT_EQ(async::run(client.get("/?f=ten.txt")).body, digits);
}

TEST_F(StaticFiles, are_streamed_when_large_and_ranges_of_them_too) {
    TestResponse whole = get("/static/large.bin");
    EXPECT_EQ(whole.body.size(), 180'000u);
    EXPECT_TRUE(whole.body.ends_with("29999\n"));
    TestResponse part = get("/static/large.bin", {{"Range", "bytes=60000-60005"}});
    EXPECT_EQ(part.status, Status::partial_content);
    EXPECT_EQ(part.body, "10000\n");
    EXPECT_EQ(part.header("Content-Range"), "bytes 60000-60005/180000");
    EXPECT_EQ(get("/static/large.bin", {{"Range", "bytes=5-20000"}}).body, whole.body.substr(5, 19996));
    EXPECT_EQ(get("/static/large.bin", {{"Range", "bytes=0-1,5-6"}}).status, Status::ok);
}

TEST_F(StaticFiles, answer_head_with_the_fields_of_get) {
    TestResponse response = async::run(client_.head("/mem/ten.txt"));
    EXPECT_EQ(response.status, Status::ok);
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(response.header("ETag"), get("/mem/ten.txt").header("ETag"));
    // Range counts for GET alone.
    EXPECT_EQ(async::run(client_.head("/mem/ten.txt", {{"Range", "bytes=0-1"}})).status, Status::ok);
    EXPECT_EQ(async::run(client_.send("POST", "/mem/ten.txt")).status, Status::method_not_allowed);
}

TEST_F(StaticFiles, have_another_etag_when_their_content_changes) {
    std::string old(get("/static/ten.txt").header("ETag"));
    std::ofstream(root_ / "files" / "ten.txt") << "9876543210 and more";
    EXPECT_NE(get("/static/ten.txt").header("ETag"), old);
    EXPECT_NE(etag_of("a"), etag_of("b"));
}

// ---- conditions ----

TEST_F(StaticFiles, are_not_sent_again_to_who_has_them) {
    std::string etag(get("/mem/ten.txt").header("ETag"));
    for (std::string tags : {etag, "\"other\", " + etag, "W/" + etag, std::string("*")}) {
        TestResponse response = get("/mem/ten.txt", {{"If-None-Match", tags}});
        EXPECT_EQ(response.status, Status::not_modified) << tags;
        EXPECT_EQ(response.body, "");
        EXPECT_EQ(response.header("ETag"), etag);
        EXPECT_FALSE(response.headers.contains("Content-Type"));
    }
    EXPECT_EQ(get("/mem/ten.txt", {{"If-None-Match", "\"other\""}}).status, Status::ok);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Modified-Since", modified}}).status, Status::not_modified);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Modified-Since", before}}).status, Status::ok);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Modified-Since", "yesterday"}}).status, Status::ok);
    // If-None-Match outweighs If-Modified-Since.
    EXPECT_EQ(get("/mem/ten.txt", {{"If-None-Match", "\"other\""}, {"If-Modified-Since", modified}}).status,
              Status::ok);
}

TEST_F(StaticFiles, proceed_on_if_match_star_where_flask_gives_412) {
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", "*"}}).status, Status::ok);
}

TEST_F(StaticFiles, heed_if_match_and_if_unmodified_since_where_flask_ignores_the_latter) {
    std::string etag(get("/mem/ten.txt").header("ETag"));
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", etag}}).status, Status::ok);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", "\"other\""}}).status, Status::precondition_failed);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", "W/" + etag}}).status, Status::precondition_failed);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Unmodified-Since", before}}).status, Status::precondition_failed);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Unmodified-Since", modified}}).status, Status::ok);
    // If-Match outweighs If-Unmodified-Since, and a failed If-Match outweighs If-None-Match.
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", etag}, {"If-Unmodified-Since", before}}).status, Status::ok);
    EXPECT_EQ(get("/mem/ten.txt", {{"If-Match", "\"other\""}, {"If-None-Match", etag}}).status,
              Status::precondition_failed);
}

TEST_F(StaticFiles, with_a_range_and_a_matching_if_none_match_are_304_where_flask_gives_206) {
    std::string etag(get("/mem/ten.txt").header("ETag"));
    EXPECT_EQ(get("/mem/ten.txt", {{"Range", "bytes=0-1"}, {"If-None-Match", etag}}).status, Status::not_modified);
}

TEST_F(StaticFiles, with_a_range_and_a_failing_if_match_are_412_where_flask_gives_206) {
    EXPECT_EQ(get("/mem/ten.txt", {{"Range", "bytes=0-1"}, {"If-Match", "\"other\""}}).status,
              Status::precondition_failed);
}

// ---- ranges ----

TEST_F(StaticFiles, give_single_ranges) {
    for (auto [value, body, told] : {std::tuple("bytes=2-4", "234", "bytes 2-4/10"),
                                     {"bytes=7-", "789", "bytes 7-9/10"},
                                     {"bytes=-3", "789", "bytes 7-9/10"},
                                     {"bytes=-100", "0123456789", "bytes 0-9/10"},
                                     {"BYTES=8-99999999999999999999999", "89", "bytes 8-9/10"},
                                     {"bytes= 0-0 ", "0", "bytes 0-0/10"},
                                     {"bytes=,1-1,", "1", "bytes 1-1/10"},
                                     {"bytes=20-,3-3", "3", "bytes 3-3/10"}}) {
        TestResponse response = range(value);
        EXPECT_EQ(response.status, Status::partial_content) << value;
        EXPECT_EQ(response.body, body) << value;
        EXPECT_EQ(response.header("Content-Range"), told);
        EXPECT_EQ(response.header("Content-Type"), "text/plain; charset=utf-8");
    }
}

TEST_F(StaticFiles, ignore_an_unknown_range_unit_where_flask_gives_416_and_malformed_ranges) {
    for (std::string value : {"lines=0-1", "bytes", "bytes=", "bytes=x-1", "bytes=4-2", "bytes=-", "bytes=1-2x",
                              "bytes=1-2,z", "bytes=+1-2", "bytes=0-8,0-8", "bytes=0-,-1"}) {
        TestResponse response = range(value);
        EXPECT_EQ(response.status, Status::ok) << value;
        EXPECT_EQ(response.body, digits) << value;
    }
}

TEST_F(StaticFiles, give_several_ranges_as_multipart_where_flask_gives_416) {
    TestResponse response = range("bytes=0-1,5-6");
    EXPECT_EQ(response.status, Status::partial_content);
    std::string_view type = response.header("Content-Type");
    ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary="));
    std::string boundary(type.substr(type.find('=') + 1));
    EXPECT_EQ(response.body, fmt::format("--{0}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes "
                                         "0-1/10\r\n\r\n01\r\n--{0}\r\nContent-Type: text/plain; "
                                         "charset=utf-8\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--{0}--\r\n",
                                         boundary));
    std::string many = "bytes=0-0";
    for (int i = 0; i < 16; ++i) many += ",1-1";
    EXPECT_EQ(range(many).status, Status::ok);
}

TEST_F(StaticFiles, tell_their_size_when_no_range_is_satisfiable) {
    for (std::string value : {"bytes=10-", "bytes=-0", "bytes=10-11,99-"}) {
        TestResponse response = range(value);
        EXPECT_EQ(response.status, Status::range_not_satisfiable) << value;
        EXPECT_EQ(response.header("Content-Range"), "bytes */10");
    }
    EXPECT_EQ(get("/mem/empty", {{"Range", "bytes=0-"}}).status, Status::range_not_satisfiable);
}

TEST_F(StaticFiles, give_a_range_only_when_if_range_holds) {
    std::string etag(get("/mem/ten.txt").header("ETag"));
    auto status = [&](std::string_view condition) {
        return get("/mem/ten.txt", {{"Range", "bytes=0-1"}, {"If-Range", condition}}).status;
    };
    EXPECT_EQ(status(etag), Status::partial_content);
    EXPECT_EQ(status("\"other\""), Status::ok);
    EXPECT_EQ(status("W/" + etag), Status::ok);
    EXPECT_EQ(status(modified), Status::partial_content);
    EXPECT_EQ(status(before), Status::ok);
    EXPECT_EQ(status("nonsense"), Status::ok);
}

TEST(Etags, are_listed_with_commas_inside_quotes_kept) {
    EXPECT_THAT(parse_etags(R"("a,b" , W/"c",,*)"), testing::ElementsAre("\"a,b\"", "W/\"c\"", "*"));
    EXPECT_THAT(parse_etags(R"("a" b, "c")"), testing::ElementsAre("\"a\""));
    EXPECT_THAT(parse_etags("\"open"), testing::IsEmpty());
    EXPECT_THAT(parse_etags(""), testing::IsEmpty());
}

}  // namespace
}  // namespace tandem::web
