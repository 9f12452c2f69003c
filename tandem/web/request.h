// `web::Request`: what a view asks about its request: arguments of the path and query, the body as text, form or JSON.
//
// Thread rules: belongs to its request's coroutine. Views of it (string_view) live as long as the request.
// Errors: http::StatusError, whose text is meant for the client: 400 for what does not parse, 413 for a body over
// AppOptions::max_body_bytes, 415 for another content type than the one asked for.
#pragma once

#include <charconv>
#include <concepts>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "tandem/async/task.h"
#include "tandem/http/message.h"
#include "tandem/http/url.h"

namespace tandem::web {

using async::Task;
using http::Response;
using http::Status;

// A type that text from a query or form is turned into: std::string, bool (true, false, 1, 0), a number.
template <typename T>
concept Argument =
    std::same_as<T, std::string> || (std::integral<T> && !std::same_as<T, char>) || std::floating_point<T>;

namespace detail {
// 400 that names the parameter and says what was expected.
[[noreturn]] void bad_argument(std::string_view name, std::string_view expected);
[[noreturn]] void missing_argument(std::string_view name);

template <Argument T>
T argument_from(std::string_view name, std::string_view text) {
    if constexpr (std::same_as<T, std::string>) {
        return std::string(text);
    } else if constexpr (std::same_as<T, bool>) {
        if (text == "true" || text == "1") return true;
        if (text == "false" || text == "0") return false;
        bad_argument(name, "true or false");
    } else {
        T value{};
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        bool good = error == std::errc() && end == text.data() + text.size();
        if (!good) bad_argument(name, std::integral<T> ? "an integer within its range" : "a number");
        return value;
    }
}
}  // namespace detail

// Pairs of a query or a form in their order; a name may come several times.
class Arguments {
  public:
    explicit Arguments(http::QueryPairs pairs = {}) : pairs_(std::move(pairs)) {}

    // The first value under `name`.
    const std::string* find(std::string_view name) const noexcept;
    std::vector<std::string_view> get_all(std::string_view name) const;
    template <Argument T = std::string>
    T get(std::string_view name, T otherwise) const {
        const std::string* text = find(name);
        return text ? detail::argument_from<T>(name, *text) : std::move(otherwise);
    }
    template <Argument T = std::string>
    T required(std::string_view name) const {
        const std::string* text = find(name);
        if (!text) detail::missing_argument(name);
        return detail::argument_from<T>(name, *text);
    }
    const http::QueryPairs& pairs() const noexcept { return pairs_; }
    size_t size() const noexcept { return pairs_.size(); }

  private:
    http::QueryPairs pairs_;
};

struct RequestLimits {
    size_t max_body_bytes = 1024 * 1024;
    size_t max_json_depth = 32;
    size_t max_arguments = 1000;  // pairs in a query or form
};

class Request {
  public:
    Request(http::Request& raw, const RequestLimits& limits) noexcept : raw_(raw), limits_(limits) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    http::Request& raw() noexcept { return raw_; }
    http::Method method() const noexcept { return raw_.method; }
    const std::string& path() const noexcept { return raw_.path; }
    const std::string& query() const noexcept { return raw_.query; }  // still encoded
    const http::Headers& headers() const noexcept { return raw_.headers; }
    // The first value; empty when there is none.
    std::string_view header(std::string_view name) const noexcept { return raw_.headers.get_or(name, {}); }
    const net::Address& peer() const noexcept { return raw_.peer; }

    // The query's arguments.
    const Arguments& args();
    // `request.arg<int>("limit", 20)`: 400 naming the parameter when it is there and does not parse.
    template <Argument T = std::string>
    T arg(std::string_view name, T otherwise) {
        return args().get<T>(name, std::move(otherwise));
    }
    template <Argument T = std::string>
    T required_arg(std::string_view name) {
        return args().required<T>(name);
    }
    std::string arg(std::string_view name, const char* otherwise) { return args().get<std::string>(name, otherwise); }

    // The whole body; read once and kept.
    Task<std::string_view> text();
    // application/json or anything +json.
    Task<boost::json::value> json();
    // application/x-www-form-urlencoded.
    Task<Arguments> form();
    // A cookie of the Cookie fields.
    std::optional<std::string_view> cookie(std::string_view name) const noexcept;

    // The endpoint that matched ("orders.show") and what its rule's variables held; empty before and without a match.
    const std::string& endpoint() const noexcept;
    // Full name of the matched route's blueprint ("admin.orders"); empty for the app's own.
    const std::string& blueprint() const noexcept;
    const std::string& rule() const noexcept;
    std::span<const std::pair<std::string, std::string>> path_args() const noexcept { return path_args_; }

  private:
    friend class App;
    struct Matched {
        const std::string* rule = nullptr;
        const std::string* endpoint = nullptr;
        const std::string* blueprint = nullptr;
    };
    http::Request& raw_;
    const RequestLimits& limits_;
    std::optional<Arguments> args_;
    std::optional<std::string> body_;
    Matched matched_;
    std::vector<std::pair<std::string, std::string>> path_args_;
};

}  // namespace tandem::web
