#include "tandem/base/bytes.h"

#include <array>

namespace tandem::base {

namespace {

constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t not_a_digit = 0xff;

consteval std::array<uint8_t, 256> digit_values(std::string_view alphabet) {
    std::array<uint8_t, 256> values;
    values.fill(not_a_digit);
    for (size_t i = 0; i < alphabet.size(); ++i) values[static_cast<uint8_t>(alphabet[i])] = static_cast<uint8_t>(i);
    return values;
}

consteval std::array<uint8_t, 256> hex_digit_values() {
    std::array<uint8_t, 256> values = digit_values("0123456789abcdef");
    for (int i = 0; i < 6; ++i) values['A' + i] = static_cast<uint8_t>(10 + i);
    return values;
}

constexpr auto base64_values = digit_values(base64_alphabet);
constexpr auto base64url_values = digit_values(base64url_alphabet);
constexpr auto hex_values = hex_digit_values();

std::string encode64(Bytes bytes, std::string_view alphabet, bool padded) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    const auto at = [&](size_t i) { return i < bytes.size() ? std::to_integer<uint32_t>(bytes[i]) : 0; };
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
        const size_t digits = std::min<size_t>(bytes.size() - i, 3) + 1;
        for (size_t digit = 0; digit < 4; ++digit) {
            if (digit < digits) {
                text += alphabet[group >> (18 - 6 * digit) & 63];
            } else if (padded) {
                text += '=';
            }
        }
    }
    return text;
}

std::optional<ByteBuffer> decode64(std::string_view text, const std::array<uint8_t, 256>& values, bool padded) {
    if (padded) {
        if (text.size() % 4 != 0) return std::nullopt;
        for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;
    ByteBuffer bytes;
    bytes.reserve(text.size() * 3 / 4);
    uint32_t pending = 0;
    int pending_bits = 0;
    for (const char c : text) {
        const uint8_t value = values[static_cast<uint8_t>(c)];
        if (value == not_a_digit) return std::nullopt;
        pending = (pending << 6 | value) & 0xffff;
        pending_bits += 6;
        if (pending_bits >= 8) {
            pending_bits -= 8;
            bytes.push_back(static_cast<std::byte>(pending >> pending_bits & 0xff));
        }
    }
    // An encoder leaves the unused bits zero; anything else would be a second spelling of the same bytes.
    if ((pending & ((1u << pending_bits) - 1)) != 0) return std::nullopt;
    return bytes;
}

}  // namespace

bool equal_in_constant_time(Bytes left, Bytes right) noexcept {
    if (left.size() != right.size()) return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < left.size(); ++i) {
        difference = difference | std::to_integer<uint8_t>(left[i] ^ right[i]);
    }
    return difference == 0;
}

std::string hex_encode(Bytes bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const std::byte byte : bytes) {
        hex += digits[std::to_integer<unsigned>(byte) >> 4];
        hex += digits[std::to_integer<unsigned>(byte) & 15];
    }
    return hex;
}

std::optional<ByteBuffer> hex_decode(std::string_view hex) {
    if (hex.size() % 2 != 0) return std::nullopt;
    ByteBuffer bytes;
    bytes.reserve(hex.size() / 2);
    for (size_t i = 0; i < hex.size(); i += 2) {
        const uint8_t high = hex_values[static_cast<uint8_t>(hex[i])];
        const uint8_t low = hex_values[static_cast<uint8_t>(hex[i + 1])];
        if (high == not_a_digit || low == not_a_digit) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high << 4 | low));
    }
    return bytes;
}

std::string base64_encode(Bytes bytes) {
    return encode64(bytes, base64_alphabet, true);
}
std::optional<ByteBuffer> base64_decode(std::string_view text) {
    return decode64(text, base64_values, true);
}
std::string base64url_encode(Bytes bytes) {
    return encode64(bytes, base64url_alphabet, false);
}
std::optional<ByteBuffer> base64url_decode(std::string_view text) {
    return decode64(text, base64url_values, false);
}

}  // namespace tandem::base
