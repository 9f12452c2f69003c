// `Loop`: one thread's turn-taker. It resumes coroutines that are ready, fires timers, and sleeps in its Poller until
// the operating system or another thread has something for it. One loop a core; nothing may block it.
//
// A turn: run all that was ready when the turn began, poll once, fire due timers. Time and polling are parameters, so
// the simulator runs the same loop on virtual time.
//
// Thread rules: everything belongs to the loop's own thread, but schedule(), submit() and stop(), which any may call.
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <vector>

#include "tandem/async/context.h"
#include "tandem/async/future.h"
#include "tandem/async/task.h"
#include "tandem/base/clock.h"

namespace tandem::async {

class BlockingPool;
class Loop;

// Something that runs once in a turn of a loop; lives in its owner, costs no allocation.
class Runnable {
  public:
    using Function = void (*)(Runnable&);
    explicit Runnable(Function run) noexcept : run_(run) {}
    Runnable(const Runnable&) = delete;
    Runnable& operator=(const Runnable&) = delete;

  private:
    friend class Loop;
    Function run_;
    Runnable* next_ready_ = nullptr;
};

// A suspended coroutine with the context and the loop it will go on with. Every leaf awaiter holds one.
class Continuation : public Runnable {
  public:
    Continuation() noexcept : Runnable(&Continuation::run) {}
    // Called while the coroutine suspends.
    void capture(std::coroutine_handle<> handle) noexcept;
    // Resumes in a coming turn of its loop. Any thread; once for each capture.
    void schedule() noexcept;
    // Resumes at once; only from the loop itself (a poller's callback), never from within a coroutine.
    void resume() {
        ContextGuard guard(context_);
        handle_.resume();
    }
    Loop& loop() const noexcept { return *loop_; }
    Context& context() const noexcept { return *context_; }

  private:
    static void run(Runnable& self) { static_cast<Continuation&>(self).resume(); }
    std::coroutine_handle<> handle_;
    Context* context_ = nullptr;
    Loop* loop_ = nullptr;
};

// An entry in a loop's timer heap; lives in its owner, who removes it before it dies.
class Timer {
  public:
    using Function = void (*)(Timer&);
    explicit Timer(Function fire) noexcept : fire_(fire) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    bool armed() const noexcept { return heap_index_ != unarmed; }

  private:
    friend class Loop;
    static constexpr size_t unarmed = ~size_t{0};
    Function fire_;
    base::TimePoint when_;
    uint64_t sequence_ = 0;  // equal times fire in the order they were armed
    size_t heap_index_ = unarmed;
};

// Where a loop sleeps. The real one is Asio's reactor (asio.h), the simulator's moves virtual time.
class Poller {
  public:
    virtual ~Poller() = default;
    // Waits for events at most `timeout` (zero: only looks; nullopt: until there are some) and handles some of them.
    virtual void poll(std::optional<base::Duration> timeout) = 0;
    // Ends a poll() in progress, or the next one, early. Any thread.
    virtual void wake() = 0;
};

class Loop {
  public:
    struct Options {
        // All optional: the real clock, Asio's reactor, the process-wide blocking pool.
        base::Clock* clock = nullptr;
        std::unique_ptr<Poller> poller;
        // With inline_blocking, run_blocking() runs its function on the loop's own thread (the simulator).
        BlockingPool* blocking_pool = nullptr;
        bool inline_blocking = false;
    };

    Loop();
    explicit Loop(Options options);
    ~Loop();

    // The loop this thread is running; asserts that there is one.
    static Loop& current();
    static Loop* current_or_null() noexcept { return current_; }

    // Runs on the calling thread until `task` has ended; its value or exception is the result.
    template <typename T>
    T run(Task<T> task) {
        Future<T> future = submit(std::move(task));
        run_while([](void* state) { return !static_cast<Future<T>*>(state)->ready(); }, &future);
        return future.get();
    }
    // Runs until stop() was called and everything submitted has ended.
    void run_until_stopped();
    // Cancels everything submitted; run_until_stopped() returns when it has ended. Any thread.
    void stop();

    // Starts `task` on this loop, under its root context, from any thread. A plain thread may wait on the Future.
    template <typename T>
    Future<T> submit(Task<T> task);

    void schedule(Runnable& runnable) noexcept;
    void arm(Timer& timer, base::TimePoint when);
    void disarm(Timer& timer) noexcept;

    base::Clock& clock() const noexcept { return *clock_; }
    base::TimePoint now() const { return clock_->now(); }
    Poller& poller() const noexcept { return *poller_; }
    // nullptr: blocking calls run inline.
    BlockingPool* blocking_pool() const noexcept { return blocking_pool_; }
    // Parent of everything submitted.
    Context& root_context() noexcept { return root_context_; }

  private:
    struct Starter;
    void start(std::unique_ptr<Starter> starter);
    void run_while(bool (*condition)(void*), void* state);
    void sleep();
    void take_inbox() noexcept;
    void run_ready();
    void fire_timers();
    std::optional<base::Duration> time_to_sleep();
    void sift_up(size_t index) noexcept;
    void sift_down(size_t index) noexcept;
    void place(size_t index, Timer* timer) noexcept;

    static constinit thread_local Loop* current_;

    base::Clock* clock_;
    std::unique_ptr<Poller> poller_;
    BlockingPool* blocking_pool_;
    Context root_context_;

    Runnable* ready_first_ = nullptr;
    Runnable* ready_last_ = nullptr;
    std::vector<Timer*> timers_;  // binary heap by (when, sequence)
    uint64_t timer_sequence_ = 0;
    size_t submitted_ = 0;  // started by submit() and not yet ended

    std::atomic<Runnable*> inbox_{nullptr};  // scheduled by other threads, newest first
    std::atomic<bool> sleeping_{false};
    std::atomic<int> callers_{0};  // other threads inside schedule() or stop(): the loop does not die under them
    std::atomic<bool> stop_requested_{false};
};

// Runs `task` to its end on a fresh loop on this thread: what main() and tests call.
template <typename T>
T run(Task<T> task) {
    Loop loop;
    return loop.run(std::move(task));
}

// ---- details ----

inline void Continuation::capture(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    context_ = Context::current();
    loop_ = &Loop::current();
}
inline void Continuation::schedule() noexcept {
    loop_->schedule(*this);
}

namespace detail {
// The only coroutine that nobody awaits: it owns itself, and its loop or scope counts it until it ends.
struct Root {
    struct promise_type {
        static void* operator new(size_t size) { return FramePool::allocate(size); }
        static void operator delete(void* frame, size_t size) noexcept { FramePool::release(frame, size); }
        Root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};
}  // namespace detail

struct Loop::Starter : Runnable {
    Starter(Loop& loop, detail::Root root) noexcept : Runnable(&Starter::begin), loop(loop), root(root.handle) {}
    static void begin(Runnable& self);
    Loop& loop;
    std::coroutine_handle<> root;
};

namespace detail {
template <typename T>
Root run_to_future(Task<T> task, Promise<T> promise, size_t* running) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(task);
            promise.set_value();
        } else {
            promise.set_value(co_await std::move(task));
        }
    } catch (...) {
        promise.set_exception(std::current_exception());
    }
    --*running;
}
}  // namespace detail

template <typename T>
Future<T> Loop::submit(Task<T> task) {
    Promise<T> promise;
    Future<T> future = promise.future();
    start(std::make_unique<Starter>(*this, detail::run_to_future(std::move(task), std::move(promise), &submitted_)));
    return future;
}

}  // namespace tandem::async
