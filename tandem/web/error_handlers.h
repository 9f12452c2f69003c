// `ErrorHandlers`: who answers for which error; one set for the app and one for each blueprint.
//
// Thread rules: filled before the first request, then read by any thread.
#pragma once

#include <concepts>
#include <map>
#include <vector>

#include "tandem/base/error.h"
#include "tandem/http/status.h"
#include "tandem/http/status_error.h"
#include "tandem/web/view.h"

namespace tandem::web {

// What an Error that a view lets out becomes: not_found 404, invalid_argument 400, conflict and already_exists 409,
// unauthenticated 401, permission_denied 403, resource_exhausted and unavailable 503, deadline_exceeded 504, all others
// 500. A StatusError is its own status. The message is shown to the client only below 500, and for a StatusError.
http::Status status_for(Code code) noexcept;

// The status, and the exception as an Error. `original` is not null.
Failure failure_from(std::exception_ptr original);
// The problem document that is the answer when no handler wants the failure.
Response default_response(const Failure& failure);

class ErrorHandlers {
  public:
    void add(Status status, ErrorHandler handler);
    void add(Code code, ErrorHandler handler);
    // For exceptions of class E and those derived from it; a handler of a more derived class comes first.
    template <typename E>
    void add_class(std::function<Task<Response>(const E&)> handler) {
        add(ByClass{&typeid(E), std::derived_from<E, Error> && !std::same_as<E, Error>, &find<E>, &throw_pointer<E>,
                    &catches_pointer<E>, [handler = std::move(handler)](const Failure& failure) {
                        return handler(*static_cast<const E*>(find<E>(failure.original)));
                    }});
    }

    // nullptr when there is none.
    const ErrorHandler* for_status(Status status) const;
    // By class and code: classes below Error, then the Error's code, then Error itself and all other classes.
    const ErrorHandler* for_exception(const Failure& failure) const;

  private:
    struct ByClass {
        const std::type_info* type;
        bool below_error;
        const void* (*find)(const std::exception_ptr&);
        void (*throw_pointer)();
        bool (*catches_pointer)(void (*)());
        ErrorHandler handler;
        // A pointer to a derived class is caught as one to its base: the only way to ask at run time.
        bool derives_from(const ByClass& other) const { return other.catches_pointer(throw_pointer); }
    };
    void add(ByClass entry);

    // The exception object as E, which lives as long as the exception_ptr; nullptr when it is none.
    template <typename E>
    static const void* find(const std::exception_ptr& exception) {
        try {
            std::rethrow_exception(exception);
        } catch (const E& found) {
            return &found;
        } catch (...) {
            return nullptr;
        }
    }
    template <typename E>
    static void throw_pointer() {
        throw static_cast<E*>(nullptr);
    }
    template <typename E>
    static bool catches_pointer(void (*thrower)()) {
        try {
            thrower();
        } catch (E*) {
            return true;
        } catch (...) {
            return false;
        }
        return false;
    }

    std::map<Status, ErrorHandler> by_status_;
    std::map<Code, ErrorHandler> by_code_;
    std::vector<ByClass> by_class_;  // a class before its bases
};

}  // namespace tandem::web
