#include "tandem/base/crc32c.h"

#include <gtest/gtest.h>

#include "tandem/base/random.h"

namespace tandem::base {
namespace {

// Straight from the definition, a bit at a time.
uint32_t crc32c_by_definition(Bytes bytes) {
    uint32_t crc = ~0u;
    for (const std::byte byte : bytes) {
        crc ^= std::to_integer<uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

TEST(Crc32c, agrees_with_the_vectors_of_rfc_3720) {
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
    EXPECT_EQ(crc32c(ByteBuffer(32, std::byte{0})), 0x8A9136AAu);
    EXPECT_EQ(crc32c(ByteBuffer(32, std::byte{0xff})), 0x62A8AB43u);
    ByteBuffer rising(32);
    for (size_t i = 0; i < 32; ++i) rising[i] = static_cast<std::byte>(i);
    EXPECT_EQ(crc32c(rising), 0x46DD794Eu);
    EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, agrees_with_the_definition_at_every_size_and_alignment) {
    SeededRandom random(3);
    ByteBuffer bytes(10'000);
    random.fill(bytes);
    const Bytes all(bytes);
    for (size_t size = 0; size < 900; ++size) {
        const Bytes part = all.subspan(size % 9, size);
        ASSERT_EQ(crc32c(part), crc32c_by_definition(part)) << size;
    }
    for (const size_t size : {3071, 3072, 3073, 6144, 6500, 9999}) {
        EXPECT_EQ(crc32c(all.subspan(1, size)), crc32c_by_definition(all.subspan(1, size))) << size;
    }
}

TEST(Crc32c, can_be_continued) {
    const Bytes text = as_bytes("123456789");
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        EXPECT_EQ(crc32c(text.subspan(cut), crc32c(text.first(cut))), 0xE3069283u);
    }
}

}  // namespace
}  // namespace tandem::base
