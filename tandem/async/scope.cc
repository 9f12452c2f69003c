#include "tandem/async/scope.h"

#include "tandem/base/assert.h"

namespace tandem::async {

struct Scope::Child final : Runnable {
    Child(Context& context, std::coroutine_handle<> root) noexcept
        : Runnable(&Child::begin), context(context), root(root) {}
    static void begin(Runnable& self) {
        std::unique_ptr<Child> child(static_cast<Child*>(&self));
        ContextGuard guard(&child->context);
        child->root.resume();
    }
    Context& context;
    std::coroutine_handle<> root;
};

struct Scope::Joiner {
    Scope& scope;
    Continuation continuation;
    bool await_ready() const noexcept { return scope.running_ == 0; }
    void await_suspend(std::coroutine_handle<> handle) {
        TANDEM_ASSERT(!scope.joiner_, "two coroutines join one scope");
        continuation.capture(handle);
        scope.joiner_ = &continuation;
    }
    void await_resume() const noexcept { scope.joiner_ = nullptr; }
};

Scope::~Scope() {
    TANDEM_ASSERT(running_ == 0, "a scope died before its tasks were joined");
}

detail::Root Scope::run_child(Scope& scope, Task<void> task) {
    std::exception_ptr error;
    {
        Task<void> running = std::move(task);  // its frame goes before the scope may
        try {
            co_await std::move(running);
        } catch (...) {
            error = std::current_exception();
        }
    }
    scope.child_ended(std::move(error));
}

void Scope::spawn(Task<void> task) {
    ++running_;
    auto child = std::make_unique<Child>(context_, run_child(*this, std::move(task)).handle);
    loop_.schedule(*child.release());
}

void Scope::child_ended(std::exception_ptr error) noexcept {
    if (error && !first_error_) {
        first_error_ = error;
        if (on_error_ == OnError::cancel_rest) context_.cancel(Error::from(error));
    }
    if (--running_ == 0 && joiner_) joiner_->schedule();
}

Task<void> Scope::join() {
    while (running_ > 0) co_await Joiner{*this, {}};
    if (first_error_) std::rethrow_exception(std::exchange(first_error_, nullptr));
}

Task<void> Scope::cancel_and_join() {
    cancel();
    try {
        co_await join();
    } catch (const Error& error) {
        if (error.code() != Code::cancelled) throw;
    }
}

}  // namespace tandem::async
