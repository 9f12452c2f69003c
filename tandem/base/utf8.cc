#include "tandem/base/utf8.h"

#include <emmintrin.h>

#include <bit>

#include "tandem/base/error.h"

namespace tandem::base {

namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

// Where the ASCII that starts at `from` ends.
size_t skip_ascii(std::string_view text, size_t from) noexcept {
    while (from + 16 <= text.size()) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
        const auto high_bits = static_cast<unsigned>(_mm_movemask_epi8(block));
        if (high_bits != 0) return from + static_cast<size_t>(std::countr_zero(high_bits));
        from += 16;
    }
    while (from < text.size() && static_cast<unsigned char>(text[from]) < 0x80) ++from;
    return from;
}

struct Sequence {
    bool valid;
    size_t size;  // of the character if valid, else of the maximal part that could have begun one (at least 1)
};

// The one non-ASCII sequence at `at`.
Sequence sequence_at(std::string_view text, size_t at) noexcept {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const unsigned char lead = byte(0);
    size_t size = 0;
    unsigned char second_low = 0x80;
    unsigned char second_high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        if (lead == 0xE0) second_low = 0xA0;   // overlong below
        if (lead == 0xED) second_high = 0x9F;  // surrogates above
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        if (lead == 0xF0) second_low = 0x90;   // overlong below
        if (lead == 0xF4) second_high = 0x8F;  // beyond U+10FFFF above
    } else {
        return {false, 1};
    }
    for (size_t i = 1; i < size; ++i) {
        if (at + i >= text.size()) return {false, i};
        const unsigned char low = i == 1 ? second_low : 0x80;
        const unsigned char high = i == 1 ? second_high : 0xBF;
        if (byte(i) < low || byte(i) > high) return {false, i};
    }
    return {true, size};
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) noexcept {
    size_t at = 0;
    while ((at = skip_ascii(text, at)) < text.size()) {
        do {
            const Sequence sequence = sequence_at(text, at);
            if (!sequence.valid) return at;
            at += sequence.size;
        } while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80);
    }
    return at;
}

std::string_view check_utf8(std::string_view text, std::string_view what) {
    const size_t valid = valid_utf8_prefix(text);
    if (valid != text.size()) fail(Code::invalid_argument, "{} is not UTF-8 at byte {}", what, valid);
    return text;
}

std::string repair_utf8(std::string_view text) {
    std::string repaired;
    repaired.reserve(text.size());
    while (true) {
        const size_t valid = valid_utf8_prefix(text);
        repaired += text.substr(0, valid);
        if (valid == text.size()) return repaired;
        repaired += replacement_character;
        text.remove_prefix(valid + sequence_at(text, valid).size);
    }
}

std::string_view truncate_utf8(std::string_view text, size_t size_max) noexcept {
    if (text.size() <= size_max) return text;
    size_t size = size_max;
    while (size > 0 && size_max - size < 3 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    return text.substr(0, size);
}

void append_utf8(std::string& to, char32_t code_point) {
    const auto continuation = [&](int shift) { to += static_cast<char>(0x80 | (code_point >> shift & 0x3F)); };
    if (code_point < 0x80) {
        to += static_cast<char>(code_point);
    } else if (code_point < 0x800) {
        to += static_cast<char>(0xC0 | code_point >> 6);
        continuation(0);
    } else if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
        to += replacement_character;
    } else if (code_point < 0x10000) {
        to += static_cast<char>(0xE0 | code_point >> 12);
        continuation(6);
        continuation(0);
    } else {
        to += static_cast<char>(0xF0 | code_point >> 18);
        continuation(12);
        continuation(6);
        continuation(0);
    }
}

}  // namespace tandem::base
