// What ends an operation: `tandem::Error`, a closed set of codes with a message a person can act on and the error
// beneath it. What a caller is expected to decide on (a vote, "the lock is busy", "no such row") is a return value
// instead; a bug is an assertion (assert.h).
//
// Thread rules: an Error is immutable and cheap to copy; share it freely.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace tandem {

// Closed: handlers may switch over it without a default.
enum class Code : unsigned char {
    invalid_argument,    // the caller's input is wrong whatever the state of the system
    not_found,           // the named thing does not exist
    already_exists,      // the thing to be made exists already
    conflict,            // the state changed under the caller, or forbids this step; re-read, then decide
    aborted,             // the database gave the transaction up (deadlock, serialization); run it again from the start
    permission_denied,   // known caller, not allowed
    unauthenticated,     // unknown caller
    resource_exhausted,  // a bound was reached (queue, size, rate); later or less may succeed
    deadline_exceeded,   // time ran out; the outcome may be unknown
    cancelled,           // the caller gave up
    unavailable,         // the peer cannot be reached now; trying again may succeed
    unsupported,         // understood, but not offered
    corrupted,           // stored or received bytes break their own rules
    io,                  // the operating system failed a read, a write or a sync
    internal,            // an invariant of ours did not hold
};

// The code's name as it appears in logs and JSON ("invalid_argument").
std::string_view to_string(Code code) noexcept;

class Error : public std::exception {
  public:
    Error(Code code, std::string message);
    Error(Code code, std::string message, const Error& cause);

    Code code() const noexcept { return state_->code; }
    // This error's own message, without its causes.
    const std::string& message() const noexcept { return state_->message; }
    // The error beneath, or nullptr.
    const Error* cause() const noexcept { return state_->cause.get(); }
    // "message: cause's message: its cause's message".
    const char* what() const noexcept override { return state_->full_text.c_str(); }

    // The same error one level up: `what` says what was being done, this error becomes the cause, the code stays.
    Error within(std::string what) const;

    // Any exception as an Error; a std::bad_alloc becomes resource_exhausted, other foreign ones become internal.
    static Error from(std::exception_ptr exception) noexcept;
    // Inside a catch block: the exception being handled, as an Error.
    static Error current() noexcept { return from(std::current_exception()); }

  private:
    struct State {
        Code code;
        std::string message;
        std::string full_text;
        std::unique_ptr<Error> cause;
    };
    std::shared_ptr<const State> state_;
};

// Throws Error{code, formatted message}.
template <typename... Args>
[[noreturn]] void fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tandem
