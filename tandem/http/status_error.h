// `StatusError`: an Error that knows which HTTP status (and fields) it wants to become. Its message is meant for the
// client and appears in the problem document (RFC 9457); the text of every other exception never leaves the server.
#pragma once

#include <string>
#include <string_view>

#include "tandem/base/error.h"
#include "tandem/http/headers.h"
#include "tandem/http/status.h"

namespace tandem::http {

class StatusError : public Error {
  public:
    // The Error's code is the status' nearest one (code_for).
    explicit StatusError(Status status, std::string message = {}, Headers headers = {})
        : Error(code_for(status), message.empty() ? std::string(reason_phrase(status)) : std::move(message)),
          status_(status),
          headers_(std::move(headers)) {}

    Status status() const noexcept { return status_; }
    // Fields the response carries besides: Allow, Retry-After, WWW-Authenticate.
    const Headers& headers() const noexcept { return headers_; }

  private:
    Status status_;
    Headers headers_;
};

// {"type":"about:blank","title":"Not Found","status":404,"detail":"…"}; no detail when it is empty.
std::string problem_json(Status status, std::string_view detail);

}  // namespace tandem::http
