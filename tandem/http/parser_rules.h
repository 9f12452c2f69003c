// Rules that requests and responses share: versions, field lines, and the fields that frame a message. Inside http
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tandem/http/headers.h"

namespace tandem::http::detail {

// "HTTP/1.1" as 11; -1 when it is not of the form HTTP/digit.digit.
int parse_version(std::string_view text) noexcept;

// Adds "name: value" to `headers`; the reason when it is not a field line, else nullptr. `line` has no control
// characters but tabs.
const char* add_field(std::string_view line, Headers& headers);

// 1*DIGIT without overflow.
std::optional<uint64_t> parse_length(std::string_view text) noexcept;

enum class Coding : unsigned char { chunked, malformed, unknown };

// What the fields that decide over framing and connection say, gathered in one pass.
struct FramingFields {
    // False when they contradict each other or the grammar; `problem` says how.
    bool collect(const Headers& headers);

    const char* problem = "";
    size_t host_count = 0;
    std::string_view host;
    std::optional<uint64_t> length;
    size_t transfer_encoding_count = 0;
    Coding coding = Coding::chunked;  // when transfer_encoding_count > 0
    bool close = false;               // Connection's tokens
    bool keep_alive = false;
    bool has_expect = false;
    bool expects_continue = false;
    bool has_content_range = false;

  private:
    bool add_length(std::string_view value);
    void add_coding(std::string_view value);
    bool chunked_seen_ = false;
};

}  // namespace tandem::http::detail
