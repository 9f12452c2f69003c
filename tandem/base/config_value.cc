// Values of settings as text, and back.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "tandem/base/assert.h"
#include "tandem/base/config.h"

namespace tandem::base::detail {

namespace {

template <typename Number>
std::optional<Number> number_from(std::string_view text) {
    Number number;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

struct Unit {
    std::string_view name;
    int64_t factor;
};
constexpr Unit duration_units[] = {{"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
                                   {"ms", 1'000'000},        {"us", 1'000},         {"ns", 1}};
constexpr Unit size_units[] = {{"TiB", int64_t{1} << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
                               {"KiB", 1 << 10},          {"B", 1},         {"", 1}};

// A whole number, not negative, with one of the units right behind it.
std::optional<int64_t> with_unit(std::string_view text, std::span<const Unit> units) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = number_from<int64_t>(text.substr(0, digits));
    const auto unit = std::ranges::find(units, text.substr(digits), &Unit::name);
    int64_t product;
    if (!count || unit == units.end() || __builtin_mul_overflow(*count, unit->factor, &product)) return std::nullopt;
    return product;
}

// With the largest unit that divides it.
std::string in_unit(int64_t value, std::span<const Unit> units, std::string_view zero) {
    if (value == 0) return std::string(zero);
    for (const Unit& unit : units) {
        if (value % unit.factor == 0) return fmt::format("{}{}", value / unit.factor, unit.name);
    }
    return fmt::format("{}", value);
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7F) {
            fmt::format_to(std::back_inserter(out), "\\u{:04X}", byte);
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string real_text(double value) {
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";  // TOML tells an integer from a float
    return text;
}

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

}  // namespace

std::string_view expected(const SettingValue& type) {
    return std::visit(Overloaded{[](bool) { return "true or false"; }, [](int64_t) { return "a whole number"; },
                                 [](double) { return "a number"; }, [](const std::string&) { return "a text"; },
                                 [](Duration) { return "a duration such as \"500ms\", \"10s\", \"2m\" or \"1h\""; },
                                 [](ByteSize) { return "a size in bytes such as 512, \"4KiB\" or \"1MiB\""; },
                                 [](const TextList&) { return "a list of texts"; }},
                      type);
}

std::string_view type_name(const SettingValue& type) {
    return std::visit(Overloaded{[](bool) { return "true/false"; }, [](int64_t) { return "integer"; },
                                 [](double) { return "number"; }, [](const std::string&) { return "text"; },
                                 [](Duration) { return "duration"; }, [](ByteSize) { return "size"; },
                                 [](const TextList&) { return "list of texts"; }},
                      type);
}

std::string to_toml(const SettingValue& value) {
    return std::visit(
        Overloaded{[](bool held) { return std::string(held ? "true" : "false"); },
                   [](int64_t held) { return fmt::format("{}", held); }, [](double held) { return real_text(held); },
                   [](const std::string& held) { return quoted(held); },
                   [](Duration held) { return quoted(in_unit(held.count(), duration_units, "0s")); },
                   [](ByteSize held) {
                       const std::string text = in_unit(held.bytes, std::span(size_units).first(4), "0");
                       return text.ends_with('B') ? quoted(text) : text;
                   },
                   [](const TextList& held) {
                       std::string list;
                       for (const std::string& text : held) list += (list.empty() ? "" : ", ") + quoted(text);
                       return "[" + list + "]";
                   }},
        value);
}

std::optional<Duration> duration_from_text(std::string_view text) {
    const auto nanoseconds = with_unit(text, duration_units);
    if (!nanoseconds) return std::nullopt;
    return Duration(*nanoseconds);
}

std::optional<ByteSize> byte_size_from_text(std::string_view text) {
    const auto bytes = with_unit(text, size_units);
    if (!bytes) return std::nullopt;
    return ByteSize{*bytes};
}

std::optional<SettingValue> value_from_text(std::string_view text, const SettingValue& type) {
    return std::visit(Overloaded{[&](bool) -> std::optional<SettingValue> {
                                     if (text == "true") return true;
                                     if (text == "false") return false;
                                     return std::nullopt;
                                 },
                                 [&](int64_t) -> std::optional<SettingValue> { return number_from<int64_t>(text); },
                                 [&](double) -> std::optional<SettingValue> { return number_from<double>(text); },
                                 [&](const std::string&) -> std::optional<SettingValue> { return std::string(text); },
                                 [&](Duration) -> std::optional<SettingValue> { return duration_from_text(text); },
                                 [&](ByteSize) -> std::optional<SettingValue> { return byte_size_from_text(text); },
                                 [&](const TextList&) -> std::optional<SettingValue> {
                                     TextList list;
                                     std::string_view rest = text;
                                     while (!rest.empty()) {
                                         const size_t comma = std::min(rest.find(','), rest.size());
                                         list.emplace_back(rest.substr(0, comma));
                                         rest.remove_prefix(std::min(comma + 1, rest.size()));
                                     }
                                     return list;
                                 }},
                      type);
}

std::optional<std::string> out_of_range(const Setting& setting, const SettingValue& value) {
    TANDEM_ASSERT(value.index() == setting.default_value.index(), "a value has its setting's type");
    // Negated comparisons, so that a NaN is out of every range.
    const bool too_low = setting.least && !(value >= *setting.least);
    const bool too_high = setting.most && !(value <= *setting.most);
    if (too_low || too_high) {
        if (!setting.most) return fmt::format("must be at least {}", to_toml(*setting.least));
        if (!setting.least) return fmt::format("must be at most {}", to_toml(*setting.most));
        return fmt::format("must be from {} to {}", to_toml(*setting.least), to_toml(*setting.most));
    }
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr || setting.choices.empty() || std::ranges::count(setting.choices, *text) > 0) {
        return std::nullopt;
    }
    std::string choices;
    for (const std::string& choice : setting.choices) choices += (choices.empty() ? "" : ", ") + quoted(choice);
    return fmt::format("must be one of {}", choices);
}

}  // namespace tandem::base::detail
