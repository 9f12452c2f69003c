// Bytes as they come from a socket or a file, kept apart from text: a `Bytes` becomes text only through utf8.h, and is
// shown as hex or base64 (RFC 4648).
//
// All functions are pure. Decoders are strict and answer std::nullopt for what an encoder could not have written.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::base {

// A view; the owner must outlive it.
using Bytes = std::span<const std::byte>;
using ByteBuffer = std::vector<std::byte>;

inline Bytes as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
// The same memory seen as chars. Says nothing about UTF-8: see check_utf8 in utf8.h.
inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteBuffer to_buffer(Bytes bytes) {
    return {bytes.begin(), bytes.end()};
}
inline void append(ByteBuffer& to, Bytes bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

// Time depends on the lengths alone, not on where the first difference is: for tokens and signatures.
bool equal_in_constant_time(Bytes left, Bytes right) noexcept;

// Integers in byte order `order` at any alignment; the caller has checked that sizeof(Integer) bytes are there.
template <std::integral Integer, std::endian order = std::endian::little>
Integer load(const std::byte* from) noexcept {
    Integer value;
    std::memcpy(&value, from, sizeof(value));
    if constexpr (order != std::endian::native) value = std::byteswap(value);
    return value;
}
template <std::integral Integer, std::endian order = std::endian::little>
void store(std::byte* to, Integer value) noexcept {
    if constexpr (order != std::endian::native) value = std::byteswap(value);
    std::memcpy(to, &value, sizeof(value));
}

// Lower case.
std::string hex_encode(Bytes bytes);
// Either case.
std::optional<ByteBuffer> hex_decode(std::string_view hex);

// RFC 4648 section 4: `+/`, padded with `=`.
std::string base64_encode(Bytes bytes);
std::optional<ByteBuffer> base64_decode(std::string_view text);
// RFC 4648 section 5: `-_`, never padded (as in RFC 7515).
std::string base64url_encode(Bytes bytes);
std::optional<ByteBuffer> base64url_decode(std::string_view text);

}  // namespace tandem::base
