// What holds:
// 1. One write is under way at a time: the connection's own, or say_timeout()'s, which begins only while the connection
//    waits for the client to send, and after which (timed_out_) the connection writes nothing more.
// 2. Responses leave in the order of their requests; what is in batch_ is written before anything is read.
// 3. The next request is parsed only after the body of the one before was read to its end.
// 4. A response head says "Connection: close" whenever it is known by then that the connection will not be kept.
#include "tandem/http/connection.h"

#include <algorithm>
#include <cstring>

#include "tandem/base/log.h"
#include "tandem/http/parser_rules.h"
#include "tandem/http/status_error.h"
#include "tandem/http/trace.h"

namespace tandem::http::detail {

namespace {

// Reads of a body from here on go past the connection's buffer into the reader's own.
constexpr size_t direct_read_bytes = 4096;

Response error_response(Status status, std::string_view detail, const Headers& headers = {}) {
    Response response = Response::problem(status, detail);
    for (auto [name, value] : headers) response.headers.add(name, value);
    return response;
}

// Must be called inside a catch block.
Response response_to_current_exception(ServerStats& stats, const Request& request) {
    try {
        throw;
    } catch (const StatusError& error) {
        return error_response(error.status(), error.message(), error.headers());
    } catch (...) {
        stats.handler_errors.fetch_add(1, std::memory_order_relaxed);
        Error error = Error::current();
        log::error("a request failed", {{"method", request.method_text},
                                        {"path", request.path},
                                        {"code", to_string(error.code())},
                                        {"error", error.what()}});
        return error_response(Status::internal_server_error, {});
    }
}

void count(std::atomic<uint64_t>& counter, uint64_t by = 1) noexcept {
    // One loop writes; a load and a store are cheaper than a locked addition, and readers see whole values.
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

// Writes the pieces of a streamed response: chunked, or plain up to a promised length or the connection's end.
class Connection::StreamedBody final : public BodyWriter {
  public:
    StreamedBody(Connection& connection, const ResponseFraming& framing)
        : connection_(connection), chunked_(framing.chunked), left_(framing.length) {}

    async::Task<void> write(std::string_view bytes) override {
        if (bytes.empty()) co_return;
        if (left_) {
            if (bytes.size() > *left_) fail(Code::internal, "a streamed body is longer than its Content-Length");
            *left_ -= bytes.size();
        }
        ResponseBatch& batch = connection_.batch_;
        if (chunked_) batch.append(fmt::format("{:x}\r\n", bytes.size()));
        batch.append_borrowed(bytes);
        if (chunked_) batch.append("\r\n");
        co_await connection_.flush();
    }
    // Does not write yet: the end goes out with whatever comes next.
    void finish() {
        if (left_ && *left_ > 0) fail(Code::internal, "a streamed body is shorter than its Content-Length");
        if (chunked_) connection_.batch_.append("0\r\n\r\n");
    }

  private:
    Connection& connection_;
    bool chunked_;
    std::optional<uint64_t> left_;
};

Connection::Connection(ServerState& server, std::unique_ptr<net::Stream> stream)
    : server_(server),
      stream_(std::move(stream)),
      buffer_(std::max<size_t>(server.options.read_buffer_bytes, 1024)),
      parser_(server.options.limits),
      chunks_(server.options.limits) {
    request_.clear();
    request_.peer = stream_->peer();
}

async::Task<void> Connection::run() {
    context_ = async::Context::current();
    try {
        co_await serve_requests();
    } catch (...) {
        // The peer went away, a deadline closed the stream, or the server is stopping: there is nobody to tell.
        log::debug("a connection ended early", {{"error", Error::current().what()}});
    }
    leave();
    if (timeout_scope_) {
        try {
            co_await timeout_scope_->join();
        } catch (...) {
            log::debug("a timeout was not delivered", {{"error", Error::current().what()}});
        }
    }
    stream_->close();
}

// One coroutine for all requests of a connection: what can be done without waiting is in plain functions, so that a
// request costs no coroutine frame beside its handler's.
async::Task<void> Connection::serve_requests() {
    while (true) {
        Progress head = parse_head();
        if (head == Progress::need_more) head = co_await wait_for_head();
        if (head == Progress::failed) co_await refuse(parser_.error());
        if (head != Progress::done) co_return;
        begin_request();
        base::TraceContext trace = receive_trace(request_.headers, server_.trace_ids);
        async::Context context(context_);
        context.set(trace_key, static_cast<const base::TraceContext*>(&trace));
        std::optional<Response> response;
        if (request_.method == Method::unknown || request_.method == Method::connect) {
            response = error_response(Status::not_implemented, "this method is not known here");
        } else {
            request_context_ = &context;
            try {
                response.emplace(co_await server_.handler(request_).in_place_under(context));
            } catch (...) {
                response = response_to_failure(context);
            }
            request_context_ = nullptr;
        }
        if (timed_out_) co_return;
        context_->check();
        ResponseFraming framing = begin_response(*response);
        if (response->stream && request_.method != Method::head) co_await send_stream(*response, framing, context);
        if (!body_done_ && keep_alive_) co_await discard_body();
        if (timed_out_) co_return;
        if (!keep_alive_) {
            co_await flush();
            co_await linger();
            co_return;
        }
        parser_.reset();
        request_.recycle();
        if (batch_.bytes() >= server_.options.write_batch_bytes) co_await flush();
    }
}

Progress Connection::parse_head() {
    Parsed parsed = parser_.parse(buffer_.unread(), request_);
    buffer_.consume(parsed.consumed);
    return parsed.progress;
}

// Reads until a request's head is there (done) or cannot be understood (failed); need_more when no more will come.
async::Task<Progress> Connection::wait_for_head() {
    Progress progress = Progress::need_more;
    while (progress == Progress::need_more) {
        if (!batch_.empty()) co_await flush();
        if (!parser_.started() && server_.draining) co_return progress;
        bool waits_idle = !parser_.started() && !first_request_;
        if (!waits_idle && !head_deadline_) head_deadline_ = server_.deadline_in(server_.options.header_timeout);
        if (co_await fill(waits_idle ? Phase::idle : Phase::head) == 0) co_return progress;
        progress = parse_head();
    }
    first_request_ = false;
    head_deadline_.reset();
    co_return progress;
}

void Connection::begin_request() {
    const RequestFraming& framing = parser_.framing();
    keep_alive_ = framing.keep_alive;
    continue_wanted_ = framing.expect_continue;
    response_begun_ = false;
    body_left_ = framing.length;
    body_done_ = framing.framing == Framing::none;
    body_bytes_ = 0;
    body_waited_ = {};
    if (framing.framing == Framing::chunked) chunks_.reset();
    if (!body_done_) request_.body = BodyReader(static_cast<BodySource&>(*this));
    count(server_.stats.requests);
}

// Must be called inside a catch block.
Response Connection::response_to_failure(const async::Context& context) {
    if (context.cancelled() || timed_out_)
        return error_response(Status::service_unavailable, "the request was cancelled");
    if (input_ended_) return error_response(Status::bad_request, "the body ended early");
    return response_to_current_exception(server_.stats, request_);
}

ResponseFraming Connection::frame(Response& response, OwnFields& own) {
    if (is_informational(response.status)) {
        log::error("a handler answered with an interim status", {{"path", request_.path}});
        response = error_response(Status::internal_server_error, {});
        own = OwnFields(response.headers);
    }
    bool client_waits_or_sends_too_much =
        !body_done_ && (continue_wanted_ || (parser_.framing().framing == Framing::length &&
                                             body_left_ > server_.options.max_discarded_body_bytes));
    if (server_.draining || client_waits_or_sends_too_much || response.status == Status::request_timeout ||
        response.status == Status::content_too_large || own.close)
        keep_alive_ = false;
    ResponseFraming framing;
    framing.version = request_.version;
    if (forbids_content(response.status)) {
        response.body.clear();
        response.stream = nullptr;
        if (response.status == Status::reset_content) framing.length = 0;
        if (response.status == Status::not_modified) framing.length = own.length;
    } else if (!response.stream) {
        bool asked_for_head_only = request_.method == Method::head && response.body.empty() && own.length;
        framing.length = asked_for_head_only ? *own.length : response.body.size();
    } else if (response.stream_length) {
        framing.length = response.stream_length;
    } else if (request_.version == 11) {
        framing.chunked = true;
    } else {
        keep_alive_ = false;
    }
    framing.keep_alive = keep_alive_;
    return framing;
}

ResponseFraming Connection::begin_response(Response& response) {
    OwnFields own(response.headers);
    ResponseFraming framing = frame(response, own);
    count(server_.stats.responses_by_class[std::clamp(to_int(response.status) / 100, 0, 5)]);
    batch_.append_head(response, own, framing, server_.date_line);
    response_begun_ = true;
    if (request_.method == Method::head || response.stream) return framing;
    if (response.body.size() <= server_.options.copied_body_bytes) {
        batch_.append(response.body);
    } else {
        batch_.append_large(std::move(response.body));
    }
    return framing;
}

async::Task<void> Connection::send_stream(Response& response, ResponseFraming framing, async::Context& context) {
    StreamedBody body(*this, framing);
    bool broke = false;
    request_context_ = &context;
    try {
        co_await response.stream(body).under(context);
        body.finish();
    } catch (...) {
        broke = true;
        log::error("a response's stream failed", {{"path", request_.path}, {"error", Error::current().what()}});
    }
    request_context_ = nullptr;
    // Half a response cannot be taken back; that it is not whole shows by the connection's end.
    if (broke) fail(Code::internal, "a response's stream failed");
}

async::Task<void> Connection::refuse(const ParseError& error) {
    keep_alive_ = false;
    body_done_ = false;
    count(server_.stats.requests);
    count(server_.stats.responses_by_class[to_int(error.status) / 100]);
    Response response = error_response(error.status, error.reason);
    ResponseFraming framing{.length = response.body.size(), .keep_alive = false};
    batch_.append_head(response, OwnFields(response.headers), framing, server_.date_line);
    if (request_.method != Method::head) batch_.append(response.body);
    co_await flush();
    co_await linger();
}

// ---- reading ----

std::optional<uint64_t> Connection::length() const noexcept {
    if (parser_.framing().framing == Framing::chunked) return std::nullopt;
    return parser_.framing().length;
}

size_t Connection::take_body(std::span<std::byte> buffer) {
    std::string_view unread = buffer_.unread();
    if (parser_.framing().framing == Framing::length) {
        size_t size = std::min({buffer.size(), unread.size(), static_cast<size_t>(body_left_)});
        if (size > 0) std::memcpy(buffer.data(), unread.data(), size);
        buffer_.consume(size);
        body_left_ -= size;
        body_done_ = body_left_ == 0;
        return size;
    }
    ChunkedDecoder::Step step = chunks_.next(unread, buffer.size());
    if (!step.data.empty()) std::memcpy(buffer.data(), step.data.data(), step.data.size());
    buffer_.consume(step.consumed);
    if (step.progress == Progress::failed) {
        keep_alive_ = false;
        throw StatusError(chunks_.error().status, chunks_.error().reason);
    }
    body_done_ = step.progress == Progress::done;
    return step.data.size();
}

async::Task<size_t> Connection::read(std::span<std::byte> buffer) {
    while (!body_done_) {
        if (size_t size = take_body(buffer); size > 0 || body_done_) co_return size;
        if (continue_wanted_ && !response_begun_) batch_.append("HTTP/1.1 100 Continue\r\n\r\n");
        continue_wanted_ = false;
        if (!batch_.empty()) co_await flush();
        bool direct =
            parser_.framing().framing == Framing::length && buffer_.empty() && buffer.size() >= direct_read_bytes;
        size_t size = 0;
        if (direct) {
            size = co_await receive(Phase::body, buffer.first(std::min<uint64_t>(buffer.size(), body_left_)));
            body_left_ -= size;
            body_done_ = body_left_ == 0;
        } else {
            size = co_await fill(Phase::body);
        }
        if (size == 0) {
            keep_alive_ = false;
            fail(Code::unavailable, "the client closed the connection before the end of its body");
        }
        if (direct) co_return size;
    }
    co_return 0;
}

async::Task<void> Connection::discard_body() {
    // Not an array: the frame would be larger than the free lists keep.
    std::vector<std::byte> scratch(4096);
    size_t discarded = 0;
    try {
        while (size_t size = co_await read(scratch)) {
            discarded += size;
            if (discarded > server_.options.max_discarded_body_bytes) break;
        }
    } catch (const StatusError&) {
        keep_alive_ = false;  // broken chunks: the response is under way already
    }
    if (!body_done_) keep_alive_ = false;
}

async::Task<size_t> Connection::fill(Phase phase) {
    size_t size = co_await receive(phase, buffer_.space());
    buffer_.added(size);
    co_return size;
}

async::Task<size_t> Connection::receive(Phase phase, std::span<std::byte> buffer) {
    enter(phase);
    size_t size = co_await stream_->read(buffer);
    leave();
    if (timed_out_) fail(Code::deadline_exceeded, "the client was too slow");
    count(server_.stats.bytes_read, size);
    if (phase == Phase::body) body_bytes_ += size;
    input_ended_ = size == 0;
    server_.date_line = server_.date.get();
    co_return size;
}

// ---- writing ----

async::Task<void> Connection::flush() {
    if (timed_out_) fail(Code::deadline_exceeded, "the client was too slow");
    if (batch_.empty()) co_return;
    size_t size = batch_.bytes();
    enter(Phase::writing);
    co_await stream_->write(batch_.parts());
    leave();
    batch_.clear();
    count(server_.stats.bytes_written, size);
}

// A close with unread bytes would reset the connection, and the peer might lose the response with it.
async::Task<void> Connection::linger() {
    stream_->shutdown_write();
    if (body_done_ && buffer_.empty()) co_return;
    enter(Phase::lingering);
    size_t discarded = 0;
    while (discarded < server_.options.max_lingering_bytes) {
        buffer_.consume(buffer_.unread().size());
        size_t size = co_await stream_->read(buffer_.space());
        if (size == 0) break;
        discarded += size;
    }
    leave();
}

// ---- deadlines ----

void Connection::enter(Phase phase) noexcept {
    const ServerOptions& options = server_.options;
    phase_ = phase;
    phase_since_ = server_.now;
    switch (phase) {
        case Phase::idle:
            deadline_ = server_.deadline_in(options.idle_timeout);
            break;
        case Phase::head:
            deadline_ = *head_deadline_;
            break;
        case Phase::writing:
            deadline_ = server_.deadline_in(options.write_timeout);
            break;
        case Phase::lingering:
        case Phase::timed_out:
            deadline_ = server_.deadline_in(options.linger_timeout);
            break;
        case Phase::busy:
        case Phase::body:
            break;
    }
}

void Connection::leave() noexcept {
    if (phase_ == Phase::body) body_waited_ += server_.now - phase_since_;
    if (phase_ != Phase::timed_out) phase_ = Phase::busy;
}

bool Connection::body_is_late(base::TimePoint now) const noexcept {
    const ServerOptions& options = server_.options;
    base::Duration waited = body_waited_ + (now - phase_since_) - options.tick;
    if (waited >= options.body_timeout) return true;
    if (waited < options.body_rate_grace) return false;
    auto wanted =
        std::chrono::duration<double>(waited).count() * static_cast<double>(options.min_body_bytes_per_second);
    return static_cast<double>(body_bytes_) < wanted;
}

void Connection::tick(base::TimePoint now) {
    if (phase_ == Phase::busy) return;
    if (phase_ == Phase::body ? !body_is_late(now) : now < deadline_) return;
    if (phase_ != Phase::idle && phase_ != Phase::timed_out) count(server_.stats.timeouts);
    bool answerable = phase_ == Phase::body ? !response_begun_ : phase_ == Phase::head && parser_.started();
    if (answerable) {
        time_out();
    } else {
        stream_->close();
    }
}

void Connection::time_out() {
    timed_out_ = true;
    enter(Phase::timed_out);
    timeout_scope_.emplace(context_);
    timeout_scope_->spawn(say_timeout());
}

async::Task<void> Connection::say_timeout() {
    Response response = error_response(Status::request_timeout, "the request did not arrive in time");
    ResponseFraming framing{.length = response.body.size(), .keep_alive = false};
    ResponseBatch batch;
    batch.append_head(response, OwnFields(response.headers), framing, server_.date_line);
    batch.append(response.body);
    count(server_.stats.responses_by_class[4]);
    co_await stream_->write(batch.parts());
    stream_->shutdown_write();
    stream_->close();
}

void Connection::close_if_idle() noexcept {
    if (phase_ == Phase::idle || (phase_ == Phase::head && !parser_.started())) stream_->close();
}

void Connection::abort() {
    if (request_context_) request_context_->cancel(Error(Code::cancelled, "the server is closing"));
    stream_->close();
}

}  // namespace tandem::http::detail
