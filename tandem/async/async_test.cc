// Contexts, scopes, time, synchronisation, loops and threads.
#include <gtest/gtest.h>

#include <set>

#include "tandem/async/blocking.h"
#include "tandem/async/channel.h"
#include "tandem/async/combine.h"
#include "tandem/async/generator.h"
#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/async/threads.h"
#include "tandem/async/time.h"

namespace tandem::async {
namespace {

using namespace std::chrono_literals;
constexpr ContextKey<int> number_key{"number"};

int number() {
    int* found = Context::current()->find(number_key);
    return found ? *found : -1;
}

// ---- Context ----

Task<void> wander(LoopThreads* threads, int expected, std::atomic<int>* mistakes) {
    auto check = [&] { *mistakes += number() != expected; };
    check();
    co_await yield();
    check();
    co_await on_loop((*threads)[expected % 2], [](int want, std::atomic<int>* wrong) -> Task<void> {
        *wrong += number() != want;
        co_await yield();
        *wrong += number() != want;
    }(expected, mistakes));
    check();
    co_await run_blocking([&] { *mistakes += number() != expected; });
    check();
    auto child = [](int want, std::atomic<int>* wrong) -> Task<void> {
        co_await sleep(std::chrono::microseconds(want % 7));
        *wrong += number() != want;
    };
    std::vector<Task<void>> children;
    for (int i = 0; i < 3; ++i) children.push_back(child(expected, mistakes));
    co_await all(std::move(children));
    check();
}

Task<void> request(LoopThreads* threads, int id, std::atomic<int>* mistakes) {
    Context context(Context::current());
    context.set(number_key, &id);
    co_await with_context(context, wander(threads, id, mistakes));
    *mistakes += number() != -1;
}

TEST(Context, follows_each_of_hundreds_of_interleaved_requests_across_awaits_hops_and_blocking_calls) {
    LoopThreads threads(2);
    std::atomic<int> mistakes = 0;
    auto all_requests = [&]() -> Task<void> {
        Scope scope;
        for (int id = 0; id < 400; ++id) scope.spawn(request(&threads, id, &mistakes));
        co_await scope.join();
    };
    run(all_requests());
    EXPECT_EQ(mistakes, 0);
    EXPECT_EQ(Context::current(), nullptr);
}

TEST(Context, a_child_sees_its_parents_values_and_may_hide_them) {
    int one = 1, two = 2;
    Context parent;
    parent.set(number_key, &one);
    Context child(&parent);
    EXPECT_EQ(*child.find(number_key), 1);
    child.set(number_key, &two);
    EXPECT_EQ(*child.find(number_key), 2);
    child.set(number_key, static_cast<int*>(nullptr));
    EXPECT_EQ(child.find(number_key), nullptr);
    EXPECT_EQ(*parent.find(number_key), 1);
}

TEST(Context, cancellation_reaches_children_once_and_keeps_its_reason) {
    Context parent;
    Context child(&parent);
    Context deaf(&parent, Inherit::values_only);
    parent.cancel(Error(Code::cancelled, "first"));
    parent.cancel(Error(Code::deadline_exceeded, "second"));
    try {
        child.check();
        ADD_FAILURE();
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "first");
    }
    EXPECT_FALSE(deaf.cancelled());
    Context born_late(&child);
    EXPECT_TRUE(born_late.cancelled());
}

TEST(Context, a_deadline_is_inherited_and_only_tightens) {
    Context parent;
    const auto soon = base::TimePoint(5s), later = base::TimePoint(9s);
    parent.tighten_deadline(soon);
    Context child(&parent);
    child.tighten_deadline(later);
    EXPECT_EQ(child.deadline(), soon);
}

// ---- Scope, all, any, deadlines ----

Task<int> after(base::Duration wait, int result) {
    co_await sleep(wait);
    co_return result;
}
Task<int> fails_after(base::Duration wait, std::string message) {
    co_await sleep(wait);
    fail(Code::unavailable, "{}", message);
}

TEST(Scope, join_waits_for_all_and_throws_the_first_error_after_cancelling_the_rest) {
    int ended = 0;
    auto forever = [](int* count) -> Task<void> {
        try {
            co_await sleep(1h);
        } catch (const Error&) {
        }
        ++*count;
    };
    auto bad = []() -> Task<void> { (void)co_await fails_after(1ms, "bad"); };
    auto body = [&]() -> Task<void> {
        Scope scope;
        scope.spawn(forever(&ended));
        scope.spawn(bad());
        scope.spawn(forever(&ended));
        co_await scope.join();
    };
    EXPECT_THROW(run(body()), Error);
    EXPECT_EQ(ended, 2);
}

TEST(Scope, tasks_spawned_by_its_tasks_are_joined_too) {
    int count = 0;
    struct Local {
        static Task<void> grow(Scope* scope, int depth, int* count) {
            ++*count;
            co_await yield();
            if (depth > 0) {
                scope->spawn(grow(scope, depth - 1, count));
                scope->spawn(grow(scope, depth - 1, count));
            }
        }
    };
    auto body = [&]() -> Task<void> {
        Scope scope;
        scope.spawn(Local::grow(&scope, 6, &count));
        co_await scope.join();
    };
    run(body());
    EXPECT_EQ(count, 127);
}

TEST(All, gives_results_in_order) {
    auto body = []() -> Task<void> {
        auto [a, b] = co_await all(after(2ms, 1), after(1ms, 2));
        EXPECT_EQ(a, 1);
        EXPECT_EQ(b, 2);
        std::vector<Task<int>> many;
        for (int i = 0; i < 100; ++i) many.push_back(after(std::chrono::microseconds(100 - i), i));
        auto results = co_await all(std::move(many));
        for (int i = 0; i < 100; ++i) EXPECT_EQ(results[i], i);
    };
    run(body());
}

TEST(Any, first_success_wins_and_failures_count_only_when_all_fail) {
    auto body = []() -> Task<void> {
        std::vector<Task<int>> race;
        race.push_back(after(1h, 1));
        race.push_back(fails_after(0ms, "quick failure"));
        race.push_back(after(1ms, 3));
        auto winner = co_await any(std::move(race));
        EXPECT_EQ(winner.index, 2u);
        EXPECT_EQ(winner.value, 3);
        std::vector<Task<int>> doomed;
        doomed.push_back(fails_after(0ms, "a"));
        doomed.push_back(fails_after(1ms, "b"));
        std::string message;
        try {
            (void)co_await any(std::move(doomed));
        } catch (const Error& error) {
            message = error.message();
        }
        EXPECT_EQ(message, "a");
    };
    run(body());
}

TEST(Shielded, work_goes_on_although_the_caller_is_cancelled) {
    bool cleaned = false;
    auto clean_up = [](bool* done) -> Task<void> {
        co_await sleep(2ms);
        *done = true;
    };
    auto body = [&]() -> Task<void> { co_await shielded(clean_up(&cleaned)); };
    auto outer = [&]() -> Task<void> { co_await with_deadline(1ms, body()); };
    run(outer());
    EXPECT_TRUE(cleaned);
}

TEST(Loop, timers_fire_in_order_of_time_then_of_arming) {
    std::vector<int> order;
    auto note = [](base::TimePoint when, int id, std::vector<int>* out) -> Task<void> {
        co_await sleep_until(when);
        out->push_back(id);
    };
    auto body = [&]() -> Task<void> {
        Scope scope;
        const auto start = Loop::current().now();
        for (int i = 0; i < 200; ++i) scope.spawn(note(start + 1ms * ((i * 37) % 10), i, &order));
        co_await scope.join();
    };
    run(body());
    ASSERT_EQ(order.size(), 200u);
    for (size_t i = 1; i < order.size(); ++i) {
        const int a = order[i - 1], b = order[i];
        EXPECT_LT(std::pair((a * 37) % 10, a), std::pair((b * 37) % 10, b));
    }
}

// ---- synchronisation ----

TEST(Mutex, serves_in_order_of_arrival_and_excludes) {
    Mutex mutex;
    int inside = 0;
    std::vector<int> order;
    auto enter = [&](int id) -> Task<void> {
        auto lock = co_await mutex.lock();
        EXPECT_EQ(++inside, 1);
        co_await yield();
        order.push_back(id);
        --inside;
    };
    auto body = [&]() -> Task<void> {
        std::vector<Task<void>> tasks;
        for (int i = 0; i < 20; ++i) tasks.push_back(enter(i));
        co_await all(std::move(tasks));
    };
    run(body());
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(order.size(), 20u);
}

TEST(Mutex, a_cancelled_waiter_leaves_the_queue_and_the_next_gets_the_lock) {
    Mutex mutex;
    auto body = [&]() -> Task<std::string> {
        auto held = co_await mutex.lock();
        auto waits = [](Mutex* m) -> Task<int> {
            auto lock = co_await m->lock();
            co_return 1;
        };
        std::string seen;
        try {
            (void)co_await with_deadline(1ms, waits(&mutex));
        } catch (const Error& error) {
            seen = to_string(error.code());
        }
        held.release();
        (void)co_await waits(&mutex);
        co_return seen;
    };
    EXPECT_EQ(run(body()), "deadline_exceeded");
}

TEST(Mutex, excludes_across_loops_on_threads) {
    LoopThreads threads(4);
    Mutex mutex;
    int64_t counter = 0;  // guarded by mutex
    auto work = [](Mutex* m, int64_t* value) -> Task<void> {
        for (int i = 0; i < 500; ++i) {
            auto lock = co_await m->lock();
            const int64_t seen = *value;
            if (i % 16 == 0) co_await yield();
            *value = seen + 1;
        }
    };
    std::vector<Future<void>> futures;
    for (int i = 0; i < 8; ++i) futures.push_back(threads[i % 4].submit(work(&mutex, &counter)));
    for (auto& future : futures) future.get();
    EXPECT_EQ(counter, 8 * 500);
}

TEST(Semaphore, a_large_request_is_not_overtaken_by_small_ones) {
    Semaphore semaphore(3);
    std::vector<int> order;
    auto take = [&](size_t units, int id) -> Task<void> {
        auto permit = co_await semaphore.acquire(units);
        order.push_back(id);
        co_await yield();
    };
    auto body = [&]() -> Task<void> {
        std::vector<Task<void>> tasks;
        tasks.push_back(take(2, 0));
        tasks.push_back(take(3, 1));
        tasks.push_back(take(1, 2));
        co_await all(std::move(tasks));
    };
    run(body());
    EXPECT_EQ(order, (std::vector{0, 1, 2}));
    EXPECT_EQ(semaphore.available(), 3u);
}

TEST(Event, releases_all_waiters_and_stays_set) {
    Event event;
    int released = 0;
    auto wait = [&]() -> Task<void> {
        co_await event.wait();
        ++released;
    };
    auto body = [&]() -> Task<void> {
        Scope scope;
        for (int i = 0; i < 5; ++i) scope.spawn(wait());
        co_await yield();
        EXPECT_EQ(released, 0);
        event.set();
        co_await scope.join();
        co_await event.wait();
    };
    run(body());
    EXPECT_EQ(released, 5);
}

TEST(Event, wait_for_tells_its_own_time_out_from_the_callers) {
    auto body = []() -> Task<void> {
        Event never, set;
        set.set();
        EXPECT_TRUE(co_await wait_for(set, 1h));
        EXPECT_FALSE(co_await wait_for(never, 1ms));
        Code code{};
        try {
            (void)co_await with_deadline(1ms, wait_for(never, 1h));
        } catch (const Error& error) {
            code = error.code();
        }
        EXPECT_EQ(code, Code::deadline_exceeded);
    };
    run(body());
}

TEST(Barrier, lets_a_round_pass_together_again_and_again) {
    Barrier barrier(3);
    std::vector<int> rounds(3);
    auto party = [&](int me) -> Task<void> {
        for (int round = 0; round < 10; ++round) {
            rounds[me] = round;
            co_await barrier.arrive_and_wait();
            for (int other : rounds) EXPECT_GE(other, round);
            co_await barrier.arrive_and_wait();
        }
    };
    auto body = [&]() -> Task<void> { co_await all(party(0), party(1), party(2)); };
    run(body());
}

TEST(Channel, is_bounded_keeps_order_and_drains_after_close) {
    Channel<int> channel(2);
    size_t largest = 0;
    auto produce = [&]() -> Task<void> {
        for (int i = 0; i < 100; ++i) {
            co_await channel.push(i);
            largest = std::max(largest, channel.size());
        }
        channel.close();
    };
    std::vector<int> seen;
    auto consume = [&]() -> Task<void> {
        while (auto value = co_await channel.pop()) seen.push_back(*value);
        EXPECT_FALSE(co_await channel.pop());
    };
    auto body = [&]() -> Task<void> { co_await all(produce(), consume()); };
    run(body());
    EXPECT_EQ(seen.size(), 100u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_LE(largest, 2u);
    int late = 1;
    EXPECT_FALSE(channel.try_push(late));
}

TEST(Channel, close_wakes_pushers_and_poppers) {
    auto body = []() -> Task<void> {
        Channel<int> full(1), empty(1);
        int one = 1;
        EXPECT_TRUE(full.try_push(one));
        auto push = [](Channel<int>* c) -> Task<bool> {
            try {
                co_await c->push(2);
            } catch (const Error& error) {
                co_return error.code() == Code::cancelled;
            }
            co_return false;
        };
        auto pop = [](Channel<int>* c) -> Task<bool> { co_return !(co_await c->pop()).has_value(); };
        auto close = [](Channel<int>* a, Channel<int>* b) -> Task<void> {
            co_await yield();
            a->close();
            b->close();
        };
        auto [p, q, r, s, t] = co_await all(push(&full), push(&full), pop(&empty), pop(&empty), close(&full, &empty));
        EXPECT_TRUE(p && q && r && s);
    };
    run(body());
}

TEST(Channel, carries_everything_between_threads) {
    LoopThreads threads(4);
    Channel<int> channel(8);
    auto produce = [](Channel<int>* c, int from) -> Task<void> {
        for (int i = 0; i < 250; ++i) co_await c->push(from + i);
    };
    auto consume = [](Channel<int>* c) -> Task<std::vector<int>> {
        std::vector<int> got;
        while (auto v = co_await c->pop()) got.push_back(*v);
        co_return got;
    };
    std::vector<Future<void>> producers;
    std::vector<Future<std::vector<int>>> consumers;
    for (int i = 0; i < 4; ++i) {
        producers.push_back(threads[i].submit(produce(&channel, i * 1000)));
        consumers.push_back(threads[i].submit(consume(&channel)));
    }
    for (auto& producer : producers) producer.get();
    channel.close();
    std::set<int> all_values;
    for (auto& consumer : consumers) {
        for (int v : consumer.get()) EXPECT_TRUE(all_values.insert(v).second);
    }
    EXPECT_EQ(all_values.size(), 1000u);
}

TEST(Generator, yields_lazily_throws_through_and_may_be_dropped_half_way) {
    auto count = [](int to) -> Generator<int> {
        for (int i = 0; i < to; ++i) co_yield i;
        if (to > 5) fail(Code::internal, "too far");
    };
    int sum = 0;
    for (int v : count(5)) sum += v;
    EXPECT_EQ(sum, 10);
    EXPECT_THROW(for (int v : count(6)) sum += v, Error);
    for (int v : count(1'000'000)) {
        if (v == 3) break;
    }
}

// ---- threads ----

TEST(RunBlocking, gives_values_and_errors_back_and_does_not_block_the_loop) {
    auto body = []() -> Task<void> {
        std::mutex gate;
        gate.lock();
        auto blocked = [](std::mutex* m) -> Task<int> {
            co_return co_await run_blocking([m] {
                std::lock_guard wait(*m);
                return 3;
            });
        };
        auto opens = [](std::mutex* m) -> Task<void> {
            co_await yield();  // the loop still turns
            m->unlock();
        };
        auto [three, opened] = co_await all(blocked(&gate), opens(&gate));
        EXPECT_EQ(three, 3);
        bool thrown = false;
        try {
            co_await run_blocking([] { fail(Code::io, "disk"); });
        } catch (const Error& error) {
            thrown = error.code() == Code::io;
        }
        EXPECT_TRUE(thrown);
    };
    run(body());
}

TEST(RunBlocking, a_full_queue_is_an_error_not_a_wait) {
    BlockingPool pool({.threads_max = 1, .queue_max = 2});
    Loop loop({.blocking_pool = &pool});
    std::mutex gate;
    gate.lock();
    auto block = [](std::mutex* m, int* refused) -> Task<void> {
        try {
            co_await run_blocking([m] { std::lock_guard wait(*m); });
        } catch (const Error& error) {
            if (error.code() == Code::resource_exhausted) ++*refused;
        }
    };
    int refused = 0;
    auto body = [&]() -> Task<void> {
        Scope scope;
        for (int i = 0; i < 10; ++i) scope.spawn(block(&gate, &refused));
        while (refused < 7) co_await yield();
        gate.unlock();
        co_await scope.join();
    };
    loop.run(body());
    EXPECT_GE(refused, 7);
    EXPECT_LE(refused, 8);
}

TEST(RunBlocking, what_is_still_queued_when_cancelled_is_not_run) {
    BlockingPool pool({.threads_max = 1, .queue_max = 10});
    Loop loop({.blocking_pool = &pool});
    std::mutex gate;
    gate.lock();
    bool ran = false;
    auto body = [&]() -> Task<void> {
        Scope outer;
        outer.spawn(
            [](std::mutex* m) -> Task<void> { co_await run_blocking([m] { std::lock_guard wait(*m); }); }(&gate));
        co_await yield();
        Scope scope;
        scope.spawn([](bool* flag) -> Task<void> { co_await run_blocking([flag] { *flag = true; }); }(&ran));
        co_await yield();
        scope.cancel();
        gate.unlock();
        co_await outer.join();
        co_await scope.cancel_and_join();
    };
    loop.run(body());
    EXPECT_FALSE(ran);
}

TEST(OnLoop, comes_back_with_values_errors_and_cancellation) {
    LoopThreads threads(1);
    auto body = [&]() -> Task<void> {
        Loop& home = Loop::current();
        auto elsewhere = [](Loop* expected) -> Task<int> {
            EXPECT_EQ(&Loop::current(), expected);
            co_await sleep(100us);
            co_return 9;
        };
        EXPECT_EQ(co_await on_loop(threads[0], elsewhere(&threads[0])), 9);
        EXPECT_EQ(&Loop::current(), &home);
        Code code{};
        try {
            (void)co_await on_loop(threads[0], fails_after(0ms, "there"));
        } catch (const Error& error) {
            code = error.code();
        }
        EXPECT_EQ(code, Code::unavailable);
        try {
            (void)co_await with_deadline(1ms, on_loop(threads[0], after(1h, 1)));
        } catch (const Error& error) {
            code = error.code();
        }
        EXPECT_EQ(code, Code::deadline_exceeded);
    };
    run(body());
}

TEST(Future, a_plain_thread_waits_for_a_task) {
    LoopThreads threads(2);
    Future<int> slow = threads[0].submit(after(2ms, 5));
    Future<int> bad = threads[1].submit(fails_after(0ms, "x"));
    EXPECT_EQ(slow.get(), 5);
    EXPECT_THROW(bad.get(), Error);
}

TEST(LoopThreads, stopping_cancels_what_still_runs) {
    std::optional<Future<int>> pending;
    {
        LoopThreads threads(2);
        pending = threads[1].submit(after(1h, 1));
    }
    EXPECT_THROW(pending->get(), Error);
}

}  // namespace
}  // namespace tandem::async
