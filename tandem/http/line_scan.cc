#include "tandem/http/line_scan.h"

#include <bit>

#include <emmintrin.h>

namespace tandem::http::detail {

const char* find_control(const char* begin, const char* end) noexcept {
    const __m128i highest_control = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    for (; end - begin >= 16; begin += 16) {
        __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest_control), bytes);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
        if (unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(bad))) return begin + std::countr_zero(mask);
    }
    for (; begin != end; ++begin) {
        auto byte = static_cast<unsigned char>(*begin);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return begin;
    }
    return end;
}

Line scan_line(std::string_view input, size_t& scanned) noexcept {
    const char* begin = input.data();
    const char* end = begin + input.size();
    const char* found = find_control(begin + scanned, end);
    scanned = static_cast<size_t>(found - begin);
    if (found == end || (*found == '\r' && found + 1 == end)) return {Line::Kind::incomplete, {}};
    if (found[0] != '\r' || found[1] != '\n') return {Line::Kind::broken, {}};
    return {Line::Kind::complete, input.substr(0, scanned)};
}

}  // namespace tandem::http::detail
