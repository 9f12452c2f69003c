// Server-sent events, and text escaped for HTML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tandem/async/time.h"
#include "tandem/web/escape.h"
#include "tandem/web/events.h"
#include "tandem/web/test_client.h"

namespace tandem::web {
namespace {

using namespace std::chrono_literals;

// A client that goes away after some writes.
class Client final : public http::BodyWriter {
  public:
    explicit Client(int writes_left) : writes_left_(writes_left) {}
    Task<void> write(std::string_view bytes) override {
        if (writes_left_-- == 0) fail(Code::unavailable, "the client went away");
        seen.append(bytes);
        co_return;
    }
    std::string seen;

  private:
    int writes_left_;
};

TEST(Events, are_framed_with_id_name_and_a_data_line_for_each_line) {
    App app("test");
    app.get("/events", [] {
        return event_stream(
            [](EventStream& events) -> Task<void> {
                co_await events.send({.event = "order", .data = "one\ntwo\r\nthree\rfour", .id = "7"});
                co_await events.send({.data = ""});
                co_await events.comment("note");
                EXPECT_THROW(co_await events.send({.event = "a\nb"}), Error);
                EXPECT_THROW(co_await events.send({.id = "a\r"}), Error);
                EXPECT_THROW(co_await events.send({.data = "\xff"}), Error);
            },
            {.retry = 500ms});
    });
    TestClient client(app);
    TestResponse response = async::run(client.get("/events"));
    EXPECT_EQ(response.header("Content-Type"), "text/event-stream");
    EXPECT_EQ(response.header("Cache-Control"), "no-store");
    EXPECT_EQ(
        response.body,
        "retry: 500\n\nid: 7\nevent: order\ndata: one\ndata: two\ndata: three\ndata: four\n\ndata: \n\n: note\n\n");
}

TEST(Events, go_on_where_the_client_stopped_and_see_the_request) {
    App app("test");
    app.get("/events/<what>", [](std::string what) {
        return event_stream([what](EventStream& events) -> Task<void> {
            std::string data = fmt::format("{} {} {}", events.last_event_id(), what, request.path());
            co_await events.send({.data = data});
        });
    });
    TestClient client(app);
    TestResponse response = async::run(client.get("/events/x", {{"Last-Event-ID", "41"}}));
    EXPECT_EQ(response.body, ":\n\ndata: 41 x /events/x\n\n");
}

TEST(Events, are_kept_alive_by_comments_and_end_the_producer_when_the_client_goes_away) {
    bool cancelled = false;
    Response response = event_stream(
        [&](EventStream& events) -> Task<void> {
            co_await events.send({.data = "first"});
            try {
                co_await async::sleep(1h);
            } catch (const Error&) {
                cancelled = true;
                throw;
            }
        },
        {.keep_alive = 1ms});
    Client client(4);
    async::run(response.stream(client));
    EXPECT_EQ(client.seen, ":\n\ndata: first\n\n:\n\n:\n\n");
    EXPECT_TRUE(cancelled);
}

TEST(Events, end_with_the_producer_s_own_error) {
    Response response = event_stream([](EventStream&) -> Task<void> {
        co_await async::yield();
        throw std::runtime_error("trouble");
    });
    Client client(100);
    EXPECT_THROW(async::run(response.stream(client)), std::runtime_error);
}

TEST(EscapeHtml, makes_text_safe_between_tags_and_in_quotes) {
    EXPECT_EQ(escape_html("<script>alert('x' & \"y\")</script>"),
              "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
    EXPECT_EQ(escape_html("grün €"), "grün €");
}

}  // namespace
}  // namespace tandem::web
