#include "tandem/base/hash_map.h"

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "tandem/base/random.h"

namespace tandem::base {
namespace {

template <typename Map>
std::string text_of(const Map& map) {
    std::string text;
    for (const auto& [key, value] : map) text += fmt::format("{}={} ", key, value);
    return text;
}

TEST(HashMap, iterates_in_order_of_insertion_also_after_erasing_and_assigning) {
    HashMap<std::string, int> map{{"c", 1}, {"a", 2}, {"b", 3}, {"d", 4}};
    map.insert_or_assign("a", 20);
    EXPECT_EQ(text_of(map), "c=1 a=20 b=3 d=4 ");
    EXPECT_TRUE(map.erase("c"));
    EXPECT_FALSE(map.erase("c"));
    map["c"] = 5;
    map["e"];
    EXPECT_EQ(text_of(map), "a=20 b=3 d=4 c=5 e=0 ");
    for (auto [key, value] : map) value += 1;
    EXPECT_EQ(text_of(map), "a=21 b=4 d=5 c=6 e=1 ");
}

TEST(HashMap, finds_by_view_without_making_a_string) {
    HashMap<std::string, int> map{{"key", 1}};
    EXPECT_EQ(*map.find(std::string_view("key")), 1);
    EXPECT_EQ(map.find("kex"), nullptr);
    EXPECT_TRUE(map.contains("key"));
    EXPECT_EQ((HashMap<std::string, int>{}.find("key")), nullptr);
}

TEST(HashMap, try_emplace_leaves_what_is_there_and_its_arguments_alone) {
    HashMap<int, std::unique_ptr<int>> map;
    EXPECT_TRUE(map.try_emplace(1, std::make_unique<int>(10)).second);
    auto second = std::make_unique<int>(20);
    const auto [held, made] = map.try_emplace(1, std::move(second));
    EXPECT_FALSE(made);
    EXPECT_EQ(*held, 10);
    EXPECT_NE(second, nullptr);
}

// The same random operations on this map and on a std::unordered_map with a list for the order.
TEST(HashMap, agrees_with_a_model_through_every_slot_width) {
    SeededRandom random(5);
    HashMap<uint64_t, uint64_t> map;
    std::list<std::pair<uint64_t, uint64_t>> order;
    std::unordered_map<uint64_t, decltype(order)::iterator> model;
    for (int step = 0; step < 400'000; ++step) {
        const uint64_t range = step < 1000 ? 100 : step < 50'000 ? 20'000 : 200'000;
        const uint64_t key = random.below(range) * 4096;
        const auto found = model.find(key);
        if (random.chance(step % 60'000 < 45'000 ? 0.3 : 0.9)) {
            ASSERT_EQ(map.erase(key), found != model.end());
            if (found != model.end()) {
                order.erase(found->second);
                model.erase(found);
            }
        } else {
            map.insert_or_assign(key, step);
            if (found != model.end()) {
                found->second->second = step;
            } else {
                model[key] = order.insert(order.end(), {key, step});
            }
        }
        ASSERT_EQ(map.size(), model.size());
        if (step % 20'000 == 0) {
            auto expected = order.begin();
            for (const auto& [key, value] : map) {
                ASSERT_EQ(key, expected->first);
                ASSERT_EQ(value, expected->second);
                ASSERT_EQ(*map.find(key), value);
                ++expected;
            }
            ASSERT_EQ(expected, order.end());
        }
    }
}

TEST(HashMap, all_keys_may_collide) {
    struct Same {
        uint64_t operator()(int) const { return 7; }
    };
    HashMap<int, int, Same> map;
    for (int i = 0; i < 300; ++i) map[i] = i;
    for (int i = 0; i < 300; i += 2) EXPECT_TRUE(map.erase(i));
    for (int i = 0; i < 300; ++i) EXPECT_EQ(map.contains(i), i % 2 == 1);
}

TEST(HashMap, taking_from_the_front_forever_neither_grows_nor_slows) {
    HashMap<int, int> map;
    for (int i = 0; i < 1'000'000; ++i) {
        map[i] = i;
        if (map.size() > 10) {
            const int oldest = (*map.begin()).key;
            ASSERT_EQ(oldest, i - 10);
            map.erase(oldest);
        }
    }
    EXPECT_EQ(map.size(), 10u);
}

TEST(HashMap, copies_moves_compares_and_clears) {
    HashMap<std::string, std::string> one{{"a", "long enough to be on the heap"}, {"b", "2"}};
    HashMap<std::string, std::string> two = one;
    EXPECT_EQ(one, two);
    two["b"] = "3";
    EXPECT_FALSE(one == two);
    one = std::move(two);
    EXPECT_EQ(*one.find("b"), "3");
    one.clear();
    EXPECT_TRUE(one.empty());
    EXPECT_EQ(one.begin(), one.end());
    one["again"] = "x";
    EXPECT_EQ(text_of(one), "again=x ");
}

TEST(HashMap, a_full_byte_table_does_not_take_a_number_for_a_mark) {
    HashMap<int, int> map;
    for (int i = 0; i < 70'000; ++i) {
        map[i] = i;
        if ((i & (i + 1)) == 0 || i == 190 || i == 191 || i == 192 || i == 49'151 || i == 49'152) {
            for (int j = 0; j <= i; ++j) ASSERT_EQ(*map.find(j), j);
        }
    }
}

}  // namespace
}  // namespace tandem::base
