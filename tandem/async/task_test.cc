// The lifetime suite: every way a Task can begin and end. It is most worth under AddressSanitizer.
#include "tandem/async/task.h"

#include <gtest/gtest.h>

#include "tandem/async/combine.h"
#include "tandem/async/loop.h"
#include "tandem/async/time.h"

namespace tandem::async {
namespace {

using namespace std::chrono_literals;

struct Counted {
    static inline int alive = 0;
    Counted() { ++alive; }
    Counted(const Counted&) { ++alive; }
    Counted(Counted&&) noexcept { ++alive; }
    ~Counted() { --alive; }
};

class TaskTest : public testing::Test {
  protected:
    void SetUp() override { Counted::alive = 0; }
    void TearDown() override { EXPECT_EQ(Counted::alive, 0) << "something in a frame was leaked or destroyed twice"; }
};

Task<int> value(int v) {
    co_return v;
}
Task<void> nothing() {
    co_return;
}
Task<std::string> text() {
    co_return std::string(100, 'x');
}
Task<int> throws() {
    fail(Code::conflict, "as asked");
    co_return 0;
}
Task<int> holds(Counted) {
    co_return co_await value(1);
}
Task<std::unique_ptr<int>> move_only() {
    co_return std::make_unique<int>(7);
}

TEST_F(TaskTest, gives_its_value) {
    EXPECT_EQ(run(value(42)), 42);
    EXPECT_EQ(run(text()), std::string(100, 'x'));
    EXPECT_EQ(*run(move_only()), 7);
    run(nothing());
}

TEST_F(TaskTest, throws_its_error_where_it_is_awaited) {
    auto outer = []() -> Task<std::string> {
        try {
            co_await throws();
        } catch (const Error& error) {
            co_return error.message();
        }
        co_return "no error";
    };
    EXPECT_EQ(run(outer()), "as asked");
    EXPECT_THROW(run(throws()), Error);
}

TEST_F(TaskTest, never_awaited_frees_its_frame_and_arguments) {
    {
        Task<int> task = holds(Counted{});
        EXPECT_EQ(Counted::alive, 1);
    }
    EXPECT_EQ(Counted::alive, 0);
}

TEST_F(TaskTest, assigned_over_frees_the_old_frame) {
    Task<int> task = holds(Counted{});
    task = value(2);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(run(std::move(task)), 2);
}

TEST_F(TaskTest, does_not_start_before_it_is_awaited) {
    bool started = false;
    auto starts = [](bool* flag) -> Task<void> {
        *flag = true;
        co_return;
    };
    auto outer = [&]() -> Task<bool> {
        Task<void> task = starts(&started);
        const bool before = started;
        co_await std::move(task);
        co_return !before && started;
    };
    EXPECT_TRUE(run(outer()));
}

TEST_F(TaskTest, awaits_in_conditions_loops_and_ternaries) {
    // The shapes that g++ 12 miscompiles.
    auto odd = [](int n) -> Task<bool> { co_return n % 2 == 1; };
    auto count = [&]() -> Task<int> {
        int found = 0;
        for (int i = 0; i < 10; ++i) {
            if (co_await odd(i)) ++found;
        }
        while (found < 7 && co_await odd(1)) ++found;
        std::string chosen = found == 7 ? co_await text() : std::string("no");
        std::vector<int> values{co_await value(1), co_await value(2)};
        co_return found + static_cast<int>(chosen.size()) + values[1];
    };
    EXPECT_EQ(run(count()), 7 + 100 + 2);
}

TEST_F(TaskTest, an_exception_unwinds_suspended_callers_in_order) {
    auto deep = [](auto& self, int depth) -> Task<int> {
        Counted here;
        if (depth == 0) {
            co_await sleep(0ms);
            fail(Code::aborted, "bottom");
        }
        co_return co_await self(self, depth - 1);
    };
    EXPECT_THROW(run(deep(deep, 50)), Error);
}

TEST_F(TaskTest, a_million_synchronous_completions_do_not_grow_the_stack) {
    auto many = []() -> Task<int64_t> {
        int64_t sum = 0;
        for (int i = 0; i < 1'000'000; ++i) sum += co_await value(1);
        co_return sum;
    };
    EXPECT_EQ(run(many()), 1'000'000);
}

TEST_F(TaskTest, a_deep_chain_completes_without_recursion) {
    auto chain = [](auto& self, int depth) -> Task<int> {
        if (depth == 0) co_return 0;
        co_return 1 + co_await self(self, depth - 1);
    };
    EXPECT_EQ(run(chain(chain, 100'000)), 100'000);
}

TEST_F(TaskTest, cancelled_while_asleep_unwinds_and_frees) {
    auto sleeper = [](Counted) -> Task<void> { co_await sleep(1h); };
    auto outer = [&]() -> Task<std::string> {
        try {
            co_await with_deadline(1ms, sleeper(Counted{}));
        } catch (const Error& error) {
            co_return std::string(to_string(error.code()));
        }
        co_return "finished";
    };
    EXPECT_EQ(run(outer()), "deadline_exceeded");
}

TEST_F(TaskTest, an_error_thrown_after_cancellation_wins_over_nothing) {
    auto stubborn = []() -> Task<int> {
        try {
            co_await sleep(1h);
        } catch (const Error&) {
        }
        co_return 5;  // ignoring a cancellation is allowed: the value still arrives
    };
    EXPECT_EQ(run(with_deadline(1ms, stubborn())), 5);
}

TEST_F(TaskTest, a_result_that_nobody_takes_is_destroyed) {
    auto gives = []() -> Task<Counted> { co_return Counted{}; };
    auto outer = [&]() -> Task<void> { (void)co_await gives(); };
    run(outer());
}

}  // namespace
}  // namespace tandem::async
