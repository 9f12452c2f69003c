// For tests: small tools around streams.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/async/testing.h"
#include "tandem/async/time.h"
#include "tandem/net/stream.h"

namespace tandem::http::testing {

using async::testing::VirtualLoop;

// Lets everything that is ready run, and what that makes ready in turn.
inline async::Task<void> settle(int turns = 50) {
    for (int i = 0; i < turns; ++i) co_await async::yield();
}

// Everything up to the end of the stream, or until it breaks.
inline async::Task<std::string> read_to_end(net::Stream& stream) {
    std::string received;
    try {
        std::byte buffer[4096];
        while (size_t size = co_await stream.read(buffer)) received.append(reinterpret_cast<const char*>(buffer), size);
    } catch (const Error& error) {
        if (error.code() != Code::unavailable) throw;
    }
    co_return received;
}

// Reads until `received` ends with `end`.
inline async::Task<void> read_until(net::Stream& stream, std::string& received, std::string_view end) {
    std::byte buffer[4096];
    while (!received.ends_with(end)) {
        size_t size = co_await stream.read(buffer);
        if (size == 0) fail(Code::unavailable, "the stream ended after: {}", received);
        received.append(reinterpret_cast<const char*>(buffer), size);
    }
}

// Passes everything on and counts the writes.
class CountingStream final : public net::Stream {
  public:
    CountingStream(std::unique_ptr<net::Stream> inner, size_t& writes) : inner_(std::move(inner)), writes_(writes) {}
    async::Task<size_t> read(std::span<std::byte> buffer) override { return inner_->read(buffer); }
    async::Task<void> write(std::span<const std::span<const std::byte>> parts) override {
        ++writes_;
        return inner_->write(parts);
    }
    void shutdown_write() noexcept override { inner_->shutdown_write(); }
    void close() noexcept override { inner_->close(); }
    bool peer_closed() noexcept override { return inner_->peer_closed(); }
    const net::Address& peer() const noexcept override { return inner_->peer(); }
    const net::Address& local() const noexcept override { return inner_->local(); }

  private:
    std::unique_ptr<net::Stream> inner_;
    size_t& writes_;
};

}  // namespace tandem::http::testing
