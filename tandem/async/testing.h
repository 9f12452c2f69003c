// For tests: a loop on virtual time. Sleeping costs nothing, and a run is the same every time.
#pragma once

#include <memory>
#include <utility>

#include "tandem/async/loop.h"
#include "tandem/base/assert.h"
#include "tandem/base/clock.h"

namespace tandem::async::testing {

// A loop whose clock jumps to the next timer when nothing is ready; blocking calls run inline. Asserts when nothing
// could ever happen again.
class VirtualLoop {
  public:
    VirtualLoop() : loop_(options()) {}
    template <typename T>
    T run(Task<T> task) {
        return loop_.run(std::move(task));
    }
    base::ManualClock& clock() noexcept { return clock_; }
    Loop& loop() noexcept { return loop_; }

  private:
    struct Jump final : Poller {
        explicit Jump(base::ManualClock& clock) : clock(clock) {}
        void poll(std::optional<base::Duration> timeout) override {
            TANDEM_ASSERT(timeout, "everything waits and no timer is armed");
            if (*timeout > base::Duration::zero()) clock.advance(*timeout);
        }
        void wake() override {}
        base::ManualClock& clock;
    };
    Loop::Options options() {
        Loop::Options options;
        options.clock = &clock_;
        options.poller = std::make_unique<Jump>(clock_);
        options.inline_blocking = true;
        return options;
    }
    base::ManualClock clock_;
    Loop loop_;
};

}  // namespace tandem::async::testing
