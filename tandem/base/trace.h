// W3C Trace Context (www.w3.org/TR/trace-context-1): which request a piece of work belongs to, across services.
//
// Values; pure functions. Headers come from outside: what breaks the rules parses to std::nullopt and a new trace
// begins, as the recommendation asks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/base/bytes.h"
#include "tandem/base/random.h"

namespace tandem::base {

// What vendors add about the trace, most recently changed first.
class TraceState {
  public:
    static constexpr size_t entries_max = 32;
    static constexpr size_t size_max = 512;  // characters, as written

    // Section 3.3.1. Several header lines are joined by commas before. Nullopt: drop the header.
    static std::optional<TraceState> parse(std::string_view text);

    // Section 3.5: an entry that is set moves to the front. Throws invalid_argument for a key or value the
    // recommendation does not allow.
    void set(std::string_view key, std::string_view value);
    std::optional<std::string_view> get(std::string_view key) const noexcept;
    bool empty() const noexcept { return entries_.empty(); }

    // At most size_max characters: entries above 128 characters go first, then the last ones (section 3.3.1.5).
    std::string format() const;

  private:
    std::vector<std::pair<std::string, std::string>> entries_;
};

struct TraceContext {
    std::array<std::byte, 16> trace_id{};
    std::array<std::byte, 8> span_id{};
    bool sampled = false;
    TraceState state;

    // A new trace.
    static TraceContext start(Random& random, bool sampled = true);
    // Section 3.2. Version 00 exactly; a higher version by its first four fields (section 3.2.4).
    static std::optional<TraceContext> parse(std::string_view traceparent, std::string_view tracestate = {});

    // The same trace, one step further in.
    TraceContext child(Random& random) const;

    // "00-<trace id>-<span id>-<flags>".
    std::string traceparent() const;
    std::string trace_id_hex() const { return hex_encode(trace_id); }
    std::string span_id_hex() const { return hex_encode(span_id); }
};

}  // namespace tandem::base
