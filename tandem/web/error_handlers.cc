#include "tandem/web/error_handlers.h"

#include <algorithm>

#include "tandem/web/problem.h"

namespace tandem::web {

Status status_for(Code code) noexcept {
    switch (code) {
        case Code::invalid_argument:
            return Status::bad_request;
        case Code::not_found:
            return Status::not_found;
        case Code::already_exists:
        case Code::conflict:
            return Status::conflict;
        case Code::permission_denied:
            return Status::forbidden;
        case Code::unauthenticated:
            return Status::unauthorized;
        case Code::resource_exhausted:
        case Code::unavailable:
            return Status::service_unavailable;
        case Code::deadline_exceeded:
            return Status::gateway_timeout;
        case Code::aborted:
        case Code::cancelled:
        case Code::unsupported:
        case Code::corrupted:
        case Code::io:
        case Code::internal:
            return Status::internal_server_error;
    }
    return Status::internal_server_error;
}

Failure failure_from(std::exception_ptr original) {
    try {
        std::rethrow_exception(original);
    } catch (const http::StatusError& error) {
        return {error.status(), static_cast<const Error&>(error), original, true};
    } catch (const Error& error) {
        return {status_for(error.code()), error, original, false};
    } catch (...) {
        return {Status::internal_server_error, Error::current(), original, false};
    }
}

Response default_response(const Failure& failure) {
    Problem problem(failure.status);
    http::Headers headers;
    try {
        std::rethrow_exception(failure.original);
    } catch (const ProblemError& error) {
        problem = error.problem();
        headers = error.headers();
    } catch (const http::StatusError& error) {
        if (error.message() != http::reason_phrase(failure.status)) problem.detail(error.message());
        headers = error.headers();
    } catch (const Error& error) {
        if (http::to_int(failure.status) < 500) problem.detail(error.message());
        if (failure.status == Status::service_unavailable) headers.set("Retry-After", "1");
    } catch (...) {
        // Nothing about it is the client's business.
    }
    Response response = problem.response();
    for (http::Field field : headers) response.headers.add(field.name, field.value);
    return response;
}

void ErrorHandlers::add(Status status, ErrorHandler handler) {
    by_status_[status] = std::move(handler);
}

void ErrorHandlers::add(Code code, ErrorHandler handler) {
    by_code_[code] = std::move(handler);
}

void ErrorHandlers::add(ByClass entry) {
    auto same = std::ranges::find_if(by_class_, [&](const ByClass& other) { return *other.type == *entry.type; });
    if (same != by_class_.end()) {
        *same = std::move(entry);
        return;
    }
    auto base = std::ranges::find_if(by_class_, [&](const ByClass& other) { return entry.derives_from(other); });
    by_class_.insert(base, std::move(entry));
}

const ErrorHandler* ErrorHandlers::for_status(Status status) const {
    auto found = by_status_.find(status);
    return found == by_status_.end() ? nullptr : &found->second;
}

const ErrorHandler* ErrorHandlers::for_exception(const Failure& failure) const {
    for (const ByClass& entry : by_class_)
        if (entry.below_error && entry.find(failure.original)) return &entry.handler;
    bool is_error = find<Error>(failure.original);
    if (auto found = by_code_.find(failure.error.code()); is_error && found != by_code_.end()) return &found->second;
    for (const ByClass& entry : by_class_)
        if (!entry.below_error && entry.find(failure.original)) return &entry.handler;
    return nullptr;
}

}  // namespace tandem::web
