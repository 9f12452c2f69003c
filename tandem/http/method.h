// Request methods (RFC 9110 section 9, RFC 5789). Names are case-sensitive.
#pragma once

#include <string_view>

namespace tandem::http {

enum class Method : unsigned char {
    get,
    head,
    post,
    put,
    delete_,
    connect,
    options,
    trace,
    patch,
    unknown,  // a well-formed token that none of these is; the request keeps its text, the server answers 501
};

Method parse_method(std::string_view text) noexcept;
// "GET"; empty for unknown.
std::string_view to_string(Method method) noexcept;

// Asks for nothing to change.
constexpr bool is_safe(Method method) noexcept {
    return method == Method::get || method == Method::head || method == Method::options || method == Method::trace;
}
// Sent twice, it does what it does once; a client may send it again when a connection fails.
constexpr bool is_idempotent(Method method) noexcept {
    return is_safe(method) || method == Method::put || method == Method::delete_;
}

}  // namespace tandem::http
