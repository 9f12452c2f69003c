#include "tandem/http/message.h"

#include "tandem/http/status_error.h"

namespace tandem::http {

void Request::clear() {
    recycle();
    method_text.clear();
    target.clear();
    path.clear();
    authority.clear();
}

void Request::recycle() {
    method = Method::get;
    query.clear();
    version = 11;
    headers.clear();
    body = BodyReader();
}

namespace {
// `content_type` is a constant of ours.
Response with_constant_type(Status status, std::string_view content_type, std::string body) {
    Response response(status);
    response.headers.add_trusted("Content-Type", content_type);
    response.body = std::move(body);
    return response;
}
}  // namespace

Response::Response(Status status, std::string_view content_type, std::string body)
    : status(status), body(std::move(body)) {
    headers.add("Content-Type", content_type);
}

Response Response::text(std::string body, Status status) {
    return with_constant_type(status, "text/plain; charset=utf-8", std::move(body));
}
Response Response::html(std::string body, Status status) {
    return with_constant_type(status, "text/html; charset=utf-8", std::move(body));
}
Response Response::json(std::string body, Status status) {
    return with_constant_type(status, "application/json", std::move(body));
}
Response Response::problem(Status status, std::string_view detail) {
    return with_constant_type(status, "application/problem+json", problem_json(status, detail));
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
