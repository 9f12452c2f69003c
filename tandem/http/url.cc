#include "tandem/http/url.h"

#include <algorithm>
#include <charconv>

#include "tandem/base/error.h"

namespace tandem::http {

namespace {

constexpr int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

constexpr bool is_alphanumeric(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_unreserved(char c) noexcept {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
        if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    }
    return result;
}

// Appends the decoded bytes; false for a bad %XX.
bool append_decoded(std::string_view text, std::string& out, bool plus_is_space) {
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= text.size()) return false;
            int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0) return false;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (plus_is_space && c == '+') {
            c = ' ';
        }
        out.push_back(c);
    }
    return true;
}

std::optional<uint16_t> parse_port(std::string_view text) noexcept {
    if (text.empty() || text.size() > 5) return std::nullopt;
    unsigned port = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port > 65535) return std::nullopt;
    return static_cast<uint16_t>(port);
}

struct HostPort {
    std::string_view host;  // IPv6 without brackets
    std::string_view port;  // empty when there is none
};

bool is_ip_literal(std::string_view text) noexcept {
    return !text.empty() && text.contains(':') &&
           std::ranges::all_of(text, [](char c) { return hex_digit(c) >= 0 || c == ':' || c == '.'; });
}

std::optional<HostPort> split_authority(std::string_view text) noexcept {
    HostPort result;
    size_t end;
    if (text.starts_with('[')) {
        end = text.find(']');
        if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return std::nullopt;
        result.host = text.substr(1, end - 1);
        ++end;
    } else {
        end = std::min(text.find(':'), text.size());
        result.host = text.substr(0, end);
        if (result.host.empty()) return std::nullopt;
        for (size_t i = 0; i < end; ++i) {
            if (text[i] == '%') {
                if (i + 2 >= end || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0) return std::nullopt;
            } else if (!is_unreserved(text[i])) {
                return std::nullopt;
            }
        }
    }
    if (end == text.size()) return result;
    if (text[end] != ':') return std::nullopt;
    result.port = text.substr(end + 1);
    if (!result.port.empty() && !parse_port(result.port)) return std::nullopt;
    return result;
}

}  // namespace

bool is_authority(std::string_view text) noexcept {
    return split_authority(text).has_value();
}

Url Url::parse(std::string_view text) {
    size_t scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos)
        fail(Code::invalid_argument, "\"{}\" is not an absolute URL; expected http://host[:port]/path", text);
    for (char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
            fail(Code::invalid_argument, "a URL has a space or control character in it; write it as %XX");
    }
    Url url;
    url.scheme = lower(text.substr(0, scheme_end));
    bool is_unix = url.scheme == "http+unix";
    if (!is_unix && url.scheme != "http" && url.scheme != "https")
        fail(Code::invalid_argument, "URL scheme \"{}\" is not offered; expected http, https or http+unix", url.scheme);
    std::string_view rest = text.substr(scheme_end + 3);
    rest = rest.substr(0, rest.find('#'));
    std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
    rest.remove_prefix(authority.size());
    if (authority.contains('@')) fail(Code::invalid_argument, "a URL with user information is not accepted");
    if (is_unix) {
        auto path = percent_decode(authority);
        if (!path || path->empty() || path->contains('\0'))
            fail(Code::invalid_argument, "\"{}\" names no socket; expected http+unix://%2Fpath%2Fto.sock/", text);
        url.host = std::move(*path);
    } else {
        auto parts = split_authority(authority);
        if (!parts) fail(Code::invalid_argument, "\"{}\" is not host[:port] in URL \"{}\"", authority, text);
        url.host = lower(parts->host);
        url.port = parts->port.empty() ? (url.scheme == "http" ? 80 : 443) : *parse_port(parts->port);
        if (url.port == 0) fail(Code::invalid_argument, "port 0 cannot be dialled in URL \"{}\"", text);
    }
    size_t query = rest.find('?');
    url.path = rest.substr(0, query);
    if (url.path.empty()) url.path = "/";
    if (query != std::string_view::npos) url.query = rest.substr(query + 1);
    return url;
}

std::string Url::target() const {
    return query.empty() ? path : path + "?" + query;
}

std::string Url::authority() const {
    if (scheme == "http+unix") return "localhost";
    std::string result = host.contains(':') ? "[" + host + "]" : host;
    if (port != (scheme == "http" ? 80 : 443)) result += ":" + std::to_string(port);
    return result;
}

net::Address Url::address() const {
    return scheme == "http+unix" ? net::Address::unix_socket(host) : net::Address::tcp(host, port);
}

std::string Url::to_string() const {
    return scheme + "://" + (scheme == "http+unix" ? percent_encode(host) : authority()) + target();
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    if (!append_decoded(text, result, false)) return std::nullopt;
    return result;
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string result;
    result.reserve(text.size());
    for (char c : text) {
        if (is_unreserved(c) || (keep_slashes && c == '/')) {
            result.push_back(c);
        } else {
            auto byte = static_cast<unsigned char>(c);
            result.append({'%', digits[byte >> 4], digits[byte & 15]});
        }
    }
    return result;
}

QueryPairs parse_query(std::string_view query, size_t max_pairs) {
    QueryPairs pairs;
    while (!query.empty()) {
        size_t end = std::min(query.find('&'), query.size());
        std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        if (pairs.size() == max_pairs) fail(Code::invalid_argument, "a query of more than {} pairs", max_pairs);
        size_t equals = pair.find('=');
        auto& [name, value] = pairs.emplace_back();
        bool good = append_decoded(pair.substr(0, equals), name, true);
        if (good && equals != std::string_view::npos) good = append_decoded(pair.substr(equals + 1), value, true);
        if (!good) fail(Code::invalid_argument, "a query has a '%' that two hex digits do not follow");
    }
    return pairs;
}

std::string encode_query(const QueryPairs& pairs) {
    std::string result;
    for (const auto& [name, value] : pairs) {
        if (!result.empty()) result.push_back('&');
        result.append(percent_encode(name)).append("=").append(percent_encode(value));
    }
    return result;
}

bool normalize_path(std::string_view raw, std::string& path) {
    path.clear();
    if (!raw.starts_with('/')) return false;
    bool plain = !raw.contains('%') && !raw.contains("/.");
    if (plain) {
        path.assign(raw);
        return !raw.contains('\0');
    }
    if (!append_decoded(raw, path, false) || path.contains('\0')) return false;
    // Segments are moved to the front in place; `end` is where the kept ones end.
    size_t end = 0;
    for (size_t start = 0; start < path.size();) {
        size_t next = std::min(path.find('/', start + 1), path.size());
        std::string_view segment = std::string_view(path).substr(start + 1, next - start - 1);
        bool last = next == path.size();
        if (segment == "." || segment == "..") {
            if (segment == "..") end = end == 0 ? 0 : path.rfind('/', end - 1);
            if (last) path[end++] = '/';
        } else {
            std::copy(path.begin() + start, path.begin() + next, path.begin() + end);
            end += next - start;
        }
        start = next;
    }
    path.resize(end);
    if (path.empty()) path = "/";
    return true;
}

}  // namespace tandem::http
