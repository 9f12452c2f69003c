// `Problem`: builds an error document (RFC 9457, application/problem+json), with members of its own.
//
//     return Problem(Status::conflict).detail("the order was paid already").with("order", 5).response();
//     throw ProblemError(Problem(Status::bad_request).detail("…").with("field", "steps[2].action"));
//
// Thread rules: values.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value_from.hpp>

#include "tandem/http/message.h"
#include "tandem/http/status_error.h"

namespace tandem::web {

class Problem {
  public:
    explicit Problem(http::Status status);

    // A URI that names the kind of problem; "about:blank" until set.
    Problem& type(std::string_view uri);
    // Short, the same for every problem of the type; the status' phrase until set.
    Problem& title(std::string_view text);
    // What went wrong this time, for the person who asked.
    Problem& detail(std::string_view text);
    // A URI of this very occurrence.
    Problem& instance(std::string_view uri);
    // Another member. Error invalid_argument for one of the five names above.
    Problem& with(std::string_view name, boost::json::value value);

    http::Status status() const noexcept { return status_; }
    std::string detail_text() const;
    const boost::json::object& members() const noexcept { return members_; }
    http::Response response() const;

  private:
    http::Status status_;
    boost::json::object members_;
};

// A StatusError that becomes this very document.
class ProblemError : public http::StatusError {
  public:
    explicit ProblemError(Problem problem, http::Headers headers = {})
        : StatusError(problem.status(), problem.detail_text(), std::move(headers)),
          problem_(std::make_shared<const Problem>(std::move(problem))) {}
    const Problem& problem() const noexcept { return *problem_; }

  private:
    std::shared_ptr<const Problem> problem_;  // exceptions are copied
};

}  // namespace tandem::web
