#include "tandem/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "tandem/base/error.h"
#include "tandem/base/metrics.h"
#include "tandem/base/utf8.h"

namespace tandem::log {
namespace {

using std::string_literals::operator""s;

std::string text(std::string_view message, std::initializer_list<Field> fields, bool colour = false) {
    return format_text(base::ManualClock().wall_now(), Level::info, message, {fields.begin(), fields.size()}, colour);
}
std::string json(std::string_view message, std::initializer_list<Field> fields) {
    return format_json(base::ManualClock().wall_now(), Level::warn, message, {fields.begin(), fields.size()});
}

TEST(Log, text_is_time_level_message_and_fields) {
    const std::string gid = "01ABC";
    EXPECT_EQ(
        text("branch failed", {{"gid", gid}, {"attempt", 3}, {"late", true}, {"wait_seconds", 0.5}, {"note", "a b"}}),
        "2026-01-01T00:00:00.000Z info  branch failed gid=01ABC attempt=3 late=true wait_seconds=0.5 note=\"a b\"");
    EXPECT_EQ(text("x", {}, true), "2026-01-01T00:00:00.000Z \x1b[32minfo \x1b[0m x");
    EXPECT_EQ(format_text(base::WallTime(std::chrono::milliseconds(-1)), Level::error, "x", {}, false),
              "1969-12-31T23:59:59.999Z error x");
}

TEST(Log, json_keeps_types) {
    EXPECT_EQ(json("m", {{"s", "v"}, {"i", -3}, {"u", std::numeric_limits<uint64_t>::max()}, {"d", 1.5}, {"b", false}}),
              "{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"warn\",\"message\":\"m\",\"s\":\"v\",\"i\":-3,"
              "\"u\":18446744073709551615,\"d\":1.5,\"b\":false}");
    EXPECT_NE(json("m", {{"d", std::numeric_limits<double>::quiet_NaN()}}).find("\"d\":\"nan\""), std::string::npos);
}

TEST(Log, nobody_can_forge_a_line_or_drive_the_terminal) {
    const std::string hostile = "a\nb\r\x1b[31m\x7f\t\"q\"\\ \xC2\x9b \xE2\x80\xA8 \xFF"s + '\0';
    EXPECT_EQ(text(hostile, {{"v", hostile}}),
              "2026-01-01T00:00:00.000Z info  a\\nb\\r\\u001b[31m\\u007f\\t\"q\"\\ \\u009b \\u2028 \uFFFD\\u0000"
              " v=\"a\\nb\\r\\u001b[31m\\u007f\\t\\\"q\\\"\\\\ \\u009b \\u2028 \uFFFD\\u0000\"");
    EXPECT_NE(json("m", {{"v", hostile}})
                  .find("\"v\":\"a\\nb\\r\\u001b[31m\\u007f\\t\\\"q\\\"\\\\ \\u009b \\u2028 \uFFFD\\u0000\"}"),
              std::string::npos);
    EXPECT_EQ(text("m", {{"a=b c", ""}}), "2026-01-01T00:00:00.000Z info  m \"a=b c\"=\"\"");
}

TEST(Log, sizes_are_bounded_and_cut_at_a_character) {
    std::string long_value;
    for (int i = 0; i < 10'000; ++i) long_value += "é";
    const std::string line = json(long_value, {{"v", long_value}});
    EXPECT_LT(line.size(), message_size_max + field_size_max + 200);
    EXPECT_TRUE(base::valid_utf8(line));
    EXPECT_TRUE(line.ends_with("é...\"}"));
    const std::vector<Field> many(100, Field{"k", 1});
    const std::string bounded = format_json({}, Level::info, "m", many);
    EXPECT_EQ(std::ranges::count(bounded, 'k'), static_cast<long>(fields_max));
}

TEST(Log, names_round_trip_and_wrong_ones_say_what_is_allowed) {
    EXPECT_EQ(level_from("warn"), Level::warn);
    EXPECT_EQ(format_from("json"), Format::json);
    try {
        level_from("loud");
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "\"loud\" is not a log level: use trace, debug, info, warn, error or off");
    }
    EXPECT_THROW(format_from("xml"), Error);
}

TEST(Log, capture_keeps_lines_of_every_level_and_thread) {
    const Capture capture;
    debug("from here", {{"n", 1}});
    std::jthread([] { error("from there"); }).join();
    const auto lines = capture.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].level, Level::debug);
    EXPECT_EQ(lines[0].text, "debug from here n=1");
    EXPECT_TRUE(capture.contains("from there"));
    EXPECT_FALSE(capture.contains("from nowhere"));
}

// What `work` leads to on the process's stderr.
template <typename Work>
std::string on_stderr(Work work) {
    flush();
    const int saved = ::dup(STDERR_FILENO);
    const int file = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
    ::dup2(file, STDERR_FILENO);
    work();
    flush();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    std::string written(static_cast<size_t>(::lseek(file, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file, written.data(), written.size(), 0), static_cast<ssize_t>(written.size()));
    ::close(file);
    return written;
}

TEST(Log, lines_reach_stderr_in_the_configured_format_and_level) {
    const base::ManualClock clock;
    const std::string written = on_stderr([&] {
        configure({.level = Level::warn, .format = Format::json, .clock = &clock});
        info("too quiet");
        warn("loud enough");
        configure({.format = Format::text, .clock = &clock});
        info("as text", {{"n", 1}});
        flush();
        configure({});
    });
    EXPECT_EQ(written,
              "{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"warn\",\"message\":\"loud enough\"}\n"
              "2026-01-01T00:00:00.000Z info  as text n=1\n");
}

TEST(Log, a_stuck_stderr_drops_lines_and_says_so_but_blocks_nobody) {
    flush();
    const int saved = ::dup(STDERR_FILENO);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    for (int i = 0; i < 20'000; ++i) info("nobody reads this pipe, which holds 64 KiB");
    std::string written;
    std::jthread reader([&] {
        char buffer[4096];
        for (ssize_t got; (got = ::read(ends[0], buffer, sizeof(buffer))) > 0;) written.append(buffer, got);
    });
    warn("now somebody does");  // this line, too, took the place of the oldest ones
    flush();
    info("all is told");
    flush();
    ::dup2(saved, STDERR_FILENO);  // the pipe's last writing end
    ::close(saved);
    reader.join();
    ::close(ends[0]);
    EXPECT_NE(written.find("log lines dropped: stderr is slower than the log lines="), std::string::npos);
    EXPECT_TRUE(written.ends_with("all is told\n"));
    auto& registry = metrics::Registry::global();
    EXPECT_GT(registry.counter("tandem_log_dropped_lines_total", "Log lines dropped").value(), 1000u);
}

TEST(Log, threads_do_not_mix_their_lines) {
    const std::string written = on_stderr([] {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([] {
                for (int i = 0; i < 200; ++i) info("a line", {{"padding", std::string(100, 'x')}});
            });
        }
    });
    EXPECT_EQ(std::ranges::count(written, '\n'), 800);
    EXPECT_EQ(written.size() % 800, 0u);
}

}  // namespace
}  // namespace tandem::log
