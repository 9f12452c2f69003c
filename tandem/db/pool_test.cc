// The pool's bounds and cleanliness, over sessions that a test can spoil.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tandem/async/scope.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"

namespace tandem::db {
namespace {

using namespace std::chrono_literals;
using async::Task;

struct World {
    size_t alive = 0;
    size_t most_alive = 0;
    size_t made = 0;
    size_t pings = 0;
    bool healthy = true;
    bool in_transaction = false;
    bool ping_fails = false;
    bool connect_fails = false;
    async::Event may_connect;
};

class FakeSession final : public Session {
  public:
    explicit FakeSession(World& world) : world_(world) {
        ++world_.made;
        world_.most_alive = std::max(world_.most_alive, ++world_.alive);
    }
    ~FakeSession() override { --world_.alive; }
    Task<Result> execute(std::string, std::vector<Value>) override { co_return Result{}; }
    Task<std::vector<Result>> execute_batch(std::vector<Command>) override { co_return std::vector<Result>{}; }
    Task<void> execute_script(std::string) override { co_return; }
    Task<void> begin(Isolation) override { co_return; }
    Task<void> begin_read_only() override { co_return; }
    Task<void> commit() override { co_return; }
    Task<void> rollback() override { co_return; }
    bool in_transaction() const noexcept override { return world_.in_transaction; }
    Dialect dialect() const noexcept override { return Dialect::sqlite; }
    bool healthy() const noexcept override { return world_.healthy; }
    Task<void> ping() override {
        ++world_.pings;
        if (world_.ping_fails) fail(Code::unavailable, "gone");
        co_return;
    }

  private:
    World& world_;
};

class FakeDriver final : public Driver {
  public:
    explicit FakeDriver(World& world) : world_(world) {}
    Task<std::unique_ptr<Session>> connect() override {
        co_await world_.may_connect.wait();
        if (world_.connect_fails) fail(Code::unavailable, "nobody there");
        co_return std::make_unique<FakeSession>(world_);
    }
    Dialect dialect() const noexcept override { return Dialect::sqlite; }

  private:
    World& world_;
};

template <typename Work>
void with_pool(PoolOptions options, Work work) {
    base::ManualClock clock;
    async::Loop loop({.clock = &clock});
    World world;
    world.may_connect.set();
    loop.run([&]() -> Task<void> {
        Database database(std::make_unique<FakeDriver>(world), options);
        co_await work(database, world, clock);
    }());
    EXPECT_EQ(world.alive, 0u);
}

TEST(Pool, opens_no_more_than_its_bound_and_serves_in_order) {
    with_pool({.sessions_max = 2}, [](Database& database, World& world, base::ManualClock&) -> Task<void> {
        async::Scope scope;
        std::vector<int> order;
        const auto visit = [&](int number) -> Task<void> {
            Lease session = co_await database.session();
            order.push_back(number);
            co_await async::yield();
        };
        for (int i = 0; i < 20; ++i) scope.spawn(visit(i));
        co_await scope.join();
        EXPECT_EQ(world.most_alive, 2u);
        EXPECT_TRUE(std::ranges::is_sorted(order));
        EXPECT_EQ(database.stats().idle, 2u);
        EXPECT_EQ(database.stats().waiting, 0u);
        EXPECT_EQ(database.stats().waits_total, 18u);
    });
}

TEST(Pool, refuses_more_waiting_callers_than_its_bound) {
    with_pool({.sessions_max = 1, .waiting_max = 0}, [](Database& database, World&, base::ManualClock&) -> Task<void> {
        Lease held = co_await database.session();
        try {
            (void)co_await database.session();
            ADD_FAILURE();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::resource_exhausted);
        }
        held.give_back();
        (void)co_await database.session();
    });
}

TEST(Pool, a_cancelled_waiter_leaves_the_queue) {
    with_pool({.sessions_max = 1}, [](Database& database, World&, base::ManualClock&) -> Task<void> {
        Lease held = co_await database.session();
        async::Scope scope(async::Scope::OnError::keep_going);
        const auto wait = [&]() -> Task<void> { (void)co_await database.session(); };
        scope.spawn(wait());
        co_await async::yield();
        EXPECT_EQ(database.stats().waiting, 1u);
        scope.cancel();
        try {
            co_await scope.join();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::cancelled);
        }
        EXPECT_EQ(database.stats().waiting, 0u);
        held.give_back();
        (void)co_await database.session();
    });
}

TEST(Pool, a_caller_cancelled_while_connecting_gives_its_place_back) {
    with_pool({.sessions_max = 1}, [](Database& database, World& world, base::ManualClock&) -> Task<void> {
        world.may_connect.reset();
        async::Scope scope(async::Scope::OnError::keep_going);
        const auto wait = [&]() -> Task<void> { (void)co_await database.session(); };
        scope.spawn(wait());
        co_await async::yield();
        scope.cancel();
        EXPECT_THROW(co_await scope.join(), Error);
        world.may_connect.set();
        (void)co_await database.session();
        EXPECT_EQ(database.stats().open, 1u);
    });
}

TEST(Pool, a_failed_connect_gives_its_place_back) {
    with_pool({.sessions_max = 1}, [](Database& database, World& world, base::ManualClock&) -> Task<void> {
        world.connect_fails = true;
        EXPECT_THROW((void)co_await database.session(), Error);
        EXPECT_THROW((void)co_await database.session(), Error);
        world.connect_fails = false;
        (void)co_await database.session();
    });
}

TEST(Pool, closes_a_session_that_comes_back_unhealthy_or_inside_a_transaction) {
    with_pool({.sessions_max = 1}, [](Database& database, World& world, base::ManualClock&) -> Task<void> {
        {
            Lease session = co_await database.session();
            world.in_transaction = true;
        }
        EXPECT_EQ(world.alive, 0u);
        world.in_transaction = false;
        {
            Lease session = co_await database.session();
            world.healthy = false;
        }
        EXPECT_EQ(world.alive, 0u);
        EXPECT_EQ(database.stats().open, 0u);
    });
}

TEST(Pool, never_hands_out_a_session_that_died_while_idle) {
    with_pool({.sessions_max = 1}, [](Database& database, World& world, base::ManualClock&) -> Task<void> {
        (void)co_await database.session();
        world.healthy = false;
        (void)co_await database.session();
        EXPECT_EQ(world.made, 2u);
        EXPECT_EQ(world.pings, 0u);
    });
}

TEST(Pool, pings_what_was_idle_for_long_and_closes_what_was_idle_too_long) {
    with_pool({.sessions_max = 1, .idle_max = 100s, .ping_after = 10s},
              [](Database& database, World& world, base::ManualClock& clock) -> Task<void> {
                  (void)co_await database.session();
                  clock.advance(9s);
                  (void)co_await database.session();
                  EXPECT_EQ(world.pings, 0u);
                  clock.advance(11s);
                  (void)co_await database.session();
                  EXPECT_EQ(world.pings, 1u);
                  EXPECT_EQ(world.made, 1u);
                  clock.advance(11s);
                  world.ping_fails = true;
                  (void)co_await database.session();
                  EXPECT_EQ(world.made, 2u);
                  clock.advance(101s);
                  (void)co_await database.session();
                  EXPECT_EQ(world.pings, 2u) << "an expired one is not even asked";
                  EXPECT_EQ(world.made, 3u);
                  EXPECT_EQ(database.stats().open, 1u);
              });
}

TEST(Redact, hides_the_password_however_the_url_is_written) {
    EXPECT_EQ(redact("mysql://u:secret@h:1/s"), "mysql://u:***@h:1/s");
    EXPECT_EQ(redact("mysql:u:secret@h/s"), "mysql:u:***@h/s");
    EXPECT_EQ(redact("postgres://u:se@cr:et@h/s"), "postgres://u:***@h/s");
    EXPECT_EQ(redact("mysql://u@h/s"), "mysql://u@h/s");
    EXPECT_EQ(redact("sqlite:/var/x.db"), "sqlite:/var/x.db");
}

TEST(Database, refuses_a_url_of_no_database_without_repeating_its_password) {
    for (const std::string url : {"", "oracle://u:secret@h/s", "mysql:u:secret@h/s", "mysql://u:secret@h:0/s",
                                  "mysql://u:secret@h:99999/s", "mysql://u:secret@/s", "mysql://u:secret@h/s/t",
                                  "mysql://u:secret%@h/s", "mysql://u:secret@h/s?ssl=1", "sqlite:"}) {
        try {
            Database database(url);
            ADD_FAILURE() << url;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::invalid_argument) << url;
            EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("secret"))) << url;
        }
    }
}

}  // namespace
}  // namespace tandem::db
