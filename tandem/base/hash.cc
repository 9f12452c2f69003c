#include "tandem/base/hash.h"

#include "tandem/base/bytes.h"
#include "tandem/base/random.h"

namespace tandem::base {

namespace {
struct Secret {
    uint64_t words[3];
    Secret() {
        for (uint64_t& word : words) word = Random::real().next() | 1;
    }
};
}  // namespace

uint64_t hash_text(std::string_view text) noexcept {
    static const Secret secret;
    const std::byte* at = as_bytes(text).data();
    size_t left = text.size();
    uint64_t hash = secret.words[0] ^ text.size();
    for (; left > 16; left -= 16, at += 16) {
        hash = hash_mix(load<uint64_t>(at) ^ secret.words[1], load<uint64_t>(at + 8) ^ hash);
    }
    // The last 0 to 16 bytes by two loads that may overlap: the size is part of the hash, so nothing is lost.
    uint64_t low = 0;
    uint64_t high = 0;
    if (left >= 8) {
        low = load<uint64_t>(at);
        high = load<uint64_t>(at + left - 8);
    } else if (left >= 4) {
        low = load<uint32_t>(at);
        high = load<uint32_t>(at + left - 4);
    } else if (left > 0) {
        low = load<uint8_t>(at) | load<uint8_t>(at + left / 2) << 8 | load<uint8_t>(at + left - 1) << 16;
    }
    hash = hash_mix(low ^ secret.words[1], high ^ hash);
    return hash_mix(hash ^ secret.words[2], text.size() ^ secret.words[1]);
}

}  // namespace tandem::base
