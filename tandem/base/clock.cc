#include "tandem/base/clock.h"

namespace tandem::base {

namespace {
class RealClock final : public Clock {
  public:
    TimePoint now() const override { return std::chrono::steady_clock::now(); }
    WallTime wall_now() const override { return std::chrono::system_clock::now(); }
};
}  // namespace

Clock& Clock::real() {
    static RealClock clock;
    return clock;
}

}  // namespace tandem::base
