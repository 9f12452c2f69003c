// Structured log lines on stderr: text for people, JSON lines for machines.
//
//     log::info("branch failed", {{"gid", gid}, {"attempt", 3}, {"error", error.what()}});
//
// Thread-safe, does not block: lines go through a bounded queue to one writing thread; when stderr is slower than the
// log, the oldest waiting lines are dropped, and the next line logged and tandem_log_dropped_lines_total say how many.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "tandem/base/clock.h"

namespace tandem::log {

enum class Level : unsigned char { trace, debug, info, warn, error, off };
enum class Format : unsigned char { text, json };

std::string_view to_string(Level level) noexcept;
// "debug" and the like; throws invalid_argument naming what is allowed.
Level level_from(std::string_view name);
Format format_from(std::string_view name);

// A view: valid during the call it is an argument of.
class Value {
  public:
    Value(bool value) : value_(value) {}
    template <std::signed_integral T>
    Value(T value) : value_(static_cast<int64_t>(value)) {}
    template <std::unsigned_integral T>
    Value(T value) : value_(static_cast<uint64_t>(value)) {}
    Value(std::floating_point auto value) : value_(static_cast<double>(value)) {}
    template <typename T>
        requires std::convertible_to<const T&, std::string_view>
    Value(const T& text) : value_(std::string_view(text)) {}

    const auto& get() const noexcept { return value_; }

  private:
    std::variant<bool, int64_t, uint64_t, double, std::string_view> value_;
};

struct Field {
    std::string_view key;
    Value value;
};

// Longer messages and values are cut at a character and marked with "...".
inline constexpr size_t message_size_max = 8192;
inline constexpr size_t field_size_max = 4096;
inline constexpr size_t fields_max = 32;

struct Options {
    Level level = Level::info;
    Format format = Format::text;
    const base::Clock* clock = &base::Clock::real();
};

// May be called at any time, also again; affects the lines that follow.
void configure(const Options& options);

namespace detail {
extern std::atomic<Level> level;
}
inline bool enabled(Level level) noexcept {
    return level >= detail::level.load(std::memory_order_relaxed);
}

// Formats and hands over the line if `level` is enabled. Never throws: what cannot be logged is dropped.
void write(Level level, std::string_view message, std::span<const Field> fields) noexcept;

inline void trace(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
    if (enabled(Level::trace)) write(Level::trace, message, {fields.begin(), fields.size()});
}
inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
    if (enabled(Level::debug)) write(Level::debug, message, {fields.begin(), fields.size()});
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
    if (enabled(Level::info)) write(Level::info, message, {fields.begin(), fields.size()});
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
    if (enabled(Level::warn)) write(Level::warn, message, {fields.begin(), fields.size()});
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {}) noexcept {
    if (enabled(Level::error)) write(Level::error, message, {fields.begin(), fields.size()});
}

// Waits until the lines logged so far are written, a second at most.
void flush() noexcept;

// One line as it would be written, without the line feed. Whatever the bytes, the result is one line of valid UTF-8.
std::string format_text(base::WallTime time, Level level, std::string_view message, std::span<const Field> fields,
                        bool colour);
std::string format_json(base::WallTime time, Level level, std::string_view message, std::span<const Field> fields);

// For tests: while it lives, lines of every level from every thread are kept here instead of written. One at a time.
class Capture {
  public:
    Capture();
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    struct Line {
        Level level;
        std::string message;
        std::string text;  // without the time: "info message key=value"
        std::string json;
    };
    std::vector<Line> lines() const;
    // Whether any line's text contains `part`.
    bool contains(std::string_view part) const;

  private:
    const Level level_before_;
};

}  // namespace tandem::log
