#include "tandem/base/id.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

using std::chrono::milliseconds;

TEST(Snowflake, holds_time_node_and_sequence) {
    ManualClock clock;
    Snowflake snowflake(clock, 513);
    const int64_t first = snowflake.next();
    const int64_t second = snowflake.next();
    EXPECT_EQ(Snowflake::unix_ms(first), clock.wall_ms());
    EXPECT_EQ(Snowflake::node(first), 513);
    EXPECT_EQ(Snowflake::sequence(first), 0);
    EXPECT_EQ(second, first + 1);
    clock.advance(milliseconds(1));
    const int64_t later = snowflake.next();
    EXPECT_EQ(Snowflake::unix_ms(later), clock.wall_ms());
    EXPECT_EQ(Snowflake::sequence(later), 0);
}

TEST(Snowflake, a_small_step_back_goes_on_from_the_last_timestamp) {
    ManualClock clock;
    Snowflake snowflake(clock, 1, milliseconds(100));
    int64_t last = snowflake.next();
    clock.step_wall(-milliseconds(100));
    for (int i = 0; i < 4000; ++i) {
        const int64_t next = snowflake.next();
        ASSERT_GT(next, last);
        last = next;
    }
}

TEST(Snowflake, a_large_step_back_is_an_error_until_the_clock_has_caught_up) {
    ManualClock clock;
    Snowflake snowflake(clock, 1, milliseconds(100));
    const int64_t last = snowflake.next();
    clock.step_wall(-milliseconds(101));
    try {
        snowflake.next();
        FAIL() << "made an id";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::unavailable);
        EXPECT_STREQ(error.what(),
                     "the clock is 101 ms behind the last id, more than the 100 ms allowed; set it right");
    }
    clock.advance(milliseconds(1));
    EXPECT_GT(snowflake.next(), last);
}

TEST(Snowflake, a_burst_borrows_milliseconds_and_no_more_than_the_lead) {
    ManualClock clock;
    Snowflake snowflake(clock, 1, milliseconds(2));
    int64_t made = 0;
    EXPECT_THROW(
        while (true) {
            snowflake.next();
            ++made;
        },
        Error);
    EXPECT_EQ(made, 3 * 4096);
}

TEST(Snowflake, refuses_a_node_number_of_eleven_bits) {
    ManualClock clock;
    EXPECT_THROW(Snowflake(clock, 1024), Error);
}

TEST(Snowflake, threads_never_share_an_id) {
    Snowflake snowflake(Clock::real(), 1);
    std::vector<int64_t> ids[4];
    {
        std::vector<std::jthread> threads;
        for (auto& mine : ids) {
            threads.emplace_back([&] {
                for (int i = 0; i < 5000; ++i) mine.push_back(snowflake.next());
            });
        }
    }
    std::set<int64_t> all;
    for (const auto& mine : ids) all.insert(mine.begin(), mine.end());
    EXPECT_EQ(all.size(), 20000u);
}

TEST(Gid, is_26_characters_that_tell_their_time) {
    ManualClock clock;
    SeededRandom random(1);
    GidGenerator gids(clock, random);
    const std::string gid = gids.next();
    EXPECT_EQ(gid.size(), 26u);
    EXPECT_EQ(GidGenerator::unix_ms(gid), clock.wall_ms());
    EXPECT_TRUE(valid_gid_characters(gid));
    EXPECT_EQ(GidGenerator::unix_ms("01ARZ3NDEKTSV4RRFFQ69G5FAV"), 1469922850259);  // the ULID specification's example
    EXPECT_EQ(GidGenerator::unix_ms("order-17"), 0);
}

TEST(Gid, text_order_is_the_order_of_making_even_when_the_clock_steps_back) {
    ManualClock clock;
    SeededRandom random(2);
    GidGenerator gids(clock, random);
    std::string last = gids.next();
    for (int i = 0; i < 3000; ++i) {
        if (i % 7 == 0) clock.advance(milliseconds(1));
        if (i % 100 == 0) clock.step_wall(-milliseconds(50));
        std::string next = gids.next();
        ASSERT_LT(last, next);
        last = std::move(next);
    }
}

class AllOnes final : public Random {
  public:
    void fill(std::span<std::byte> bytes) override { std::ranges::fill(bytes, std::byte{0xff}); }
    uint64_t next() override { return ~uint64_t{0}; }
};

TEST(Gid, an_exhausted_random_part_moves_to_the_next_millisecond) {
    ManualClock clock;
    AllOnes random;
    GidGenerator gids(clock, random);
    const std::string first = gids.next();
    const std::string second = gids.next();
    EXPECT_TRUE(first.ends_with("ZZZZZZZZZZZZZZZZ"));
    EXPECT_EQ(GidGenerator::unix_ms(second), clock.wall_ms() + 1);
}

TEST(Gid, foreign_gids_may_use_url_safe_characters_only) {
    EXPECT_TRUE(valid_gid_characters("Order-17_a.b:c~d"));
    EXPECT_TRUE(valid_gid_characters(std::string(128, 'x')));
    EXPECT_FALSE(valid_gid_characters(std::string(129, 'x')));
    const std::string_view wrong_ones[] = {"", "a b", "a/b", "a\"b", "a%20", "ü", "a\n", std::string_view("a\0", 2)};
    for (const std::string_view wrong : wrong_ones) {
        EXPECT_FALSE(valid_gid_characters(wrong)) << wrong;
    }
}

}  // namespace
}  // namespace tandem::base
