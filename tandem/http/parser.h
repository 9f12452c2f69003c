// Incremental parsers of HTTP/1.1 messages (RFC 9112): bytes in as they come, messages out. They hold no input: the
// caller keeps what was not consumed and offers it again with more behind it. Each byte is looked at once (a line end
// is searched with SSE2) and copied once, into the message.
//
// Stricter than the RFC must be, where leniency lets two servers on the way see different messages: lines end with
// CRLF (a bare CR or LF is an error), folded lines, spaces before a colon, and Content-Length beside
// Transfer-Encoding are refused.
//
// Thread rules: none of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tandem/http/headers.h"
#include "tandem/http/message.h"
#include "tandem/http/status.h"

namespace tandem::http {

struct Limits {
    size_t request_line_bytes = 8192;          // else 414
    size_t header_section_bytes = 64 * 1024;   // else 431
    size_t header_count = 100;                 // else 431
    uint64_t body_bytes = 16 * 1024 * 1024;    // else 413
    size_t chunk_line_bytes = 1024;            // a chunk's size and extensions, else 400
    size_t chunk_extension_bytes = 16 * 1024;  // of one whole body, else 400
    size_t trailer_section_bytes = 8192;       // else 431
};

enum class Progress : unsigned char {
    need_more,  // offer what was not consumed, with more behind it
    done,       // the head (or the body) is complete
    failed,     // the message cannot be understood; see error()
};

// Why a message was refused: the status a server answers with, and a short reason in a constant.
struct ParseError {
    Status status = Status::bad_request;
    const char* reason = "";
};

// How the end of a message's content is found.
enum class Framing : unsigned char { none, length, chunked, until_close };

struct Parsed {
    Progress progress;
    size_t consumed;
};

// Facts about a request that decide over its connection.
struct RequestFraming {
    Framing framing = Framing::none;
    uint64_t length = 0;
    bool keep_alive = true;
    bool expect_continue = false;
};

class RequestParser {
  public:
    explicit RequestParser(const Limits& limits) : limits_(limits) {}
    // Fills `request` (cleared or recycled by the caller before a message's first call) from the front of `input`.
    Parsed parse(std::string_view input, Request& request);
    // After done: how the body is framed. Call reset() before the next message.
    const RequestFraming& framing() const noexcept { return framing_; }
    const ParseError& error() const noexcept { return error_; }
    // Has any byte of a message (beyond blank lines before it) been seen?
    bool started() const noexcept { return started_; }
    void reset() noexcept;

  private:
    Progress fail(Status status, const char* reason) noexcept;
    Progress request_line(std::string_view line, Request& request);
    Progress target(std::string_view target, Request& request);
    Progress header_line(std::string_view line, Request& request);
    Progress finish(Request& request);

    Limits limits_;
    RequestFraming framing_;
    ParseError error_;
    size_t scanned_ = 0;
    size_t section_bytes_ = 0;
    size_t blank_lines_ = 0;
    bool started_ = false;
    bool in_headers_ = false;
    bool absolute_form_ = false;
    std::string good_host_;  // the last Host that was found well-formed; a connection's requests mostly have the same
};

struct ResponseHead {
    int status = 0;
    int version = 11;
    std::string reason;
    Headers headers;
    Framing framing = Framing::none;
    uint64_t length = 0;
    bool keep_alive = true;
};

class ResponseParser {
  public:
    explicit ResponseParser(const Limits& limits) : limits_(limits) {}
    // `request_method` decides whether content follows. An interim (1xx) head comes out like any other: reset and go
    // on.
    Parsed parse(std::string_view input, Method request_method, ResponseHead& head);
    const ParseError& error() const noexcept { return error_; }
    void reset() noexcept;

  private:
    Progress fail(const char* reason) noexcept;
    Progress status_line(std::string_view line, ResponseHead& head);
    Progress finish(Method request_method, ResponseHead& head);

    Limits limits_;
    ParseError error_;
    size_t scanned_ = 0;
    size_t section_bytes_ = 0;
    bool in_headers_ = false;
};

// The chunked transfer coding (RFC 9112 section 7.1).
class ChunkedDecoder {
  public:
    explicit ChunkedDecoder(const Limits& limits) : limits_(limits) {}
    struct Step {
        Progress progress;      // need_more also when `data` was found
        size_t consumed;        // of the input, framing and data together
        std::string_view data;  // content, inside the input
    };
    // Looks at the front of `input` up to and including the first content found, at most `max_data` bytes of it.
    // `max_data` must not be 0.
    Step next(std::string_view input, size_t max_data);
    const Headers& trailers() const noexcept { return trailers_; }
    const ParseError& error() const noexcept { return error_; }
    // Content so far.
    uint64_t total() const noexcept { return total_; }
    void reset() noexcept;

  private:
    enum class State : unsigned char { size, data, data_end, trailers, done };
    Step fail(Status status, const char* reason, size_t consumed) noexcept;
    bool size_line(std::string_view line) noexcept;

    Limits limits_;
    State state_ = State::size;
    uint64_t left_ = 0;  // of the current chunk
    uint64_t total_ = 0;
    size_t extension_bytes_ = 0;
    size_t section_bytes_ = 0;
    size_t scanned_ = 0;
    Headers trailers_;
    ParseError error_;
};

}  // namespace tandem::http
