// `Rule`: the path pattern of a route, checked against its view while compiling.
//
//     /orders/<int:id>            string (the default), path, any(a,b), int, float and uuid are the converters
//     /files/<path:name>          a path takes slashes too, all others end at one
//     /reports/<name>.csv         text may stand before and after a variable; one variable a segment, one path a rule
//
// A rule that is malformed, or whose variables differ from the view's parameters in number or type, does not compile:
// int wants an integer, float a floating-point type, the others std::string or std::string_view, all by value. A view
// may take a web::Request& first. A string_view stays valid until the view's task has ended.
//
// Thread rules: values. Errors: invalid_argument from parse_rule for text that is known only when the program runs.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace tandem::web {

class Request;

// In the order in which they are tried; static text comes before all of them.
enum class Converter : unsigned char { any, uuid, integer, floating, string, path };

// One segment: what stands between two slashes.
struct RulePart {
    std::string_view before;   // the whole segment when it has no variable
    std::string_view after;    // text behind the variable
    std::string_view name;     // of the variable; empty without one
    std::string_view choices;  // of any(a,b): "a,b"
    Converter converter = Converter::string;

    constexpr bool is_variable() const noexcept { return !name.empty(); }
};

inline constexpr size_t rule_segments_max = 16;

struct ParsedRule {
    std::array<RulePart, rule_segments_max> parts{};
    size_t size = 0;
    size_t variables = 0;
    bool trailing_slash = false;
};

// Throws invalid_argument. Not constexpr on purpose: reached while compiling, it is the error that the compiler shows.
[[noreturn]] void malformed_rule(std::string_view rule, std::string_view why);

namespace detail {

constexpr bool is_name(std::string_view text) noexcept {
    for (char c : text) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(c >= '0' && c <= '9')) return false;
    }
    return !text.empty();
}

constexpr Converter converter_named(std::string_view rule, std::string_view name, bool has_choices) {
    if (has_choices != (name == "any")) malformed_rule(rule, "any(a,b) needs its choices, and it alone has some");
    if (name == "string") return Converter::string;
    if (name == "int") return Converter::integer;
    if (name == "float") return Converter::floating;
    if (name == "uuid") return Converter::uuid;
    if (name == "path") return Converter::path;
    if (name == "any") return Converter::any;
    malformed_rule(rule, "a converter is one of string, path, any(a,b), int, float and uuid");
}

constexpr RulePart parse_part(std::string_view rule, std::string_view segment) {
    RulePart part;
    size_t open = segment.find('<');
    part.before = segment.substr(0, open);
    if (part.before.contains('>')) malformed_rule(rule, "a '>' without its '<'");
    if (open == std::string_view::npos) return part;
    size_t close = segment.find('>', open);
    if (close == std::string_view::npos) malformed_rule(rule, "a '<' without its '>'");
    part.after = segment.substr(close + 1);
    if (part.after.find_first_of("<>") != std::string_view::npos) malformed_rule(rule, "one variable a segment");
    std::string_view inside = segment.substr(open + 1, close - open - 1);
    size_t colon = inside.rfind(':');
    part.name = colon == std::string_view::npos ? inside : inside.substr(colon + 1);
    if (!is_name(part.name)) malformed_rule(rule, "a variable's name has letters, digits and _");
    if (colon == std::string_view::npos) return part;
    std::string_view converter = inside.substr(0, colon);
    size_t parenthesis = converter.find('(');
    bool has_choices = parenthesis != std::string_view::npos;
    if (has_choices) {
        if (!converter.ends_with(')')) malformed_rule(rule, "a '(' without its ')'");
        part.choices = converter.substr(parenthesis + 1, converter.size() - parenthesis - 2);
        converter = converter.substr(0, parenthesis);
        if (part.choices.empty()) malformed_rule(rule, "any() without choices");
    }
    part.converter = converter_named(rule, converter, has_choices);
    return part;
}

}  // namespace detail

// The parts are views into `rule`.
constexpr ParsedRule parse_rule(std::string_view rule) {
    if (!rule.starts_with('/')) malformed_rule(rule, "a rule begins with '/'");
    ParsedRule parsed;
    bool has_path = false;
    std::string_view rest = rule.substr(1);
    while (!rest.empty()) {
        size_t end = rest.find('/');
        std::string_view segment = rest.substr(0, end);
        if (segment.empty()) malformed_rule(rule, "an empty segment");
        if (segment == "." || segment == "..") malformed_rule(rule, "a dot segment is never asked for");
        if (parsed.size == rule_segments_max) malformed_rule(rule, "more than 16 segments");
        RulePart part = detail::parse_part(rule, segment);
        for (size_t i = 0; i < parsed.size; ++i)
            if (part.is_variable() && parsed.parts[i].name == part.name) malformed_rule(rule, "a name used twice");
        bool is_path = part.is_variable() && part.converter == Converter::path;
        if (is_path && has_path) malformed_rule(rule, "one path a rule");
        if (is_path && !(part.before.empty() && part.after.empty()))
            malformed_rule(rule, "a path stands alone in its segment");
        has_path |= is_path;
        parsed.variables += part.is_variable();
        parsed.parts[parsed.size++] = part;
        if (end == std::string_view::npos) return parsed;
        rest.remove_prefix(end + 1);
    }
    parsed.trailing_slash = true;
    return parsed;
}

// ---- what the view takes ----

enum class ParameterKind : unsigned char { text, integer, floating, unusable };

// `integer_max` is the largest value an int converter lets through for it.
struct Parameter {
    ParameterKind kind = ParameterKind::unusable;
    int64_t integer_max = std::numeric_limits<int64_t>::max();
};

namespace detail {

template <typename T>
constexpr Parameter parameter_of() noexcept {
    if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
        return {ParameterKind::text};
    } else if constexpr (std::same_as<T, bool> || std::same_as<T, char>) {
        return {};
    } else if constexpr (std::integral<T>) {
        constexpr auto most = static_cast<uint64_t>(std::numeric_limits<T>::max());
        constexpr auto bound = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
        return {ParameterKind::integer, static_cast<int64_t>(most < bound ? most : bound)};
    } else if constexpr (std::floating_point<T>) {
        return {ParameterKind::floating};
    } else {
        return {};
    }
}

template <typename... Parameters>
struct ParameterList {
    static constexpr bool takes_request = false;
    using Values = std::tuple<Parameters...>;
    static constexpr std::array<Parameter, sizeof...(Parameters)> parameters{parameter_of<Parameters>()...};
};
template <typename First, typename... Rest>
    requires std::same_as<std::remove_const_t<std::remove_reference_t<First>>, Request> && std::is_reference_v<First>
struct ParameterList<First, Rest...> : ParameterList<Rest...> {
    static constexpr bool takes_request = true;
};

template <typename View>
struct CallableTraits : CallableTraits<decltype(&View::operator())> {};
template <typename R, typename... P>
struct CallableTraits<R (*)(P...)> {
    using Result = R;
    using List = ParameterList<P...>;
};
template <typename R, typename... P>
struct CallableTraits<R (*)(P...) noexcept> : CallableTraits<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct CallableTraits<R (C::*)(P...) const> : CallableTraits<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct CallableTraits<R (C::*)(P...)> : CallableTraits<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct CallableTraits<R (C::*)(P...) const noexcept> : CallableTraits<R (*)(P...)> {};
template <typename C, typename R, typename... P>
struct CallableTraits<R (C::*)(P...) noexcept> : CallableTraits<R (*)(P...)> {};

}  // namespace detail

template <typename View>
using ParametersOf = detail::CallableTraits<View>::List;

enum class RuleFit : unsigned char { fits, number_differs, type_differs };

// Whether `View` can be called with what `rule` finds.
template <typename View>
constexpr RuleFit fit(std::string_view rule) {
    constexpr auto& parameters = ParametersOf<View>::parameters;
    ParsedRule parsed = parse_rule(rule);
    if (parsed.variables != parameters.size()) return RuleFit::number_differs;
    size_t at = 0;
    for (size_t i = 0; i < parsed.size; ++i) {
        const RulePart& part = parsed.parts[i];
        if (!part.is_variable()) continue;
        ParameterKind wanted = part.converter == Converter::integer    ? ParameterKind::integer
                               : part.converter == Converter::floating ? ParameterKind::floating
                                                                       : ParameterKind::text;
        if (parameters[at++].kind != wanted) return RuleFit::type_differs;
    }
    return RuleFit::fits;
}

// Never defined: a call to them while compiling is the error message.
void the_view_takes_another_number_of_parameters_than_the_rule_has_variables();
void a_parameter_of_the_view_has_another_type_than_its_converter_in_the_rule_gives();

// A literal that was found to fit `View`.
template <typename View>
class Rule {
  public:
    template <size_t size>
    consteval Rule(const char (&text)[size]) : text_(text, size - 1) {
        RuleFit found = fit<View>(text_);
        if (found == RuleFit::number_differs) the_view_takes_another_number_of_parameters_than_the_rule_has_variables();
        if (found == RuleFit::type_differs)
            a_parameter_of_the_view_has_another_type_than_its_converter_in_the_rule_gives();
    }
    constexpr std::string_view text() const noexcept { return text_; }

  private:
    std::string_view text_;
};

}  // namespace tandem::web
