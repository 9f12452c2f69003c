#include "tandem/web/problem.h"

#include <boost/json/serialize.hpp>

#include "tandem/base/utf8.h"

namespace tandem::web {

Problem::Problem(http::Status status) : status_(status) {
    members_["type"] = "about:blank";
    members_["title"] = http::reason_phrase(status);
    members_["status"] = http::to_int(status);
}

Problem& Problem::type(std::string_view uri) {
    members_["type"] = uri;
    return *this;
}

Problem& Problem::title(std::string_view text) {
    members_["title"] = text;
    return *this;
}

Problem& Problem::detail(std::string_view text) {
    // Error texts quote what came from outside.
    members_["detail"] = base::repair_utf8(text);
    return *this;
}

Problem& Problem::instance(std::string_view uri) {
    members_["instance"] = uri;
    return *this;
}

Problem& Problem::with(std::string_view name, boost::json::value value) {
    for (std::string_view taken : {"type", "title", "status", "detail", "instance"})
        if (name == taken) fail(Code::invalid_argument, "a problem's member \"{}\" has its own function", name);
    members_[name] = std::move(value);
    return *this;
}

std::string Problem::detail_text() const {
    const auto* detail = members_.if_contains("detail");
    return detail ? std::string(detail->as_string()) : std::string();
}

http::Response Problem::response() const {
    return {status_, "application/problem+json", boost::json::serialize(members_)};
}

}  // namespace tandem::web
