// CRC32C (Castagnoli; RFC 3720 appendix B.4), the checksum of everything Tandem writes to disk, by the processor's own
// instruction: three streams at a time, joined by carry-less multiplication.
//
// Pure functions.
#pragma once

#include <cstdint>

#include "tandem/base/bytes.h"

namespace tandem::base {

// The checksum of `bytes`, or, given the checksum of what came before, of the two together.
uint32_t crc32c(Bytes bytes, uint32_t before = 0) noexcept;

}  // namespace tandem::base
