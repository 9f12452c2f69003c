#include "tandem/web/app.h"

#include <algorithm>
#include <ranges>

#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/base/utf8.h"
#include "tandem/http/status_error.h"
#include "tandem/web/detail/exchange.h"
#include "tandem/web/problem.h"

namespace tandem::web {

using http::StatusError;

App::App(std::string name, AppOptions options) : name_(std::move(name)), options_(options) {}

App::~App() = default;

http::Handler App::handler() {
    return [this](http::Request& request) { return handle(request); };
}

// ---- one request ----

namespace {

// Every hook of one kind, the app's and its blueprints': outermost first, as they were added.
template <typename Hook>
std::vector<const Hook*> gather(std::vector<Hook> detail::Hooks::* kind, const detail::Contents& app,
                                const std::vector<const detail::Contents*>* scopes) {
    std::vector<const Hook*> hooks;
    for (const Hook& hook : app.hooks.*kind) hooks.push_back(&hook);
    if (scopes)
        for (const detail::Contents* scope : *scopes)
            for (const Hook& hook : scope->hooks.*kind) hooks.push_back(&hook);
    return hooks;
}

void log_failure(Request* request, const Error& error) {
    log::error("request failed", {{"method", request->raw().method_text},
                                  {"path", request->path()},
                                  {"code", to_string(error.code())},
                                  {"error", error.what()}});
}

// A request that was cancelled has nobody left to answer.
void rethrow_when_cancelled(const std::exception_ptr& error) {
    if (async::Context::current()->cancelled()) std::rethrow_exception(error);
}

}  // namespace

// Most requests have no hooks of a kind: no coroutine is begun for them.
template <typename Hook>
bool App::any_hook(std::vector<Hook> detail::Hooks::* kind, const Exchange& exchange) const noexcept {
    if (!(contents_->hooks.*kind).empty()) return true;
    return exchange.route && std::ranges::any_of(exchange.route->scopes, [kind](const detail::Contents* scope) {
               return !(scope->hooks.*kind).empty();
           });
}

void App::begin(Exchange& exchange, http::Request& request) {
    if (!started_.load(std::memory_order_relaxed)) started_.store(true);
    exchange.state.app = this;
    exchange.state.request = std::make_shared<Request>(request, options_.limits);
    exchange.state.session = &exchange.session;
    find_route(exchange);
}

Task<Response> App::handle(http::Request& request) {
    Exchange exchange;
    begin(exchange, request);
    async::Context context(async::Context::current());
    context.set(detail::state_key, &exchange.state);
    std::optional<Response> response;
    try {
        response.emplace(co_await respond(exchange).in_place_under(context));
    } catch (...) {
        exchange.unhandled = std::current_exception();
    }
    if (any_hook(&detail::Hooks::teardown_request, exchange) || !teardown_app_.empty())
        co_await async::shielded(teardown(exchange)).under(context);
    if (!response) std::rethrow_exception(exchange.unhandled);
    co_return std::move(*response);
}

void App::find_route(Exchange& exchange) {
    Request& request = *exchange.state.request;
    http::Method method = request.method();
    if (method == http::Method::unknown || request.path() == "*" || !base::valid_utf8(request.path())) return;
    exchange.match = router_.match(request.path(), method);
    using Outcome = detail::Match::Outcome;
    exchange.answers_options = method == http::Method::options && exchange.match.outcome == Outcome::other_method;
    if (exchange.match.outcome != Outcome::found && !exchange.answers_options) return;
    const Route& route = routes_[exchange.match.route];
    exchange.route = &route;
    request.matched_ = {&route.rule, &route.endpoint, &route.blueprint};
    if (exchange.answers_options) return;
    for (size_t i = 0; i < route.variables.size(); ++i)
        request.path_args_.emplace_back(route.variables[i], exchange.match.values.values[i]);
}

Task<Response> App::respond(Exchange& exchange) {
    std::exception_ptr error;
    try {
        co_return co_await dispatch(exchange).in_place();
    } catch (...) {
        error = std::current_exception();
    }
    rethrow_when_cancelled(error);
    Response response = co_await handle_unhandled(exchange, error);
    try {
        co_await after(exchange, response);
    } catch (...) {
        // The answer to the first error stands.
        log_failure(exchange.state.request.get(), Error::current().within("an after_request hook failed again"));
    }
    co_return response;
}

Task<Response> App::dispatch(Exchange& exchange) {
    std::optional<Response> response;
    std::exception_ptr error;
    try {
        if (any_hook(&detail::Hooks::before_request, exchange)) response = co_await before(exchange);
        if (!response) response = answer_without_view(exchange);
        if (!response) {
            const ViewFunction& view = exchange.route->record->view;
            response.emplace(co_await view(*exchange.state.request, exchange.match.values.span()).in_place());
        }
    } catch (...) {
        error = std::current_exception();
    }
    if (error) {
        rethrow_when_cancelled(error);
        response = co_await handle_error(exchange, error);
    }
    if (!exchange.state.after_this_request.empty() || any_hook(&detail::Hooks::after_request, exchange))
        co_await after(exchange, *response);
    co_return std::move(*response);
}

Task<std::optional<Response>> App::before(Exchange& exchange) {
    const Route* route = exchange.route;
    for (const BeforeHook* hook :
         gather(&detail::Hooks::before_request, *contents_, route ? &route->scopes : nullptr)) {
        std::optional<Response> response = co_await (*hook)();
        if (response) co_return std::move(*response);
    }
    co_return std::nullopt;
}

// nullopt when the view is to be called.
std::optional<Response> App::answer_without_view(const Exchange& exchange) const {
    Request& request = *exchange.state.request;
    if (request.method() == http::Method::unknown)
        throw StatusError(Status::not_implemented, fmt::format("method {} is not known", request.raw().method_text));
    if (exchange.answers_options || (request.path() == "*" && request.method() == http::Method::options))
        return automatic_options(exchange);
    if (!base::valid_utf8(request.path())) throw StatusError(Status::bad_request, "the path is not UTF-8");
    switch (exchange.match.outcome) {
        case detail::Match::Outcome::found:
            return std::nullopt;
        case detail::Match::Outcome::not_found:
            throw StatusError(Status::not_found);
        case detail::Match::Outcome::other_method: {
            detail::MethodSet allowed = exchange.match.allowed;
            allowed.add(http::Method::options);
            throw StatusError(Status::method_not_allowed, {}, {{"Allow", allowed.to_string()}});
        }
        case detail::Match::Outcome::needs_slash: {
            std::string location = http::percent_encode(request.path(), true) + "/";
            if (!request.query().empty()) location.append("?").append(request.query());
            return Response::redirect(location, Status::permanent_redirect);
        }
    }
    return std::nullopt;
}

Response App::automatic_options(const Exchange& exchange) const {
    detail::MethodSet allowed = exchange.answers_options ? exchange.match.allowed : methods_;
    allowed.add(http::Method::options);
    Response response;
    response.headers.set("Allow", allowed.to_string());
    return response;
}

const ErrorHandler* App::handler_of_status(const Exchange& exchange, Status status) const {
    if (exchange.route)
        for (const detail::Contents* scope : exchange.route->scopes | std::views::reverse)
            if (const ErrorHandler* found = scope->hooks.errors.for_status(status)) return found;
    return contents_->hooks.errors.for_status(status);
}

const ErrorHandler* App::handler_of_exception(const Exchange& exchange, const Failure& failure) const {
    if (exchange.route)
        for (const detail::Contents* scope : exchange.route->scopes | std::views::reverse)
            if (const ErrorHandler* found = scope->hooks.errors.for_exception(failure)) return found;
    return contents_->hooks.errors.for_exception(failure);
}

Task<Response> App::handle_error(Exchange& exchange, std::exception_ptr error) {
    Failure failure = failure_from(error);
    const ErrorHandler* handler = nullptr;
    if (failure.chose_status) handler = handler_of_status(exchange, failure.status);
    if (!handler) handler = handler_of_exception(exchange, failure);
    if (!handler && !failure.chose_status) {
        if (failure.status == Status::internal_server_error) std::rethrow_exception(error);  // respond() takes over
        if (http::to_int(failure.status) >= 500) log_failure(exchange.state.request.get(), failure.error);
        handler = handler_of_status(exchange, failure.status);
    }
    if (!handler) co_return default_response(failure);
    co_return co_await (*handler)(failure);
}

Task<Response> App::handle_unhandled(Exchange& exchange, std::exception_ptr error) {
    exchange.unhandled = error;
    Failure failure = failure_from(error);
    log_failure(exchange.state.request.get(), failure.error);
    failure.status = Status::internal_server_error;
    const ErrorHandler* handler = handler_of_status(exchange, failure.status);
    if (!handler) co_return Problem(failure.status).response();
    std::exception_ptr again;
    try {
        co_return co_await (*handler)(failure);
    } catch (...) {
        again = std::current_exception();
    }
    rethrow_when_cancelled(again);
    log_failure(exchange.state.request.get(), Error::from(again).within("the handler of status 500 failed"));
    co_return Problem(failure.status).response();
}

Task<void> App::after(Exchange& exchange, Response& response) {
    // A hook may add hooks behind itself.
    std::vector<AfterHook>& once = exchange.state.after_this_request;
    for (size_t i = 0; i < once.size(); ++i) {
        AfterHook hook = once[i];
        co_await hook(response);
    }
    once.clear();
    auto hooks = gather(&detail::Hooks::after_request, *contents_, exchange.route ? &exchange.route->scopes : nullptr);
    for (const AfterHook* hook : hooks | std::views::reverse) co_await (*hook)(response);
}

Task<void> App::teardown(Exchange& exchange) {
    std::vector<const TeardownHook*> hooks;
    for (const TeardownHook& hook : teardown_app_) hooks.push_back(&hook);
    if (exchange.state.request) {
        auto of_request =
            gather(&detail::Hooks::teardown_request, *contents_, exchange.route ? &exchange.route->scopes : nullptr);
        hooks.insert(hooks.end(), of_request.begin(), of_request.end());
    }
    for (const TeardownHook* hook : hooks | std::views::reverse) {
        try {
            co_await (*hook)(exchange.unhandled);
        } catch (...) {
            log::error("a teardown hook failed", {{"app", name_}, {"error", Error::current().what()}});
        }
    }
}

Task<void> App::in_context(std::function<Task<void>()> work) {
    Exchange exchange;
    exchange.state.app = this;
    async::Context context(async::Context::current());
    context.set(detail::state_key, &exchange.state);
    try {
        co_await work().under(context);
    } catch (...) {
        exchange.unhandled = std::current_exception();
    }
    co_await async::shielded(teardown(exchange)).under(context);
    if (exchange.unhandled) std::rethrow_exception(exchange.unhandled);
}

}  // namespace tandem::web
