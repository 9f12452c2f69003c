#include "tandem/base/trace.h"

#include <algorithm>

#include <fmt/format.h>

#include "tandem/base/error.h"

namespace tandem::base {

namespace {

constexpr size_t entry_size_dropped_first = 128;
constexpr uint8_t sampled_flag = 0x01;
constexpr size_t traceparent_size = 55;

bool lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool key_part(std::string_view part, size_t size_max, bool digit_first) {
    return !part.empty() && part.size() <= size_max && lower_or_digit(part[0]) &&
           (digit_first || !(part[0] >= '0' && part[0] <= '9')) && std::ranges::all_of(part, [](char c) {
               return lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
           });
}

// Section 3.3.1.3.1: a simple key of 256, or tenant of 241 @ system of 14.
bool valid_key(std::string_view key) {
    const size_t at = key.find('@');
    if (at == std::string_view::npos) return key_part(key, 256, false);
    return key_part(key.substr(0, at), 241, true) && key_part(key.substr(at + 1), 14, false);
}

// Section 3.3.1.3.2: printable ASCII but comma and equals sign, not ending in a space.
bool valid_value(std::string_view value) {
    return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
           std::ranges::all_of(value, [](char c) { return c >= 0x20 && c <= 0x7E && c != ',' && c != '='; });
}

std::string_view trim(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

template <size_t size>
bool read_hex(std::string_view text, std::array<std::byte, size>& to) {
    if (std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'F'; }))
        return false;  // section 3.2.2: lower case
    const auto bytes = hex_decode(text);
    if (!bytes || bytes->size() != size) return false;
    std::ranges::copy(*bytes, to.begin());
    return true;
}

bool all_zero(Bytes bytes) {
    return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

void fill_non_zero(Random& random, std::span<std::byte> bytes) {
    random.fill(bytes);
    if (all_zero(bytes)) bytes.back() = std::byte{1};
}

}  // namespace

std::optional<TraceState> TraceState::parse(std::string_view text) {
    TraceState state;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        // optional.
        const std::string_view member = trim(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
        if (member.empty()) continue;
        const size_t equals = member.find('=');
        if (equals == std::string_view::npos || state.entries_.size() == entries_max) return std::nullopt;
        const std::string_view key = member.substr(0, equals);
        const std::string_view value = member.substr(equals + 1);
        if (!valid_key(key) || !valid_value(value) || state.get(key)) return std::nullopt;
        state.entries_.emplace_back(key, value);
    }
    return state;
}

void TraceState::set(std::string_view key, std::string_view value) {
    if (!valid_key(key)) fail(Code::invalid_argument, "\"{}\" is not a tracestate key", key);
    if (!valid_value(value)) fail(Code::invalid_argument, "\"{}\" is not a tracestate value", value);
    std::pair<std::string, std::string> entry(key, value);
    std::erase_if(entries_, [&](const auto& old) { return old.first == key; });
    if (entries_.size() == entries_max) entries_.pop_back();
    entries_.insert(entries_.begin(), std::move(entry));
}

std::optional<std::string_view> TraceState::get(std::string_view key) const noexcept {
    for (const auto& [name, value] : entries_) {
        if (name == key) return value;
    }
    return std::nullopt;
}

std::string TraceState::format() const {
    std::vector<std::string> members;
    size_t size = 0;
    for (const auto& [key, value] : entries_) {
        members.push_back(key + '=' + value);
        size += members.back().size() + 1;
    }
    const auto drop = [&](size_t index) {
        size -= members[index].size() + 1;
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(index));
    };
    for (size_t i = members.size(); i-- > 0 && size > size_max + 1;) {
        if (members[i].size() > entry_size_dropped_first) drop(i);
    }
    while (size > size_max + 1) drop(members.size() - 1);
    return fmt::format("{}", fmt::join(members, ","));
}

TraceContext TraceContext::start(Random& random, bool sampled) {
    TraceContext context;
    fill_non_zero(random, context.trace_id);
    fill_non_zero(random, context.span_id);
    context.sampled = sampled;
    return context;
}

std::optional<TraceContext> TraceContext::parse(std::string_view traceparent, std::string_view tracestate) {
    const std::string_view text = trim(traceparent);
    if (text.size() < traceparent_size || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
    std::array<std::byte, 1> version;
    std::array<std::byte, 1> flags;
    TraceContext context;
    if (!read_hex(text.substr(0, 2), version) || version[0] == std::byte{0xff}) return std::nullopt;
    if (version[0] == std::byte{0} && text.size() != traceparent_size) return std::nullopt;
    if (text.size() > traceparent_size && text[traceparent_size] != '-') return std::nullopt;
    if (!read_hex(text.substr(3, 32), context.trace_id) || !read_hex(text.substr(36, 16), context.span_id) ||
        !read_hex(text.substr(53, 2), flags)) {
        return std::nullopt;
    }
    if (all_zero(context.trace_id) || all_zero(context.span_id)) return std::nullopt;
    context.sampled = (std::to_integer<uint8_t>(flags[0]) & sampled_flag) != 0;
    if (auto state = TraceState::parse(tracestate)) context.state = std::move(*state);
    return context;
}

TraceContext TraceContext::child(Random& random) const {
    TraceContext context = *this;
    fill_non_zero(random, context.span_id);
    return context;
}

std::string TraceContext::traceparent() const {
    return fmt::format("00-{}-{}-{}", trace_id_hex(), span_id_hex(), sampled ? "01" : "00");
}

}  // namespace tandem::base
