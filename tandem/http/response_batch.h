// Responses on their way out: the heads and bodies of a batch of pipelined requests, gathered for one write. Inside
// http only.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/http/message.h"

namespace tandem::http::detail {

// How a response's content is framed, and what becomes of the connection; decided by the connection.
struct ResponseFraming {
    bool chunked = false;
    std::optional<uint64_t> length;  // Content-Length to send
    bool keep_alive = true;
    int version = 11;  // the request's
};

// What a handler's own fields say about framing and the connection, gathered in one pass.
struct OwnFields {
    explicit OwnFields(const Headers& headers) noexcept;

    std::optional<uint64_t> length;  // a Content-Length that is a number
    bool close = false;              // "Connection: close"
    bool dated = false;
    bool upgrade = false;
    bool framing = false;  // some field is the connection's business and is left out
};

class ResponseBatch {
  public:
    // `date_line` is a whole "Date: …\r\n".
    void append_head(const Response& response, const OwnFields& own, const ResponseFraming& framing,
                     std::string_view date_line);
    void append(std::string_view bytes) { text_.append(bytes); }
    // Without a copy; the string lives in the batch.
    void append_large(std::string content) { large_.push_back({text_.size(), std::move(content), {}}); }
    // Without a copy; the bytes must live until clear().
    void append_borrowed(std::string_view bytes) { large_.push_back({text_.size(), {}, bytes}); }

    bool empty() const noexcept { return text_.empty() && large_.empty(); }
    size_t bytes() const noexcept;
    // Valid until the next change.
    std::span<const std::span<const std::byte>> parts();
    void clear() noexcept;

  private:
    struct Large {
        size_t after;  // comes behind that many bytes of text_
        std::string owned;
        std::string_view borrowed;
        std::string_view view() const noexcept { return owned.empty() ? borrowed : std::string_view(owned); }
    };
    std::string text_;
    std::vector<Large> large_;
    std::vector<std::span<const std::byte>> parts_;
};

}  // namespace tandem::http::detail
