#include "tandem/http/message.h"

#include "tandem/http/status_error.h"

namespace tandem::http {

void Request::clear() {
    method = Method::get;
    method_text.clear();
    target.clear();
    path.clear();
    query.clear();
    authority.clear();
    version = 11;
    headers.clear();
    body = BodyReader();
}

Response::Response(Status status, std::string_view content_type, std::string body)
    : status(status), body(std::move(body)) {
    headers.add("Content-Type", content_type);
}

Response Response::text(std::string body, Status status) {
    return {status, "text/plain; charset=utf-8", std::move(body)};
}
Response Response::html(std::string body, Status status) {
    return {status, "text/html; charset=utf-8", std::move(body)};
}
Response Response::json(std::string body, Status status) {
    return {status, "application/json", std::move(body)};
}
Response Response::problem(Status status, std::string_view detail) {
    return {status, "application/problem+json", problem_json(status, detail)};
}

Response Response::redirect(std::string_view location, Status status) {
    Response response(status);
    response.headers.add("Location", location);
    return response;
}

Response Response::streaming(std::string_view content_type, BodyStream stream, std::optional<uint64_t> length) {
    Response response;
    response.headers.add("Content-Type", content_type);
    response.stream = std::move(stream);
    response.stream_length = length;
    return response;
}

}  // namespace tandem::http
