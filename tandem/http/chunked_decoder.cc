#include <algorithm>

#include "tandem/http/line_scan.h"
#include "tandem/http/parser.h"
#include "tandem/http/parser_rules.h"

namespace tandem::http {

using detail::Line;

namespace {

// *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ), RFC 9112 section 7.1.1.
bool is_chunk_extensions(std::string_view text) noexcept {
    auto skip_spaces = [&] {
        while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    };
    auto take_token = [&] {
        size_t size = 0;
        while (size < text.size() && is_token(text.substr(size, 1))) ++size;
        text.remove_prefix(size);
        return size > 0;
    };
    auto take_quoted = [&] {
        for (size_t i = 1; i < text.size(); ++i) {
            if (text[i] == '\\') {
                ++i;
            } else if (text[i] == '"') {
                text.remove_prefix(i + 1);
                return true;
            }
        }
        return false;
    };
    while (!text.empty()) {
        skip_spaces();
        if (!text.starts_with(';')) return false;
        text.remove_prefix(1);
        skip_spaces();
        if (!take_token()) return false;
        std::string_view after_name = text;
        skip_spaces();
        if (!text.starts_with('=')) {
            text = after_name;
            continue;
        }
        text.remove_prefix(1);
        skip_spaces();
        if (!(text.starts_with('"') ? take_quoted() : take_token())) return false;
    }
    return true;
}

// Fields that may not come after the content they would have framed, routed or authorised (RFC 9110 section 6.5.1).
bool is_forbidden_trailer(std::string_view name) noexcept {
    static constexpr std::string_view forbidden[] = {
        "Transfer-Encoding", "Content-Length", "Host",   "Content-Encoding", "Content-Type", "Content-Range",
        "Trailer",           "Connection",     "Expect", "Authorization",    "Cookie",       "Set-Cookie"};
    return std::ranges::any_of(forbidden, [&](std::string_view each) { return equals_ignoring_case(each, name); });
}

}  // namespace

void ChunkedDecoder::reset() noexcept {
    state_ = State::size;
    left_ = total_ = 0;
    extension_bytes_ = section_bytes_ = scanned_ = 0;
    trailers_.clear();
    error_ = {};
}

ChunkedDecoder::Step ChunkedDecoder::fail(Status status, const char* reason, size_t consumed) noexcept {
    error_ = {status, reason};
    return {Progress::failed, consumed, {}};
}

bool ChunkedDecoder::size_line(std::string_view line) noexcept {
    size_t digits = 0;
    uint64_t size = 0;
    for (; digits < line.size(); ++digits) {
        char c = line[digits];
        int value = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (value < 0) break;
        if (digits == 16) return false;
        size = size * 16 + static_cast<unsigned>(value);
    }
    if (digits == 0 || !is_chunk_extensions(line.substr(digits))) return false;
    extension_bytes_ += line.size() - digits;
    left_ = size;
    return true;
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input, size_t max_data) {
    size_t consumed = 0;
    while (state_ != State::done) {
        std::string_view rest = input.substr(consumed);
        if (state_ == State::data) {
            size_t size = std::min({left_, static_cast<uint64_t>(rest.size()), static_cast<uint64_t>(max_data)});
            if (size == 0) return {Progress::need_more, consumed, {}};
            left_ -= size;
            total_ += size;
            if (left_ == 0) state_ = State::data_end;
            return {Progress::need_more, consumed + size, rest.substr(0, size)};
        }
        bool in_trailers = state_ == State::trailers;
        Line line = detail::scan_line(rest, scanned_);
        size_t seen = line.kind == Line::Kind::complete ? line.text.size() : scanned_;
        if (in_trailers && section_bytes_ + seen > limits_.trailer_section_bytes)
            return fail(Status::request_header_fields_too_large, "the trailer section is too large", consumed);
        if (!in_trailers && seen > limits_.chunk_line_bytes)
            return fail(Status::bad_request, "a chunk's size line is too long", consumed);
        if (line.kind == Line::Kind::broken || (state_ == State::data_end && seen > 0))
            return fail(Status::bad_request, "broken chunks", consumed);
        if (line.kind == Line::Kind::incomplete) return {Progress::need_more, consumed, {}};
        scanned_ = 0;
        consumed += line.text.size() + 2;
        if (state_ == State::data_end) {
            state_ = State::size;
        } else if (state_ == State::size) {
            if (!size_line(line.text)) return fail(Status::bad_request, "a malformed chunk size line", consumed);
            if (extension_bytes_ > limits_.chunk_extension_bytes)
                return fail(Status::bad_request, "too many chunk extensions", consumed);
            if (left_ > limits_.body_bytes || total_ > limits_.body_bytes - left_)
                return fail(Status::content_too_large, "the body is too large", consumed);
            state_ = left_ == 0 ? State::trailers : State::data;
        } else if (line.text.empty()) {
            state_ = State::done;
        } else {
            section_bytes_ += line.text.size() + 2;
            if (trailers_.size() >= limits_.header_count)
                return fail(Status::request_header_fields_too_large, "too many trailer fields", consumed);
            if (const char* problem = detail::add_field(line.text, trailers_))
                return fail(Status::bad_request, problem, consumed);
            if (is_forbidden_trailer(trailers_[trailers_.size() - 1].name))
                return fail(Status::bad_request, "a field that may not come as a trailer", consumed);
        }
    }
    return {Progress::done, consumed, {}};
}

}  // namespace tandem::http
