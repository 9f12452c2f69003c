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
    const Bytes bytes = as_bytes(text);
    uint64_t hash = secret.words[0] ^ text.size();
    size_t at = 0;
    for (; at + 16 <= bytes.size(); at += 16) {
        hash =
            hash_mix(load<uint64_t>(bytes.data() + at) ^ secret.words[1], load<uint64_t>(bytes.data() + at + 8) ^ hash);
    }
    std::byte tail[16]{};
    if (at < bytes.size()) std::memcpy(tail, bytes.data() + at, bytes.size() - at);
    hash = hash_mix(load<uint64_t>(tail) ^ secret.words[1], load<uint64_t>(tail + 8) ^ hash);
    return hash_mix(hash ^ secret.words[2], text.size() ^ secret.words[1]);
}

}  // namespace tandem::base
