#include "tandem/base/lru_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tandem/base/random.h"

namespace tandem::base {
namespace {

template <typename Cache>
std::string order(const Cache& cache) {
    std::string keys;
    cache.for_each([&](const auto& key, const auto&) { keys += fmt::format("{} ", key); });
    return keys;
}

TEST(LruCache, forgets_what_was_used_longest_ago) {
    LruCache<std::string, int> cache(3);
    cache.put("a", 1);
    cache.put("b", 2);
    cache.put("c", 3);
    EXPECT_EQ(*cache.get("a"), 1);
    EXPECT_EQ(*cache.put("d", 4), 4);
    EXPECT_EQ(order(cache), "d a c ");
    EXPECT_EQ(cache.get("b"), nullptr);
    EXPECT_EQ(*cache.peek("c"), 3);
    EXPECT_EQ(order(cache), "d a c ");
    cache.put("c", 30);
    EXPECT_EQ(order(cache), "c d a ");
    EXPECT_EQ(cache.statistics().hits, 1u);
    EXPECT_EQ(cache.statistics().misses, 1u);
    EXPECT_EQ(cache.statistics().evictions, 1u);
}

struct TextSize {
    size_t operator()(int, const std::string& value) const { return value.size(); }
};

TEST(LruCache, can_be_bounded_by_bytes) {
    LruCache<int, std::string, TextSize> cache(10);
    cache.put(1, "aaaa");
    cache.put(2, "bbbb");
    cache.put(3, "cccc");
    EXPECT_EQ(order(cache), "3 2 ");
    EXPECT_EQ(cache.size(), 8u);
    cache.put(2, "b");
    EXPECT_EQ(cache.size(), 5u);
    cache.put(4, "dddddddddd");
    EXPECT_EQ(order(cache), "4 ");
    EXPECT_EQ(cache.put(4, "larger than all"), nullptr);
    EXPECT_EQ(cache.entries(), 0u);
    EXPECT_EQ(cache.size(), 0u);
}

TEST(LruCache, erases_and_clears) {
    LruCache<int, int> cache(5);
    for (int i = 0; i < 5; ++i) cache.put(i, i);
    EXPECT_TRUE(cache.erase(4));
    EXPECT_TRUE(cache.erase(0));
    EXPECT_TRUE(cache.erase(2));
    EXPECT_FALSE(cache.erase(2));
    EXPECT_EQ(order(cache), "3 1 ");
    cache.clear();
    EXPECT_EQ(order(cache), "");
    cache.put(7, 7);
    EXPECT_EQ(order(cache), "7 ");
    EXPECT_EQ(cache.statistics().evictions, 0u);
}

TEST(LruCache, agrees_with_a_model) {
    SeededRandom random(11);
    LruCache<uint64_t, uint64_t> cache(20);
    std::vector<uint64_t> model;  // most recently used first
    for (uint64_t step = 0; step < 20'000; ++step) {
        const uint64_t key = random.below(40);
        const auto at = std::ranges::find(model, key);
        const bool known = at != model.end();
        if (random.chance(0.1)) {
            ASSERT_EQ(cache.erase(key), known);
            if (known) model.erase(at);
            continue;
        }
        const bool put = random.chance(0.5);
        if (put) {
            cache.put(key, step);
        } else {
            ASSERT_EQ(cache.get(key) != nullptr, known);
        }
        if (known) model.erase(at);
        if (known || put) model.insert(model.begin(), key);
        if (model.size() > 20) model.pop_back();
        std::string expected;
        for (const uint64_t each : model) expected += fmt::format("{} ", each);
        ASSERT_EQ(order(cache), expected);
    }
}

}  // namespace
}  // namespace tandem::base
