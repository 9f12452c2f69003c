#include "tandem/base/trace.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

constexpr std::string_view example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Trace, the_recommendations_example_round_trips) {
    const auto context = TraceContext::parse(example);
    ASSERT_TRUE(context);
    EXPECT_EQ(context->trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(context->span_id_hex(), "00f067aa0ba902b7");
    EXPECT_TRUE(context->sampled);
    EXPECT_EQ(context->traceparent(), example);
}

TEST(Trace, version_00_is_strict) {
    for (const std::string_view wrong : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
                                         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                                         "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                         "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                         "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                         "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
                                         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                                         "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
                                         "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                         "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
        EXPECT_FALSE(TraceContext::parse(wrong)) << wrong;
    }
}

TEST(Trace, a_later_version_is_read_by_its_first_four_fields) {
    const auto context = TraceContext::parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-comes");
    ASSERT_TRUE(context);
    EXPECT_EQ(context->traceparent(), example);
    EXPECT_FALSE(TraceContext::parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what"));
}

TEST(Trace, a_child_keeps_the_trace_and_gets_its_own_span) {
    SeededRandom random(1);
    TraceContext parent = TraceContext::start(random, false);
    parent.state.set("tandem", "x");
    const TraceContext child = parent.child(random);
    EXPECT_EQ(child.trace_id, parent.trace_id);
    EXPECT_NE(child.span_id, parent.span_id);
    EXPECT_FALSE(child.sampled);
    EXPECT_EQ(child.state.format(), "tandem=x");
    EXPECT_TRUE(TraceContext::parse(child.traceparent()));
}

TEST(TraceState, keeps_order_and_moves_what_is_set_to_the_front) {
    auto state = TraceState::parse("rojo=00f067aa0ba902b7, ,congo=t61rcWkgMzE\t,1tenant@sys=a b");
    ASSERT_TRUE(state);
    EXPECT_EQ(state->format(), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,1tenant@sys=a b");
    state->set("congo", "new");
    EXPECT_EQ(state->format(), "congo=new,rojo=00f067aa0ba902b7,1tenant@sys=a b");
    EXPECT_EQ(state->get("rojo"), "00f067aa0ba902b7");
    EXPECT_THROW(state->set("Upper", "x"), Error);
    EXPECT_THROW(state->set("key", "a,b"), Error);
}

TEST(TraceState, refuses_what_the_grammar_forbids) {
    for (const std::string_view wrong :
         {"a", "=b", "a=", "A=b", "a=b=c", "1a=b", "a@=b", "@a=b", "a@b@c=d", "a b=c", "a=\x7f", "a=b,a=c", "a=ü"}) {
        EXPECT_FALSE(TraceState::parse(wrong)) << wrong;
    }
    std::string many;
    for (int i = 0; i < 33; ++i) many += fmt::format("k{}=v,", i);
    EXPECT_FALSE(TraceState::parse(many));
    EXPECT_TRUE(TraceState::parse(""));
}

TEST(TraceState, is_cut_to_512_characters_long_entries_first) {
    TraceState state;
    state.set("short", "kept");
    state.set("long", std::string(200, 'x'));
    for (int i = 0; i < 4; ++i) state.set(fmt::format("k{}", i), std::string(97, 'y'));
    const std::string text = state.format();
    EXPECT_LE(text.size(), TraceState::size_max);
    EXPECT_EQ(text.find("long"), std::string::npos);
    EXPECT_NE(text.find("short=kept"), std::string::npos);
    for (int i = 4; i < 10; ++i) state.set(fmt::format("k{}", i), std::string(97, 'y'));
    EXPECT_LE(state.format().size(), TraceState::size_max);
    EXPECT_TRUE(state.format().starts_with("k9="));
}

}  // namespace
}  // namespace tandem::base
