// `Scope`: the only place for work that outlives a call. What is spawned in it runs under its Context and must be
// joined before it dies, so no coroutine is ever detached.
//
//     Scope scope;
//     scope.spawn(watch(a));
//     scope.spawn(watch(b));
//     co_await scope.join();      // waits for both; the first error cancels the other and is thrown here
//
// Thread rules: a Scope belongs to the loop that made it.
#pragma once

#include <exception>
#include <optional>

#include "tandem/async/loop.h"
#include "tandem/async/task.h"

namespace tandem::async {

class Scope {
  public:
    enum class OnError : unsigned char {
        cancel_rest,  // the first error cancels the siblings and comes out of join()
        keep_going,   // siblings go on; the first error still comes out of join()
    };

    // Under the current context, or under `parent`.
    explicit Scope(OnError on_error = OnError::cancel_rest) : Scope(Context::current(), on_error) {}
    explicit Scope(Context* parent, OnError on_error = OnError::cancel_rest)
        : loop_(Loop::current()), context_(parent), on_error_(on_error) {}
    ~Scope();

    // Starts `task` in a coming turn of the loop. May be called by the scope's own tasks too, even during join().
    void spawn(Task<void> task);
    // Waits until every task has ended, whatever happens to the caller; then throws the first error, if any.
    // The scope may be used again afterwards, unless it was cancelled.
    Task<void> join();
    void cancel(const Error& reason = Error(Code::cancelled, "the scope was cancelled")) { context_.cancel(reason); }
    Task<void> cancel_and_join();

    size_t size() const noexcept { return running_; }
    Context& context() noexcept { return context_; }

  private:
    struct Child;
    struct Joiner;
    static detail::Root run_child(Scope& scope, Task<void> task);
    void child_ended(std::exception_ptr error) noexcept;

    Loop& loop_;
    Context context_;
    OnError on_error_;
    size_t running_ = 0;
    std::exception_ptr first_error_;
    Continuation* joiner_ = nullptr;
};

}  // namespace tandem::async
