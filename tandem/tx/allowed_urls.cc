#include "tandem/tx/allowed_urls.h"

#include "tandem/base/error.h"
#include "tandem/http/url.h"

namespace tandem::tx {

namespace {

bool host_fits(std::string_view pattern, std::string_view host) {
    return pattern.starts_with('.') ? host.size() > pattern.size() && host.ends_with(pattern) : host == pattern;
}

// "/pay" fits "/pay" and "/pay/x", not "/payments".
bool path_fits(std::string_view prefix, std::string_view path) {
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// True when the text names a port after its host ("http://host:80/…").
bool names_port(std::string_view text) {
    const size_t host = text.find("://") + 3;
    const std::string_view authority = text.substr(host, text.find('/', host) - host);
    const size_t colon = authority.rfind(':');
    return colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
}

}  // namespace

std::vector<std::string> AllowedUrls::loopback() {
    return {"http://127.0.0.1", "http://localhost", "http://[::1]", "http+unix://"};
}

AllowedUrls::AllowedUrls(const std::vector<std::string>& patterns) {
    for (const std::string& text : patterns) {
        if (text == "*") {
            everything_ = true;
        } else if (text == "http+unix://") {
            patterns_.push_back({.scheme = "http+unix", .host = {}, .port = {}, .path = "/"});
        } else {
            std::string plain = text;
            const size_t wildcard = plain.find("://*.");
            if (wildcard != std::string::npos) plain.erase(wildcard + 3, 2);
            try {
                const http::Url url = http::Url::parse(plain);
                patterns_.push_back({.scheme = url.scheme,
                                     .host = (wildcard != std::string::npos ? "." : "") + url.host,
                                     .port = names_port(plain) ? std::optional<int>(url.port) : std::nullopt,
                                     .path = url.path});
            } catch (const Error& error) {
                throw error.within(
                    fmt::format("branches.allow: '{}' is no pattern (\"scheme://host[:port][/path]\" or \"*\")", text));
            }
        }
    }
}

std::optional<std::string> AllowedUrls::refusal(std::string_view text) const {
    http::Url url;
    try {
        url = http::Url::parse(text);
    } catch (const Error& error) {
        return std::string(error.message());
    }
    if (everything_) return std::nullopt;
    for (const Pattern& pattern : patterns_) {
        const bool any_socket = pattern.scheme == "http+unix" && pattern.host.empty();
        if (url.scheme == pattern.scheme && (any_socket || host_fits(pattern.host, url.host)) &&
            (!pattern.port || *pattern.port == url.port) && path_fits(pattern.path, url.path)) {
            return std::nullopt;
        }
    }
    return fmt::format("'{}' is not allowed by branches.allow in the node's configuration", text);
}

}  // namespace tandem::tx
