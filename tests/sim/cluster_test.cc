#include "cluster.h"

#include <gtest/gtest.h>

#include "oracle.h"
#include "tandem/base/log.h"

namespace tandem::sim {
namespace {

// What goes wrong in the simulated world is not news.
struct ClusterTest : testing::TestWithParam<Sabotage> {
    ClusterTest() { log::configure({.level = log::Level::off}); }
    ~ClusterTest() override { log::configure({}); }
};
using Simulation = ClusterTest;
using Sabotaged = ClusterTest;

TEST_F(Simulation, is_the_same_for_the_same_seed) {
    std::set<uint64_t> hashes;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        const RunResult first = simulate({.seed = seed});
        const RunResult second = simulate({.seed = seed});
        EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
        EXPECT_EQ(first.trace_lines, second.trace_lines) << "seed " << seed;
        hashes.insert(first.trace_hash);
    }
    EXPECT_EQ(hashes.size(), 5U) << "different seeds must differ";
}

TEST_F(Simulation, holds_its_invariants_and_meets_every_kind_of_trouble) {
    Counts counts;
    for (uint64_t seed = 100; seed < 120; ++seed) {
        const RunResult result = simulate({.seed = seed});
        for (const std::string& violation : result.violations) ADD_FAILURE() << "seed " << seed << ": " << violation;
        counts += result.counts;
    }
    for (const uint64_t count :
         {counts.succeeded, counts.failed, counts.crashes, counts.partitions, counts.broken_connections,
          counts.repeated_requests, counts.lost_sectors, counts.disk_errors}) {
        EXPECT_GT(count, 0U);
    }
}

TEST_P(Sabotaged, cluster_violates_an_invariant_within_a_few_seeds) {
    constexpr uint64_t seeds_max = 40;
    bool noticed = false;
    for (uint64_t seed = 1; !noticed && seed <= seeds_max; ++seed) {
        noticed = !simulate({.seed = seed, .sabotage = GetParam()}).violations.empty();
    }
    EXPECT_TRUE(noticed);
}

INSTANTIATE_TEST_SUITE_P(Every, Sabotaged,
                         testing::Values(Sabotage::barrier, Sabotage::store_sync, Sabotage::bank_sync, Sabotage::caller,
                                         Sabotage::check_back));

// A saga of one branch at bank-0, as the coordinator would record it.
tx::Transaction saga_of_one(tx::Status status, int64_t version) {
    tx::Transaction saga;
    saga.gid = "g";
    saga.status = status;
    saga.version = version;
    saga.branches.push_back({.id = "01", .forward = "http://bank-0/move", .backward = "http://bank-0/move"});
    return saga;
}
const Effect action{.host = "bank-0", .gid = "g", .branch_id = "01", .operation = "action", .at_ns = 1, .order = 1};
const Effect undo{.host = "bank-0", .gid = "g", .branch_id = "01", .operation = "compensate", .at_ns = 2, .order = 2};

size_t violations_of(const tx::Transaction& record, const std::vector<Effect>& effects, Money money = {100, 0, 0}) {
    World world(1, false);
    Oracle oracle(world);
    oracle.judge({record}, effects, money, 100);
    return oracle.violations().size();
}

TEST(Oracle, accepts_all_or_nothing) {
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::succeeded, 2), {action}), 0U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::failed, 2), {}), 0U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::failed, 2), {action, undo}), 0U);
}

TEST(Oracle, refuses_missing_doubled_and_hanging_effects) {
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::succeeded, 2), {}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::succeeded, 2), {action, action}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::succeeded, 2), {action, undo}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::failed, 2), {action}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::failed, 2), {undo}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::failed, 2), {undo, action}), 1U);
    EXPECT_EQ(violations_of(saga_of_one(tx::Status::submitted, 1), {}), 1U);
}

TEST(Oracle, refuses_money_that_appears_or_is_stuck) {
    const tx::Transaction saga = saga_of_one(tx::Status::succeeded, 2);
    EXPECT_EQ(violations_of(saga, {action}, {101, 0, 0}), 1U);
    EXPECT_EQ(violations_of(saga, {action}, {100, 1, 0}), 1U);
    EXPECT_EQ(violations_of(saga, {action}, {100, 0, 1}), 1U);
}

TEST(Oracle, refuses_a_decision_that_goes_back_or_is_lost) {
    World world(1, false);
    Oracle oracle(world);
    oracle.observe(saga_of_one(tx::Status::aborting, 2));
    EXPECT_EQ(oracle.violations().size(), 0U);
    oracle.observe(saga_of_one(tx::Status::submitted, 3));
    EXPECT_EQ(oracle.violations().size(), 1U);
    oracle.judge({}, {}, {100, 0, 0}, 100);
    EXPECT_EQ(oracle.violations().size(), 2U) << "the record is gone";
}

TEST(Oracle, refuses_an_outcome_other_than_the_client_was_told) {
    World world(1, false);
    Oracle oracle(world);
    Intent& intent = oracle.intent("g");
    intent.begun = intent.aborted = true;
    oracle.judge({saga_of_one(tx::Status::succeeded, 2)}, {action}, {100, 0, 0}, 100);
    EXPECT_EQ(oracle.violations().size(), 1U);
}

}  // namespace
}  // namespace tandem::sim
