#include "tandem/http/parser_rules.h"

#include <algorithm>
#include <limits>

namespace tandem::http::detail {

int parse_version(std::string_view text) noexcept {
    auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
        return -1;
    return (text[5] - '0') * 10 + (text[7] - '0');
}

const char* add_field(std::string_view line, Headers& headers) {
    if (line.front() == ' ' || line.front() == '\t') return "a folded header line";
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) return "a header line without a colon";
    std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return "a header field's name is not a token";
    headers.add_trusted(name, trim_whitespace(line.substr(colon + 1)));
    return nullptr;
}

std::optional<uint64_t> parse_length(std::string_view text) noexcept {
    if (text.empty()) return std::nullopt;
    uint64_t value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        unsigned digit = static_cast<unsigned>(c - '0');
        if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

bool FramingFields::add_length(std::string_view value) {
    std::optional<uint64_t> parsed = parse_length(value);
    if (!parsed) {
        problem = "Content-Length is not a number";
        return false;
    }
    if (length && *length != *parsed) {
        problem = "two different Content-Lengths";
        return false;
    }
    length = parsed;
    return true;
}

void FramingFields::add_coding(std::string_view value) {
    ++transfer_encoding_count;
    if (value.empty()) coding = Coding::malformed;
    while (!value.empty()) {
        size_t comma = std::min(value.find(','), value.size());
        std::string_view member = trim_whitespace(value.substr(0, comma));
        value.remove_prefix(std::min(comma + 1, value.size()));
        if (coding == Coding::malformed) return;
        if (member.empty() || chunked_seen_) {
            coding = Coding::malformed;  // chunked comes once and last
        } else if (equals_ignoring_case(member, "chunked")) {
            chunked_seen_ = true;
        } else {
            coding = Coding::unknown;
        }
    }
}

bool FramingFields::collect(const Headers& headers) {
    for (auto [name, value] : headers) {
        switch (name.size()) {
            case 4:
                if (equals_ignoring_case(name, "Host")) {
                    ++host_count;
                    host = value;
                }
                break;
            case 6:
                if (equals_ignoring_case(name, "Expect")) {
                    has_expect = true;
                    expects_continue = equals_ignoring_case(value, "100-continue");
                }
                break;
            case 10:
                if (equals_ignoring_case(name, "Connection")) {
                    close = close || list_contains(value, "close");
                    keep_alive = keep_alive || list_contains(value, "keep-alive");
                }
                break;
            case 13:
                if (equals_ignoring_case(name, "Content-Range")) has_content_range = true;
                break;
            case 14:
                if (equals_ignoring_case(name, "Content-Length") && !add_length(value)) return false;
                break;
            case 17:
                if (equals_ignoring_case(name, "Transfer-Encoding")) add_coding(value);
                break;
            default:
                break;
        }
    }
    return true;
}

}  // namespace tandem::http::detail
