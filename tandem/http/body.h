// Bodies on their way: `BodyReader` gives a request's content piece by piece, `BodyWriter` takes a response's.
// Both wait for the peer (back-pressure): nothing is read that nobody asked for, nothing is queued without bound.
//
// Thread rules: they belong to the loop of their connection, and end with the request they came with.
// Errors: StatusError 413 (a bound was exceeded), 408 (the peer was too slow), 400 (broken chunks); Error unavailable
// when the peer went away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tandem/async/task.h"
#include "tandem/http/headers.h"

namespace tandem::http {

// Where a BodyReader's bytes come from; a connection, or a test.
class BodySource {
  public:
    virtual ~BodySource() = default;
    // At least one byte into a non-empty buffer; 0 at the end of the body.
    virtual async::Task<size_t> read(std::span<std::byte> buffer) = 0;
    // As the message announced it; nullopt for a chunked body.
    virtual std::optional<uint64_t> length() const noexcept = 0;
    // What followed a chunked body; complete once read() has returned 0.
    virtual const Headers& trailers() const noexcept = 0;
};

class BodyReader {
  public:
    // No content.
    BodyReader() = default;
    // Content from memory, for tests and calls without a socket.
    explicit BodyReader(std::string content);
    // From a source that lives longer.
    explicit BodyReader(BodySource& source) noexcept : source_(&source) {}

    // At least one byte into a non-empty buffer; 0 at the end of the body.
    async::Task<size_t> read(std::span<std::byte> buffer);
    // All that is left. StatusError 413 as soon as it is known to be more than `limit` bytes.
    async::Task<std::string> read_all(size_t limit = default_limit);
    // 0 without content; nullopt when only reading will tell.
    std::optional<uint64_t> length() const noexcept { return source_ ? source_->length() : 0; }
    const Headers& trailers() const noexcept;

    static constexpr size_t default_limit = 1024 * 1024;

  private:
    BodySource* source_ = nullptr;
    std::unique_ptr<BodySource> owned_;
};

class BodyWriter {
  public:
    virtual ~BodyWriter() = default;
    // Returns when the bytes are with the operating system. `unavailable` when the client went away.
    virtual async::Task<void> write(std::string_view bytes) = 0;
};

}  // namespace tandem::http
