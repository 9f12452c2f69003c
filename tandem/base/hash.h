// Hashes for tables that hold keys from outside: texts are hashed with a secret drawn at start, so that nobody can
// choose keys that collide (hash flooding), and integers are mixed, so that regular ones spread.
//
// Thread-safe. Values differ from run to run: never store or send them, and let no order depend on them.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <string_view>
#include <type_traits>

namespace tandem::base {

// Folded 64 x 64 bit multiplication, as in wyhash (github.com/wangyi-fudan/wyhash).
inline uint64_t hash_mix(uint64_t left, uint64_t right) noexcept {
    const unsigned __int128 product = static_cast<unsigned __int128>(left) * right;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash_text(std::string_view text) noexcept;

// The default hash of HashMap and LruCache. Texts of any kind hash alike, so a std::string key is found by a
// std::string_view; other types go through std::hash.
template <typename Key>
struct Hash {
    uint64_t operator()(const Key& key) const noexcept {
        return hash_mix(static_cast<uint64_t>(std::hash<Key>()(key)) ^ 0xa0761d6478bd642f, 0xe7037ed1a0b428db);
    }
};
template <typename Key>
    requires std::convertible_to<const Key&, std::string_view>
struct Hash<Key> {
    using is_transparent = void;
    uint64_t operator()(std::string_view text) const noexcept { return hash_text(text); }
};

}  // namespace tandem::base
