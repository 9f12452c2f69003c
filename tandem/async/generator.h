// `Generator<T>`: a plain synchronous sequence written as a coroutine; for (T& value : sequence()) { … }. It never
// awaits; for asynchronous sequences use a Channel.
#pragma once

#include <coroutine>
#include <exception>
#include <iterator>
#include <memory>
#include <utility>

namespace tandem::async {

template <typename T>
class [[nodiscard]] Generator {
  public:
    struct promise_type {
        std::add_pointer_t<T> value = nullptr;
        std::exception_ptr error;
        Generator get_return_object() noexcept {
            return Generator(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T& yielded) noexcept {
            value = std::addressof(yielded);
            return {};
        }
        std::suspend_always yield_value(T&& yielded) noexcept {
            value = std::addressof(yielded);  // lives until the generator is resumed
            return {};
        }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { error = std::current_exception(); }
        void await_transform() = delete;
    };

    class Iterator {
      public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        explicit Iterator(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
        T& operator*() const noexcept { return *handle_.promise().value; }
        Iterator& operator++() {
            advance(handle_);
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return handle_.done(); }

      private:
        std::coroutine_handle<promise_type> handle_;
    };

    Generator(Generator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Generator& operator=(Generator&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Generator() {
        if (handle_) handle_.destroy();
    }
    // Once.
    Iterator begin() {
        advance(handle_);
        return Iterator(handle_);
    }
    std::default_sentinel_t end() const noexcept { return {}; }

  private:
    explicit Generator(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    static void advance(std::coroutine_handle<promise_type> handle) {
        handle.resume();
        if (handle.promise().error) std::rethrow_exception(std::exchange(handle.promise().error, nullptr));
    }
    std::coroutine_handle<promise_type> handle_;
};

}  // namespace tandem::async
