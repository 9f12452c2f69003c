// The crc32 instruction takes three cycles but a new one can start every cycle, so large inputs run as three lanes side
// by side. A lane's register is then moved past the bytes that follow it by multiplying it with x^(8 * bytes) modulo
// the polynomial: one carry-less multiplication by a constant, and one crc32 instruction as the reduction (Gopal et
// al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel 2011).
#include "tandem/base/crc32c.h"

#include <nmmintrin.h>
#include <wmmintrin.h>

namespace tandem::base {

namespace {

// x^exponent modulo the polynomial, bit-reflected: bit 31 is x^0.
consteval uint32_t x_to_the(unsigned exponent) {
    uint32_t value = 0x80000000;
    while (exponent-- > 0) value = value >> 1 ^ ((value & 1) != 0 ? 0x82F63B78 : 0);
    return value;
}

// The register `crc` after `bytes` more zero bytes. Reflection shifts the product by one and the reducing crc32 of 64
// bits multiplies by x^32: hence the 33.
template <size_t bytes>
uint32_t move_past(uint32_t crc) noexcept {
    constexpr uint32_t factor = x_to_the(8 * bytes - 33);
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)), _mm_cvtsi32_si128(static_cast<int>(factor)), 0);
    return static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product))));
}

// Consumes as many blocks of three lanes as there are.
template <size_t lane>
uint32_t three_lanes(uint32_t crc, Bytes& bytes) noexcept {
    while (bytes.size() >= 3 * lane) {
        const std::byte* at = bytes.data();
        uint64_t first = crc;
        uint64_t second = 0;
        uint64_t third = 0;
        for (unsigned i = 0; i < lane; i += 8) {
            first = _mm_crc32_u64(first, load<uint64_t>(at + i));
            second = _mm_crc32_u64(second, load<uint64_t>(at + lane + i));
            third = _mm_crc32_u64(third, load<uint64_t>(at + 2 * lane + i));
        }
        crc = move_past<2 * lane>(static_cast<uint32_t>(first)) ^ move_past<lane>(static_cast<uint32_t>(second)) ^
              static_cast<uint32_t>(third);
        bytes = bytes.subspan(3 * lane);
    }
    return crc;
}

}  // namespace

uint32_t crc32c(Bytes bytes, uint32_t before) noexcept {
    uint32_t crc = three_lanes<1024>(~before, bytes);
    crc = three_lanes<128>(crc, bytes);
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        crc = static_cast<uint32_t>(_mm_crc32_u64(crc, load<uint64_t>(bytes.data())));
    }
    for (const std::byte byte : bytes) crc = _mm_crc32_u8(crc, std::to_integer<uint8_t>(byte));
    return ~crc;
}

}  // namespace tandem::base
