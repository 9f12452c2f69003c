#include "tandem/base/bytes.h"

#include <gtest/gtest.h>

#include "tandem/base/random.h"

namespace tandem::base {
namespace {

std::string decoded(const std::optional<ByteBuffer>& bytes) {
    return bytes ? std::string(as_text(*bytes)) : "(refused)";
}

TEST(Bytes, base64_agrees_with_the_vectors_of_rfc_4648) {
    const std::pair<std::string_view, std::string_view> vectors[] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(base64_encode(as_bytes(plain)), encoded);
        EXPECT_EQ(decoded(base64_decode(encoded)), plain);
    }
    EXPECT_EQ(base64_encode(as_bytes("\xfb\xff")), "+/8=");
    EXPECT_EQ(base64url_encode(as_bytes("\xfb\xff")), "-_8");
}

TEST(Bytes, base64_refuses_every_second_spelling) {
    for (const char* wrong :
         {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm9v\n", "Z-9v", "Zg==Zg==", " Zm9"}) {
        EXPECT_EQ(base64_decode(wrong), std::nullopt) << wrong;
    }
    for (const char* wrong : {"Zg==", "Zh", "Z", "Z+9v", "Zm9vY"}) {
        EXPECT_EQ(base64url_decode(wrong), std::nullopt) << wrong;
    }
}

TEST(Bytes, hex_accepts_either_case_and_writes_lower) {
    EXPECT_EQ(decoded(hex_decode("48eE2d")), "H\xee-");
    EXPECT_EQ(hex_encode(as_bytes("H\xee-")), "48ee2d");
    EXPECT_EQ(hex_decode("4"), std::nullopt);
    EXPECT_EQ(hex_decode("4g"), std::nullopt);
}

TEST(Bytes, random_bytes_survive_every_encoding) {
    SeededRandom random(7);
    for (size_t size = 0; size < 200; ++size) {
        ByteBuffer bytes(size);
        random.fill(bytes);
        EXPECT_EQ(hex_decode(hex_encode(bytes)), bytes);
        EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
        EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
    }
}

TEST(Bytes, integers_are_stored_in_the_order_asked_for) {
    std::byte memory[5]{};
    store<uint32_t, std::endian::big>(memory + 1, 0x01020304);
    EXPECT_EQ(hex_encode(memory), "0001020304");
    EXPECT_EQ((load<uint32_t, std::endian::little>(memory + 1)), 0x04030201u);
    EXPECT_EQ((load<uint32_t, std::endian::big>(memory + 1)), 0x01020304u);
}

TEST(Bytes, constant_time_comparison_compares) {
    EXPECT_TRUE(equal_in_constant_time(as_bytes("secret"), as_bytes("secret")));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("secret"), as_bytes("secreT")));
    EXPECT_FALSE(equal_in_constant_time(as_bytes("secret"), as_bytes("secre")));
    EXPECT_TRUE(equal_in_constant_time({}, {}));
}

}  // namespace
}  // namespace tandem::base
