// Randomness as a parameter: production passes `Random::real()` (the kernel's), the simulator a seeded one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem::base {

// Thread-safe where the implementation says so: real() is, SeededRandom is not.
class Random {
  public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::byte> bytes) = 0;
    virtual uint64_t next() = 0;

    // Uniform in [0, bound), without modulo bias. bound > 0.
    uint64_t below(uint64_t bound);
    // Uniform in [low, high].
    int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(below(high - low + 1)); }
    // Uniform in [0, 1).
    double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    bool chance(double probability) { return unit() < probability; }

    // Fit for secrets: getrandom(2), buffered per thread. Thread-safe.
    static Random& real();
};

// Reproducible (xoshiro256++ seeded by splitmix64, Blackman & Vigna 2019). Not for secrets. Not thread-safe.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(uint64_t seed);
    void fill(std::span<std::byte> bytes) override;
    uint64_t next() override;

  private:
    uint64_t state_[4];
};

}  // namespace tandem::base
