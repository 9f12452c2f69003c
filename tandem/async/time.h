// Waiting for time, and ending work that takes too long.
#pragma once

#include <coroutine>

#include "tandem/async/loop.h"
#include "tandem/async/task.h"

namespace tandem::async {

namespace detail {
class Sleep final : Timer, CancelHook {
  public:
    explicit Sleep(base::TimePoint until) noexcept : Timer(&Sleep::fire), until_(until) {}
    bool await_ready() const noexcept { return Context::current()->cancelled(); }
    void await_suspend(std::coroutine_handle<> handle) {
        continuation_.capture(handle);
        continuation_.context().add(*this);
        continuation_.loop().arm(*this, until_);
    }
    void await_resume() const { Context::current()->check(); }

  private:
    static void fire(Timer& timer) {
        Sleep& self = static_cast<Sleep&>(timer);
        self.unhook();
        self.continuation_.schedule();
    }
    void on_cancel(const Error&) override {
        continuation_.loop().disarm(*this);
        continuation_.schedule();
    }
    base::TimePoint until_;
    Continuation continuation_;
};

// Cancels a context when its deadline comes.
class DeadlineTimer final : Timer {
  public:
    DeadlineTimer(Context& context, base::TimePoint when);
    ~DeadlineTimer() { loop_.disarm(*this); }

  private:
    static void fire(Timer& timer);
    Context& context_;
    Loop& loop_;
};
}  // namespace detail

// `co_await sleep_until(t)`, `co_await sleep(50ms)`. Throws the context's reason when cancelled meanwhile.
inline detail::Sleep sleep_until(base::TimePoint when) noexcept {
    return detail::Sleep(when);
}
inline detail::Sleep sleep(base::Duration duration) {
    return detail::Sleep(Loop::current().now() + duration);
}
// Lets everything else that is ready run first.
inline detail::Sleep yield() {
    return sleep(base::Duration::zero());
}

// Runs `task` under a context that is cancelled with deadline_exceeded at `deadline`; always waits until it has ended.
template <typename T>
Task<T> with_deadline(base::TimePoint deadline, Task<T> task) {
    Context context(Context::current());
    context.tighten_deadline(deadline);
    detail::DeadlineTimer timer(context, deadline);
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task).under(context);
    } else {
        co_return co_await std::move(task).under(context);
    }
}
// The time counts from when the result is awaited.
template <typename T>
Task<T> with_deadline(base::Duration timeout, Task<T> task) {
    co_return co_await with_deadline(Loop::current().now() + timeout, std::move(task));
}

// Runs `task` deaf to the caller's cancellation and deadline, for clean-up that must happen (a roll-back, a release).
template <typename T>
Task<T> shielded(Task<T> task) {
    Context context(Context::current(), Inherit::values_only);
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task).under(context);
    } else {
        co_return co_await std::move(task).under(context);
    }
}

}  // namespace tandem::async
