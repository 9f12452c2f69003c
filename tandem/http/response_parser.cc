#include "tandem/http/line_scan.h"
#include "tandem/http/parser.h"
#include "tandem/http/parser_rules.h"

namespace tandem::http {

using detail::Line;

void ResponseParser::reset() noexcept {
    error_ = {};
    scanned_ = section_bytes_ = 0;
    in_headers_ = false;
}

Progress ResponseParser::fail(const char* reason) noexcept {
    error_ = {Status::bad_gateway, reason};
    return Progress::failed;
}

Parsed ResponseParser::parse(std::string_view input, Method request_method, ResponseHead& head) {
    size_t consumed = 0;
    while (true) {
        Line line = detail::scan_line(input.substr(consumed), scanned_);
        size_t seen = line.kind == Line::Kind::complete ? line.text.size() : scanned_;
        if (!in_headers_ && seen > limits_.request_line_bytes) return {fail("the status line is too long"), consumed};
        if (in_headers_ && section_bytes_ + seen + 2 > limits_.header_section_bytes)
            return {fail("the header section is too large"), consumed};
        if (line.kind == Line::Kind::broken)
            return {fail("a control character or a line that does not end with CRLF"), consumed};
        if (line.kind == Line::Kind::incomplete) return {Progress::need_more, consumed};
        scanned_ = 0;
        consumed += line.text.size() + 2;
        Progress progress = Progress::need_more;
        if (!in_headers_) {
            progress = status_line(line.text, head);
            in_headers_ = true;
        } else if (section_bytes_ += line.text.size() + 2; line.text.empty()) {
            progress = finish(request_method, head);
        } else if (head.headers.size() >= limits_.header_count) {
            progress = fail("too many header fields");
        } else if (const char* problem = detail::add_field(line.text, head.headers)) {
            progress = fail(problem);
        }
        if (progress != Progress::need_more) return {progress, consumed};
    }
}

Progress ResponseParser::status_line(std::string_view line, ResponseHead& head) {
    int version = detail::parse_version(line.substr(0, 8));
    if (version / 10 != 1) return fail("not an HTTP/1.x response");
    bool code = line.size() >= 12 && line[8] == ' ' && (line.size() == 12 || line[12] == ' ');
    for (size_t i = 9; code && i < 12; ++i) code = line[i] >= '0' && line[i] <= '9';
    if (!code || line[9] == '0') return fail("the status is not three digits");
    head.version = version == 10 ? 10 : 11;
    head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    head.reason = line.size() > 13 ? line.substr(13) : std::string_view();
    return Progress::need_more;
}

Progress ResponseParser::finish(Method request_method, ResponseHead& head) {
    detail::FramingFields fields;
    if (!fields.collect(head.headers)) return fail(fields.problem);
    head.keep_alive = !fields.close && (head.version == 11 || fields.keep_alive);
    head.framing = Framing::none;
    head.length = 0;
    bool no_content =
        request_method == Method::head || head.status / 100 == 1 || head.status == 204 || head.status == 304;
    if (no_content) return Progress::done;
    if (fields.transfer_encoding_count > 0) {
        if (fields.length) return fail("Content-Length beside Transfer-Encoding");
        if (head.version == 10 || fields.coding != detail::Coding::chunked)
            return fail("a Transfer-Encoding that is not chunked");
        head.framing = Framing::chunked;
    } else if (fields.length) {
        head.framing = *fields.length > 0 ? Framing::length : Framing::none;
        head.length = *fields.length;
    } else {
        head.framing = Framing::until_close;
        head.keep_alive = false;
    }
    return Progress::done;
}

}  // namespace tandem::http
