#include "tandem/web/json.h"

#include <boost/json/parser.hpp>

namespace tandem::web {

namespace json = boost::json;

namespace {

[[noreturn]] void refuse_field(const std::string& path, std::string_view why) {
    std::string_view name = path.empty() ? std::string_view("the document") : std::string_view(path);
    throw ProblemError(
        Problem(http::Status::bad_request).detail(fmt::format("{} {}", name, why)).with("field", json::value(path)));
}

[[noreturn]] void malformed(std::string_view text, size_t offset, std::string_view why) {
    offset = std::min(offset, text.size());
    std::string_view before = text.substr(0, offset);
    auto line = std::ranges::count(before, '\n') + 1;
    size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    size_t column = offset - line_start + 1;
    throw ProblemError(Problem(http::Status::bad_request)
                           .detail(fmt::format("malformed JSON at line {}, column {}: {}", line, column, why))
                           .with("line", line)
                           .with("column", column)
                           .with("offset", offset));
}

}  // namespace

json::value parse_json(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.max_bytes)
        throw http::StatusError(http::Status::content_too_large,
                                fmt::format("the JSON text is larger than {} bytes", limits.max_bytes));
    json::parse_options options;
    options.max_depth = limits.max_depth;
    json::parser parser({}, options);
    boost::system::error_code error;
    size_t read = parser.write_some(text.data(), text.size(), error);
    if (error == json::error::too_deep)
        malformed(text, read, fmt::format("nested deeper than {} levels", limits.max_depth));
    if (error == json::error::incomplete) malformed(text, text.size(), "the text ends too early");
    if (error) malformed(text, read, error.message());
    if (read < text.size()) malformed(text, read, "something follows the value");
    return parser.release();
}

JsonFields::JsonFields(const json::value& value, std::string path) : path_(std::move(path)) {
    if (!value.is_object()) wrong(path_, "an object");
    object_ = &value.get_object();
}

std::string JsonFields::path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

std::string JsonFields::element_path(std::string_view name, size_t index) const {
    return fmt::format("{}[{}]", path_of(name), index);
}

const json::value* JsonFields::take(std::string_view name) {
    const json::value* value = object_->if_contains(name);
    if (value) taken_.emplace(name);
    return value;
}

const json::array& JsonFields::array(std::string_view name) {
    const json::value* value = take(name);
    if (!value) missing(name);
    if (!value->is_array()) wrong(path_of(name), "an array");
    return value->get_array();
}

JsonFields JsonFields::object(std::string_view name) {
    const json::value* value = take(name);
    if (!value) missing(name);
    return {*value, path_of(name)};
}

void JsonFields::each(std::string_view name, const std::function<void(JsonFields)>& read) {
    const json::array& items = array(name);
    for (size_t i = 0; i < items.size(); ++i) read(JsonFields(items[i], element_path(name, i)));
}

void JsonFields::finish() const {
    for (const auto& member : *object_)
        if (!taken_.contains(member.key())) refuse_field(path_of(member.key()), "is not a known field");
}

void JsonFields::refuse(std::string_view name, std::string_view why) const {
    refuse_field(path_of(name), why);
}

void JsonFields::missing(std::string_view name) const {
    refuse_field(path_of(name), "is missing");
}

void JsonFields::wrong(const std::string& path, std::string_view expected) {
    refuse_field(path, fmt::format("must be {}", expected));
}

}  // namespace tandem::web
