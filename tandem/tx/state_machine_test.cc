#include "tandem/tx/state_machine.h"

#include <gtest/gtest.h>

namespace tandem::tx {
namespace {

Transaction make(Mode mode, int branches, Status status = Status::submitted) {
    Transaction t;
    t.gid = "g";
    t.mode = mode;
    t.status = status;
    for (int i = 0; i < branches; ++i) {
        Branch branch;
        branch.id = "0" + std::to_string(i + 1);
        branch.forward = "http://f";
        branch.backward = "http://b";
        t.branches.push_back(branch);
    }
    return t;
}
using Indexes = std::vector<size_t>;
const Answer yes{Verdict::success, {}}, no{Verdict::refused, "no stock"}, lost{Verdict::error, "timeout"};

TEST(Saga, goes_in_order_and_undoes_in_reverse_including_the_one_that_refused) {
    Transaction t = make(Mode::saga, 3);
    EXPECT_EQ(callable(t), Indexes{0});
    apply(t, 0, yes, 1);
    EXPECT_EQ(callable(t), Indexes{1});
    apply(t, 1, no, 2);
    settle(t, 2);
    EXPECT_EQ(t.status, Status::aborting);
    EXPECT_EQ(t.reason, "branch 02 refused: no stock");
    EXPECT_EQ(operation(t), "compensate");
    EXPECT_EQ(callable(t), Indexes{1});  // the third cannot have begun
    apply(t, 1, yes, 3);
    EXPECT_EQ(callable(t), Indexes{0});
    apply(t, 0, yes, 4);
    settle(t, 4);
    EXPECT_EQ(t.status, Status::failed);
    EXPECT_EQ(t.branches[2].status, BranchStatus::skipped);
}

TEST(Saga, an_action_whose_answer_was_lost_is_undone_too) {
    Transaction t = make(Mode::saga, 2);
    t.options.timeout_to_fail_ms = 100;
    apply(t, 0, lost, 1);
    settle(t, 99);
    EXPECT_EQ(t.status, Status::submitted);
    settle(t, 100);
    EXPECT_EQ(t.status, Status::aborting);
    EXPECT_EQ(callable(t), Indexes{0});
    apply(t, 0, lost, 101);
    settle(t, 101);
    EXPECT_EQ(t.status, Status::aborting);  // never given up
    apply(t, 0, yes, 102);
    settle(t, 102);
    EXPECT_EQ(t.status, Status::failed);
}

TEST(Saga, a_graph_runs_what_is_free_together_and_is_undone_against_its_arrows) {
    Transaction t = make(Mode::saga, 4);
    t.options.concurrent = true;
    t.options.orders = {{2, {0, 1}}, {3, {2}}};
    EXPECT_EQ(callable(t), (Indexes{0, 1}));
    apply(t, 1, yes, 1);
    EXPECT_EQ(callable(t), Indexes{0});
    apply(t, 0, yes, 1);
    EXPECT_EQ(callable(t), Indexes{2});
    apply(t, 2, yes, 1);
    apply(t, 3, no, 2);
    settle(t, 2);
    EXPECT_EQ(callable(t), Indexes{3});
    apply(t, 3, yes, 3);
    EXPECT_EQ(callable(t), Indexes{2});
    apply(t, 2, yes, 3);
    EXPECT_EQ(callable(t), (Indexes{0, 1}));
    apply(t, 0, yes, 3);
    EXPECT_EQ(callable(t), Indexes{1});
    apply(t, 1, yes, 3);
    settle(t, 3);
    EXPECT_EQ(t.status, Status::failed);
}

TEST(Saga, retry_limit_turns_errors_into_a_refusal_but_never_a_compensations) {
    Transaction t = make(Mode::saga, 1);
    t.options.retry_limit = 2;
    apply(t, 0, lost, 1);
    apply(t, 0, lost, 1);
    EXPECT_EQ(t.branches[0].status, BranchStatus::pending);
    apply(t, 0, lost, 1);
    EXPECT_EQ(t.branches[0].status, BranchStatus::refused);
    settle(t, 1);
    for (int i = 0; i < 10; ++i) apply(t, 0, lost, 2);
    EXPECT_EQ(callable(t), Indexes{0});
}

TEST(Saga, ongoing_does_not_count_against_retry_limit_for_refusal) {
    Transaction t = make(Mode::saga, 1);
    t.options.retry_limit = 1;
    for (int i = 0; i < 5; ++i) apply(t, 0, {Verdict::ongoing, "ongoing"}, 1);
    EXPECT_EQ(t.branches[0].status, BranchStatus::pending);
}

TEST(SecondPhase, of_tcc_and_xa_calls_all_branches_together_and_takes_no_for_not_yet) {
    for (Mode mode : {Mode::tcc, Mode::xa}) {
        Transaction t = make(mode, 2);
        EXPECT_EQ(callable(t), (Indexes{0, 1}));
        apply(t, 0, no, 1);
        settle(t, 1);
        EXPECT_EQ(t.status, Status::submitted);
        apply(t, 0, yes, 1);
        apply(t, 1, yes, 1);
        settle(t, 1);
        EXPECT_EQ(t.status, Status::succeeded);
        Transaction back = make(mode, 2, Status::aborting);
        EXPECT_EQ(callable(back), (Indexes{0, 1}));
        EXPECT_EQ(operation(back), mode == Mode::tcc ? "cancel" : "rollback");
    }
}

TEST(Message, not_submitted_calls_nobody) {
    Transaction t = make(Mode::message, 2, Status::aborting);
    EXPECT_TRUE(callable(t).empty());
    settle(t, 1);
    EXPECT_EQ(t.status, Status::failed);
}

TEST(Prepared, expires_by_default_and_by_option) {
    Transaction t = make(Mode::tcc, 0, Status::prepared);
    t.created_ms = 1000;
    EXPECT_EQ(expires_ms(t, 35'000), 36'000);
    t.options.timeout_to_fail_ms = 2000;
    EXPECT_EQ(expires_ms(t, 35'000), 3000);
    EXPECT_EQ(expires_ms(make(Mode::saga, 1), 35'000), 0);
}

TEST(EmptyTransaction, succeeds_and_fails_at_once) {
    Transaction t = make(Mode::saga, 0);
    settle(t, 5);
    EXPECT_EQ(t.status, Status::succeeded);
    EXPECT_EQ(t.finished_ms, 5);
    Transaction back = make(Mode::tcc, 0, Status::aborting);
    settle(back, 5);
    EXPECT_EQ(back.status, Status::failed);
}

TEST(BackOff, doubles_from_interval_to_maximum) {
    EXPECT_EQ(back_off_ms(1, 1000, 60'000), 1000);
    EXPECT_EQ(back_off_ms(2, 1000, 60'000), 2000);
    EXPECT_EQ(back_off_ms(7, 1000, 60'000), 60'000);
    EXPECT_EQ(back_off_ms(1'000'000, 1000, 60'000), 60'000);
    EXPECT_EQ(back_off_ms(3, 90'000, 60'000), 90'000);  // an interval above the maximum stays what was asked for
}

}  // namespace
}  // namespace tandem::tx
