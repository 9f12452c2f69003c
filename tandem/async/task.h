// `Task<T>`: the coroutine type everything here is written with. Lazy (it starts when awaited), owned by whoever holds
// it (dropping an unstarted Task frees it), sticky to the loop it was started on, and completed by symmetric transfer,
// so that a million tasks that finish at once do not grow the stack (clang guarantees that in every build type).
//
// A Task is awaited once: `T value = co_await std::move(task);` or straight from the call. Exceptions travel through.
// The awaited task inherits the awaiting coroutine's Context; with_context() gives it another.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "tandem/async/context.h"
#include "tandem/async/detail/frame_pool.h"
#include "tandem/base/assert.h"

namespace tandem::async {

template <typename T>
class [[nodiscard]] Task;

namespace detail {

class TaskPromiseBase {
  public:
    static void* operator new(size_t size) { return FramePool::allocate(size); }
    static void operator delete(void* frame, size_t size) noexcept { FramePool::release(frame, size); }

    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept { return FinalAwaiter{}; }

    void await_from(std::coroutine_handle<> continuation, Context* continuation_context, Context* own) noexcept {
        continuation_ = continuation;
        continuation_context_ = continuation_context;
        ContextGuard::replace(own);
    }

  private:
    struct FinalAwaiter {
        bool await_ready() noexcept { return false; }
        template <typename Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) noexcept {
            TaskPromiseBase& promise = finished.promise();
            ContextGuard::replace(promise.continuation_context_);
            return promise.continuation_;
        }
        void await_resume() noexcept {}
    };

    std::coroutine_handle<> continuation_;
    Context* continuation_context_ = nullptr;
};

template <typename T>
class TaskPromise final : public TaskPromiseBase {
  public:
    Task<T> get_return_object() noexcept;
    template <typename U>
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    void unhandled_exception() noexcept { error_ = std::current_exception(); }
    T take() { return take_in_place(); }
    T&& take_in_place() {
        if (error_) std::rethrow_exception(std::move(error_));
        return std::move(*value_);
    }

  private:
    std::optional<T> value_;
    std::exception_ptr error_;
};

template <>
class TaskPromise<void> final : public TaskPromiseBase {
  public:
    Task<void> get_return_object() noexcept;
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error_ = std::current_exception(); }
    void take() {
        if (error_) std::rethrow_exception(std::move(error_));
    }

  private:
    std::exception_ptr error_;
};

}  // namespace detail

template <typename T>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::TaskPromise<T>;
    using value_type = T;

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Task() {
        if (handle_) handle_.destroy();
    }

    class Awaiter {
      public:
        Awaiter(std::coroutine_handle<promise_type> handle, Context* context) noexcept
            : handle_(handle), context_(context) {}
        bool await_ready() const noexcept {
            TANDEM_ASSERT(handle_, "a Task was awaited twice, or after it was moved from");
            return false;
        }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
            Context* current = Context::current();
            handle_.promise().await_from(awaiting, current, context_ ? context_ : current);
            return handle_;
        }
        T await_resume() { return handle_.promise().take(); }

      protected:
        std::coroutine_handle<promise_type> handle_;

      private:
        Context* context_;
    };
    // Gives the result where it lies in the task instead of moving it out first.
    class InPlaceAwaiter : public Awaiter {
      public:
        explicit InPlaceAwaiter(Awaiter awaiter) noexcept : Awaiter(awaiter) {}
        std::add_rvalue_reference_t<T> await_resume() { return this->handle_.promise().take_in_place(); }
    };

    Awaiter operator co_await() && noexcept { return Awaiter(handle_, nullptr); }
    // The awaiter that runs this task under `context`; see with_context.
    Awaiter under(Context& context) && noexcept { return Awaiter(handle_, &context); }
    // For results that are large to move and have somewhere to go: `place.emplace(co_await make().in_place())`. What
    // it gives dies with the task, at the end of the full expression: never bind it to a reference.
    InPlaceAwaiter in_place() && noexcept
        requires(!std::is_void_v<T>)
    {
        return InPlaceAwaiter(Awaiter(handle_, nullptr));
    }
    InPlaceAwaiter in_place_under(Context& context) && noexcept
        requires(!std::is_void_v<T>)
    {
        return InPlaceAwaiter(Awaiter(handle_, &context));
    }

  private:
    friend promise_type;
    explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

namespace detail {
template <typename T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
}  // namespace detail

// Runs `task` with `context` as its current context: `co_await with_context(context, handle(request))`.
// The context must live until the task has ended.
template <typename T>
Task<T> with_context(Context& context, Task<T> task) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task).under(context);
    } else {
        co_return co_await std::move(task).under(context);
    }
}

}  // namespace tandem::async
