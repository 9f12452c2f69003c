// One client's connection to a Server. Inside http only; server.h says what it promises.
#pragma once

#include <memory>
#include <optional>

#include "tandem/async/scope.h"
#include "tandem/http/body.h"
#include "tandem/http/date.h"
#include "tandem/http/read_buffer.h"
#include "tandem/http/response_batch.h"
#include "tandem/http/server.h"

namespace tandem::http::detail {

class Connection;

// What a server's connections share.
struct ServerState {
    ServerState(Handler handler, ServerOptions options)
        : handler(std::move(handler)),
          options(options),
          loop(async::Loop::current()),
          trace_ids(this->options.random->next()),
          date(loop.clock()) {}

    Handler handler;
    ServerOptions options;
    ServerStats stats;
    async::Loop& loop;
    base::SeededRandom trace_ids;  // unique is enough, they are no secrets
    DateLine date;
    std::string_view date_line;  // as of the last tick or read
    base::TimePoint now{};       // as of the last tick
    bool draining = false;

    // When something that begins now and may take `timeout` is late: never early, and at most a tick late.
    base::TimePoint deadline_in(base::Duration timeout) const { return now + options.tick + timeout; }
};

class Connection final : public BodySource {
  public:
    Connection(ServerState& server, std::unique_ptr<net::Stream> stream);

    // Serves until the connection ends; never throws.
    async::Task<void> run();

    // The server's timer: ends the connection if what it waits for is late.
    void tick(base::TimePoint now);
    // Closes it if no request is under way.
    void close_if_idle() noexcept;
    // Cancels the handler and closes.
    void abort();

    // The list of a server's connections.
    Connection* previous = nullptr;
    Connection* next = nullptr;

  private:
    // What the connection waits for; each has a deadline but busy, which is the handler's time.
    enum class Phase : unsigned char { busy, idle, head, body, writing, lingering, timed_out };
    class StreamedBody;

    async::Task<void> serve_requests();
    Progress parse_head();
    async::Task<Progress> wait_for_head();
    void begin_request();
    Response response_to_failure(const async::Context& context);
    // Puts the head, and a body that is there already, into the batch.
    ResponseFraming begin_response(Response& response);
    async::Task<void> send_stream(Response& response, ResponseFraming framing, async::Context& context);
    async::Task<void> refuse(const ParseError& error);
    async::Task<void> discard_body();
    async::Task<void> flush();
    // Both wait for the client under the deadline of `phase`; 0 when it has ended its side.
    async::Task<size_t> fill(Phase phase);
    async::Task<size_t> receive(Phase phase, std::span<std::byte> buffer);
    async::Task<void> linger();
    async::Task<void> say_timeout();
    void enter(Phase phase) noexcept;
    void leave() noexcept;
    bool body_is_late(base::TimePoint now) const noexcept;
    void time_out();
    // Decides how the response ends; one that may not be sent becomes another.
    ResponseFraming frame(Response& response, OwnFields& own);

    // BodySource: the body of the request at hand.
    async::Task<size_t> read(std::span<std::byte> buffer) override;
    size_t take_body(std::span<std::byte> buffer);
    std::optional<uint64_t> length() const noexcept override;
    const Headers& trailers() const noexcept override { return chunks_.trailers(); }

    ServerState& server_;
    std::unique_ptr<net::Stream> stream_;
    ReadBuffer buffer_;
    RequestParser parser_;
    Request request_;
    ResponseBatch batch_;

    // Of the request at hand.
    ChunkedDecoder chunks_;
    uint64_t body_left_ = 0;
    bool body_done_ = true;
    bool continue_wanted_ = false;  // the client waits for 100 before it sends the body
    bool response_begun_ = false;
    bool keep_alive_ = true;
    bool input_ended_ = false;
    uint64_t body_bytes_ = 0;
    base::Duration body_waited_{};
    async::Context* request_context_ = nullptr;

    Phase phase_ = Phase::busy;
    base::TimePoint phase_since_{};
    base::TimePoint deadline_{};
    std::optional<base::TimePoint> head_deadline_;
    bool first_request_ = true;
    bool timed_out_ = false;
    async::Context* context_ = nullptr;
    std::optional<async::Scope> timeout_scope_;
};

}  // namespace tandem::http::detail
