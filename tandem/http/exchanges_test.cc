// Runs testdata/exchanges/*.txt; testdata/README.md says how they are written.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tandem/async/scope.h"
#include "tandem/http/server.h"
#include "tandem/http/status_error.h"
#include "tandem/http/testing.h"
#include "tandem/net/memory.h"

namespace tandem::http {
namespace {

using async::Task;

struct Exchange {
    std::string name;
    std::string input;
    std::vector<int> statuses;
    std::vector<bool> head_only;
    std::string fate;
    std::vector<std::string> has;
    std::vector<std::string> lacks;
};

std::string unescape(std::string_view text) {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            result.push_back(text[i]);
            continue;
        }
        switch (text.at(++i)) {
            case 'r':
                result.push_back('\r');
                break;
            case 'n':
                result.push_back('\n');
                break;
            case 't':
                result.push_back('\t');
                break;
            case '0':
                result.push_back('\0');
                break;
            case 'x':
                result.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
                i += 2;
                break;
            default:
                result.push_back(text[i]);
        }
    }
    return result;
}

void add_input(Exchange& exchange, std::string_view line) {
    if (line.starts_with(">| ")) {
        exchange.input += unescape(line.substr(3));
    } else if (line.starts_with(">* ")) {
        size_t space = line.find(' ', 3);
        int times = std::stoi(std::string(line.substr(3, space - 3)));
        std::string piece = unescape(line.substr(space + 1));
        for (int i = 0; i < times; ++i) exchange.input += piece;
    } else {
        exchange.input.append(line.size() > 2 ? line.substr(2) : "").append("\r\n");
    }
}

void add_expectation(Exchange& exchange, std::string_view text) {
    if (text.starts_with("has: ")) {
        exchange.has.push_back(unescape(text.substr(5)));
    } else if (text.starts_with("lacks: ")) {
        exchange.lacks.push_back(unescape(text.substr(7)));
    } else if (text == "keep" || text == "close" || text == "waits") {
        exchange.fate = text;
    } else {
        exchange.statuses.push_back(std::stoi(std::string(text.substr(0, 3))));
        exchange.head_only.push_back(text.ends_with(" head"));
    }
}

std::vector<Exchange> load_exchanges() {
    std::vector<Exchange> exchanges;
    for (const auto& entry : std::filesystem::directory_iterator(TANDEM_HTTP_TESTDATA "/exchanges")) {
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("== ")) {
                exchanges.push_back({.name = entry.path().stem().string() + ": " + line.substr(3)});
            } else if (line.starts_with(">")) {
                add_input(exchanges.back(), line);
            } else if (line.starts_with("< ")) {
                add_expectation(exchanges.back(), std::string_view(line).substr(2));
            } else if (!line.empty()) {
                throw std::runtime_error("what does this line mean? " + line);
            }
        }
    }
    return exchanges;
}

Task<void> write_two_pieces(BodyWriter& out) {
    co_await out.write("first ");
    co_await out.write("second");
}

Task<Response> echo(Request& request, size_t limit) {
    std::string text = fmt::format("[{} {} ?{} @{} {}]", request.method_text, request.path, request.query,
                                   request.authority, request.version);
    std::string body = co_await request.body.read_all(limit);
    text += " body=[" + body + "]";
    for (auto [name, value] : request.body.trailers()) text += fmt::format(" trailer=[{}: {}]", name, value);
    co_return Response::text(text);
}

Task<Response> handle(Request& request) {
    const std::string& path = request.path;
    if (path == "/ignore") co_return Response::text("ignored");
    if (path == "/small") co_return co_await echo(request, 10);
    if (path == "/big") co_return Response::text(std::string(10'000, 'x'));
    if (path == "/stream") co_return Response::streaming("text/plain", write_two_pieces);
    if (path == "/stream-of-length") co_return Response::streaming("text/plain", write_two_pieces, 12);
    if (path == "/boom") throw std::runtime_error("secret");
    if (path == "/teapot") throw StatusError(Status::im_a_teapot, "short and \"stout\"", {{"Retry-After", "7"}});
    Response response = Response::text("not allowed");
    if (path == "/own-fields") {
        response.body = "abc";
        response.headers.add("Date", "Thu, 01 Jan 1970 00:00:00 GMT");
        response.headers.add("Content-Length", "999");
    } else if (path == "/own-length") {
        response.body.clear();
        response.headers.add("Content-Length", "12345");
    } else if (path == "/close") {
        response.headers.add("Connection", "close");
    } else if (path == "/304") {
        response.headers.add("ETag", "\"1\"");
        response.status = Status::not_modified;
    } else if (path == "/426") {
        response.headers.add("Upgrade", "h2c");
        response.status = Status::upgrade_required;
    } else if (path.size() == 4 && path[1] >= '1' && path[1] <= '5') {
        response.status = static_cast<Status>(std::stoi(path.substr(1)));
    } else {
        co_return co_await echo(request, BodyReader::default_limit);
    }
    co_return response;
}

Task<void> collect(net::Stream& stream, std::string* received) {
    *received = {};
    std::byte buffer[4096];
    try {
        while (size_t size = co_await stream.read(buffer)) {
            received->append(reinterpret_cast<const char*>(buffer), size);
        }
    } catch (const Error&) {
        // We closed it ourselves.
    }
}

Task<void> send_input(net::Stream& stream, std::string_view input, bool byte_by_byte) {
    try {
        // Inputs beyond a few lines only test bounds; they come in small pieces, to keep the test short.
        size_t step = !byte_by_byte ? input.size() : input.size() > 20'000 ? 97 : 1;
        for (size_t i = 0; i < input.size(); i += step) {
            co_await stream.write(input.substr(i, step));
            if (byte_by_byte) co_await testing::settle(3);
        }
    } catch (const Error&) {
        // The server has closed already; what it said counts.
    }
}

// What the server answered.
Task<std::string> converse(const Exchange& exchange, bool byte_by_byte) {
    ServerOptions options;
    options.limits.body_bytes = 100'000;
    Server server(handle, options);
    auto [client, served] = net::memory_pair();
    async::Scope scope;
    std::string received;
    scope.spawn(server.serve_connection(std::move(served)));
    scope.spawn(collect(*client, &received));
    co_await send_input(*client, exchange.input, byte_by_byte);
    if (exchange.fate == "waits") {
        co_await testing::settle();
        std::string so_far = received;
        if (client->peer_closed()) so_far += "<closed>";
        client->close();
        co_await scope.join();
        co_return so_far;
    }
    co_await send_input(*client, "GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", byte_by_byte);
    client->shutdown_write();
    co_await scope.join();
    co_return received;
}

// Takes one response off the front of `wire`; its status, or -1.
int take_response(std::string_view& wire, bool head_only) {
    ResponseParser parser{Limits{}};
    ResponseHead head;
    Parsed parsed = parser.parse(wire, head_only ? Method::head : Method::get, head);
    if (parsed.progress != Progress::done) return -1;
    wire.remove_prefix(parsed.consumed);
    if (head.framing == Framing::length) {
        if (wire.size() < head.length) return -1;
        wire.remove_prefix(static_cast<size_t>(head.length));
    } else if (head.framing == Framing::until_close) {
        wire = {};
    } else if (head.framing == Framing::chunked) {
        ChunkedDecoder chunks{Limits{}};
        while (true) {
            ChunkedDecoder::Step step = chunks.next(wire, wire.size() + 1);
            wire.remove_prefix(step.consumed);
            if (step.progress == Progress::done) break;
            if (step.progress == Progress::failed || step.data.empty()) return -1;
        }
    }
    return head.status;
}

void check(const Exchange& exchange, bool byte_by_byte) {
    SCOPED_TRACE(exchange.name + (byte_by_byte ? " (byte by byte)" : " (whole)"));
    testing::VirtualLoop loop;
    std::string wire = loop.run(converse(exchange, byte_by_byte));
    std::string_view rest = wire;
    for (size_t i = 0; i < exchange.statuses.size(); ++i) {
        ASSERT_EQ(take_response(rest, exchange.head_only[i]), exchange.statuses[i]) << wire;
    }
    std::string_view answered = std::string_view(wire).substr(0, wire.size() - rest.size());
    for (const std::string& text : exchange.has) EXPECT_TRUE(answered.contains(text)) << text << " in " << answered;
    for (const std::string& text : exchange.lacks) EXPECT_FALSE(answered.contains(text)) << text << " in " << answered;
    if (exchange.fate == "keep") {
        EXPECT_TRUE(rest.contains("[GET /alive")) << wire;
        EXPECT_EQ(take_response(rest, false), 200) << wire;
    }
    EXPECT_EQ(rest, "");
}

TEST(Exchanges, there_are_enough_and_each_says_what_must_happen) {
    std::vector<Exchange> exchanges = load_exchanges();
    EXPECT_GE(exchanges.size(), 200u);
    for (const Exchange& exchange : exchanges) EXPECT_NE(exchange.fate, "") << exchange.name;
}

TEST(Exchanges, sent_whole) {
    for (const Exchange& exchange : load_exchanges()) check(exchange, false);
}

TEST(Exchanges, sent_byte_by_byte) {
    for (const Exchange& exchange : load_exchanges()) check(exchange, true);
}

}  // namespace
}  // namespace tandem::http
