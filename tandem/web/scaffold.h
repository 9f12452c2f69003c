// `Scaffold`: what an App and a Blueprint have in common: routes, hooks and error handlers.
//
// Thread rules: all of it is told before the first request; later it throws Error conflict.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tandem/web/detail/router.h"
#include "tandem/web/error_handlers.h"
#include "tandem/web/rule.h"
#include "tandem/web/view.h"

namespace tandem::web {

class Blueprint;

namespace detail {

struct RouteRecord {
    std::string rule;
    MethodSet methods;
    ViewFunction view;
    std::string endpoint;
    std::vector<Parameter> parameters;
};

struct Hooks {
    std::vector<BeforeHook> before_request;
    std::vector<AfterHook> after_request;
    std::vector<TeardownHook> teardown_request;
    ErrorHandlers errors;
};

// What an App or a Blueprint was told; shared by a blueprint and the apps it is registered with.
struct Contents {
    struct Child {
        std::shared_ptr<const Contents> contents;
        std::string prefix;
        std::string name;
    };
    Hooks hooks;
    std::vector<RouteRecord> routes;
    std::vector<Child> children;
};

}  // namespace detail

class Scaffold {
  public:
    virtual ~Scaffold() = default;
    Scaffold(const Scaffold&) = delete;
    Scaffold& operator=(const Scaffold&) = delete;

    // A view for a rule (rule.h, view.h). Its endpoint, which url_for() knows it by, is the rule's text unless named.
    // HEAD comes with GET; OPTIONS is answered for every route.
    template <typename View>
    void get(std::type_identity_t<Rule<View>> rule, View view, std::string endpoint = {}) {
        route({http::Method::get}, rule, std::move(view), std::move(endpoint));
    }
    template <typename View>
    void post(std::type_identity_t<Rule<View>> rule, View view, std::string endpoint = {}) {
        route({http::Method::post}, rule, std::move(view), std::move(endpoint));
    }
    template <typename View>
    void put(std::type_identity_t<Rule<View>> rule, View view, std::string endpoint = {}) {
        route({http::Method::put}, rule, std::move(view), std::move(endpoint));
    }
    template <typename View>
    void patch(std::type_identity_t<Rule<View>> rule, View view, std::string endpoint = {}) {
        route({http::Method::patch}, rule, std::move(view), std::move(endpoint));
    }
    template <typename View>
    void del(std::type_identity_t<Rule<View>> rule, View view, std::string endpoint = {}) {
        route({http::Method::delete_}, rule, std::move(view), std::move(endpoint));
    }
    template <typename View>
    void route(std::initializer_list<http::Method> methods, std::type_identity_t<Rule<View>> rule, View view,
               std::string endpoint = {}) {
        auto& parameters = ParametersOf<View>::parameters;
        add_checked({std::string(rule.text()),
                     method_set(methods),
                     detail::make_view(std::move(view)),
                     std::move(endpoint),
                     {parameters.begin(), parameters.end()}});
    }
    // For a rule known only when the program runs: its view takes what the variables hold as text. A rule with an
    // error throws invalid_argument.
    void route_text(std::initializer_list<http::Method> methods, std::string rule, ViewFunction view,
                    std::string endpoint = {});

    // Before the view, outermost first. The first that gives a Response ends it: neither later hooks nor the view run.
    template <typename Hook>
    void before_request(Hook hook) {
        open_hooks().before_request.push_back(detail::make_before_hook(std::move(hook)));
    }
    // After the view or error handler, innermost and last added first: changes the Response it is given, or takes one
    // and returns one.
    template <typename Hook>
    void after_request(Hook hook) {
        open_hooks().after_request.push_back(detail::make_after_hook(std::move(hook)));
    }
    // At the very end, innermost and last added first, whatever happened; takes nothing, or the exception_ptr of what
    // no handler answered. What it throws is logged. It runs to its end even when the request is cancelled.
    template <typename Hook>
    void teardown_request(Hook hook) {
        open_hooks().teardown_request.push_back(detail::make_teardown_hook(std::move(hook)));
    }

    // Handlers take `const Failure&` or nothing and return what views return. They are asked in this order: for a
    // StatusError the handler of its status (innermost blueprint to app), then by class or Code (likewise). Any other
    // exception goes by class or Code first, then to the handler of the status it becomes (500, or status_for(code)).
    template <typename Handler>
    void error_handler(Status status, Handler handler) {
        open_hooks().errors.add(status, failure_handler(std::move(handler)));
    }
    template <typename Handler>
    void error_handler(Code code, Handler handler) {
        open_hooks().errors.add(code, failure_handler(std::move(handler)));
    }
    // `app.error_handler([](const OutOfStock& error) {…})`: the exception class is what the handler takes.
    template <typename Handler>
    void error_handler(Handler handler) {
        add_class_handler(std::move(handler), static_cast<detail::CallableTraits<Handler>::List*>(nullptr));
    }

    // Adds the blueprint's routes below `prefix` (plain text like "/shop", or empty), its endpoints as "name.endpoint".
    // A blueprint may be registered several times under different names, and cannot be changed afterwards.
    virtual void register_blueprint(const Blueprint& blueprint, std::string prefix = {}, std::string name = {}) = 0;

  protected:
    Scaffold() = default;
    // Throws conflict when it is too late for changes.
    virtual void check_open() const = 0;
    virtual void add(detail::RouteRecord record) = 0;
    static void check_prefix(std::string_view prefix);
    static void check_name(std::string_view name);

    const std::shared_ptr<detail::Contents> contents_ = std::make_shared<detail::Contents>();

  private:
    detail::Hooks& open_hooks() {
        check_open();
        return contents_->hooks;
    }
    static detail::MethodSet method_set(std::initializer_list<http::Method> methods);
    void add_checked(detail::RouteRecord record);

    template <typename Handler>
    static ErrorHandler failure_handler(Handler handler) {
        return [shared = std::make_shared<Handler>(std::move(handler))](const Failure& failure) {
            return detail::call_handler(*shared, failure);
        };
    }
    template <typename Handler, typename E>
    void add_class_handler(Handler handler, detail::ParameterList<const E&>*) {
        static_assert(!std::same_as<E, Failure>, "a handler of a Failure needs the status or code it is for");
        auto shared = std::make_shared<Handler>(std::move(handler));
        open_hooks().errors.add_class<E>([shared](const E& error) { return detail::call_handler(*shared, error); });
    }
};

// A part of an app that is written by itself and put below a prefix: `app.register_blueprint(orders, "/orders")`. Its
// hooks and error handlers see the requests of its own routes and of those nested in it.
class Blueprint : public Scaffold {
  public:
    // The name has no dot.
    explicit Blueprint(std::string name);

    const std::string& name() const noexcept { return name_; }
    void register_blueprint(const Blueprint& blueprint, std::string prefix = {}, std::string name = {}) override;

  private:
    friend class App;
    void check_open() const override;
    void add(detail::RouteRecord record) override;

    std::string name_;
    mutable std::atomic<bool> registered_{false};
};

}  // namespace tandem::web
