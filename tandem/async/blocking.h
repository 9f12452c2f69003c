// `run_blocking`: a bounded pool of threads for calls that block (SQLite, getaddrinfo, files), so that no loop ever
// does. The function runs with the caller's Context as the current one; the caller goes on, on its own loop, with the
// function's value or exception. A function that has begun is always waited for, since it may use the caller's frame;
// one still queued when the Context is cancelled is not run.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/async/loop.h"

namespace tandem::async {

// Thread-safe.
class BlockingPool {
  public:
    struct Options {
        size_t threads_max = 8;     // started as they are needed
        size_t queue_max = 10'000;  // waiting calls; one more fails with resource_exhausted
    };

    // A call waiting for a thread or running on one; lives on the caller's frame.
    class Job {
      public:
        Job() = default;
        Job(const Job&) = delete;
        Job& operator=(const Job&) = delete;

      protected:
        ~Job() = default;

      private:
        friend class BlockingPool;
        virtual void run_on_pool() noexcept = 0;
        Job* next_ = nullptr;
    };

    BlockingPool();
    explicit BlockingPool(Options options);
    // Waits for queued and running jobs.
    ~BlockingPool();

    // Throws resource_exhausted when the queue is full.
    void submit(Job& job);

    // The process-wide pool, made on first use.
    static BlockingPool& shared();

  private:
    void work();

    const Options options_;
    std::mutex mutex_;
    std::condition_variable has_work_;
    Job* first_ = nullptr;
    Job* last_ = nullptr;
    size_t queued_ = 0;
    size_t idle_ = 0;
    bool closing_ = false;
    std::vector<std::thread> threads_;
};

namespace detail {
template <typename Function>
class BlockingCall final : BlockingPool::Job {
  public:
    using Result = std::invoke_result_t<Function&>;
    explicit BlockingCall(Function& function) : function_(function) {}

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
        continuation_.capture(handle);
        BlockingPool* pool = continuation_.loop().blocking_pool();
        if (!pool) {
            call();
            return false;
        }
        pool->submit(*this);
        return true;
    }
    Result await_resume() {
        if (error_) std::rethrow_exception(std::move(error_));
        if constexpr (!std::is_void_v<Result>) return std::move(*result_);
    }

  private:
    using Stored = std::conditional_t<std::is_void_v<Result>, bool, Result>;
    void run_on_pool() noexcept override {
        {
            ContextGuard guard(&continuation_.context());
            call();
        }
        continuation_.schedule();
    }
    void call() noexcept {
        try {
            continuation_.context().check();
            if constexpr (std::is_void_v<Result>) {
                function_();
            } else {
                result_.emplace(function_());
            }
        } catch (...) {
            error_ = std::current_exception();
        }
    }

    Function& function_;
    Continuation continuation_;
    std::optional<Stored> result_;
    std::exception_ptr error_;
};
}  // namespace detail

template <typename Function>
Task<std::invoke_result_t<Function&>> run_blocking(Function function) {
    detail::BlockingCall<Function> call(function);
    co_return co_await call;
}

}  // namespace tandem::async
