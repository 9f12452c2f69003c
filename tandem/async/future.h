// `Future<T>`: the bridge from coroutines to plain threads. A thread that runs no loop blocks in get() until a task on
// some loop has ended. Inside a coroutine await the Task itself instead.
//
// Thread rules: Promise and Future may sit on different threads; each is used by one thread at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "tandem/base/clock.h"

namespace tandem::async {

namespace detail {
template <typename T>
struct FutureState {
    using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Stored> value;
    std::exception_ptr error;
    std::atomic<bool> done{false};
};
}  // namespace detail

template <typename T>
class [[nodiscard]] Future {
  public:
    bool ready() const { return state_->done.load(std::memory_order_acquire); }
    // Blocks this thread, which must not be the one that runs the task's loop.
    T get() {
        std::unique_lock lock(state_->mutex);
        state_->changed.wait(lock, [&] { return state_->done.load(); });
        if (state_->error) std::rethrow_exception(state_->error);
        if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
    }
    // False when `timeout` passed first.
    bool wait_for(base::Duration timeout) {
        std::unique_lock lock(state_->mutex);
        return state_->changed.wait_for(lock, timeout, [&] { return state_->done.load(); });
    }

  private:
    template <typename>
    friend class Promise;
    explicit Future(std::shared_ptr<detail::FutureState<T>> state) : state_(std::move(state)) {}
    std::shared_ptr<detail::FutureState<T>> state_;
};

template <typename T>
class Promise {
  public:
    Promise() : state_(std::make_shared<detail::FutureState<T>>()) {}
    Future<T> future() { return Future<T>(state_); }
    template <typename... Value>
    void set_value(Value&&... value) {
        std::lock_guard lock(state_->mutex);
        state_->value.emplace(std::forward<Value>(value)...);
        state_->done.store(true, std::memory_order_release);
        state_->changed.notify_all();
    }
    void set_exception(std::exception_ptr error) {
        std::lock_guard lock(state_->mutex);
        state_->error = std::move(error);
        state_->done.store(true, std::memory_order_release);
        state_->changed.notify_all();
    }

  private:
    std::shared_ptr<detail::FutureState<T>> state_;
};

}  // namespace tandem::async
