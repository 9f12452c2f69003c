// How an App learns its routes, and how url_for() turns them round.
#include <algorithm>

#include "tandem/web/detail/exchange.h"

namespace tandem::web {

void App::check_open() const {
    if (started_)
        fail(Code::conflict, "app \"{}\" has served a request already: routes and hooks are told before that", name_);
}

void App::add(detail::RouteRecord record) {
    // The record stays where it is for good: a vector of them would move.
    auto contents = std::make_shared<detail::Contents>();
    contents->routes.push_back(std::move(record));
    add_route(contents->routes.front(), {}, {}, {});
    blueprints_.push_back(std::move(contents));
}

void App::add_route(const detail::RouteRecord& record, const std::string& prefix, const std::string& blueprint,
                    const std::vector<const detail::Contents*>& scopes) {
    std::string endpoint = blueprint.empty() ? record.endpoint : blueprint + "." + record.endpoint;
    routes_.push_back({prefix + record.rule, std::move(endpoint), blueprint, &record, scopes, {}});
    try {
        ParsedRule parsed = parse_rule(routes_.back().rule);
        for (size_t i = 0; i < parsed.size; ++i)
            if (parsed.parts[i].is_variable()) routes_.back().variables.emplace_back(parsed.parts[i].name);
        router_.add(routes_.back().rule, record.methods, routes_.size() - 1, record.parameters);
    } catch (...) {
        routes_.pop_back();
        throw;
    }
    methods_.add(record.methods);
    endpoints_.emplace(routes_.back().endpoint, &routes_.back());
}

void App::register_blueprint(const Blueprint& blueprint, std::string prefix, std::string name) {
    check_open();
    check_prefix(prefix);
    if (name.empty()) name = blueprint.name();
    check_name(name);
    blueprint.registered_ = true;
    add_blueprint(blueprint.contents_, prefix, name, {});
}

void App::add_blueprint(std::shared_ptr<const detail::Contents> contents, const std::string& prefix,
                        const std::string& name, std::vector<const detail::Contents*> scopes) {
    if (!blueprint_names_.insert(name).second)
        fail(Code::already_exists, "app \"{}\" has a blueprint \"{}\" already; register it under another name", name_,
             name);
    scopes.push_back(contents.get());
    for (const detail::RouteRecord& record : contents->routes) add_route(record, prefix, name, scopes);
    for (const auto& child : contents->children)
        add_blueprint(child.contents, prefix + child.prefix, name + "." + child.name, scopes);
    blueprints_.push_back(std::move(contents));
}

namespace {

const std::string* find_argument(const http::QueryPairs& arguments, std::string_view name) {
    for (const auto& [key, value] : arguments)
        if (key == name) return &value;
    return nullptr;
}

// What a segment would be read as must be what was put in.
bool usable(const RulePart& part, const std::string& value) {
    if (!detail::converts(part, value, std::numeric_limits<int64_t>::max())) return false;
    std::string around = fmt::format("/{}{}{}", part.before, value, part.after);
    std::string normalized;
    return !value.contains('\0') && http::normalize_path(http::percent_encode(around, true), normalized) &&
           normalized == around;
}

// nullopt when a variable has no value, or one that its converter would not give back.
std::optional<std::string> build(const std::string& rule, const http::QueryPairs& arguments) {
    ParsedRule parsed = parse_rule(rule);
    std::string path;
    for (size_t i = 0; i < parsed.size; ++i) {
        const RulePart& part = parsed.parts[i];
        path.append("/").append(http::percent_encode(part.before));
        if (!part.is_variable()) continue;
        const std::string* value = find_argument(arguments, part.name);
        if (!value || !usable(part, *value)) return std::nullopt;
        path.append(http::percent_encode(*value, part.converter == Converter::path));
        path.append(http::percent_encode(part.after));
    }
    if (parsed.trailing_slash) path.push_back('/');
    http::QueryPairs query;
    for (const auto& argument : arguments) {
        auto is_it = [&](const RulePart& part) { return part.name == argument.first; };
        if (std::none_of(parsed.parts.begin(), parsed.parts.begin() + parsed.size, is_it)) query.push_back(argument);
    }
    if (!query.empty()) path.append("?").append(http::encode_query(query));
    return path;
}

}  // namespace

std::string App::url_for(std::string_view endpoint, const http::QueryPairs& arguments) const {
    std::string name(endpoint);
    if (name.starts_with('.')) {
        const std::string& blueprint = request->blueprint();
        name = blueprint.empty() ? name.substr(1) : blueprint + name;
    }
    auto [first, last] = endpoints_.equal_range(name);
    if (first == last) fail(Code::internal, "url_for: app \"{}\" has no endpoint \"{}\"", name_, name);
    for (auto candidate = first; candidate != last; ++candidate)
        if (auto url = build(candidate->second->rule, arguments)) return *url;
    fail(Code::internal, "url_for: the arguments do not fit \"{}\", the rule of endpoint \"{}\"", first->second->rule,
         name);
}

std::string url_for(std::string_view endpoint, const http::QueryPairs& arguments) {
    return current_app->url_for(endpoint, arguments);
}

}  // namespace tandem::web
