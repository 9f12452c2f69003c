#include "tandem/http/response_batch.h"

#include <algorithm>
#include <charconv>

#include "tandem/http/parser_rules.h"

namespace tandem::http::detail {

namespace {

// Writes into room that was made before.
class Cursor {
  public:
    explicit Cursor(char* at) noexcept : at_(at) {}
    // Inline, so that a literal is a few moves.
    void put(std::string_view text) noexcept { at_ = std::copy(text.begin(), text.end(), at_); }
    void put(uint64_t number) noexcept { at_ = std::to_chars(at_, at_ + number_max, number).ptr; }
    void put_status_line(Status status) noexcept {
        if (status == Status::ok) return put("HTTP/1.1 200 OK\r\n");
        put("HTTP/1.1 ");
        put(static_cast<uint64_t>(to_int(status)));
        put(" ");
        put(reason_phrase(status));
        put("\r\n");
    }
    char* at() const noexcept { return at_; }

    static constexpr size_t number_max = 20;

  private:
    char* at_;
};

// More than everything in a head but its field lines, the reason phrase and the date takes.
constexpr size_t fixed_bytes_max = 160;

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

OwnFields::OwnFields(const Headers& headers) noexcept {
    for (auto [name, value] : headers) {
        switch (name.size()) {
            case 4:
                if (equals_ignoring_case(name, "Date")) dated = true;
                break;
            case 7:
                if (equals_ignoring_case(name, "Upgrade")) upgrade = true;
                break;
            case 10:
            case 14:
            case 17:
                if (!is_framing_field(name)) break;
                framing = true;
                if (name.size() == 14 && !length) length = parse_length(value);
                if (equals_ignoring_case(name, "Connection") && list_contains(value, "close")) close = true;
                break;
            default:
                break;
        }
    }
}

void ResponseBatch::append_head(const Response& response, const OwnFields& own, const ResponseFraming& framing,
                                std::string_view date_line) {
    size_t before = text_.size();
    size_t most = before + fixed_bytes_max + reason_phrase(response.status).size() + response.headers.lines().size() +
                  date_line.size();
    text_.resize_and_overwrite(most, [&](char* text, size_t) {
        Cursor out(text + before);
        out.put_status_line(response.status);
        if (!own.framing) {
            out.put(response.headers.lines());
        } else {
            for (auto [name, value] : response.headers) {
                if (is_framing_field(name)) continue;
                out.put(name);
                out.put(": ");
                out.put(value);
                out.put("\r\n");
            }
        }
        if (!own.dated) out.put(date_line);
        if (framing.chunked) {
            out.put("Transfer-Encoding: chunked\r\n");
        } else if (framing.length) {
            out.put("Content-Length: ");
            out.put(*framing.length);
            out.put("\r\n");
        }
        if (own.upgrade) {
            out.put(framing.keep_alive ? "Connection: upgrade\r\n" : "Connection: upgrade, close\r\n");
        } else if (!framing.keep_alive) {
            out.put("Connection: close\r\n");
        } else if (framing.version == 10) {
            out.put("Connection: keep-alive\r\n");
        }
        out.put("\r\n");
        return static_cast<size_t>(out.at() - text);
    });
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
