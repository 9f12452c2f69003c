#include "tandem/base/random.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "tandem/base/error.h"

namespace tandem::base {

namespace {

void fill_from_kernel(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            fail(Code::io, "getrandom: {}", std::strerror(errno));
        }
        bytes = bytes.subspan(static_cast<size_t>(got));
    }
}

class KernelRandom final : public Random {
  public:
    void fill(std::span<std::byte> bytes) override {
        if (bytes.size() > sizeof(Buffer::bytes)) return fill_from_kernel(bytes);
        Buffer& buffer = this_thread_buffer();
        if (buffer.left < bytes.size()) {
            fill_from_kernel(buffer.bytes);
            buffer.left = sizeof(buffer.bytes);
        }
        std::byte* from = buffer.bytes + sizeof(buffer.bytes) - buffer.left;
        std::memcpy(bytes.data(), from, bytes.size());
        std::memset(from, 0, bytes.size());  // handed out once: nothing to find in memory later
        buffer.left -= bytes.size();
    }
    uint64_t next() override {
        uint64_t value;
        fill(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }

  private:
    struct Buffer {
        std::byte bytes[256];
        size_t left = 0;
    };
    static Buffer& this_thread_buffer() {
        static thread_local Buffer buffer;
        return buffer;
    }
};

}  // namespace

uint64_t Random::below(uint64_t bound) {
    // Lemire 2019, "Fast Random Integer Generation in an Interval".
    unsigned __int128 product = static_cast<unsigned __int128>(next()) * bound;
    uint64_t low = static_cast<uint64_t>(product);
    if (low < bound) {
        const uint64_t threshold = -bound % bound;
        while (low < threshold) {
            product = static_cast<unsigned __int128>(next()) * bound;
            low = static_cast<uint64_t>(product);
        }
    }
    return static_cast<uint64_t>(product >> 64);
}

Random& Random::real() {
    static KernelRandom random;
    return random;
}

SeededRandom::SeededRandom(uint64_t seed) {
    for (uint64_t& word : state_) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        word = z ^ (z >> 31);
    }
}

uint64_t SeededRandom::next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

void SeededRandom::fill(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const uint64_t word = next();
        const size_t size = std::min(bytes.size(), sizeof(word));
        std::memcpy(bytes.data(), &word, size);
        bytes = bytes.subspan(size);
    }
}

}  // namespace tandem::base
