// What belongs to one request and follows its coroutine: deadline, cancellation, trace, and typed values that higher
// modules hang on it (the transaction, the web request, g, the session). Contexts form a tree: a child sees its
// parent's values, inherits its deadline and is cancelled with it.
//
// A Context is an object on a coroutine's frame (or a Scope's); whoever makes one joins all work under it before it
// dies, so plain pointers are safe. The current one is found with Context::current(): a task carries it across every
// await, a resume sets it and a suspend restores the previous one.
//
// Thread rules: a Context belongs to the loop that made it; only cancelled() may be asked from another thread.
// Values are read through the parent chain also by calls that moved to another loop or to the blocking pool, whose
// caller is suspended meanwhile.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "tandem/base/assert.h"
#include "tandem/base/clock.h"
#include "tandem/base/error.h"

namespace tandem::async {

class Context;

// Identity of a value in a Context, by address: `inline constexpr ContextKey<Request> request_key{"request"};`
template <typename T>
struct ContextKey {
    const char* name;
};

// Something to be told when a Context is cancelled: one suspended wait, or a child Context. Unlinks itself when it
// dies. on_cancel runs on the Context's loop, at most once, after the hook was unlinked.
class CancelHook {
  public:
    CancelHook() = default;
    CancelHook(const CancelHook&) = delete;
    CancelHook& operator=(const CancelHook&) = delete;
    void unhook() noexcept {
        if (!hook_previous_) return;
        hook_previous_->hook_next_ = hook_next_;
        hook_next_->hook_previous_ = hook_previous_;
        hook_previous_ = hook_next_ = nullptr;
    }

  protected:
    ~CancelHook() { unhook(); }

  private:
    friend class Context;
    virtual void on_cancel(const Error& reason) = 0;
    CancelHook* hook_previous_ = nullptr;
    CancelHook* hook_next_ = nullptr;
};

enum class Inherit : unsigned char {
    everything,
    values_only,  // deaf to the parent's cancellation and deadline: for clean-up that must happen
};

class Context final : private CancelHook {
  public:
    // A root: no deadline, no values.
    Context() noexcept { hooks_.hook_next_ = hooks_.hook_previous_ = &hooks_; }
    explicit Context(Context* parent, Inherit inherit = Inherit::everything);
    ~Context() { TANDEM_ASSERT(hooks_.hook_next_ == &hooks_, "a context died with work still under it"); }

    // The context of the running coroutine; nullptr on a thread that runs none.
    static Context* current() noexcept { return current_; }

    // Sets a value for this context and those below it; a nullptr hides the parent's. At most max_values per context.
    template <typename T>
    void set(const ContextKey<T>& key, T* value) {
        set_raw(&key, const_cast<std::remove_const_t<T>*>(value));
    }
    // The nearest value on the way to the root, or nullptr.
    template <typename T>
    T* find(const ContextKey<T>& key) const noexcept {
        return static_cast<T*>(find_raw(&key));
    }

    std::optional<base::TimePoint> deadline() const noexcept { return deadline_; }
    // Only ever moves it closer. Telling the time is the business of with_deadline (time.h).
    void tighten_deadline(base::TimePoint deadline) noexcept {
        if (!deadline_ || deadline < *deadline_) deadline_ = deadline;
    }

    // Ends every wait under this context with `reason` (code cancelled or deadline_exceeded). Later calls do nothing.
    void cancel(const Error& reason);
    bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
    // Throws the reason when cancelled.
    void check() const {
        if (cancelled()) [[unlikely]]
            throw Error(*reason_);
    }
    // Only on a context that is not cancelled; the hook leaves by unhook() or by being called.
    void add(CancelHook& hook) noexcept {
        TANDEM_ASSERT(!cancelled(), "a wait began under a cancelled context");
        hook.hook_previous_ = hooks_.hook_previous_;
        hook.hook_next_ = &hooks_;
        hooks_.hook_previous_->hook_next_ = &hook;
        hooks_.hook_previous_ = &hook;
    }

    static constexpr int max_values = 8;

  private:
    friend class ContextGuard;
    struct Value {
        const void* key;
        void* value;
    };
    struct Ring final : CancelHook {
        void on_cancel(const Error&) override {}
    };
    void on_cancel(const Error& reason) override { cancel(reason); }
    void set_raw(const void* key, void* value);
    void* find_raw(const void* key) const noexcept;

    static constinit thread_local Context* current_;

    Context* parent_ = nullptr;
    std::optional<base::TimePoint> deadline_;
    std::atomic<bool> cancelled_{false};
    std::optional<Error> reason_;
    Ring ring_;
    CancelHook& hooks_ = ring_;
    int value_count_ = 0;
    Value values_[max_values];
};

// Makes a context the current one for a block of plain code; the loop and the blocking pool use it around each step.
class ContextGuard {
  public:
    explicit ContextGuard(Context* context) noexcept : previous_(std::exchange(Context::current_, context)) {}
    ~ContextGuard() { Context::current_ = previous_; }
    ContextGuard(const ContextGuard&) = delete;
    ContextGuard& operator=(const ContextGuard&) = delete;

    // For the hand-over from one coroutine to another without going through the loop.
    static void replace(Context* context) noexcept { Context::current_ = context; }

  private:
    Context* previous_;
};

}  // namespace tandem::async
