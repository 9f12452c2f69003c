// What a program hands over as view, hook or error handler, and how it becomes the one form the App calls.
//
// A view returns, or as a Task gives: http::Response; std::string (text/html); boost::json::value, object or array
// (application/json); http::Status (no body).
//
// Thread rules: views and hooks are called by every loop that serves the app; what they capture must bear that.
#pragma once

#include <charconv>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "tandem/base/error.h"
#include "tandem/web/request.h"
#include "tandem/web/rule.h"

namespace tandem::web {

// Why an error handler is called.
struct Failure {
    Status status;                // what the answer's status will be unless the handler chooses another
    Error error;                  // `original` as an Error
    std::exception_ptr original;  // what was thrown
    bool chose_status = false;    // it was a StatusError
};

using ViewFunction = std::function<Task<Response>(Request&, std::span<const std::string_view>)>;
using BeforeHook = std::function<Task<std::optional<Response>>()>;
using AfterHook = std::function<Task<void>(Response&)>;
// With what the request ended with; nullptr when all was well.
using TeardownHook = std::function<Task<void>(const std::exception_ptr&)>;
using ErrorHandler = std::function<Task<Response>(const Failure&)>;

Response to_response(std::string html);
Response to_response(const boost::json::value& document);
inline Response to_response(const char* html) {
    return to_response(std::string(html));
}
inline Response to_response(Response response) {
    return response;
}
inline Response to_response(Status status) {
    return Response(status);
}

namespace detail {

template <typename T>
struct TaskTraits {
    using Value = T;
    static constexpr bool is_task = false;
};
template <typename T>
struct TaskTraits<Task<T>> {
    using Value = T;
    static constexpr bool is_task = true;
};
template <typename T>
using Unwrapped = TaskTraits<T>::Value;

template <typename T>
concept Answer = requires(Unwrapped<T> value) { to_response(std::move(value)); };

// `call()` and, when it gave a Task, what that gives. The function object must outlive the task.
template <typename Call>
Task<Unwrapped<std::invoke_result_t<Call&>>> finish_call(Call call) {
    using Result = std::invoke_result_t<Call&>;
    if constexpr (TaskTraits<Result>::is_task) {
        if constexpr (std::is_void_v<Unwrapped<Result>>) {
            co_await call();
        } else {
            co_return co_await call();
        }
    } else if constexpr (std::is_void_v<Result>) {
        call();
        co_return;
    } else {
        co_return call();
    }
}

template <typename T>
T value_from(std::string_view text) {
    if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
        return T(text);
    } else {
        T value{};
        // The router let only text through that T holds.
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }
}

template <typename View>
Task<Response> call_view(View& view, Request& request, std::span<const std::string_view> values) {
    using List = ParametersOf<View>;
    auto call = [&]<typename... T, size_t... index>(std::tuple<T...>*, std::index_sequence<index...>) {
        if constexpr (List::takes_request) {
            return view(request, value_from<T>(values[index])...);
        } else {
            return view(value_from<T>(values[index])...);
        }
    };
    constexpr size_t count = std::tuple_size_v<typename List::Values>;
    auto bound = [&] { return call(static_cast<List::Values*>(nullptr), std::make_index_sequence<count>()); };
    if constexpr (TaskTraits<std::invoke_result_t<decltype(bound)&>>::is_task) {
        co_return to_response(co_await bound().in_place());
    } else if constexpr (std::same_as<std::invoke_result_t<decltype(bound)&>, Response>) {
        co_return bound();
    } else {
        co_return to_response(bound());
    }
}

template <typename View>
ViewFunction make_view(View view) {
    static_assert(Answer<typename CallableTraits<View>::Result>,
                  "a view returns a Response, a std::string, JSON or a Status, or a Task of one of them");
    return [shared = std::make_shared<View>(std::move(view))](Request& request, std::span<const std::string_view> v) {
        return call_view(*shared, request, v);
    };
}

template <typename Hook>
Task<std::optional<Response>> call_before(Hook& hook) {
    using Result = Unwrapped<std::invoke_result_t<Hook&>>;
    if constexpr (std::is_void_v<Result>) {
        co_await finish_call([&] { return hook(); });
        co_return std::nullopt;
    } else {
        co_return co_await finish_call([&] { return hook(); });
    }
}
template <typename Hook>
BeforeHook make_before_hook(Hook hook) {
    return [shared = std::make_shared<Hook>(std::move(hook))] { return call_before(*shared); };
}

template <typename Hook>
Task<void> call_after(Hook& hook, Response& response) {
    using Result = Unwrapped<std::invoke_result_t<Hook&, Response&>>;
    if constexpr (std::is_void_v<Result>) {
        co_await finish_call([&] { return hook(response); });
    } else {
        static_assert(std::same_as<Result, Response>, "an after_request hook returns nothing or a Response");
        response = co_await finish_call([&] { return hook(response); });
    }
}
template <typename Hook>
AfterHook make_after_hook(Hook hook) {
    return [shared = std::make_shared<Hook>(std::move(hook))](Response& response) {
        return call_after(*shared, response);
    };
}

template <typename Hook>
Task<void> call_teardown(Hook& hook, std::exception_ptr error) {
    if constexpr (std::invocable<Hook&, const std::exception_ptr&>) {
        co_await finish_call([&] { return hook(error); });
    } else {
        co_await finish_call([&] { return hook(); });
    }
}
template <typename Hook>
TeardownHook make_teardown_hook(Hook hook) {
    return [shared = std::make_shared<Hook>(std::move(hook))](const std::exception_ptr& error) {
        return call_teardown(*shared, error);
    };
}

// For handlers that take what went wrong, and for those that take nothing.
template <typename Handler, typename Argument>
Task<Response> call_handler(Handler& handler, const Argument& argument) {
    if constexpr (std::invocable<Handler&, const Argument&>) {
        co_return to_response(co_await finish_call([&] { return handler(argument); }));
    } else {
        co_return to_response(co_await finish_call([&] { return handler(); }));
    }
}

}  // namespace detail
}  // namespace tandem::web
