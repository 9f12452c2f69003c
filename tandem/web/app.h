// `App`: routes requests to views, with Flask's order of hooks and error handlers, as an http::Handler.
//
//     web::App app("shop");
//     app.get("/orders/<int:id>", [](int64_t id) -> Task<Response> { co_return Response::text(std::to_string(id)); });
//     http::Server server(app.handler());
//
// A request's way: before_request hooks (app, outer blueprint, inner; the first Response wins) → view → error handlers
// when something was thrown → after_this_request in order → after_request (inner, outer, app; each last added first) →
// teardown_request (likewise) → teardown_app (last added first). An exception that no handler wants, or that comes
// from a handler or an after_request hook, goes to the handler of status 500 and is logged; without one the client
// gets a problem document that says nothing about it.
//
// Answered here: 404; 405 with Allow; 501 for methods HTTP does not know; OPTIONS; HEAD by the view of GET; 308 to
// `/x/` when that is the rule and `/x` was asked for; 400 for a path that is not UTF-8.
//
// Thread rules: told everything by one thread before the first request; then any number of loops may serve it. It must
// outlive its requests and their streamed bodies.
// Errors: url_for throws Error internal for an endpoint or arguments that no rule fits.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/http/server.h"
#include "tandem/web/context.h"
#include "tandem/web/scaffold.h"

namespace tandem::web {

struct AppOptions {
    RequestLimits limits;
};

class App : public Scaffold {
  public:
    explicit App(std::string name, AppOptions options = {});
    ~App() override;

    const std::string& name() const noexcept { return name_; }
    const AppOptions& options() const noexcept { return options_; }

    void register_blueprint(const Blueprint& blueprint, std::string prefix = {}, std::string name = {}) override;
    // After everything else of a request, or of in_context(); takes what teardown_request takes.
    template <typename Hook>
    void teardown_app(Hook hook) {
        check_open();
        teardown_app_.push_back(detail::make_teardown_hook(std::move(hook)));
    }

    // The path of an endpoint, percent-encoded; arguments that its rule has no variable for become the query. A name
    // that begins with a dot is looked up in the current request's blueprint.
    std::string url_for(std::string_view endpoint, const http::QueryPairs& arguments = {}) const;

    Task<Response> handle(http::Request& request);
    // For http::Server.
    http::Handler handler();

    // Runs `work` with current_app and g but no request, then the teardown_app hooks: for start-up work and commands.
    Task<void> in_context(std::function<Task<void>()> work);

  private:
    friend class TestClient;
    struct Route;
    struct Exchange;

    void check_open() const override;
    void add(detail::RouteRecord record) override;
    void add_route(const detail::RouteRecord& record, const std::string& prefix, const std::string& blueprint,
                   const std::vector<const detail::Contents*>& scopes);
    void add_blueprint(std::shared_ptr<const detail::Contents> contents, const std::string& prefix,
                       const std::string& name, std::vector<const detail::Contents*> scopes);

    // The steps of handle(), in app.cc.
    void begin(Exchange& exchange, http::Request& request);
    void find_route(Exchange& exchange);
    Task<Response> respond(Exchange& exchange);
    Task<Response> dispatch(Exchange& exchange);
    Task<std::optional<Response>> before(Exchange& exchange);
    std::optional<Response> answer_without_view(const Exchange& exchange) const;
    Task<Response> handle_error(Exchange& exchange, std::exception_ptr error);
    Task<Response> handle_unhandled(Exchange& exchange, std::exception_ptr error);
    Task<void> after(Exchange& exchange, Response& response);
    Task<void> teardown(Exchange& exchange);
    template <typename Hook>
    bool any_hook(std::vector<Hook> detail::Hooks::* kind, const Exchange& exchange) const noexcept;
    Response automatic_options(const Exchange& exchange) const;
    // The innermost blueprint's first.
    const ErrorHandler* handler_of_status(const Exchange& exchange, Status status) const;
    const ErrorHandler* handler_of_exception(const Exchange& exchange, const Failure& failure) const;

    std::string name_;
    AppOptions options_;
    std::deque<Route> routes_;
    std::multimap<std::string, const Route*, std::less<>> endpoints_;
    detail::Router router_;
    std::vector<std::shared_ptr<const detail::Contents>> blueprints_;  // kept alive
    std::set<std::string> blueprint_names_;
    std::vector<TeardownHook> teardown_app_;
    detail::MethodSet methods_;  // of all routes, for OPTIONS *
    std::atomic<bool> started_{false};
};

// url_for() of the current app.
std::string url_for(std::string_view endpoint, const http::QueryPairs& arguments = {});

}  // namespace tandem::web
