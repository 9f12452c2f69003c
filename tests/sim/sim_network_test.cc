#include "sim_network.h"

#include <gtest/gtest.h>

#include "tandem/async/scope.h"
#include "tandem/async/time.h"
#include "tandem/base/bytes.h"
#include "tandem/base/error.h"

namespace tandem::sim {
namespace {

using async::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Two hosts; b listens on port 80.
struct TwoHosts {
    TwoHosts() { world.hardship = Hardship(); }
    // What a reads from the stream until it ends.
    static Task<std::string> read_all(net::Stream& stream) {
        std::string text;
        std::byte buffer[64];
        for (size_t size = 0; (size = co_await stream.read(buffer)) > 0;) text.append(base::as_text({buffer, size}));
        co_return text;
    }
    net::Address at_b = net::Address::tcp("b", 80);
    World world{3, false};
    SimNetwork wires{world};
    HostNetwork a{wires, "a"};
    HostNetwork b{wires, "b"};
};

void in_two_hosts(Task<void> (*body)(TwoHosts&)) {
    TwoHosts hosts;
    hosts.world.run(body(hosts));
    hosts.world.agenda.clear();
}

// The code of what `task` throws.
template <typename T>
Task<std::optional<Code>> code_of(Task<T> task) {
    try {
        (void)co_await std::move(task);
    } catch (const Error& error) {
        co_return error.code();
    }
    co_return std::nullopt;
}

TEST(SimNetwork, carries_bytes_in_order_and_takes_time) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        const base::TimePoint start = hosts.world.now();
        const auto there = co_await hosts.a.dial(hosts.at_b);
        const auto here = co_await listener->accept();
        for (int i = 0; i < 10; ++i) co_await there->write(fmt::format("{} ", i));
        there->shutdown_write();
        EXPECT_EQ(co_await TwoHosts::read_all(*here), "0 1 2 3 4 5 6 7 8 9 ");
        EXPECT_GT(hosts.world.now(), start);
    });
}

TEST(SimNetwork, refuses_where_nobody_listens) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        EXPECT_EQ(co_await code_of(hosts.a.dial(hosts.at_b)), Code::unavailable);
    });
}

TEST(SimNetwork, holds_back_what_is_sent_during_a_partition) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        const auto there = co_await hosts.a.dial(hosts.at_b);
        const auto here = co_await listener->accept();
        const base::TimePoint healed = hosts.world.now() + seconds(5);
        hosts.wires.partition("a", "b", healed);
        co_await there->write("late");
        there->shutdown_write();
        EXPECT_EQ(co_await TwoHosts::read_all(*here), "late");
        EXPECT_GE(hosts.world.now(), healed);
        // The other way is free.
        const base::TimePoint before = hosts.world.now();
        hosts.wires.partition("a", "b", before + seconds(5));
        co_await here->write("now");
        here->shutdown_write();
        EXPECT_EQ(co_await TwoHosts::read_all(*there), "now");
        EXPECT_LT(hosts.world.now(), before + seconds(1));
    });
}

TEST(SimNetwork, ends_a_dial_through_a_partition_at_its_deadline) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        hosts.wires.partition("a", "b", hosts.world.now() + seconds(60));
        EXPECT_EQ(co_await code_of(async::with_deadline(milliseconds(100), hosts.a.dial(hosts.at_b))),
                  Code::deadline_exceeded);
    });
}

TEST(SimNetwork, tells_a_writer_that_the_peers_host_has_crashed) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        const auto there = co_await hosts.a.dial(hosts.at_b);
        const auto here = co_await listener->accept();
        hosts.b.kill();
        EXPECT_EQ(co_await code_of(here->write("from the dead")), Code::unavailable);
        (void)co_await code_of(there->write("hello?"));
        EXPECT_EQ(co_await code_of(TwoHosts::read_all(*there)), Code::unavailable);
        EXPECT_EQ(co_await code_of(hosts.a.dial(hosts.at_b)), Code::unavailable);
    });
}

TEST(SimNetwork, breaks_connections_with_nothing_a_part_or_all_delivered) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        hosts.world.hardship.connection_breaks = 1;
        std::set<std::string> seen;
        for (int i = 0; i < 50; ++i) {
            const auto there = co_await hosts.a.dial(hosts.at_b);
            const auto here = co_await listener->accept();
            co_await there->write("half");
            std::string got;
            std::byte buffer[64];
            std::optional<Code> end;
            while (!end) {
                try {
                    const size_t size = co_await here->read(buffer);
                    got.append(base::as_text({buffer, size}));
                } catch (const Error& error) {
                    end = error.code();
                }
            }
            EXPECT_EQ(end, Code::unavailable);
            EXPECT_EQ(co_await code_of(TwoHosts::read_all(*there)), Code::unavailable);
            seen.insert(got);
        }
        EXPECT_EQ(seen, (std::set<std::string>{"", "ha", "half"}));
    });
}

TEST(SimNetwork, delivers_a_request_a_second_time_on_a_connection_of_its_own) {
    in_two_hosts([](TwoHosts& hosts) -> Task<void> {
        const auto listener = hosts.b.listen(hosts.at_b);
        hosts.world.hardship.request_again = 1;
        const auto there = co_await hosts.a.dial(hosts.at_b);
        const auto here = co_await listener->accept();
        co_await there->write("request");
        const auto again = co_await listener->accept();
        EXPECT_EQ(co_await TwoHosts::read_all(*again), "request");
        co_await again->write("an answer that nobody reads");
        there->shutdown_write();
        EXPECT_EQ(co_await TwoHosts::read_all(*here), "request");
    });
}

}  // namespace
}  // namespace tandem::sim
