// The coordinator on virtual time, with a scripted world of branches and its store in memory.
#include "tandem/tx/coordinator.h"

#include <gtest/gtest.h>

#include "tandem/async/combine.h"
#include "tandem/async/testing.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"

namespace tandem::tx {
namespace {

using async::Task;
using namespace std::chrono_literals;

// Answers by URL; remembers every call as "op branch".
class Script final : public BranchCaller {
  public:
    Task<Answer> call(BranchCall call) override {
        calls.push_back(call.operation + " " + call.branch_id);
        times.push_back(async::Loop::current().now());
        if (latency > 0ns) co_await async::sleep(latency);
        if (slow_urls.contains(call.url)) {
            most_slow_calls = std::max(most_slow_calls, ++slow_calls);
            co_await async::sleep(3s);
            --slow_calls;
            co_return Answer{Verdict::error, "timeout"};
        }
        std::deque<Answer>& script = answers[call.url];
        if (script.empty()) co_return Answer{Verdict::success, {}};
        Answer answer = script.front();
        if (script.size() > 1 || !sticky) script.pop_front();
        co_return answer;
    }
    std::map<std::string, std::deque<Answer>> answers;
    std::vector<std::string> calls;
    std::vector<base::TimePoint> times;
    base::Duration latency{};
    bool sticky = false;              // the last answer repeats
    std::set<std::string> slow_urls;  // time out after 3 s
    int slow_calls = 0;
    int most_slow_calls = 0;
};

struct World {
    Script script;
    base::SeededRandom random{1};
    db::Database database{"sqlite::memory:", {.sessions_max = 1, .idle_max = std::chrono::hours(10'000)}};
    CoordinatorOptions options{.node_id = "node-a"};
};

Transaction saga(std::string gid, int branches) {
    Transaction t;
    t.gid = std::move(gid);
    t.mode = Mode::saga;
    for (int i = 1; i <= branches; ++i) {
        t.branches.push_back({.id = "0" + std::to_string(i),
                              .forward = "http://f/" + std::to_string(i),
                              .backward = "http://b/" + std::to_string(i),
                              .payload = "{}"});
    }
    return t;
}

// Runs `body(coordinator, world)` with a started coordinator on virtual time.
template <typename Body>
void with_coordinator(World& world, Body body) {
    async::testing::VirtualLoop loop;
    auto run = [](World* w, Body* b) -> Task<void> {
        Store store(w->database);
        Coordinator coordinator(store, w->script, w->random, w->options);
        co_await coordinator.start();
        co_await (*b)(coordinator, *w);
        co_await coordinator.stop();
        co_await store.close();
        w->database.close_idle();
    };
    loop.run(run(&world, &body));
}

Task<Transaction> ended(Coordinator& coordinator, std::string gid) {
    for (;;) {
        auto found = co_await coordinator.find(gid);
        if (found && is_final(found->status)) co_return std::move(*found);
        co_await async::sleep(100ms);
    }
}

template <typename T>
Task<Code> code_of(Task<T> task) {
    try {
        (void)co_await std::move(task);
    } catch (const Error& error) {
        co_return error.code();
    }
    co_return Code::internal;
}

TEST(Coordinator, a_saga_goes_forward_in_order) {
    World world;
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        Transaction t = saga("g1", 3);
        t.options.wait_result = true;
        const Transaction done = (co_await c.submit(t)).transaction;
        EXPECT_EQ(done.status, Status::succeeded);
        EXPECT_EQ(w.script.calls, (std::vector<std::string>{"action 01", "action 02", "action 03"}));
        EXPECT_EQ(c.stats().succeeded, 1u);
    });
}

TEST(Coordinator, a_refusal_compensates_in_reverse) {
    World world;
    world.script.answers["http://f/2"] = {{Verdict::refused, "no stock"}};
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        Transaction t = saga("g1", 3);
        t.options.wait_result = true;
        const Transaction done = (co_await c.submit(t)).transaction;
        EXPECT_EQ(done.status, Status::failed);
        EXPECT_EQ(done.reason, "branch 02 refused: no stock");
        EXPECT_EQ(w.script.calls,
                  (std::vector<std::string>{"action 01", "action 02", "compensate 02", "compensate 01"}));
    });
}

TEST(Coordinator, errors_are_retried_with_doubling_intervals_until_they_pass) {
    World world;
    world.script.answers["http://f/1"] = {{Verdict::error, "x"}, {Verdict::error, "x"}, {Verdict::error, "x"}};
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        Transaction t = saga("g1", 1);
        t.options.retry_interval_ms = 1000;
        co_await c.submit(t);
        const Transaction done = co_await ended(c, "g1");
        EXPECT_EQ(done.status, Status::succeeded);
        if (w.script.times.size() != 4u) {
            ADD_FAILURE() << w.script.times.size() << " calls";
            co_return;
        }
        for (int i = 0; i < 3; ++i) {
            const double waited = std::chrono::duration<double>(w.script.times[i + 1] - w.script.times[i]).count();
            EXPECT_GE(waited, 0.89 * (1 << i));
            EXPECT_LE(waited, 1.2 * (1 << i)) << i;
        }
    });
}

TEST(Coordinator, a_stuck_transaction_holds_up_nobody) {
    World world;
    world.script.sticky = true;
    world.script.answers["http://f/1"] = {{Verdict::error, "down"}};
    world.options.driving_max = 2;
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        for (int i = 0; i < 10; ++i) co_await c.submit(saga("stuck" + std::to_string(i), 1));
        for (int i = 0; i < 20; ++i) {
            Transaction t = saga("free" + std::to_string(i), 0);
            co_await c.submit(t);
        }
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ((co_await ended(c, "free" + std::to_string(i))).status, Status::succeeded);
        }
        EXPECT_EQ((co_await c.find("stuck0"))->status, Status::submitted);
    });
}

TEST(Coordinator, a_slow_origin_leaves_room_for_the_others_and_is_not_asked_by_more_than_its_share) {
    World world;
    world.options.driving_max = 32;
    world.options.calls_per_origin_max = 4;
    world.script.slow_urls = {"http://slow/x"};
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        for (int i = 0; i < 2000; ++i) {
            Transaction t = saga("slow" + std::to_string(i), 1);
            t.branches[0].forward = "http://slow/x";
            t.options.delay_ms = 0;
            co_await c.submit(t);
        }
        const auto start = async::Loop::current().now();
        for (int i = 0; i < 50; ++i) co_await c.submit(saga("quick" + std::to_string(i), 2));
        for (int i = 0; i < 50; ++i) co_await ended(c, "quick" + std::to_string(i));
        EXPECT_LE(async::Loop::current().now() - start, 30s);
        EXPECT_LE(w.script.most_slow_calls, 4);
        EXPECT_GE(w.script.most_slow_calls, 3);
    });
}

TEST(Coordinator, the_alert_is_raised_once_after_the_set_number_of_failures) {
    World world;
    world.script.sticky = true;
    world.script.answers["http://f/1"] = {{Verdict::error, "down"}};
    int alerts = 0;
    world.options.alert = [&](Transaction t) -> Task<void> {
        EXPECT_EQ(t.failures, 3);
        ++alerts;
        co_return;
    };
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        co_await c.submit(saga("g", 1));
        co_await async::sleep(1h);
    });
    EXPECT_EQ(alerts, 1);
}

TEST(Coordinator, a_prepared_tcc_is_confirmed_on_submit_and_cancelled_on_abort_or_time_out) {
    World world;
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        for (std::string gid : {"commit", "abort", "forget"}) {
            Transaction t = saga(gid, 0);
            t.mode = Mode::tcc;
            co_await c.begin(t);
            co_await c.add_branch(gid, Mode::tcc, {.id = "01", .forward = "http://c", .backward = "http://x"});
            co_await c.add_branch(gid, Mode::tcc, {.id = "01", .forward = "http://c", .backward = "http://x"});
        }
        EXPECT_TRUE(w.script.calls.empty());
        EXPECT_EQ((co_await c.commit("commit", true)).status, Status::succeeded);
        co_await c.abort("abort", "changed my mind");
        EXPECT_EQ((co_await ended(c, "abort")).reason, "changed my mind");
        const auto start = async::Loop::current().now();
        EXPECT_EQ((co_await ended(c, "forget")).status, Status::failed);
        const auto waited = async::Loop::current().now() - start;
        EXPECT_GE(waited, 34s);
        EXPECT_LE(waited, 37s);
        EXPECT_EQ(w.script.calls, (std::vector<std::string>{"confirm 01", "cancel 01", "cancel 01"}));
    });
}

TEST(Coordinator, a_decision_is_never_reversed) {
    World world;
    world.script.sticky = true;
    world.script.answers["http://c"] = {{Verdict::refused, "FAILURE"}};
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        Transaction t = saga("g", 0);
        t.mode = Mode::tcc;
        co_await c.begin(t);
        co_await c.add_branch("g", Mode::tcc, {.id = "01", .forward = "http://c", .backward = "http://x"});
        co_await c.commit("g", false);
        EXPECT_EQ(co_await code_of(c.abort("g", "")), Code::conflict);
        EXPECT_EQ(co_await code_of(c.add_branch("g", Mode::tcc, {.id = "02"})), Code::conflict);
        co_await async::sleep(1h);
        EXPECT_EQ((co_await c.find("g"))->status, Status::submitted);  // retried for ever, not cancelled
        Transaction aborted = saga("h", 0);
        aborted.mode = Mode::xa;
        co_await c.begin(aborted);
        co_await c.abort("h", "");
        EXPECT_EQ(co_await code_of(c.commit("h", false)), Code::conflict);
    });
}

TEST(Coordinator, a_message_without_submit_is_checked_back) {
    World world;
    world.script.answers["http://q/yes"] = {{Verdict::ongoing, ""}, {Verdict::success, ""}};
    world.script.answers["http://q/no"] = {{Verdict::refused, "rolled back"}};
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        for (std::string which : {"yes", "no"}) {
            Transaction t = saga(which, 1);
            t.mode = Mode::message;
            t.check_back = "http://q/" + which;
            co_await c.begin(t);
        }
        EXPECT_EQ((co_await ended(c, "yes")).status, Status::succeeded);
        EXPECT_EQ((co_await ended(c, "no")).status, Status::failed);
        EXPECT_EQ(std::ranges::count(w.script.calls, "msg 00"), 3);
        EXPECT_EQ(std::ranges::count(w.script.calls, "action 01"), 1);
    });
}

TEST(Coordinator, a_delayed_message_waits) {
    World world;
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        Transaction t = saga("g", 1);
        t.mode = Mode::message;
        t.options.delay_ms = 5000;
        const auto start = async::Loop::current().now();
        co_await c.submit(t);
        co_await ended(c, "g");
        EXPECT_GE(w.script.times.at(0) - start, 5s);
        EXPECT_LE(w.script.times.at(0) - start, 5500ms);
    });
}

TEST(Coordinator, the_same_request_again_is_the_same_transaction_and_another_body_is_a_conflict) {
    World world;
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        co_await c.submit(saga("g", 2));
        co_await ended(c, "g");
        const Accepted again = co_await c.submit(saga("g", 2));
        EXPECT_EQ(again.transaction.status, Status::succeeded);
        EXPECT_FALSE(again.created);
        EXPECT_EQ(co_await code_of(c.submit(saga("g", 3))), Code::conflict);
        EXPECT_EQ(w.script.calls.size(), 2u);
    });
}

TEST(Coordinator, refuses_nonsense) {
    World world;
    world.options.branches_max = 3;
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        EXPECT_EQ(co_await code_of(c.submit(saga("", 1))), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(c.submit(saga("a b", 1))), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(c.submit(saga("g", 4))), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(c.begin(saga("g", 1))), Code::invalid_argument);
        Transaction circle = saga("g", 2);
        circle.options.concurrent = true;
        circle.options.orders = {{0, {1}}, {1, {0}}};
        EXPECT_EQ(co_await code_of(c.submit(circle)), Code::invalid_argument);
        circle.options.orders = {{0, {7}}};
        EXPECT_EQ(co_await code_of(c.submit(circle)), Code::invalid_argument);
        EXPECT_EQ(co_await code_of(c.commit("nobody", false)), Code::not_found);
    });
}

TEST(Coordinator, a_saga_can_be_turned_back_while_a_call_is_under_way) {
    World world;
    world.script.latency = 1s;
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        co_await c.submit(saga("g", 2));
        co_await async::sleep(500ms);
        co_await c.abort("g", "customer left");
        const Transaction done = co_await ended(c, "g");
        EXPECT_EQ(done.status, Status::failed);
        EXPECT_EQ(w.script.calls, (std::vector<std::string>{"action 01", "compensate 01"}));
        EXPECT_EQ(done.branches[1].status, BranchStatus::skipped);
    });
}

TEST(Coordinator, a_forced_outcome_ends_it_and_is_remembered) {
    World world;
    world.script.sticky = true;
    world.script.answers["http://f/1"] = {{Verdict::error, "gone for ever"}};
    with_coordinator(world, [](Coordinator& c, World& w) -> Task<void> {
        co_await c.submit(saga("g", 1));
        co_await async::sleep(5s);
        co_await c.force("g", Status::succeeded, "paid by hand");
        const size_t calls = w.script.calls.size();
        co_await async::sleep(1h);
        EXPECT_EQ(w.script.calls.size(), calls);
        const Transaction t = *co_await c.find("g");
        EXPECT_TRUE(t.forced);
        EXPECT_EQ(t.reason, "paid by hand");
        EXPECT_EQ(co_await code_of(c.force("g", Status::failed, "no")), Code::conflict);
    });
}

TEST(Coordinator, after_a_restart_everything_unfinished_goes_on_oldest_first) {
    World world;
    world.script.sticky = true;
    for (int i = 1; i <= 3; ++i) world.script.answers["http://f/" + std::to_string(i)] = {{Verdict::error, "down"}};
    async::testing::VirtualLoop loop;
    auto body = [](World* w) -> Task<void> {
        {
            Store store(w->database);
            Coordinator before(store, w->script, w->random, w->options);
            co_await before.start();
            for (int i = 0; i < 5; ++i) {
                co_await before.submit(saga("g" + std::to_string(i), 1));
                co_await async::sleep(1ms);
            }
            co_await before.stop();
            co_await store.close();
        }
        w->script.answers.clear();
        w->script.calls.clear();
        Store store(w->database);
        Coordinator after(store, w->script, w->random, w->options);
        co_await after.start();
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ((co_await ended(after, "g" + std::to_string(i))).status, Status::succeeded);
        }
        EXPECT_TRUE(after.driving());
        co_await after.stop();
        co_await store.close();
        w->database.close_idle();
    };
    loop.run(body(&world));
    EXPECT_EQ(world.script.calls.size(), 5u);
}

TEST(Coordinator, two_nodes_on_one_store_never_drive_one_transaction_at_once) {
    World world;
    world.script.latency = 200ms;
    async::testing::VirtualLoop loop;
    auto body = [](World* w) -> Task<void> {
        CoordinatorOptions other = w->options;
        other.node_id = "node-b";
        Store store_a(w->database), store_b(w->database);
        Coordinator a(store_a, w->script, w->random, w->options), b(store_b, w->script, w->random, other);
        co_await a.start();
        co_await b.start();
        for (int i = 0; i < 50; ++i) {
            Transaction t = saga("g" + std::to_string(i), 2);
            t.options.delay_ms = 0;
            co_await (i % 2 ? a : b).submit(t);
            (void)co_await (i % 2 ? b : a).submit(t);  // the same request at the other node
            co_await (i % 3 ? a : b).retry_all(0ms, 100);
        }
        for (int i = 0; i < 50; ++i) co_await ended(a, "g" + std::to_string(i));
        co_await a.stop();
        co_await b.stop();
        co_await store_a.close();
        co_await store_b.close();
        w->database.close_idle();
    };
    loop.run(body(&world));
    EXPECT_EQ(world.script.calls.size(), 100u);  // each branch exactly once
}

TEST(Coordinator, a_node_that_vanished_is_replaced_when_its_lease_has_run_out) {
    World world;
    world.script.sticky = true;
    world.script.answers["http://f/1"] = {{Verdict::error, "down"}};
    async::testing::VirtualLoop loop;
    auto body = [](World* w) -> Task<void> {
        Store store(w->database);
        co_await store.open();
        Transaction orphan = saga("orphan", 1);
        orphan.status = Status::submitted;
        orphan.version = 1;
        orphan.owner = "node-z";
        const int64_t now = async::Loop::current().clock().wall_ms();
        orphan.created_ms = orphan.next_attempt_ms = now;
        orphan.lease_until_ms = now + 13'000;
        EXPECT_TRUE(co_await store.insert(orphan));
        w->script.answers.clear();
        Coordinator a(store, w->script, w->random, w->options);
        co_await a.start();
        const auto start = async::Loop::current().now();
        co_await ended(a, "orphan");
        EXPECT_GE(async::Loop::current().now() - start, 13s);
        EXPECT_LE(async::Loop::current().now() - start, 15s);
        co_await a.stop();
        co_await store.close();
        w->database.close_idle();
    };
    loop.run(body(&world));
}

TEST(Coordinator, finished_transactions_are_forgotten_after_their_time) {
    World world;
    world.options.history = 1h;
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        co_await c.submit(saga("g", 0));
        co_await ended(c, "g");
        co_await async::sleep(59min);
        EXPECT_TRUE(co_await c.find("g"));
        co_await async::sleep(3min);
        EXPECT_FALSE(co_await c.find("g"));
    });
}

TEST(Coordinator, lists_by_page_newest_first) {
    World world;
    with_coordinator(world, [](Coordinator& c, World&) -> Task<void> {
        for (int i = 0; i < 25; ++i) {
            co_await c.submit(saga("g" + std::to_string(i), 0));
            if (i % 3 == 0) co_await async::sleep(1ms);
        }
        std::set<std::string> seen;
        ListFilter filter{.limit = 10};
        for (;;) {
            const std::vector<Transaction> page = co_await c.list(filter);
            for (const Transaction& t : page) EXPECT_TRUE(seen.insert(t.gid).second);
            if (page.size() < 10) break;
            filter.after = page_cursor(page.back());
        }
        EXPECT_EQ(seen.size(), 25u);
    });
}

TEST(Judge, reads_answers_in_dtms_order) {
    EXPECT_EQ(judge(200, "{}").verdict, Verdict::success);
    EXPECT_EQ(judge(200, "{\"dtm_result\":\"FAILURE\"}").verdict, Verdict::refused);
    EXPECT_EQ(judge(409, "").verdict, Verdict::refused);
    EXPECT_EQ(judge(425, "FAILURE").verdict, Verdict::ongoing);
    EXPECT_EQ(judge(200, "ONGOING").verdict, Verdict::ongoing);
    EXPECT_EQ(judge(500, "").verdict, Verdict::error);
    EXPECT_EQ(judge(201, "").verdict, Verdict::error);
    EXPECT_EQ(branch_url({.url = "http://a/b?x=1", .gid = "g", .branch_id = "01", .operation = "action"}),
              "http://a/b?x=1&gid=g&trans_type=saga&branch_id=01&op=action");
}

TEST(Document, survives_a_round_trip) {
    Transaction t = saga("g", 2);
    t.branches[1].status = BranchStatus::refused;
    t.branches[1].last_error = "no \"stock\"";
    t.options.orders = {{1, {0}}};
    t.options.branch_headers = {{"X-A", "b"}};
    t.reason = "because";
    t.forced = true;
    Transaction back;
    from_document(to_document(t), back);
    EXPECT_EQ(back.branches, t.branches);
    EXPECT_EQ(back.options, t.options);
    EXPECT_EQ(back.reason, t.reason);
    EXPECT_TRUE(back.forced);
    EXPECT_THROW(from_document("{\"branches\":[{}]}", back), Error);
    EXPECT_THROW(from_document("junk", back), Error);
}

}  // namespace
}  // namespace tandem::tx
