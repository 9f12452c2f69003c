// What a server's handler gets and gives: `Request` and `Response`.
//
// Thread rules: plain values of one request; they belong to its coroutine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tandem/http/body.h"
#include "tandem/http/headers.h"
#include "tandem/http/method.h"
#include "tandem/http/status.h"
#include "tandem/net/address.h"

namespace tandem::http {

struct Request {
    Method method = Method::get;
    std::string method_text = "GET";
    std::string target = "/";  // as it stood in the request line
    // Percent-decoded, dot segments removed, no NUL, begins with '/'; "*" for OPTIONS *. Not checked to be UTF-8.
    std::string path = "/";
    std::string query;  // still encoded (url.h: parse_query), without the '?'
    // host[:port] asked for, from an absolute-form target or else from Host; empty only with HTTP/1.0.
    std::string authority;
    int version = 11;  // 10 or 11: HTTP/1.0, HTTP/1.1
    Headers headers;
    BodyReader body;
    net::Address peer;

    // Makes it the default one again and keeps the buffers.
    void clear();
    // For a parser's next message: like clear(), but the texts that every message sets (method, target, path,
    // authority) stay until then, since those of a connection's requests are often equal.
    void recycle();
};

// Writes a body of unknown or large size: `response.stream = [rows](BodyWriter& out) -> Task<void> {…}`. The function
// object lives until its task has ended, so captures may be used.
using BodyStream = std::function<async::Task<void>(BodyWriter&)>;

struct Response {
    Response() = default;
    explicit Response(Status status) : status(status) {}
    Response(Status status, std::string_view content_type, std::string body);

    // 200 with "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json".
    static Response text(std::string body, Status status = Status::ok);
    static Response html(std::string body, Status status = Status::ok);
    static Response json(std::string body, Status status = Status::ok);
    // application/problem+json (RFC 9457).
    static Response problem(Status status, std::string_view detail = {});
    // 303 unless told otherwise, with Location.
    static Response redirect(std::string_view location, Status status = Status::see_other);
    // Chunked on HTTP/1.1, ended by closing the connection on HTTP/1.0; with a Content-Length when `length` is known.
    static Response streaming(std::string_view content_type, BodyStream stream,
                              std::optional<uint64_t> length = std::nullopt);

    Status status = Status::ok;
    // Date, Content-Length, Transfer-Encoding and Connection are the server's business; "Connection: close" is heeded.
    Headers headers;
    std::string body;
    BodyStream stream;  // instead of `body`
    std::optional<uint64_t> stream_length;
};

}  // namespace tandem::http
