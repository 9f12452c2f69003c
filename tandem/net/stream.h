// A byte stream between two ends, whatever carries it: TCP, a Unix socket, a pair in memory, a simulated network.
// Also what makes streams: `Listener` and the `Network` parameter.
//
// Thread rules: a Stream or Listener belongs to the loop it was made on. One read and one write may be under way at a
// time, from different coroutines. Every wait ends with the context's reason when the context is cancelled; the stream
// can then only be closed.
// Errors: unavailable (refused, reset, unreachable), deadline_exceeded, cancelled, io.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tandem/async/task.h"
#include "tandem/net/address.h"

namespace tandem::net {

class Stream {
  public:
    virtual ~Stream() = default;  // closes

    // At least one byte, as many as are there; 0 only at the end of the stream (or for an empty buffer).
    virtual async::Task<size_t> read(std::span<std::byte> buffer) = 0;
    // All of `parts`, gathered into as few system calls as the kernel allows (writev).
    virtual async::Task<void> write(std::span<const std::span<const std::byte>> parts) = 0;
    // Ends our direction; the peer reads the end of the stream, we may still read.
    virtual void shutdown_write() noexcept = 0;
    // Ends both directions at once and drops what is still unsent; a wait under way ends with `unavailable`.
    virtual void close() noexcept = 0;
    // True when the peer has closed or reset its side, as far as is known without waiting.
    virtual bool peer_closed() noexcept = 0;

    virtual const Address& peer() const noexcept = 0;
    virtual const Address& local() const noexcept = 0;

    async::Task<void> write(std::string_view text);
    // Exactly buffer.size() bytes; `unavailable` when the stream ends before.
    async::Task<void> read_exactly(std::span<std::byte> buffer);
};

class Listener {
  public:
    virtual ~Listener() = default;  // closes
    virtual async::Task<std::unique_ptr<Stream>> accept() = 0;
    // The address bound, with the port the system chose when 0 was asked for.
    virtual const Address& local() const noexcept = 0;
    // No more connections; an accept() under way ends with `cancelled`.
    virtual void close() noexcept = 0;
};

struct ListenOptions {
    int backlog = 1024;
    // Several listeners (one a loop) share the port; the kernel spreads connections over them (SO_REUSEPORT).
    bool share_port = false;
    // Unix sockets: permission bits of the socket file.
    unsigned mode = 0600;
};

// Network as a parameter: `Network::real()` in production, a simulated one in tests/sim.
class Network {
  public:
    virtual ~Network() = default;
    // Tries every address the name stands for until one answers; bounded by the context's deadline.
    virtual async::Task<std::unique_ptr<Stream>> dial(Address address) = 0;
    // `unavailable` when the address is taken, permission_denied when it may not be used.
    virtual std::unique_ptr<Listener> listen(const Address& address, const ListenOptions& options) = 0;
    std::unique_ptr<Listener> listen(const Address& address) { return listen(address, ListenOptions{}); }

    static Network& real();
};

}  // namespace tandem::net
