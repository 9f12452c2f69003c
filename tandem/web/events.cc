#include "tandem/web/events.h"

#include "tandem/async/scope.h"
#include "tandem/async/time.h"
#include "tandem/base/utf8.h"
#include "tandem/web/context.h"

namespace tandem::web {

namespace {

void check_line(std::string_view text, std::string_view what) {
    if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
        fail(Code::internal, "an event's {} has a line break or a NUL in it", what);
}

// One "data:" line for each line, however it ends.
void append_data(std::string& to, std::string_view data) {
    while (true) {
        size_t end = data.find_first_of("\r\n");
        to.append("data: ").append(data.substr(0, end)).append("\n");
        if (end == std::string_view::npos) return;
        data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
    }
}

}  // namespace

Task<void> EventStream::write(std::string text) {
    async::Permit turn = co_await writing_.lock();
    last_write_ = async::Loop::current().now();
    try {
        co_await out_.write(text);
    } catch (const Error& error) {
        client_gone_ |= error.code() == Code::unavailable;
        throw;
    }
}

Task<void> EventStream::send(Event event) {
    check_line(event.event, "name");
    check_line(event.id, "id");
    std::string text;
    if (!event.id.empty()) text.append("id: ").append(event.id).append("\n");
    if (!event.event.empty()) text.append("event: ").append(event.event).append("\n");
    append_data(text, base::check_utf8(event.data, "an event's data"));
    text.push_back('\n');
    co_await write(std::move(text));
}

Task<void> EventStream::comment(std::string text) {
    check_line(text, "comment");
    co_await write(": " + text + "\n\n");
}

// What the response's stream holds; it outlives the task.
struct EventProducer {
    std::function<Task<void>(EventStream&)> produce;
    EventStreamOptions options;
    std::string last_event_id;

    static Task<void> run(std::shared_ptr<EventProducer> self, http::BodyWriter* out);

  private:
    static Task<void> begin(EventStream& events, std::optional<std::chrono::milliseconds> retry) {
        // At once, so that the client sees its connection is good.
        std::string first = retry ? fmt::format("retry: {}\n\n", retry->count()) : ":\n\n";
        co_await events.write(std::move(first));
    }

    static Task<void> keep_alive(EventStream* events, base::Duration every) {
        while (true) {
            base::TimePoint due = events->last_write_ + every;
            co_await async::sleep_until(due);
            if (async::Loop::current().now() >= events->last_write_ + every) co_await events->write(":\n\n");
        }
    }

    static Task<void> produce_to_the_end(EventProducer* self, EventStream* events, async::Scope* scope, bool* done) {
        co_await self->produce(*events);
        *done = true;
        scope->cancel();
    }
};

Task<void> EventProducer::run(std::shared_ptr<EventProducer> self, http::BodyWriter* out) {
    EventStream events(*out, self->last_event_id);
    bool done = false;
    std::exception_ptr error;
    async::Scope scope;
    try {
        co_await begin(events, self->options.retry);
        scope.spawn(keep_alive(&events, self->options.keep_alive));
        scope.spawn(produce_to_the_end(self.get(), &events, &scope, &done));
        co_await scope.join();
    } catch (...) {
        error = std::current_exception();
    }
    if (error && !done && !events.client_gone_) std::rethrow_exception(error);
}

http::Response event_stream(std::function<Task<void>(EventStream&)> produce, EventStreamOptions options) {
    auto producer = std::make_shared<EventProducer>();
    producer->produce = std::move(produce);
    producer->options = options;
    http::BodyStream stream = [producer](http::BodyWriter& out) { return EventProducer::run(producer, &out); };
    if (has_request_context()) {
        producer->last_event_id = request.header("Last-Event-ID");
        stream = stream_with_context(std::move(stream));
    }
    Response response = Response::streaming("text/event-stream", std::move(stream));
    response.headers.set("Cache-Control", "no-store");
    response.headers.set("X-Accel-Buffering", "no");  // nginx would collect events otherwise
    return response;
}

}  // namespace tandem::web
