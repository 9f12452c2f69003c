#include "tandem/web/detail/router.h"

#include <algorithm>
#include <charconv>

#include "tandem/base/error.h"

namespace tandem::web::detail {

std::string MethodSet::to_string() const {
    std::string result;
    for (unsigned i = 0; i < static_cast<unsigned>(http::Method::unknown); ++i) {
        auto method = static_cast<http::Method>(i);
        if (!contains(method)) continue;
        if (!result.empty()) result.append(", ");
        result.append(http::to_string(method));
    }
    return result;
}

// ---- converters ----

namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_integer(std::string_view text, int64_t most) noexcept {
    if (!std::ranges::all_of(text, is_digit)) return false;
    int64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value <= most;
}

// Digits, a dot, digits: what has no dot is an int.
bool is_float(std::string_view text) noexcept {
    size_t dot = text.find('.');
    return dot != std::string_view::npos && dot > 0 && dot + 1 < text.size() && text.size() <= 64 &&
           std::ranges::all_of(text.substr(0, dot), is_digit) && std::ranges::all_of(text.substr(dot + 1), is_digit);
}

// 8-4-4-4-12 hex digits (RFC 9562), either case.
bool is_uuid(std::string_view text) noexcept {
    if (text.size() != 36) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) return false;
    }
    return true;
}

bool is_choice(std::string_view choices, std::string_view text) noexcept {
    while (true) {
        size_t comma = choices.find(',');
        if (choices.substr(0, comma) == text) return true;
        if (comma == std::string_view::npos) return false;
        choices.remove_prefix(comma + 1);
        while (choices.starts_with(' ')) choices.remove_prefix(1);
    }
}

}  // namespace

bool converts(const RulePart& part, std::string_view text, int64_t integer_max) noexcept {
    if (text.empty()) return false;
    switch (part.converter) {
        case Converter::any:
            return is_choice(part.choices, text);
        case Converter::uuid:
            return is_uuid(text);
        case Converter::integer:
            return is_integer(text, integer_max);
        case Converter::floating:
            return is_float(text);
        case Converter::string:
            return !text.contains('/');
        case Converter::path:
            return !text.starts_with('/');
    }
    return false;
}

// ---- the tree ----

struct Router::Node {
    struct Target {
        MethodSet methods;
        size_t route;
        bool trailing_slash;
    };
    struct Variable {
        RulePart part;
        int64_t integer_max;
        std::unique_ptr<Node> node;
    };

    Node& static_child(std::string_view text) {
        auto& child = statics[text];
        if (!child) child = std::make_unique<Node>();
        return *child;
    }

    Node& variable_child(const RulePart& part, int64_t integer_max) {
        auto same = [&](const Variable& other) {
            return other.part.converter == part.converter && other.part.before == part.before &&
                   other.part.after == part.after && other.part.choices == part.choices &&
                   other.integer_max == integer_max;
        };
        if (auto found = std::ranges::find_if(variables, same); found != variables.end()) return *found->node;
        // More static text is tried first, then the narrower converter, then what was added first.
        auto weight = [](const RulePart& p) {
            return std::pair(-static_cast<int64_t>(p.before.size() + p.after.size()), p.converter);
        };
        auto at = std::ranges::find_if(variables, [&](const Variable& v) { return weight(part) < weight(v.part); });
        return *variables.insert(at, Variable{part, integer_max, std::make_unique<Node>()})->node;
    }

    std::map<std::string_view, std::unique_ptr<Node>> statics;
    std::vector<Variable> variables;
    std::vector<Target> targets;
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;

void Router::add(std::string_view rule, MethodSet methods, size_t route, std::span<const Parameter> parameters) {
    ParsedRule parsed = parse_rule(rule);
    Node* node = root_.get();
    size_t variable = 0;
    for (size_t i = 0; i < parsed.size; ++i) {
        const RulePart& part = parsed.parts[i];
        if (!part.is_variable()) {
            node = &node->static_child(part.before);
            continue;
        }
        int64_t most = part.converter == Converter::integer ? parameters[variable].integer_max : 0;
        ++variable;
        node = &node->variable_child(part, most);
    }
    for (const Node::Target& target : node->targets)
        if (target.trailing_slash == parsed.trailing_slash && target.methods.overlaps(methods))
            fail(Code::already_exists, "route \"{}\" was added twice for the same method", rule);
    node->targets.push_back({methods, route, parsed.trailing_slash});
}

// One walk through the tree. `values` is a stack that follows the walk.
struct Router::Search {
    std::string_view path;  // without the leading slash, and without a trailing one
    bool trailing_slash;
    http::Method method;
    Match match;

    // Both return whether the search is over. `at` is where the next segment begins; npos behind the last one.
    bool visit(const Node& node, size_t at);
    bool visit_path(const Node::Variable& variable, size_t at);
    bool arrive(const Node& node, bool path_took_slash);

    void push(std::string_view value) { match.values.values[match.values.size++] = value; }
    void pop() { --match.values.size; }
};

bool Router::Search::arrive(const Node& node, bool path_took_slash) {
    bool slash = trailing_slash && !path_took_slash;
    for (const Node::Target& target : node.targets) {
        if (target.trailing_slash != slash && !(target.trailing_slash && !slash && !path_took_slash)) continue;
        if (match.allowed.empty()) match.route = target.route;
        match.allowed.add(target.methods);
        if (!target.methods.contains(method)) continue;
        match.route = target.route;
        if (target.trailing_slash == slash) {
            match.outcome = Match::Outcome::found;
            return true;
        }
        match.outcome = Match::Outcome::needs_slash;
    }
    return match.outcome == Match::Outcome::needs_slash;
}

bool Router::Search::visit(const Node& node, size_t at) {
    if (at == std::string_view::npos) return arrive(node, false);
    size_t end = path.find('/', at);
    std::string_view segment = path.substr(at, end == std::string_view::npos ? end : end - at);
    size_t next = end == std::string_view::npos ? end : end + 1;
    if (auto found = node.statics.find(segment); found != node.statics.end() && visit(*found->second, next))
        return true;
    for (const Node::Variable& variable : node.variables) {
        const RulePart& part = variable.part;
        if (part.converter == Converter::path) {
            if (visit_path(variable, at)) return true;
            continue;
        }
        if (segment.size() <= part.before.size() + part.after.size() || !segment.starts_with(part.before) ||
            !segment.ends_with(part.after))
            continue;
        std::string_view value =
            segment.substr(part.before.size(), segment.size() - part.before.size() - part.after.size());
        if (!converts(part, value, variable.integer_max)) continue;
        push(value);
        if (visit(*variable.node, next)) return true;
        pop();
    }
    return false;
}

// The shortest path first, so that what follows it in the rule gets its chance; the whole rest last.
bool Router::Search::visit_path(const Node::Variable& variable, size_t at) {
    if (at >= path.size() || path[at] == '/') return false;
    bool goes_on = !variable.node->statics.empty() || !variable.node->variables.empty();
    for (size_t end = path.find('/', at); goes_on && end != std::string_view::npos; end = path.find('/', end + 1)) {
        push(path.substr(at, end - at));
        if (visit(*variable.node, end + 1)) return true;
        pop();
    }
    push(path.substr(at));
    if (arrive(*variable.node, false)) return true;
    pop();
    if (!trailing_slash) return false;
    // The slash at the end belongs to the value, as it does when the whole path is one.
    push(std::string_view(path.data() + at, path.size() - at + 1));
    if (arrive(*variable.node, true)) return true;
    pop();
    return false;
}

Match Router::match(std::string_view path, http::Method method) const {
    Search search{path.substr(1), false, method, {}};
    if (search.path.ends_with('/') || search.path.empty()) {
        search.trailing_slash = true;
        if (!search.path.empty()) search.path.remove_suffix(1);
    }
    bool is_root = path == "/";
    if (!search.visit(*root_, is_root ? std::string_view::npos : 0) && !search.match.allowed.empty())
        search.match.outcome = Match::Outcome::other_method;
    return search.match;
}

}  // namespace tandem::web::detail
