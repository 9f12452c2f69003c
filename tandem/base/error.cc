#include "tandem/base/error.h"

#include <new>
#include <utility>

namespace tandem {

std::string_view to_string(Code code) noexcept {
    switch (code) {
        case Code::invalid_argument:
            return "invalid_argument";
        case Code::not_found:
            return "not_found";
        case Code::already_exists:
            return "already_exists";
        case Code::conflict:
            return "conflict";
        case Code::aborted:
            return "aborted";
        case Code::permission_denied:
            return "permission_denied";
        case Code::unauthenticated:
            return "unauthenticated";
        case Code::resource_exhausted:
            return "resource_exhausted";
        case Code::deadline_exceeded:
            return "deadline_exceeded";
        case Code::cancelled:
            return "cancelled";
        case Code::unavailable:
            return "unavailable";
        case Code::unsupported:
            return "unsupported";
        case Code::corrupted:
            return "corrupted";
        case Code::io:
            return "io";
        case Code::internal:
            return "internal";
    }
    return "unknown";
}

Error::Error(Code code, std::string message)
    : state_(std::make_shared<State>(State{code, message, message, nullptr})) {}

Error::Error(Code code, std::string message, const Error& cause)
    : state_(std::make_shared<State>(
          State{code, message, message + ": " + cause.what(), std::make_unique<Error>(cause)})) {}

Error Error::within(std::string what) const {
    return Error(code(), std::move(what), *this);
}

Error Error::from(std::exception_ptr exception) noexcept {
    try {
        if (!exception) return Error(Code::internal, "no exception");
        std::rethrow_exception(exception);
    } catch (const Error& error) {
        return error;
    } catch (const std::bad_alloc&) {
        return Error(Code::resource_exhausted, "out of memory");
    } catch (const std::exception& error) {
        return Error(Code::internal, error.what());
    } catch (...) {
        return Error(Code::internal, "an exception that is not a std::exception");
    }
}

}  // namespace tandem
