// Finding the end of a line in hostile input; shared by the parsers of this folder.
#pragma once

#include <cstddef>
#include <string_view>

namespace tandem::http::detail {

struct Line {
    enum class Kind : unsigned char {
        complete,
        incomplete,  // no CRLF yet, and nothing wrong so far
        broken,      // a control character other than the tab, a bare CR or a bare LF
    };
    Kind kind;
    std::string_view text;  // without its CRLF
};

// The line at the front of `input`. `scanned` (0 for a new line) remembers how much was looked at, so that a line that
// comes byte by byte is not searched again and again.
Line scan_line(std::string_view input, size_t& scanned) noexcept;

// The first control character but the tab in [begin, end), or end. SSE2, 16 bytes at a time.
const char* find_control(const char* begin, const char* end) noexcept;

}  // namespace tandem::http::detail
