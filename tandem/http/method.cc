#include "tandem/http/method.h"

#include <array>

namespace tandem::http {

namespace {
constexpr std::array<std::string_view, 10> names = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                                    "CONNECT", "OPTIONS", "TRACE", "PATCH", ""};
}

Method parse_method(std::string_view text) noexcept {
    if (text == "GET") return Method::get;  // most requests
    for (size_t i = 0; i + 1 < names.size(); ++i) {
        if (names[i] == text) return static_cast<Method>(i);
    }
    return Method::unknown;
}

std::string_view to_string(Method method) noexcept {
    return names[static_cast<size_t>(method)];
}

}  // namespace tandem::http
