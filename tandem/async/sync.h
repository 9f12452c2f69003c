// Mutex, Semaphore, Event and Barrier for coroutines: waiting suspends, never blocks the loop. Waiters are served in
// order of arrival, each resumed on its own loop. A cancelled wait throws the context's reason and leaves the queue;
// one that was granted before the cancellation came keeps its grant.
//
// Thread rules: all of them may be used from any loop. Each has a small internal std::mutex that guards its queue and
// is never held across a suspension.
#pragma once

#include <coroutine>
#include <cstddef>
#include <mutex>
#include <utility>

#include "tandem/async/loop.h"

namespace tandem::async {

namespace detail {

// The queue of suspended coroutines inside a primitive, guarded by that primitive's mutex.
class Waiter : public CancelHook {
  public:
    size_t wanted = 0;  // units a Semaphore's waiter asks for
    bool granted = false;

  private:
    friend class WaitQueue;
    void on_cancel(const Error&) override;
    Continuation continuation_;
    class WaitQueue* queue_ = nullptr;  // while queued
    std::mutex* mutex_ = nullptr;
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
};

class WaitQueue {
  public:
    bool empty() const noexcept { return !first_; }
    size_t size() const noexcept { return size_; }
    Waiter* front() const noexcept { return first_; }
    // With the primitive's mutex held. The coroutine may be resumed as soon as the mutex is released.
    void push(Waiter& waiter, std::mutex& mutex, std::coroutine_handle<> handle);
    void grant_front() noexcept;
    void remove(Waiter& waiter) noexcept;

  private:
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
    size_t size_ = 0;
};

// `co_await` on a primitive that offers: std::mutex mutex_; WaitQueue queue_; bool try_take(size_t).
template <typename Primitive, typename Result>
class Acquire final {
  public:
    Acquire(Primitive& primitive, size_t wanted) : primitive_(primitive) { waiter_.wanted = wanted; }
    bool await_ready() {
        Context::current()->check();
        return false;
    }
    bool await_suspend(std::coroutine_handle<> handle) {
        std::lock_guard lock(primitive_.mutex_);
        if (primitive_.try_take(waiter_.wanted)) {
            waiter_.granted = true;
            return false;
        }
        primitive_.queue_.push(waiter_, primitive_.mutex_, handle);
        return true;
    }
    Result await_resume() {
        waiter_.unhook();
        if (!waiter_.granted) Context::current()->check();
        return Result(primitive_, waiter_.wanted);
    }

  private:
    Primitive& primitive_;
    Waiter waiter_;
};

}  // namespace detail

class Semaphore;

// Units of a Semaphore, given back when this dies.
class [[nodiscard]] Permit {
  public:
    Permit() = default;
    Permit(Semaphore& semaphore, size_t units) noexcept : semaphore_(&semaphore), units_(units) {}
    Permit(Permit&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)), units_(other.units_) {}
    Permit& operator=(Permit&& other) noexcept {
        if (this != &other) {
            release();
            semaphore_ = std::exchange(other.semaphore_, nullptr);
            units_ = other.units_;
        }
        return *this;
    }
    ~Permit() { release(); }
    void release() noexcept;
    // The units are somebody else's business from now on.
    void disown() noexcept { semaphore_ = nullptr; }
    explicit operator bool() const noexcept { return semaphore_ != nullptr; }

  private:
    Semaphore* semaphore_ = nullptr;
    size_t units_ = 0;
};

class Semaphore {
  public:
    explicit Semaphore(size_t units) noexcept : available_(units) {}
    detail::Acquire<Semaphore, Permit> acquire(size_t units = 1) { return {*this, units}; }
    // An empty Permit when there are not enough units now.
    Permit try_acquire(size_t units = 1);
    void release(size_t units = 1);
    size_t available() const;

  private:
    template <typename, typename>
    friend class detail::Acquire;
    // Nobody overtakes a waiter.
    bool try_take(size_t units) noexcept { return queue_.empty() && take(units); }
    bool take(size_t units) noexcept {
        if (available_ < units) return false;
        available_ -= units;
        return true;
    }
    mutable std::mutex mutex_;
    detail::WaitQueue queue_;
    size_t available_;
};

inline void Permit::release() noexcept {
    if (semaphore_) std::exchange(semaphore_, nullptr)->release(units_);
}

// `auto lock = co_await mutex.lock();`
class Mutex {
  public:
    detail::Acquire<Semaphore, Permit> lock() { return semaphore_.acquire(); }
    Permit try_lock() { return semaphore_.try_acquire(); }

  private:
    Semaphore semaphore_{1};
};

// Set or not set; wait() returns once it is set.
class Event {
  public:
    struct Seen {
        Seen(Event&, size_t) noexcept {}
    };
    detail::Acquire<Event, Seen> wait() { return {*this, 0}; }
    void set();
    void reset();
    bool is_set() const;

  private:
    template <typename, typename>
    friend class detail::Acquire;
    bool try_take(size_t) const noexcept { return set_; }
    mutable std::mutex mutex_;
    detail::WaitQueue queue_;
    bool set_ = false;
};

// True once the event is set, false when `at_most` passed first. The caller's own cancellation is thrown, as ever.
Task<bool> wait_for(Event& event, base::Duration at_most);

// arrive_and_wait() returns when `parties` coroutines have arrived; then the next round begins. A cancelled arrival
// counts no more.
class Barrier {
  public:
    struct Passed {
        Passed(Barrier&, size_t) noexcept {}
    };
    explicit Barrier(size_t parties) noexcept : parties_(parties) {}
    detail::Acquire<Barrier, Passed> arrive_and_wait() { return {*this, 0}; }

  private:
    template <typename, typename>
    friend class detail::Acquire;
    // The last one to arrive lets the others go and does not wait itself.
    bool try_take(size_t) noexcept {
        if (queue_.size() + 1 < parties_) return false;
        while (!queue_.empty()) queue_.grant_front();
        return true;
    }
    std::mutex mutex_;
    detail::WaitQueue queue_;
    size_t parties_;
};

}  // namespace tandem::async
