// Time as a parameter: production passes `Clock::real()`, the simulator and tests pass their own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tandem::base {

using Duration = std::chrono::nanoseconds;
// Monotonic; for deadlines, intervals and timers.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Wall clock; for what people and other machines read. May step backwards.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Thread-safe.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
    virtual WallTime wall_now() const = 0;

    // Milliseconds since 1970 on the wall clock.
    int64_t wall_ms() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch()).count();
    }

    static Clock& real();
};

// A clock that moves only when told to. Thread-safe.
class ManualClock final : public Clock {
  public:
    // The wall clock starts at 2026-01-01T00:00:00Z, the monotonic one at 1 s.
    ManualClock() = default;
    TimePoint now() const override { return TimePoint(Duration(elapsed_.load()) + std::chrono::seconds(1)); }
    WallTime wall_now() const override {
        return WallTime(Duration(elapsed_.load() + wall_offset_.load()) + std::chrono::seconds(1'767'225'600));
    }
    void advance(Duration by) { elapsed_ += by.count(); }
    // Steps the wall clock alone, as an administrator or NTP does.
    void step_wall(Duration by) { wall_offset_ += by.count(); }

  private:
    std::atomic<int64_t> elapsed_{0};
    std::atomic<int64_t> wall_offset_{0};
};

}  // namespace tandem::base
