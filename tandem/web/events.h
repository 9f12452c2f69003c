// Server-sent events (WHATWG HTML section 9.2) as a streamed response.
//
//     app.get("/orders/events", [] {
//         return event_stream([](EventStream& events) -> Task<void> {
//             while (true) co_await events.send({.event = "order", .data = co_await next_order()});
//         });
//     });
//
// A comment goes out whenever nothing else did for keep_alive, so that proxies keep the connection and a client that
// went away is noticed: then what the producer waits for is cancelled. The stream ends when the producer returns. The
// producer sees web::request (and a g of its own) when event_stream() was called within a request.
//
// Thread rules: an EventStream belongs to its response's loop; several coroutines below the producer may send.
// Errors: send() throws unavailable when the client went away, internal for a name or id with a line break.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tandem/async/sync.h"
#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/http/message.h"

namespace tandem::web {

struct Event {
    std::string event{};  // "message" when empty
    std::string data{};   // may have several lines
    std::string id{};     // what a reconnecting client sends as Last-Event-ID
};

class EventStream {
  public:
    EventStream(http::BodyWriter& out, std::string_view last_event_id) noexcept
        : out_(out), last_event_id_(last_event_id) {}
    EventStream(const EventStream&) = delete;
    EventStream& operator=(const EventStream&) = delete;

    async::Task<void> send(Event event);
    // A line that clients ignore.
    async::Task<void> comment(std::string text);
    // What the client had seen before it reconnected; empty the first time.
    std::string_view last_event_id() const noexcept { return last_event_id_; }

  private:
    friend struct EventProducer;
    async::Task<void> write(std::string text);

    http::BodyWriter& out_;
    std::string_view last_event_id_;
    async::Mutex writing_;
    base::TimePoint last_write_{};
    bool client_gone_ = false;
};

struct EventStreamOptions {
    base::Duration keep_alive = std::chrono::seconds(15);
    // How long clients wait before they connect again.
    std::optional<std::chrono::milliseconds> retry = std::nullopt;
};

http::Response event_stream(std::function<async::Task<void>(EventStream&)> produce, EventStreamOptions options = {});

}  // namespace tandem::web
