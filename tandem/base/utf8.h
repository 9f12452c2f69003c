// The border between bytes and text: text in Tandem is UTF-8 (RFC 3629; Unicode 15 table 3-7: no overlong forms, no
// surrogates, nothing above U+10FFFF), and what comes from outside is checked here before anything calls it text.
//
// All functions are pure. Offsets and sizes are bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tandem/base/bytes.h"

namespace tandem::base {

// Where the first ill-formed sequence begins, or text.size(). ASCII is skipped 16 bytes at a time.
size_t valid_utf8_prefix(std::string_view text) noexcept;

inline bool valid_utf8(std::string_view text) noexcept {
    return valid_utf8_prefix(text) == text.size();
}

// The bytes as text; throws invalid_argument "`what` is not UTF-8 at byte N" otherwise.
std::string_view check_utf8(std::string_view text, std::string_view what);
inline std::string_view check_utf8(Bytes bytes, std::string_view what) {
    return check_utf8(as_text(bytes), what);
}

// Replaces each maximal ill-formed part by U+FFFD, as browsers do (Unicode 15 section 3.9).
std::string repair_utf8(std::string_view text);

// The longest prefix of at most size_max bytes that does not cut a character in two.
std::string_view truncate_utf8(std::string_view text, size_t size_max) noexcept;

// Appends the encoding of a code point; surrogates and values above U+10FFFF become U+FFFD.
void append_utf8(std::string& to, char32_t code_point);

}  // namespace tandem::base
