// Several tasks at once: all() waits for every one, any() for the first that succeeds; on_loop() runs one elsewhere.
// None of them returns before every task it started has ended.
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "tandem/async/scope.h"

namespace tandem::async {

namespace detail {
template <typename T>
using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <typename T>
Task<void> store_result(Task<T> task, std::optional<Stored<T>>* result) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        result->emplace();
    } else {
        result->emplace(co_await std::move(task));
    }
}
}  // namespace detail

// The results in order; the first error cancels the others and is thrown. A void task gives std::monostate.
template <typename... T>
Task<std::tuple<detail::Stored<T>...>> all(Task<T>... tasks) {
    std::tuple<std::optional<detail::Stored<T>>...> results;
    Scope scope;
    std::apply([&](auto&... result) { (scope.spawn(detail::store_result(std::move(tasks), &result)), ...); }, results);
    co_await scope.join();
    co_return std::apply([](auto&... result) { return std::tuple<detail::Stored<T>...>(std::move(*result)...); },
                         results);
}

template <typename T>
Task<std::vector<detail::Stored<T>>> all(std::vector<Task<T>> tasks) {
    std::vector<std::optional<detail::Stored<T>>> results(tasks.size());
    Scope scope;
    for (size_t i = 0; i < tasks.size(); ++i) scope.spawn(detail::store_result(std::move(tasks[i]), &results[i]));
    co_await scope.join();
    std::vector<detail::Stored<T>> values;
    values.reserve(results.size());
    for (auto& result : results) values.push_back(std::move(*result));
    co_return values;
}

template <typename T>
struct AnyResult {
    size_t index;  // which task it was
    detail::Stored<T> value;
};

namespace detail {
template <typename T>
struct AnyState {
    Scope scope{Scope::OnError::keep_going};
    std::optional<AnyResult<T>> winner;
};

template <typename T>
Task<void> compete(Task<T> task, size_t index, AnyState<T>* state) {
    std::optional<Stored<T>> result;
    co_await store_result(std::move(task), &result);
    if (state->winner) co_return;
    state->winner.emplace(index, std::move(*result));
    state->scope.cancel(Error(Code::cancelled, "another task was faster"));
}
}  // namespace detail

// The first success; the others are cancelled and waited for. When all fail, the first error is thrown.
template <typename T>
Task<AnyResult<T>> any(std::vector<Task<T>> tasks) {
    TANDEM_ASSERT(!tasks.empty(), "any() needs at least one task");
    detail::AnyState<T> state;
    for (size_t i = 0; i < tasks.size(); ++i) state.scope.spawn(detail::compete(std::move(tasks[i]), i, &state));
    std::exception_ptr error;
    try {
        co_await state.scope.join();
    } catch (...) {
        error = std::current_exception();
    }
    if (!state.winner) std::rethrow_exception(error);
    co_return std::move(*state.winner);
}

namespace detail {
// One task's visit to another loop. Shared by both sides, since a cancellation may be on its way when the task ends.
template <typename T>
struct Visit {
    explicit Visit(Task<T> task) : task(std::move(task)) {}
    Task<T> task;
    std::optional<Stored<T>> value;
    std::exception_ptr error;
    Continuation home;
    Context* remote = nullptr;  // while the task runs; touched on the target loop only
};

template <typename T>
Task<void> run_visit(std::shared_ptr<Visit<T>> visit, Context* caller) {
    {
        Context context(caller, Inherit::values_only);
        if (Context* root = Context::current(); root->cancelled())
            context.cancel(Error(Code::cancelled, "the loop is stopping"));
        visit->remote = &context;
        try {
            Task<T> task = std::move(visit->task);
            if constexpr (std::is_void_v<T>) {
                co_await std::move(task).under(context);
                visit->value.emplace();
            } else {
                visit->value.emplace(co_await std::move(task).under(context));
            }
        } catch (...) {
            visit->error = std::current_exception();
        }
        visit->remote = nullptr;
    }
    visit->home.schedule();
}

template <typename T>
Task<void> cancel_visit(std::shared_ptr<Visit<T>> visit, Error reason) {
    if (visit->remote) visit->remote->cancel(reason);
    co_return;
}

template <typename T>
class VisitAwaiter final : CancelHook {
  public:
    VisitAwaiter(Loop& target, std::shared_ptr<Visit<T>> visit) : target_(target), visit_(std::move(visit)) {}
    bool await_ready() const { return Context::current()->check(), false; }
    void await_suspend(std::coroutine_handle<> handle) {
        visit_->home.capture(handle);
        Context& context = visit_->home.context();
        context.add(*this);
        (void)target_.submit(run_visit(visit_, &context));
    }
    void await_resume() noexcept { unhook(); }

  private:
    void on_cancel(const Error& reason) override { (void)target_.submit(cancel_visit(visit_, reason)); }
    Loop& target_;
    std::shared_ptr<Visit<T>> visit_;
};
}  // namespace detail

// Runs `task` on another loop and comes back with its result. The task sees the caller's values, and is cancelled
// with the caller; `target` must run for as long as anything may visit it.
template <typename T>
Task<T> on_loop(Loop& target, Task<T> task) {
    if (&target == &Loop::current()) co_return co_await std::move(task);
    auto visit = std::make_shared<detail::Visit<T>>(std::move(task));
    co_await detail::VisitAwaiter<T>(target, visit);
    if (visit->error) std::rethrow_exception(visit->error);
    if constexpr (!std::is_void_v<T>) co_return std::move(*visit->value);
}

}  // namespace tandem::async
