#include "tandem/web/context.h"

namespace tandem::web {

bool Globals::remove(std::string_view name) {
    auto found = values_.find(name);
    if (found == values_.end()) return false;
    values_.erase(found);
    return true;
}

void Globals::wrong_type(std::string_view name) {
    fail(Code::internal, "web::g holds \"{}\" as another type", name);
}

void Globals::missing(std::string_view name) {
    fail(Code::internal, "web::g has no \"{}\"", name);
}

void Session::set(std::string_view name, std::string_view) {
    fail(Code::unsupported, "session[\"{}\"] cannot be written: sessions come with a later version", name);
}

namespace detail {

namespace {
RequestState* find_state() noexcept {
    async::Context* context = async::Context::current();
    return context ? context->find(state_key) : nullptr;
}

// The stream's own copy of what it needs; held by the function object, which outlives its task.
struct StreamCopy {
    RequestState state;
    Session session;
    http::BodyStream stream;

    static Task<void> run(std::shared_ptr<StreamCopy> copy, http::BodyWriter* out) {
        async::Context context(async::Context::current());
        context.set(state_key, &copy->state);
        co_await async::with_context(context, copy->stream(*out));
    }
};
}  // namespace

RequestState& state_with_app(std::string_view who) {
    RequestState* state = find_state();
    if (!state)
        fail(Code::internal,
             "{} was used outside a request: it works in views, hooks and error handlers and what they wait for, "
             "and in App::in_context()",
             who);
    return *state;
}

RequestState& state_with_request(std::string_view who) {
    RequestState& state = state_with_app(who);
    if (!state.request) fail(Code::internal, "{} was used in an application context, which has no request", who);
    return state;
}

Task<void> run_in_copy(RequestState* original, std::function<Task<void>()> work) {
    RequestState state;
    state.app = original->app;
    state.request = original->request;
    state.session = original->session;
    async::Context context(async::Context::current());
    context.set(state_key, &state);
    co_await async::with_context(context, work());
}

}  // namespace detail

bool has_request_context() noexcept {
    detail::RequestState* state = detail::find_state();
    return state && state->request;
}

bool has_app_context() noexcept {
    return detail::find_state();
}

std::function<Task<void>()> copy_current_request_context(std::function<Task<void>()> work) {
    detail::RequestState* original = &detail::state_with_request("copy_current_request_context()");
    return [original, work = std::move(work)] { return detail::run_in_copy(original, work); };
}

http::BodyStream stream_with_context(http::BodyStream stream) {
    detail::RequestState& original = detail::state_with_request("stream_with_context()");
    auto copy = std::make_shared<detail::StreamCopy>();
    copy->state.app = original.app;
    copy->state.request = original.request;
    copy->state.session = &copy->session;
    copy->stream = std::move(stream);
    return [copy](http::BodyWriter& out) { return detail::StreamCopy::run(copy, &out); };
}

}  // namespace tandem::web
