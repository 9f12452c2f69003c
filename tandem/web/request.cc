#include "tandem/web/request.h"

#include "tandem/base/utf8.h"
#include "tandem/http/status_error.h"
#include "tandem/web/json.h"

namespace tandem::web {

using http::StatusError;

namespace detail {

void bad_argument(std::string_view name, std::string_view expected) {
    throw StatusError(Status::bad_request, fmt::format("argument \"{}\" must be {}", name, expected));
}

void missing_argument(std::string_view name) {
    throw StatusError(Status::bad_request, fmt::format("argument \"{}\" is missing", name));
}

}  // namespace detail

namespace {

// parse_query, whose errors become the client's, and whose text is UTF-8.
Arguments parse_arguments(std::string_view text, size_t max, std::string_view what) {
    http::QueryPairs pairs;
    try {
        pairs = http::parse_query(text, max);
        for (const auto& [name, value] : pairs) {
            base::check_utf8(name, what);
            base::check_utf8(value, what);
        }
    } catch (const Error& error) {
        throw StatusError(Status::bad_request, error.message());
    }
    return Arguments(std::move(pairs));
}

std::string_view media_type(std::string_view content_type) noexcept {
    return http::trim_whitespace(content_type.substr(0, content_type.find(';')));
}

const std::string nothing;

const std::string& or_nothing(const std::string* text) noexcept {
    return text ? *text : nothing;
}

}  // namespace

const std::string* Arguments::find(std::string_view name) const noexcept {
    for (const auto& [key, value] : pairs_)
        if (key == name) return &value;
    return nullptr;
}

std::vector<std::string_view> Arguments::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [key, value] : pairs_)
        if (key == name) values.push_back(value);
    return values;
}

const Arguments& Request::args() {
    if (!args_) args_ = parse_arguments(raw_.query, limits_.max_arguments, "the query");
    return *args_;
}

Task<std::string_view> Request::text() {
    if (!body_) {
        std::string content = co_await raw_.body.read_all(limits_.max_body_bytes);
        body_ = std::move(content);
    }
    co_return *body_;
}

Task<boost::json::value> Request::json() {
    std::string_view type = media_type(header("Content-Type"));
    bool suffix = type.size() > 5 && http::equals_ignoring_case(type.substr(type.size() - 5), "+json");
    if (!suffix && !http::equals_ignoring_case(type, "application/json"))
        throw StatusError(Status::unsupported_media_type, "the body must be application/json",
                          {{"Accept-Post", "application/json"}});
    std::string_view body = co_await text();
    co_return parse_json(body, {.max_bytes = limits_.max_body_bytes, .max_depth = limits_.max_json_depth});
}

Task<Arguments> Request::form() {
    if (!http::equals_ignoring_case(media_type(header("Content-Type")), "application/x-www-form-urlencoded"))
        throw StatusError(Status::unsupported_media_type, "the body must be application/x-www-form-urlencoded",
                          {{"Accept-Post", "application/x-www-form-urlencoded"}});
    std::string_view body = co_await text();
    co_return parse_arguments(body, limits_.max_arguments, "the form");
}

std::optional<std::string_view> Request::cookie(std::string_view name) const noexcept {
    for (http::Field field : raw_.headers) {
        if (!http::equals_ignoring_case(field.name, "cookie")) continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            size_t end = std::min(rest.find(';'), rest.size());
            std::string_view pair = http::trim_whitespace(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
            size_t equals = pair.find('=');
            if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
            std::string_view value = pair.substr(equals + 1);
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            return value;
        }
    }
    return std::nullopt;
}

const std::string& Request::endpoint() const noexcept {
    return or_nothing(matched_.endpoint);
}
const std::string& Request::blueprint() const noexcept {
    return or_nothing(matched_.blueprint);
}
const std::string& Request::rule() const noexcept {
    return or_nothing(matched_.rule);
}

}  // namespace tandem::web
