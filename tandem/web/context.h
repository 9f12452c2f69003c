// What belongs to the request being handled: `web::request`, `web::g`, `web::current_app`, `web::session`. They are
// small proxies that find their request through the coroutine's async::Context, so they may be used anywhere below a
// view, a hook or an error handler, also in what those call on other loops or on the blocking pool.
//
// Thread rules: what they lead to belongs to the request's coroutine and those it waits for.
// Errors: outside a request, Error internal that says so. Work that outlives the view (a streamed body, a task in
// another Scope) does not have the request of itself: see copy_current_request_context.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>

#include "tandem/async/context.h"
#include "tandem/async/task.h"
#include "tandem/web/request.h"
#include "tandem/web/view.h"

namespace tandem::web {

class App;

// Values of one request under names of the program's choosing; gone when the request is.
class Globals {
  public:
    template <typename T>
    T& set(std::string_view name, T value) {
        std::any& place = values_.insert_or_assign(std::string(name), std::any()).first->second;
        return place.emplace<T>(std::move(value));
    }
    // nullptr when there is none; Error internal when it has another type.
    template <typename T>
    T* find(std::string_view name) {
        auto found = values_.find(name);
        if (found == values_.end()) return nullptr;
        T* value = std::any_cast<T>(&found->second);
        if (!value) wrong_type(name);
        return value;
    }
    // Error internal when there is none.
    template <typename T>
    T& get(std::string_view name) {
        T* value = find<T>(name);
        if (!value) missing(name);
        return *value;
    }
    bool contains(std::string_view name) const { return values_.contains(name); }
    bool remove(std::string_view name);

  private:
    [[noreturn]] static void wrong_type(std::string_view name);
    [[noreturn]] static void missing(std::string_view name);
    std::map<std::string, std::any, std::less<>> values_;
};

// A client's session. No store is attached to it yet: it reads as empty, and writing throws unsupported.
class Session {
  public:
    std::optional<std::string> get(std::string_view) const { return std::nullopt; }
    bool contains(std::string_view) const noexcept { return false; }
    size_t size() const noexcept { return 0; }
    [[noreturn]] void set(std::string_view name, std::string_view value);
};

namespace detail {

// Everything the proxies lead to. One for each request, one for each copy.
struct RequestState {
    App* app = nullptr;
    std::shared_ptr<Request> request;  // none in an application context
    Globals g;
    Session* session = nullptr;
    std::vector<AfterHook> after_this_request;
};

inline constexpr async::ContextKey<RequestState> state_key{"web request"};

// The two differ in what their error says is missing.
RequestState& state_with_app(std::string_view who);
RequestState& state_with_request(std::string_view who);

Task<void> run_in_copy(RequestState* original, std::function<Task<void>()> work);

struct RequestProxy {
    Request& operator*() const { return *state_with_request("web::request").request; }
    Request* operator->() const { return &**this; }

    http::Method method() const { return (*this)->method(); }
    const std::string& path() const { return (*this)->path(); }
    const std::string& query() const { return (*this)->query(); }
    const http::Headers& headers() const { return (*this)->headers(); }
    std::string_view header(std::string_view name) const { return (*this)->header(name); }
    const Arguments& args() const { return (*this)->args(); }
    template <Argument T = std::string>
    T arg(std::string_view name, T otherwise) const {
        return (*this)->template arg<T>(name, std::move(otherwise));
    }
    std::string arg(std::string_view name, const char* otherwise) const { return (*this)->arg(name, otherwise); }
    template <Argument T = std::string>
    T required_arg(std::string_view name) const {
        return (*this)->template required_arg<T>(name);
    }
    Task<std::string_view> text() const { return (*this)->text(); }
    Task<boost::json::value> json() const { return (*this)->json(); }
    Task<Arguments> form() const { return (*this)->form(); }
    std::optional<std::string_view> cookie(std::string_view name) const { return (*this)->cookie(name); }
    const std::string& endpoint() const { return (*this)->endpoint(); }
};

struct GlobalsProxy {
    Globals& operator*() const { return state_with_app("web::g").g; }
    Globals* operator->() const { return &**this; }

    template <typename T>
    T& set(std::string_view name, T value) const {
        return (*this)->set(name, std::move(value));
    }
    template <typename T>
    T* find(std::string_view name) const {
        return (*this)->template find<T>(name);
    }
    template <typename T>
    T& get(std::string_view name) const {
        return (*this)->template get<T>(name);
    }
    bool contains(std::string_view name) const { return (*this)->contains(name); }
    bool remove(std::string_view name) const { return (*this)->remove(name); }
};

struct AppProxy {
    App& operator*() const { return *state_with_app("web::current_app").app; }
    App* operator->() const { return &**this; }
};

struct SessionProxy {
    Session& operator*() const { return *state_with_request("web::session").session; }
    Session* operator->() const { return &**this; }

    std::optional<std::string> get(std::string_view name) const { return (*this)->get(name); }
    bool contains(std::string_view name) const { return (*this)->contains(name); }
    [[noreturn]] void set(std::string_view name, std::string_view value) const { (*this)->set(name, value); }
};

}  // namespace detail

inline constexpr detail::RequestProxy request;
inline constexpr detail::GlobalsProxy g;
inline constexpr detail::AppProxy current_app;
inline constexpr detail::SessionProxy session;

bool has_request_context() noexcept;
bool has_app_context() noexcept;

// `work` with the current request and session, and a g of its own, for work that ends before the view returns. What it
// gives must live until its task has ended.
std::function<Task<void>()> copy_current_request_context(std::function<Task<void>()> work);
// The same for a streamed body, which runs after the teardown hooks of its request.
http::BodyStream stream_with_context(http::BodyStream stream);

// Runs once, after the view and before the after_request hooks; in the order of the calls. Takes what
// Scaffold::after_request takes.
template <typename Hook>
void after_this_request(Hook hook) {
    detail::state_with_request("after_this_request()")
        .after_this_request.push_back(detail::make_after_hook(std::move(hook)));
}

}  // namespace tandem::web
