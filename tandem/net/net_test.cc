#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tandem/async/combine.h"
#include "tandem/async/sync.h"
#include "tandem/async/threads.h"
#include "tandem/async/time.h"
#include "tandem/net/memory.h"
#include "tandem/net/stream.h"
#include "tandem/net/wait_fd.h"

namespace tandem::net {
namespace {

using namespace std::chrono_literals;
using async::Task;

TEST(Address, reads_what_it_prints) {
    for (std::string text : {"127.0.0.1:7070", "[::1]:80", "localhost:0", "unix:/run/x.sock", "memory:a"}) {
        EXPECT_EQ(Address::parse(text).to_string(), text);
    }
}

TEST(Address, refuses_nonsense_and_says_what_is_wrong) {
    for (std::string text :
         {"", "7070", "host:", "host:65536", "host:-1", "::1:80", "[::1:80", "[zz]:80", ":80", "unix:"}) {
        EXPECT_THROW((void)Address::parse(text), Error) << text;
    }
}

TEST(Address, knows_loopback) {
    EXPECT_TRUE(Address::parse("127.9.9.9:1").is_loopback());
    EXPECT_TRUE(Address::parse("[::1]:1").is_loopback());
    EXPECT_TRUE(Address::parse("unix:/a").is_loopback());
    EXPECT_FALSE(Address::parse("0.0.0.0:1").is_loopback());
    EXPECT_FALSE(Address::parse("128.0.0.1:1").is_loopback());
    EXPECT_FALSE(Address::parse("127.0.0.1.example.com:1").is_loopback());
}

Task<std::string> read_all(Stream& stream) {
    std::string all;
    std::byte buffer[1000];
    while (size_t got = co_await stream.read(buffer)) all.append(reinterpret_cast<char*>(buffer), got);
    co_return all;
}

Task<void> echo_once(Listener& listener) {
    auto stream = co_await listener.accept();
    co_await stream->write(co_await read_all(*stream));
    stream->shutdown_write();
}

// The same conversation over every kind of stream: far more than the buffers hold, both ways, gathered writes.
Task<std::string> converse(Address address, const std::string& text) {
    auto stream = co_await Network::real().dial(address);
    const std::span<const std::byte> all = std::as_bytes(std::span(text));
    std::vector<std::span<const std::byte>> parts;
    for (size_t at = 0; at < all.size(); at += 777)
        parts.push_back(all.subspan(at, std::min<size_t>(777, all.size() - at)));
    co_await stream->write(parts);
    stream->shutdown_write();
    co_return co_await read_all(*stream);
}

Task<void> round_trip(Address address) {
    std::string text(3'000'000, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 24);
    auto listener = Network::real().listen(address);
    auto [nothing, back] = co_await async::all(echo_once(*listener), converse(listener->local(), text));
    EXPECT_EQ(back.size(), text.size());
    EXPECT_TRUE(back == text);
}

TEST(Network, carries_megabytes_over_tcp_and_unix_sockets) {
    async::run(round_trip(Address::parse("127.0.0.1:0")));
    async::run(round_trip(Address::parse("[::1]:0")));
    const std::string path = "/tmp/tandem-net-test-" + std::to_string(::getpid());
    async::run(round_trip(Address::unix_socket(path)));
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the socket file must go with the listener";
}

TEST(Network, resolves_names_off_the_loop) {
    auto body = []() -> Task<void> {
        auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
        auto [done, text] = co_await async::all(echo_once(*listener),
                                                converse(Address::tcp("localhost", listener->local().port()), "hello"));
        EXPECT_EQ(text, "hello");
    };
    async::run(body());
}

TEST(Network, a_refused_connection_is_unavailable_and_names_the_address) {
    auto body = []() -> Task<std::string> {
        Address address;
        {
            auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
            address = listener->local();
        }
        try {
            (void)co_await Network::real().dial(address);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::unavailable);
            co_return std::string(error.message().find(address.to_string()) != std::string::npos ? "named"
                                                                                                 : "not named");
        }
        co_return "connected";
    };
    EXPECT_EQ(async::run(body()), "named");
}

TEST(Network, a_taken_address_is_unavailable_unless_the_port_is_shared) {
    auto body = []() -> Task<void> {
        auto first = Network::real().listen(Address::parse("127.0.0.1:0"), {.share_port = true});
        auto second = Network::real().listen(first->local(), {.share_port = true});
        EXPECT_EQ(second->local(), first->local());
        EXPECT_THROW((void)Network::real().listen(first->local()), Error);
        co_return;
    };
    async::run(body());
}

TEST(Network, a_socket_file_left_by_a_dead_process_is_replaced) {
    const std::string path = "/tmp/tandem-net-stale-" + std::to_string(::getpid());
    auto body = [&]() -> Task<void> {
        auto listener = Network::real().listen(Address::unix_socket(path));
        EXPECT_THROW((void)Network::real().listen(Address::unix_socket(path)), Error);  // in use
        ::link(path.c_str(), (path + "2").c_str());
        listener.reset();
        auto again = Network::real().listen(Address::unix_socket(path + "2"));
        co_return;
    };
    async::run(body());
}

Task<Code> code_of(Task<size_t> read) {
    try {
        (void)co_await std::move(read);
    } catch (const Error& error) {
        co_return error.code();
    }
    co_return Code::internal;
}

TEST(Stream, a_deadline_ends_a_read_and_the_stream_can_be_closed) {
    auto body = []() -> Task<void> {
        auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
        auto [server, client] = co_await async::all(listener->accept(), Network::real().dial(listener->local()));
        std::byte buffer[10];
        EXPECT_EQ(co_await code_of(async::with_deadline(1ms, client->read(buffer))), Code::deadline_exceeded);
        client->close();
        EXPECT_EQ(co_await server->read(buffer), 0u);
    };
    async::run(body());
}

TEST(Stream, a_deadline_ends_a_write_to_a_peer_that_never_reads) {
    auto body = []() -> Task<Code> {
        auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
        auto [server, client] = co_await async::all(listener->accept(), Network::real().dial(listener->local()));
        const std::string much(50'000'000, 'x');
        try {
            co_await async::with_deadline(20ms, client->write(much));
        } catch (const Error& error) {
            co_return error.code();
        }
        co_return Code::internal;
    };
    EXPECT_EQ(async::run(body()), Code::deadline_exceeded);
}

TEST(Stream, close_ends_a_read_under_way_with_unavailable) {
    auto body = []() -> Task<void> {
        auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
        auto [server, client] = co_await async::all(listener->accept(), Network::real().dial(listener->local()));
        std::byte buffer[10];
        auto closes = [](Stream* stream) -> Task<void> {
            co_await async::yield();
            stream->close();
        };
        auto [code, closed] = co_await async::all(code_of(client->read(buffer)), closes(client.get()));
        EXPECT_EQ(code, Code::unavailable);
        EXPECT_EQ(co_await server->read(buffer), 0u);
        EXPECT_TRUE(server->peer_closed());
    };
    async::run(body());
}

TEST(Listener, close_ends_an_accept_under_way) {
    auto body = []() -> Task<Code> {
        auto listener = Network::real().listen(Address::parse("127.0.0.1:0"));
        auto accepts = [](Listener* l) -> Task<Code> {
            try {
                (void)co_await l->accept();
            } catch (const Error& error) {
                co_return error.code();
            }
            co_return Code::internal;
        };
        auto closes = [](Listener* l) -> Task<void> {
            co_await async::yield();
            l->close();
        };
        auto [code, done] = co_await async::all(accepts(listener.get()), closes(listener.get()));
        co_return code;
    };
    EXPECT_EQ(async::run(body()), Code::cancelled);
}

TEST(MemoryPair, is_bounded_ends_and_breaks_like_a_socket) {
    auto body = []() -> Task<void> {
        auto [a, b] = memory_pair(100);
        const std::string text(10'000, 'y');
        auto sends = [](Stream* stream, const std::string* what) -> Task<void> {
            co_await stream->write(*what);
            stream->shutdown_write();
        };
        auto [sent, got] = co_await async::all(sends(a.get(), &text), read_all(*b));
        EXPECT_EQ(got, text);
        b->close();
        EXPECT_TRUE(a->peer_closed());
        bool thrown = false;
        try {
            co_await b->write("late");
        } catch (const Error&) {
            thrown = true;
        }
        EXPECT_TRUE(thrown);
        std::byte buffer[1];
        EXPECT_EQ(co_await a->read(buffer), 0u);
    };
    async::run(body());
}

TEST(FdWatch, tells_what_is_ready_and_leaves_the_descriptor_open) {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    auto body = [&]() -> Task<void> {
        FdWatch watch(fds[0]);
        Readiness ready = co_await watch.wait({.readable = true, .writable = true});
        EXPECT_FALSE(ready.readable);
        EXPECT_TRUE(ready.writable);
        auto pokes = [](int fd) -> Task<void> {
            co_await async::yield();
            EXPECT_EQ(::write(fd, "x", 1), 1);
        };
        auto [now, poked] = co_await async::all(watch.wait({.readable = true}), pokes(fds[1]));
        EXPECT_TRUE(now.readable);
        char byte;
        EXPECT_EQ(::read(fds[0], &byte, 1), 1);
        bool late = false;
        try {
            (void)co_await async::with_deadline(1ms, watch.wait({.readable = true}));
        } catch (const Error& error) {
            late = error.code() == Code::deadline_exceeded;
        }
        EXPECT_TRUE(late);
    };
    async::run(body());
    EXPECT_EQ(::write(fds[0], "x", 1), 1);
    ::close(fds[0]);
    ::close(fds[1]);
}

TEST(Listener, one_for_each_loop_shares_the_port) {
    async::LoopThreads threads(2);
    auto body = [&]() -> Task<void> {
        auto first = Network::real().listen(Address::parse("127.0.0.1:0"), {.share_port = true});
        const Address address = first->local();
        first->close();
        auto serve = [](Address where, async::Event* ready, std::atomic<int>* served) -> Task<void> {
            auto listener = Network::real().listen(where, {.share_port = true});
            ready->set();
            for (;;) {
                auto stream = co_await listener->accept();
                ++*served;
                co_await stream->write("hi");
            }
        };
        std::array<async::Event, 2> ready;
        std::array<std::atomic<int>, 2> served{};
        async::Scope scope;
        for (size_t i = 0; i < 2; ++i) {
            scope.spawn(async::on_loop(threads[i], serve(address, &ready[i], &served[i])));
        }
        co_await ready[0].wait();
        co_await ready[1].wait();
        for (int i = 0; i < 100; ++i) {
            auto stream = co_await Network::real().dial(address);
            EXPECT_EQ(co_await read_all(*stream), "hi");
        }
        EXPECT_GT(served[0].load(), 0);
        EXPECT_GT(served[1].load(), 0);
        co_await scope.cancel_and_join();
    };
    async::run(body());
}

}  // namespace
}  // namespace tandem::net
