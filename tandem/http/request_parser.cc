// What holds once parse() has said done:
// 1. The request line has exactly the form "method SP target SP HTTP/1.x", and the target is of the form its method
//    allows; `path` is decoded, absolute and without dot segments, or "*", or empty for CONNECT.
// 2. Every field name is a token and no value has a control character but the tab.
// 3. HTTP/1.1 had exactly one well-formed Host; `authority` is the target's when it had one.
// 4. The framing is certain: at most one of a valid Content-Length and a Transfer-Encoding of exactly "chunked".
#include <algorithm>

#include "tandem/http/line_scan.h"
#include "tandem/http/parser.h"
#include "tandem/http/parser_rules.h"
#include "tandem/http/url.h"

namespace tandem::http {

using detail::Line;

namespace {
// Blank lines that may stand before a request line; some clients send one after a body.
constexpr size_t max_blank_lines = 4;
}  // namespace

void RequestParser::reset() noexcept {
    framing_ = {};
    error_ = {};
    scanned_ = section_bytes_ = blank_lines_ = 0;
    started_ = in_headers_ = absolute_form_ = false;
}

Progress RequestParser::fail(Status status, const char* reason) noexcept {
    error_ = {status, reason};
    framing_.keep_alive = false;
    return Progress::failed;
}

Parsed RequestParser::parse(std::string_view input, Request& request) {
    size_t consumed = 0;
    while (true) {
        std::string_view rest = input.substr(consumed);
        Line line = detail::scan_line(rest, scanned_);
        size_t seen = line.kind == Line::Kind::complete ? line.text.size() : scanned_;
        if (seen > 0) started_ = true;
        if (!in_headers_ && seen > limits_.request_line_bytes)
            return {fail(Status::uri_too_long, "the request line is too long"), consumed};
        if (in_headers_ && section_bytes_ + seen + 2 > limits_.header_section_bytes)
            return {fail(Status::request_header_fields_too_large, "the header section is too large"), consumed};
        if (line.kind == Line::Kind::broken)
            return {fail(Status::bad_request, "a control character or a line that does not end with CRLF"), consumed};
        if (line.kind == Line::Kind::incomplete) return {Progress::need_more, consumed};
        scanned_ = 0;
        consumed += line.text.size() + 2;
        Progress progress;
        if (in_headers_) {
            section_bytes_ += line.text.size() + 2;
            progress = line.text.empty() ? finish(request) : header_line(line.text, request);
        } else if (line.text.empty()) {
            bool too_many = ++blank_lines_ > max_blank_lines;
            progress = too_many ? fail(Status::bad_request, "only blank lines") : Progress::need_more;
        } else {
            progress = request_line(line.text, request);
            in_headers_ = true;
        }
        if (progress != Progress::need_more) return {progress, consumed};
    }
}

Progress RequestParser::request_line(std::string_view line, Request& request) {
    size_t first = line.find(' ');
    size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return fail(Status::bad_request, "the request line is not \"method target version\"");
    std::string_view method = line.substr(0, first);
    std::string_view version = line.substr(last + 1);
    request.method = parse_method(method);
    if (request.method == Method::unknown && !is_token(method))
        return fail(Status::bad_request, "the method is not a token");
    int number = detail::parse_version(version);
    if (number < 0) return fail(Status::bad_request, "the version is not HTTP/1.x");
    if (number / 10 != 1) return fail(Status::http_version_not_supported, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    request.version = number == 10 ? 10 : 11;
    framing_.keep_alive = request.version == 11;
    if (request.method_text != method) request.method_text.assign(method);
    return target(line.substr(first + 1, last - first - 1), request);
}

Progress RequestParser::target(std::string_view text, Request& request) {
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte >= 0x7f || c == '#')
            return fail(Status::bad_request, "the target has a character that must be percent-encoded");
    }
    request.target.assign(text);
    if (request.method == Method::connect) {
        if (!is_authority(text) || !text.contains(':')) return fail(Status::bad_request, "CONNECT wants host:port");
        request.path.clear();
        request.authority.assign(text);
        absolute_form_ = true;
        return Progress::need_more;
    }
    if (text == "*") {
        if (request.method != Method::options) return fail(Status::bad_request, "only OPTIONS may ask for *");
        request.path = "*";
        return Progress::need_more;
    }
    if (!text.starts_with('/')) {
        size_t scheme = text.find("://");
        bool http = scheme != std::string_view::npos && (equals_ignoring_case(text.substr(0, scheme), "http") ||
                                                         equals_ignoring_case(text.substr(0, scheme), "https"));
        if (!http) return fail(Status::bad_request, "the target is neither a path nor an http URL");
        text.remove_prefix(scheme + 3);
        std::string_view authority = text.substr(0, text.find_first_of("/?"));
        if (!is_authority(authority)) return fail(Status::bad_request, "the target's authority is malformed");
        request.authority.assign(authority);
        absolute_form_ = true;
        text.remove_prefix(authority.size());
    }
    size_t question = text.find('?');
    std::string_view path = text.substr(0, question);
    if (question != std::string_view::npos) request.query.assign(text.substr(question + 1));
    if (path.empty() && absolute_form_) path = "/";
    if (!normalize_path(path, request.path))
        return fail(Status::bad_request, "the path's percent-encoding is malformed");
    return Progress::need_more;
}

Progress RequestParser::header_line(std::string_view line, Request& request) {
    if (request.headers.size() >= limits_.header_count)
        return fail(Status::request_header_fields_too_large, "too many header fields");
    const char* problem = detail::add_field(line, request.headers);
    return problem ? fail(Status::bad_request, problem) : Progress::need_more;
}

Progress RequestParser::finish(Request& request) {
    detail::FramingFields fields;
    if (!fields.collect(request.headers)) return fail(Status::bad_request, fields.problem);
    if (fields.host_count > 1 || (fields.host_count == 0 && request.version == 11))
        return fail(Status::bad_request, "there must be exactly one Host");
    if (fields.host_count == 1 && (good_host_.empty() || fields.host != good_host_)) {
        if (!is_authority(fields.host)) return fail(Status::bad_request, "Host is malformed");
        good_host_.assign(fields.host);
    }
    if (!absolute_form_) {
        if (request.authority != fields.host) request.authority.assign(fields.host);
    } else if (request.authority != fields.host) {
        request.headers.set("Host", request.authority);
    }
    if (fields.close) framing_.keep_alive = false;
    if (request.version == 10 && fields.keep_alive && !fields.close) framing_.keep_alive = true;
    if (fields.has_expect && request.version == 11) {
        if (!fields.expects_continue) return fail(Status::expectation_failed, "only 100-continue may be expected");
        framing_.expect_continue = true;
    }
    if (request.method == Method::put && fields.has_content_range)
        return fail(Status::bad_request, "PUT with Content-Range is not offered");
    if (fields.transfer_encoding_count > 0) {
        if (request.version == 10) return fail(Status::bad_request, "HTTP/1.0 has no Transfer-Encoding");
        if (fields.length) return fail(Status::bad_request, "Content-Length beside Transfer-Encoding");
        if (fields.coding == detail::Coding::unknown)
            return fail(Status::not_implemented, "a transfer coding that is not offered");
        if (fields.coding == detail::Coding::malformed)
            return fail(Status::bad_request, "Transfer-Encoding must end with one chunked");
        framing_.framing = Framing::chunked;
    } else if (fields.length && *fields.length > 0) {
        if (*fields.length > limits_.body_bytes) return fail(Status::content_too_large, "the body is too large");
        framing_.framing = Framing::length;
        framing_.length = *fields.length;
    }
    if (framing_.framing == Framing::none) framing_.expect_continue = false;
    return Progress::done;
}

}  // namespace tandem::http
