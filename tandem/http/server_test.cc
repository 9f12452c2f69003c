#include "tandem/http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/base/log.h"
#include "tandem/http/status_error.h"
#include "tandem/http/testing.h"
#include "tandem/http/trace.h"
#include "tandem/net/memory.h"

namespace tandem::http {
namespace {

using namespace std::chrono_literals;
using async::Task;
using testing::read_to_end;
using testing::settle;
using testing::VirtualLoop;

Task<Response> hello(Request&) {
    co_return Response::text("hello");
}
Task<Response> echo(Request& request) {
    co_return Response::text(co_await request.body.read_all());
}

constexpr std::string_view simple_get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

size_t count_of(std::string_view text, std::string_view part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

// A server with one client over a memory stream.
struct Pair {
    explicit Pair(Handler handler, ServerOptions options = {}) : server(std::move(handler), std::move(options)) {
        auto [ours, theirs] = net::memory_pair(1024 * 1024);
        client = std::move(ours);
        scope.spawn(server.serve_connection(std::make_unique<testing::CountingStream>(std::move(theirs), writes)));
    }
    base::Duration since_start() const { return async::Loop::current().now() - start; }

    Server server;
    std::unique_ptr<net::Stream> client;
    size_t writes = 0;
    async::Scope scope;
    base::TimePoint start = async::Loop::current().now();
};

Task<void> expect_one_write() {
    Pair pair(hello);
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += simple_get;
    co_await pair.client->write(requests);
    pair.client->shutdown_write();
    std::string received = co_await read_to_end(*pair.client);
    co_await pair.scope.join();
    EXPECT_EQ(count_of(received, "HTTP/1.1 200 OK\r\n"), 100u);
    EXPECT_EQ(pair.writes, 1u);
    EXPECT_EQ(pair.server.stats().requests.load(), 100u);
    EXPECT_EQ(pair.server.stats().responses_by_class[2].load(), 100u);
    EXPECT_EQ(pair.server.stats().bytes_read.load(), requests.size());
    EXPECT_EQ(pair.server.stats().bytes_written.load(), received.size());
    EXPECT_EQ(pair.server.stats().connections_open.load(), 0u);
}
TEST(Server, a_hundred_pipelined_requests_are_answered_by_one_write) {
    VirtualLoop().run(expect_one_write());
}

Task<void> expect_large_bodies() {
    Pair pair(
        [](Request& request) -> Task<Response> { co_return Response::text(std::string(100'000, request.path[1])); });
    co_await pair.client->write("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    pair.client->shutdown_write();
    std::string received = co_await read_to_end(*pair.client);
    co_await pair.scope.join();
    EXPECT_TRUE(received.contains("\r\n\r\n" + std::string(100'000, 'a') + "HTTP/1.1 200"));
    EXPECT_TRUE(received.ends_with("\r\n\r\n" + std::string(100'000, 'b')));
    EXPECT_EQ(pair.writes, 1u);
}
TEST(Server, large_bodies_go_out_in_the_same_gathered_write) {
    VirtualLoop().run(expect_large_bodies());
}

Task<void> drip(net::Stream& stream, std::string_view text, base::Duration pause) {
    try {
        for (char c : text) {
            co_await stream.write(std::string_view(&c, 1));
            co_await async::sleep(pause);
        }
    } catch (const Error&) {
        // Closed by the server, as it should be.
    }
}

Task<void> expect_slow_header_times_out() {
    Pair pair(hello, {.header_timeout = 10s});
    pair.scope.spawn(drip(*pair.client, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaa", 1s));
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_TRUE(received.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << received;
    EXPECT_TRUE(received.contains("Connection: close\r\n"));
    EXPECT_GE(pair.since_start(), 10s);
    EXPECT_LE(pair.since_start(), 11s);
    EXPECT_EQ(pair.server.stats().timeouts.load(), 1u);
    co_await pair.scope.join();
}
TEST(Server, a_header_that_comes_byte_by_byte_runs_into_its_deadline) {
    VirtualLoop().run(expect_slow_header_times_out());
}

Task<void> expect_silent_close(std::string_view first, base::Duration timeout) {
    Pair pair(hello, {.header_timeout = 10s, .idle_timeout = 60s});
    if (!first.empty()) co_await pair.client->write(first);
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_EQ(count_of(received, "HTTP/1.1"), first.empty() ? 0u : 1u);
    EXPECT_FALSE(received.contains("408"));
    EXPECT_GE(pair.since_start(), timeout);
    EXPECT_LE(pair.since_start(), timeout + 1s);
    co_await pair.scope.join();
}
TEST(Server, a_connection_that_never_sends_is_closed_without_a_word) {
    VirtualLoop().run(expect_silent_close("", 10s));
}
TEST(Server, an_idle_connection_is_closed_without_a_word) {
    VirtualLoop().run(expect_silent_close(simple_get, 60s));
}

Task<void> expect_slow_body_times_out(base::Duration pause, base::Duration expected) {
    Pair pair(echo, {.body_timeout = 60s, .body_rate_grace = 5s, .min_body_bytes_per_second = 240});
    co_await pair.client->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    std::string body(1'000'000, 'x');
    pair.scope.spawn(drip(*pair.client, body, pause));
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_TRUE(received.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << received;
    EXPECT_GE(pair.since_start(), expected);
    EXPECT_LE(pair.since_start(), expected + 1s);
    co_await pair.scope.join();
}
TEST(Server, a_body_below_the_minimum_rate_ends_after_the_grace) {
    VirtualLoop().run(expect_slow_body_times_out(100ms, 5s));
}
TEST(Server, a_body_at_a_sufficient_rate_still_has_a_deadline) {
    VirtualLoop().run(expect_slow_body_times_out(2ms, 60s));
}

Task<void> expect_handler_time_does_not_count() {
    Pair pair([](Request& request) -> Task<Response> {
        co_await async::sleep(600s);
        co_return Response::text(co_await request.body.read_all());
    });
    co_await pair.client->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    pair.client->shutdown_write();
    EXPECT_TRUE((co_await read_to_end(*pair.client)).ends_with("\r\n\r\nhi"));
    co_await pair.scope.join();
}
TEST(Server, the_time_a_handler_takes_is_not_the_clients) {
    VirtualLoop().run(expect_handler_time_does_not_count());
}

Task<void> expect_stuck_reader_is_closed() {
    Server server([](Request&) -> Task<Response> { co_return Response::text(std::string(100'000, 'x')); },
                  {.write_timeout = 30s});
    auto [client, served] = net::memory_pair(1000);
    base::TimePoint start = async::Loop::current().now();
    async::Scope scope;
    scope.spawn(server.serve_connection(std::move(served)));
    co_await client->write(simple_get);
    co_await scope.join();
    base::Duration taken = async::Loop::current().now() - start;
    EXPECT_GE(taken, 30s);
    EXPECT_LE(taken, 31s);
}
TEST(Server, a_client_that_does_not_read_is_closed) {
    VirtualLoop().run(expect_stuck_reader_is_closed());
}

Task<void> expect_continue_is_lazy() {
    async::Event may_read;
    Pair pair([&](Request& request) -> Task<Response> {
        co_await may_read.wait();
        co_return Response::text(co_await request.body.read_all());
    });
    co_await pair.client->write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    co_await settle();
    EXPECT_EQ(pair.writes, 0u);
    may_read.set();
    std::string received;
    co_await testing::read_until(*pair.client, received, "\r\n\r\n");
    EXPECT_EQ(received, "HTTP/1.1 100 Continue\r\n\r\n");
    co_await pair.client->write("hi");
    pair.client->shutdown_write();
    received = co_await read_to_end(*pair.client);
    EXPECT_TRUE(received.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(received.ends_with("\r\n\r\nhi"));
    co_await pair.scope.join();
}
TEST(Server, a_100_is_sent_when_the_handler_first_reads) {
    VirtualLoop().run(expect_continue_is_lazy());
}

Task<void> expect_responses_before_reading() {
    Pair pair(echo);
    co_await pair.client->write(std::string(simple_get) + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    std::string received;
    co_await testing::read_until(*pair.client, received, "\r\n\r\n");
    EXPECT_TRUE(received.starts_with("HTTP/1.1 200 OK\r\n"));
    co_await pair.client->write("hi");
    pair.client->shutdown_write();
    EXPECT_TRUE((co_await read_to_end(*pair.client)).ends_with("\r\n\r\nhi"));
    co_await pair.scope.join();
}
TEST(Server, finished_responses_do_not_wait_for_a_later_body) {
    VirtualLoop().run(expect_responses_before_reading());
}

Task<void> half_a_stream(BodyWriter& out) {
    co_await out.write("half");
    throw std::runtime_error("secret");
}
Task<void> expect_broken_stream() {
    log::Capture capture;
    Pair pair([](Request&) -> Task<Response> { co_return Response::streaming("text/plain", half_a_stream); });
    co_await pair.client->write(simple_get);
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_TRUE(received.ends_with("4\r\nhalf\r\n")) << received;
    co_await pair.scope.join();
    EXPECT_TRUE(capture.contains("secret"));
}
TEST(Server, a_stream_that_fails_ends_the_connection_without_the_last_chunk) {
    VirtualLoop().run(expect_broken_stream());
}

Task<void> expect_logged_error() {
    log::Capture capture;
    Pair pair([](Request&) -> Task<Response> { fail(Code::io, "the disk says no"); });
    co_await pair.client->write(simple_get);
    pair.client->shutdown_write();
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_TRUE(received.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    EXPECT_FALSE(received.contains("disk"));
    EXPECT_TRUE(capture.contains("the disk says no"));
    EXPECT_EQ(pair.server.stats().handler_errors.load(), 1u);
    co_await pair.scope.join();
}
TEST(Server, a_failed_request_is_logged_and_its_text_stays_inside) {
    VirtualLoop().run(expect_logged_error());
}

Task<void> expect_trace() {
    Pair pair([](Request&) -> Task<Response> {
        const base::TraceContext* trace = async::Context::current()->find(trace_key);
        co_return Response::text(trace ? trace->traceparent() : "none");
    });
    co_await pair.client->write(
        "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    co_await pair.client->write(simple_get);
    pair.client->shutdown_write();
    std::string received = co_await read_to_end(*pair.client);
    EXPECT_EQ(count_of(received, "00-0af7651916cd43dd8448eb211c80319c-"), 1u);
    EXPECT_EQ(count_of(received, "b7ad6b7169203331"), 0u);
    EXPECT_EQ(count_of(received, "\r\n\r\n00-"), 2u);
    co_await pair.scope.join();
}
TEST(Server, a_handler_runs_within_the_trace_of_its_request) {
    VirtualLoop().run(expect_trace());
}

// Fails a few times, then gives one connection.
class ShakyListener final : public net::Listener {
  public:
    ShakyListener(int failures, std::unique_ptr<net::Stream> stream)
        : failures_(failures), stream_(std::move(stream)) {}
    Task<std::unique_ptr<net::Stream>> accept() override {
        if (failures_-- > 0) fail(Code::io, "too many open files");
        if (stream_) co_return std::move(stream_);
        co_await closed_.wait();
        fail(Code::cancelled, "the listener was closed");
    }
    const net::Address& local() const noexcept override { return address_; }
    void close() noexcept override { closed_.set(); }

  private:
    int failures_;
    std::unique_ptr<net::Stream> stream_;
    async::Event closed_;
    net::Address address_ = net::Address::memory("shaky");
};

Task<void> expect_accepting_goes_on() {
    log::Capture capture;
    auto [client, served] = net::memory_pair();
    ShakyListener listener(3, std::move(served));
    Server server(hello);
    async::Scope scope;
    scope.spawn(server.serve(listener));
    co_await client->write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE((co_await read_to_end(*client)).ends_with("hello"));
    EXPECT_EQ(server.stats().accept_errors.load(), 3u);
    EXPECT_TRUE(capture.contains("too many open files"));
    server.drain();
    co_await scope.join();
}
TEST(Server, goes_on_accepting_after_failures) {
    VirtualLoop().run(expect_accepting_goes_on());
}

Task<void> expect_cancelled_server_ends() {
    auto [client, served] = net::memory_pair();
    ShakyListener listener(0, std::move(served));
    Server server([](Request&) -> Task<Response> {
        co_await async::sleep(3600s);
        co_return Response::text("never");
    });
    async::Scope scope;
    scope.spawn(server.serve(listener));
    co_await client->write(simple_get);
    co_await settle();
    EXPECT_EQ(server.stats().connections_open.load(), 1u);
    co_await scope.cancel_and_join();
    EXPECT_EQ(server.stats().connections_open.load(), 0u);
    EXPECT_EQ(co_await read_to_end(*client), "");
}
TEST(Server, ends_with_its_connections_when_it_is_cancelled) {
    VirtualLoop().run(expect_cancelled_server_ends());
}

// ---- over real sockets ----

// A client that shares nothing with the code under test.
class RawClient {
  public:
    explicit RawClient(const net::Address& server) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server.port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        timeval timeout{.tv_sec = 20, .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    }
    ~RawClient() { ::close(socket_); }
    bool connected() const { return connected_; }
    void send(std::string_view text) { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
    void shutdown() { ::shutdown(socket_, SHUT_WR); }
    std::string receive_until(std::string_view end) {
        std::string received;
        char buffer[4096];
        while (end.empty() || !received.ends_with(end)) {
            ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
            if (size <= 0) return received + (size < 0 ? "<error>" : "");
            received.append(buffer, static_cast<size_t>(size));
        }
        return received;
    }
    std::string receive_all() { return receive_until({}); }

  private:
    int socket_;
    bool connected_ = false;
};

// Serves on a loop in a thread of its own until drained.
class ServerThread {
  public:
    explicit ServerThread(Handler handler, ServerOptions options = {}) {
        async::Promise<net::Address> bound;
        async::Future<net::Address> address = bound.future();
        served_ = loop_.submit(serve(std::move(handler), std::move(options), std::move(bound)));
        thread_ = std::thread([this] { loop_.run_until_stopped(); });
        address_ = address.get();
    }
    ~ServerThread() {
        drain();
        served_->get();
        loop_.stop();
        thread_.join();
    }
    const net::Address& address() const { return address_; }
    void drain() { loop_.submit(drain_now()).get(); }
    bool ended_within(base::Duration time) { return served_->wait_for(time); }

  private:
    Task<void> serve(Handler handler, ServerOptions options, async::Promise<net::Address> bound) {
        Server server(std::move(handler), std::move(options));
        server_ = &server;
        auto listener = net::Network::real().listen(net::Address::tcp("127.0.0.1", 0));
        bound.set_value(listener->local());
        std::exception_ptr error;
        try {
            co_await server.serve(*listener);
        } catch (...) {
            error = std::current_exception();
        }
        server_ = nullptr;
        if (error) std::rethrow_exception(error);
    }
    Task<void> drain_now() {
        if (server_) server_->drain();
        co_return;
    }
    async::Loop loop_;
    Server* server_ = nullptr;
    std::optional<async::Future<void>> served_;
    net::Address address_;
    std::thread thread_;
};

TEST(ServerOverTcp, answers_pipelined_requests_and_closes) {
    ServerThread server(echo);
    RawClient client(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + std::string(simple_get) +
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::string received = client.receive_all();
    EXPECT_EQ(count_of(received, "HTTP/1.1 200 OK\r\n"), 3u);
    EXPECT_FALSE(received.contains("<error>"));
}

TEST(ServerOverTcp, a_refused_upload_still_gets_its_answer) {
    ServerThread server(echo);
    RawClient client(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" + std::string(200'000, 'x'));
    client.shutdown();
    std::string received = client.receive_all();
    EXPECT_TRUE(received.starts_with("HTTP/1.1 413 Content Too Large\r\n")) << received;
    EXPECT_FALSE(received.contains("<error>"));
}

TEST(ServerOverTcp, drain_closes_idle_connections_and_finishes_requests_under_way) {
    std::atomic<bool> entered{false};
    async::Event go_on;
    ServerThread server([&](Request& request) -> Task<Response> {
        if (request.path == "/slow") {
            entered = true;
            entered.notify_all();
            co_await go_on.wait();
        }
        co_return Response::text("done");
    });
    RawClient idle(server.address());
    idle.send(simple_get);
    EXPECT_TRUE(idle.receive_until("done").starts_with("HTTP/1.1 200 OK"));
    RawClient busy(server.address());
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    entered.wait(false);
    server.drain();
    EXPECT_EQ(idle.receive_all(), "");
    EXPECT_FALSE(server.ended_within(0ms));
    RawClient late(server.address());
    late.send(simple_get);
    EXPECT_FALSE(late.connected() && late.receive_all().contains("200"));
    go_on.set();
    std::string received = busy.receive_all();
    EXPECT_TRUE(received.contains("Connection: close\r\n")) << received;
    EXPECT_TRUE(received.ends_with("done"));
    EXPECT_TRUE(server.ended_within(10s));
}

TEST(ServerOverTcp, drain_cancels_what_outlives_its_deadline) {
    std::atomic<bool> entered{false};
    ServerThread server(
        [&](Request&) -> Task<Response> {
            entered = true;
            entered.notify_all();
            co_await async::sleep(3600s);
            co_return Response::text("never");
        },
        {.tick = 5ms, .drain_timeout = 20ms});
    RawClient client(server.address());
    client.send(simple_get);
    entered.wait(false);
    server.drain();
    EXPECT_TRUE(server.ended_within(10s));
    EXPECT_FALSE(client.receive_all().contains("200"));
}

TEST(ServerOverTcp, beyond_the_bound_connections_wait_their_turn) {
    ServerThread server(hello, {.max_connections = 1});
    RawClient first(server.address());
    first.send(simple_get);
    EXPECT_TRUE(first.receive_until("hello").starts_with("HTTP/1.1 200 OK"));
    RawClient second(server.address());
    second.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    first.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(first.receive_all().ends_with("hello"));
    EXPECT_TRUE(second.receive_all().ends_with("hello"));
}

TEST(ServerOverTcp, a_client_that_resets_harms_nobody_else) {
    ServerThread server([](Request&) -> Task<Response> { co_return Response::text(std::string(1'000'000, 'x')); });
    for (int i = 0; i < 20; ++i) {
        RawClient rude(server.address());
        rude.send(simple_get);
    }
    RawClient client(server.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(client.receive_all().ends_with(std::string(1'000'000, 'x')));
}

}  // namespace
}  // namespace tandem::http
