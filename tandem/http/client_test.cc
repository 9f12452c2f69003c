#include "tandem/http/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>

#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/http/server.h"
#include "tandem/http/testing.h"
#include "tandem/http/trace.h"
#include "tandem/http/url.h"
#include "tandem/net/memory.h"

namespace tandem::http {
namespace {

using namespace std::chrono_literals;
using async::Task;
using testing::settle;
using testing::VirtualLoop;

// What a scripted server does when a request's end ("\r\n\r\n" or `wait_for`) has come.
struct Step {
    std::string answer;
    bool close = false;
    std::string wait_for = "\r\n\r\n";
};
using Script = std::vector<Step>;  // of one connection, a step a request; then it waits for the client to close

Task<void> play(std::unique_ptr<net::Stream> stream, Script script, std::vector<std::string>* seen) {
    try {
        for (const Step& step : script) {
            std::string request;
            if (!step.wait_for.empty()) co_await testing::read_until(*stream, request, step.wait_for);
            seen->push_back(request);
            if (!step.answer.empty()) co_await stream->write(step.answer);
            if (step.close) co_return;
        }
        std::byte byte;
        (void)co_await stream->read({&byte, 1});
    } catch (const Error&) {
        // The client went away, which tests look at from their own side.
    }
}

// Each dial gets the next script.
class ScriptedNetwork final : public net::Network {
  public:
    explicit ScriptedNetwork(std::vector<Script> scripts) : scripts_(scripts.begin(), scripts.end()) {}
    Task<std::unique_ptr<net::Stream>> dial(net::Address) override {
        if (scripts_.empty()) fail(Code::unavailable, "connection refused");
        auto [ours, theirs] = net::memory_pair();
        scope.spawn(play(std::move(theirs), std::move(scripts_.front()), &requests));
        scripts_.pop_front();
        ++dials;
        co_return std::move(ours);
    }
    std::unique_ptr<net::Listener> listen(const net::Address&, const net::ListenOptions&) override {
        fail(Code::unsupported, "a scripted network does not listen");
    }
    using Network::listen;

    async::Scope scope;
    std::vector<std::string> requests;
    int dials = 0;

  private:
    std::deque<Script> scripts_;
};

struct Setup {
    explicit Setup(std::vector<Script> scripts, ClientOptions options = {})
        : network(std::move(scripts)), client(std::make_unique<Client>(network, std::move(options))) {}
    Task<void> finish() {
        client.reset();
        co_await network.scope.join();
    }
    ScriptedNetwork network;
    std::unique_ptr<Client> client;
};

const std::string ok_hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string url = "http://server/path?q";

// The answer to one request with `method` by a server that answers `wire`; the error's code and text if there is one.
struct Outcome {
    ClientResponse response;
    std::optional<Error> error;
};
Task<Outcome> try_send(Client& client, ClientRequest request) {
    Outcome outcome;
    try {
        outcome.response = co_await client.send(std::move(request));
    } catch (const Error& error) {
        outcome.error = error;
    }
    co_return outcome;
}
Task<Outcome> one_answer(std::string wire, Method method, ClientOptions options) {
    Setup setup({{{.answer = std::move(wire), .close = true}}}, std::move(options));
    ClientRequest request = ClientRequest::get(url);
    request.method = method;
    Outcome outcome = co_await try_send(*setup.client, std::move(request));
    co_await setup.finish();
    co_return outcome;
}
Outcome answer(std::string wire, Method method = Method::get, ClientOptions options = {}) {
    return VirtualLoop().run(one_answer(std::move(wire), method, std::move(options)));
}

TEST(Client, understands_every_way_a_body_ends) {
    EXPECT_EQ(answer(ok_hello).response.body, "hello");
    EXPECT_EQ(
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n").response.body,
        "hello");
    EXPECT_EQ(answer("HTTP/1.1 200 OK\r\n\r\nhello").response.body, "hello");
    EXPECT_EQ(answer("HTTP/1.0 200 OK\r\n\r\nhello").response.body, "hello");
    EXPECT_EQ(answer("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").response.status, 200);
    EXPECT_EQ(answer("HTTP/1.1 204 No Content\r\n\r\n").response.status, 204);
    EXPECT_EQ(answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").response.body, "");
    Outcome head = answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::head);
    EXPECT_EQ(head.response.status, 200);
    EXPECT_EQ(head.response.headers.get("content-length"), "5");
    EXPECT_EQ(head.response.body, "");
}

TEST(Client, skips_interim_responses) {
    EXPECT_EQ(
        answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok_hello).response.body,
        "hello");
    std::string many;
    for (int i = 0; i < 20; ++i) many += "HTTP/1.1 102 Processing\r\n\r\n";
    EXPECT_EQ(answer(many + ok_hello).error->code(), Code::corrupted);
    EXPECT_EQ(answer("HTTP/1.1 101 Switching Protocols\r\n\r\n").error->code(), Code::corrupted);
}

TEST(Client, does_not_follow_redirects_and_errors_are_answers) {
    EXPECT_EQ(answer("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").response.status, 302);
    EXPECT_EQ(answer("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno").response.body, "no");
}

TEST(Client, refuses_what_is_not_http) {
    for (std::string_view wire :
         {"SSH-2.0-OpenSSH\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
          "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n"}) {
        Outcome outcome = answer(std::string(wire));
        ASSERT_TRUE(outcome.error) << wire;
        EXPECT_EQ(outcome.error->code(), Code::corrupted) << wire;
    }
}

TEST(Client, a_server_that_breaks_off_is_unavailable) {
    for (std::string_view wire : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
        Outcome outcome = answer(std::string(wire));
        ASSERT_TRUE(outcome.error) << wire;
        EXPECT_EQ(outcome.error->code(), Code::unavailable) << wire;
    }
}

TEST(Client, bounds_what_it_takes) {
    ClientOptions small;
    small.max_response_bytes = 4;
    for (std::string_view wire : {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\nhello",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}) {
        Outcome outcome = answer(std::string(wire), Method::get, small);
        ASSERT_TRUE(outcome.error) << wire;
        EXPECT_EQ(outcome.error->code(), Code::resource_exhausted) << wire;
    }
    EXPECT_EQ(answer("HTTP/1.1 200 OK\r\n\r\nhell", Method::get, small).response.body, "hell");
    EXPECT_EQ(answer("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n").error->code(), Code::corrupted);
}

Task<void> expect_request_text() {
    Setup setup({{{.answer = ok_hello}, {.answer = ok_hello, .wait_for = "{}"}}});
    ClientRequest get = ClientRequest::get("http://Server:81/a%20b?q#f");
    get.headers.add("X-Mine", "1");
    get.headers.add("Content-Length", "77");
    (void)co_await setup.client->send(std::move(get));
    EXPECT_EQ(setup.network.requests[0],
              "GET /a%20b?q HTTP/1.1\r\nHost: server:81\r\nX-Mine: 1\r\nUser-Agent: tandem\r\n\r\n");
    (void)co_await setup.client->send(ClientRequest::post("http://server:81/", "application/json", "{}"));
    EXPECT_EQ(setup.network.requests[1],
              "POST / HTTP/1.1\r\nHost: server:81\r\nContent-Type: application/json\r\nUser-Agent: tandem\r\n"
              "Content-Length: 2\r\n\r\n{}");
    EXPECT_EQ(setup.network.dials, 1);
    EXPECT_EQ(setup.client->stats().connections_reused, 1u);
    co_await setup.finish();
}
TEST(Client, says_what_a_request_needs_and_reuses_the_connection) {
    VirtualLoop().run(expect_request_text());
}

Task<void> expect_no_reuse(std::string first_answer) {
    Setup setup({{{.answer = std::move(first_answer)}}, {{.answer = ok_hello}}});
    EXPECT_EQ((co_await setup.client->send(ClientRequest::get(url))).status, 200);
    EXPECT_EQ((co_await setup.client->send(ClientRequest::get(url))).body, "hello");
    EXPECT_EQ(setup.network.dials, 2);
    co_await setup.finish();
}
TEST(Client, does_not_reuse_a_connection_that_is_to_close_or_out_of_step) {
    VirtualLoop().run(expect_no_reuse("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    VirtualLoop().run(expect_no_reuse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    VirtualLoop().run(expect_no_reuse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 left over"));
}

Task<void> expect_idle_expiry() {
    Setup setup({{{.answer = ok_hello}}, {{.answer = ok_hello}}}, {.idle_timeout = 30s});
    (void)co_await setup.client->send(ClientRequest::get(url));
    EXPECT_EQ(setup.network.scope.size(), 1u);
    co_await async::sleep(31s);
    co_await settle();
    EXPECT_EQ(setup.network.scope.size(), 0u);  // the server saw the connection close
    (void)co_await setup.client->send(ClientRequest::get(url));
    EXPECT_EQ(setup.network.dials, 2);
    co_await setup.finish();
}
TEST(Client, closes_connections_that_idle_for_too_long) {
    VirtualLoop().run(expect_idle_expiry());
}

// The first connection answers once and then breaks on the second request.
Task<void> expect_retry(Method method, std::string second_answer, bool retried) {
    Setup setup({{{.answer = ok_hello}, {.answer = std::move(second_answer), .close = true}}, {{.answer = ok_hello}}});
    (void)co_await setup.client->send(ClientRequest::get(url));
    ClientRequest request = ClientRequest::get(url);
    request.method = method;
    Outcome outcome = co_await try_send(*setup.client, std::move(request));
    EXPECT_EQ(outcome.error.has_value(), !retried);
    EXPECT_EQ(setup.client->stats().retries, retried ? 1u : 0u);
    EXPECT_EQ(setup.network.dials, retried ? 2 : 1);
    co_await setup.finish();
}
TEST(Client, sends_again_only_what_is_idempotent_and_wholly_unanswered) {
    VirtualLoop().run(expect_retry(Method::get, "", true));
    VirtualLoop().run(expect_retry(Method::put, "", true));
    VirtualLoop().run(expect_retry(Method::delete_, "", true));
    VirtualLoop().run(expect_retry(Method::post, "", false));
    VirtualLoop().run(expect_retry(Method::patch, "", false));
    VirtualLoop().run(expect_retry(Method::get, "H", false));
}

Task<void> expect_no_retry_on_a_new_connection() {
    Setup setup({{{.answer = "", .close = true}}, {{.answer = ok_hello}}});
    Outcome outcome = co_await try_send(*setup.client, ClientRequest::get(url));
    EXPECT_EQ(outcome.error->code(), Code::unavailable);
    EXPECT_EQ(setup.network.dials, 1);
    co_await setup.finish();
}
TEST(Client, does_not_send_again_when_a_new_connection_fails) {
    VirtualLoop().run(expect_no_retry_on_a_new_connection());
}

Task<void> expect_deadline(std::string partial_answer) {
    Setup setup({{{.answer = std::move(partial_answer)}}}, {.timeout = 5s});
    base::TimePoint start = async::Loop::current().now();
    Outcome outcome = co_await try_send(*setup.client, ClientRequest::get(url));
    EXPECT_EQ(outcome.error->code(), Code::deadline_exceeded);
    EXPECT_EQ(async::Loop::current().now() - start, 5s);
    co_await setup.finish();
}
TEST(Client, a_silent_server_runs_into_the_deadline) {
    VirtualLoop().run(expect_deadline(""));
    VirtualLoop().run(expect_deadline("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"));
}

Task<void> send_into(Client& client, std::vector<Outcome>* outcomes) {
    outcomes->push_back(co_await try_send(client, ClientRequest::get(url)));
}
Task<void> expect_bounds_of_the_pool() {
    Setup setup({{{.answer = ok_hello}, {.answer = ok_hello}}},
                {.max_connections_per_origin = 1, .max_waiting_per_origin = 1});
    std::vector<Outcome> outcomes;
    async::Scope scope;
    for (int i = 0; i < 3; ++i) scope.spawn(send_into(*setup.client, &outcomes));
    co_await scope.join();
    EXPECT_EQ(outcomes.size(), 3u);
    EXPECT_EQ(outcomes[0].error->code(), Code::resource_exhausted);  // the third: one is sent, one waits
    EXPECT_EQ(outcomes[1].response.body, "hello");
    EXPECT_EQ(outcomes[2].response.body, "hello");
    EXPECT_EQ(setup.network.dials, 1);
    co_await setup.finish();
}
TEST(Client, bounds_connections_and_those_who_wait_for_one) {
    VirtualLoop().run(expect_bounds_of_the_pool());
}

Task<void> expect_bad_requests_fail_early() {
    Setup setup({});
    auto code = [](const Outcome& outcome) { return outcome.error ? outcome.error->code() : Code::internal; };
    EXPECT_EQ(code(co_await try_send(*setup.client, ClientRequest::get("server/path"))), Code::invalid_argument);
    EXPECT_EQ(code(co_await try_send(*setup.client, ClientRequest::get("https://server/"))), Code::unsupported);
    EXPECT_EQ(code(co_await try_send(*setup.client, ClientRequest::get(url))), Code::unavailable);
    co_await setup.finish();
}
TEST(Client, says_what_is_wrong_with_a_request) {
    VirtualLoop().run(expect_bad_requests_fail_early());
}

Task<void> append(std::string* all, std::span<const std::byte> piece) {
    all->append(reinterpret_cast<const char*>(piece.data()), piece.size());
    co_return;
}
Task<void> expect_streamed_response() {
    Setup setup({{{.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"}}},
                {.max_response_bytes = 1});
    std::string all;
    ClientRequest request = ClientRequest::get(url);
    request.on_body = [&all](std::span<const std::byte> piece) { return append(&all, piece); };
    ClientResponse response = co_await setup.client->send(std::move(request));
    EXPECT_EQ(all, "hello");
    EXPECT_EQ(response.body, "");
    co_await setup.finish();
}
TEST(Client, hands_a_streamed_body_on_piece_by_piece) {
    VirtualLoop().run(expect_streamed_response());
}

Task<void> expect_early_refusal() {
    Setup setup({{{.answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno",
                   .close = true,
                   .wait_for = "x"}}});
    ClientResponse response =
        co_await setup.client->send(ClientRequest::post(url, "text/plain", std::string(1'000'000, 'x')));
    EXPECT_EQ(response.status, 413);
    EXPECT_EQ(response.body, "no");
    EXPECT_LT(setup.network.requests[0].size(), 100'000u);
    co_await setup.finish();
}
TEST(Client, a_body_that_is_refused_half_way_still_has_its_answer) {
    VirtualLoop().run(expect_early_refusal());
}

Task<void> expect_trace_header() {
    Setup setup({{{.answer = ok_hello}}});
    base::SeededRandom random(1);
    base::TraceContext trace = base::TraceContext::start(random);
    async::Context context(async::Context::current());
    context.set(trace_key, static_cast<const base::TraceContext*>(&trace));
    (void)co_await async::with_context(context, setup.client->send(ClientRequest::get(url)));
    EXPECT_TRUE(setup.network.requests[0].contains("traceparent: 00-" + trace.trace_id_hex() + "-"));
    EXPECT_FALSE(setup.network.requests[0].contains(trace.span_id_hex()));
    co_await setup.finish();
}
TEST(Client, carries_the_trace_on) {
    VirtualLoop().run(expect_trace_header());
}

// ---- client and server over real sockets ----

Task<Response> echo(Request& request) {
    co_return Response::text(request.method_text + " " + request.path + " " + co_await request.body.read_all());
}

Task<void> talk_to_own_server(net::Address address, std::string base_url) {
    Server server(echo);
    auto listener = net::Network::real().listen(address);
    async::Scope scope;
    scope.spawn(server.serve(*listener));
    if (address.kind() == net::Address::Kind::tcp) base_url += ":" + std::to_string(listener->local().port());
    {
        Client client(net::Network::real());
        for (int i = 0; i < 10; ++i) {
            ClientResponse response =
                co_await client.send(ClientRequest::post(base_url + "/x", "text/plain", std::string(100'000, 'b')));
            EXPECT_EQ(response.status, 200);
            EXPECT_EQ(response.body, "POST /x " + std::string(100'000, 'b'));
        }
        EXPECT_EQ(client.stats().connections_opened, 1u);
        EXPECT_EQ(server.stats().requests.load(), 10u);
    }
    server.drain();
    co_await scope.join();
}
TEST(ClientOverTcp, talks_to_our_server_over_one_connection) {
    async::run(talk_to_own_server(net::Address::tcp("127.0.0.1", 0), "http://127.0.0.1"));
}
TEST(ClientOverUnixSocket, talks_to_our_server) {
    std::string path = "/tmp/tandem_http_client_test_" + std::to_string(::getpid()) + ".sock";
    async::run(talk_to_own_server(net::Address::unix_socket(path), "http+unix://" + percent_encode(path)));
    ::unlink(path.c_str());
}

Task<void> survive_a_restart() {
    Client client(net::Network::real());
    net::Address address = net::Address::tcp("127.0.0.1", 0);
    for (int round = 0; round < 3; ++round) {
        Server server(echo);
        auto listener = net::Network::real().listen(address);
        address = listener->local();
        async::Scope scope;
        scope.spawn(server.serve(*listener));
        std::string target = "http://127.0.0.1:" + std::to_string(address.port()) + "/";
        EXPECT_EQ((co_await client.send(ClientRequest::get(target))).status, 200);
        server.drain();
        co_await scope.join();
    }
    EXPECT_EQ(client.stats().connections_opened, 3u);
}
TEST(ClientOverTcp, a_restarted_server_goes_unnoticed) {
    async::run(survive_a_restart());
}

}  // namespace
}  // namespace tandem::http
