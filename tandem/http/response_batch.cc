#include "tandem/http/response_batch.h"

#include <charconv>

namespace tandem::http::detail {

namespace {

void append_number(std::string& out, uint64_t number) {
    char digits[20];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    out.append(digits, end);
}

void append_status_line(std::string& out, Status status) {
    if (status == Status::ok) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<uint64_t>(to_int(status)));
    out.append(" ").append(reason_phrase(status)).append("\r\n");
}

// Fields that the connection itself writes.
bool is_framing_field(std::string_view name) noexcept {
    switch (name.size()) {
        case 10:
            return equals_ignoring_case(name, "Connection") || equals_ignoring_case(name, "Keep-Alive");
        case 14:
            return equals_ignoring_case(name, "Content-Length");
        case 17:
            return equals_ignoring_case(name, "Transfer-Encoding");
        default:
            return false;
    }
}

}  // namespace

void ResponseBatch::append_head(const Response& response, const ResponseFraming& framing, std::string_view date_line) {
    append_status_line(text_, response.status);
    bool dated = false;
    bool upgrade = false;
    for (auto [name, value] : response.headers) {
        if (is_framing_field(name)) continue;
        if (name.size() == 4 && equals_ignoring_case(name, "Date")) dated = true;
        if (name.size() == 7 && equals_ignoring_case(name, "Upgrade")) upgrade = true;
        text_.append(name).append(": ").append(value).append("\r\n");
    }
    if (!dated) text_.append(date_line);
    if (framing.chunked) {
        text_.append("Transfer-Encoding: chunked\r\n");
    } else if (framing.length) {
        text_.append("Content-Length: ");
        append_number(text_, *framing.length);
        text_.append("\r\n");
    }
    if (upgrade) {
        text_.append(framing.keep_alive ? "Connection: upgrade\r\n" : "Connection: upgrade, close\r\n");
    } else if (!framing.keep_alive) {
        text_.append("Connection: close\r\n");
    } else if (framing.version == 10) {
        text_.append("Connection: keep-alive\r\n");
    }
    text_.append("\r\n");
}

size_t ResponseBatch::bytes() const noexcept {
    size_t total = text_.size();
    for (const Large& large : large_) total += large.view().size();
    return total;
}

std::span<const std::span<const std::byte>> ResponseBatch::parts() {
    parts_.clear();
    auto add = [this](std::string_view piece) {
        if (!piece.empty()) parts_.push_back(std::as_bytes(std::span(piece)));
    };
    size_t written = 0;
    for (const Large& large : large_) {
        add(std::string_view(text_).substr(written, large.after - written));
        add(large.view());
        written = large.after;
    }
    add(std::string_view(text_).substr(written));
    return parts_;
}

void ResponseBatch::clear() noexcept {
    constexpr size_t kept_bytes = 64 * 1024;
    if (text_.capacity() > kept_bytes) text_ = std::string();
    text_.clear();
    large_.clear();
}

}  // namespace tandem::http::detail
