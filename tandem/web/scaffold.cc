#include "tandem/web/scaffold.h"

namespace tandem::web {

detail::MethodSet Scaffold::method_set(std::initializer_list<http::Method> methods) {
    detail::MethodSet set;
    for (http::Method method : methods) {
        if (method == http::Method::unknown) fail(Code::invalid_argument, "a route cannot be for unknown methods");
        set.add(method);
        if (method == http::Method::get) set.add(http::Method::head);
    }
    if (set.empty()) fail(Code::invalid_argument, "a route needs a method");
    return set;
}

void Scaffold::add_checked(detail::RouteRecord record) {
    check_open();
    if (record.endpoint.empty()) record.endpoint = record.rule;
    add(std::move(record));
}

void Scaffold::route_text(std::initializer_list<http::Method> methods, std::string rule, ViewFunction view,
                          std::string endpoint) {
    size_t variables = parse_rule(rule).variables;
    std::vector<Parameter> parameters(variables, Parameter{ParameterKind::text});
    add_checked({std::move(rule), method_set(methods), std::move(view), std::move(endpoint), std::move(parameters)});
}

void Scaffold::check_prefix(std::string_view prefix) {
    bool good = prefix.empty() || (prefix.starts_with('/') && !prefix.ends_with('/'));
    if (!good || prefix.find_first_of("<>") != std::string_view::npos)
        fail(Code::invalid_argument, "\"{}\" is not a prefix: expected plain text like \"/shop\", or nothing", prefix);
}

void Scaffold::check_name(std::string_view name) {
    if (name.empty() || name.contains('.'))
        fail(Code::invalid_argument, "\"{}\" is not a blueprint's name: expected text without a dot", name);
}

Blueprint::Blueprint(std::string name) : name_(std::move(name)) {
    check_name(name_);
}

void Blueprint::check_open() const {
    if (registered_)
        fail(Code::conflict, "blueprint \"{}\" was registered already and cannot be changed any more", name_);
}

void Blueprint::add(detail::RouteRecord record) {
    contents_->routes.push_back(std::move(record));
}

void Blueprint::register_blueprint(const Blueprint& blueprint, std::string prefix, std::string name) {
    check_open();
    check_prefix(prefix);
    if (name.empty()) name = blueprint.name_;
    check_name(name);
    if (&blueprint == this) fail(Code::invalid_argument, "blueprint \"{}\" cannot hold itself", name_);
    for (const auto& child : contents_->children)
        if (child.name == name) fail(Code::already_exists, "blueprint \"{}\" has a \"{}\" already", name_, name);
    blueprint.registered_ = true;
    contents_->children.push_back({blueprint.contents_, std::move(prefix), std::move(name)});
}

}  // namespace tandem::web
