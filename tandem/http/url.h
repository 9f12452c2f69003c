// URLs (RFC 3986) as HTTP uses them: the absolute ones a client dials, and the path and query a server is asked for.
//
// Errors: invalid_argument that says what is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/net/address.h"

namespace tandem::http {

struct Url {
    std::string scheme;  // lower case
    std::string host;    // lower case, without the brackets of an IPv6 address; for http+unix the socket's path
    uint16_t port = 0;   // never 0 for http and https: 80 or 443 when the text names none
    std::string path;    // still percent-encoded, at least "/"
    std::string query;   // still percent-encoded, without the '?'

    // http://host[:port]/path?query, https://…, and http+unix://%2Frun%2Fx.sock/path for a Unix socket. A fragment is
    // dropped. User information is refused: passwords do not belong into URLs.
    static Url parse(std::string_view text);

    // What stands in the request line: "/path?query".
    std::string target() const;
    // What stands in Host: without the scheme's default port; "localhost" for a Unix socket.
    std::string authority() const;
    // Where to connect.
    net::Address address() const;
    std::string to_string() const;
    bool operator==(const Url&) const = default;
};

// Every %XX as its byte; nullopt for a '%' that two hex digits do not follow.
std::optional<std::string> percent_decode(std::string_view text);
// Everything but letters, digits and -._~ as %XX; with `keep_slashes` also '/' stays.
std::string percent_encode(std::string_view text, bool keep_slashes = false);

using QueryPairs = std::vector<std::pair<std::string, std::string>>;
// application/x-www-form-urlencoded: pairs in order, '+' is a space, a name without '=' has an empty value. A '%' that
// two hex digits do not follow throws. At most `max_pairs`.
QueryPairs parse_query(std::string_view query, size_t max_pairs = 1000);
std::string encode_query(const QueryPairs& pairs);

// Decodes `raw` (the part of a request target before the '?') and removes its dot segments, also those that were
// written as %2e; a ".." at the root stays there. False for a bad %XX, for a NUL, and when it does not begin with '/'.
bool normalize_path(std::string_view raw, std::string& path);

// uri-host [":" port] as the Host field carries it: a name, an IPv4 address or a bracketed IPv6 one.
bool is_authority(std::string_view text) noexcept;

}  // namespace tandem::http
