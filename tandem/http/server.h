// `Server`: HTTP/1.1 (RFC 9110, RFC 9112) and HTTP/1.0 over any net::Listener. One coroutine a connection; requests
// that came in one read are answered in order by one gathered write.
//
// What holds:
// - A handler gets only requests that keep the rules of the RFCs; the others are answered here (400, 408, 413, 414,
//   417, 431, 501, 505) and close the connection where the RFC says so.
// - An exception from the handler becomes 500 without its text; a StatusError becomes its own status.
// - Beyond max_connections the server stops accepting; the kernel's backlog holds the rest.
// - A peer that closes is noticed when it is read from or written to, not while the handler runs: a client may close
//   its sending side and still wait for the answer.
//
// Thread rules: a Server belongs to one loop: create, use and destroy it there. Only stats() may be read from other
// threads. A server on every core is a Server on every loop, with listeners that share a port.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "tandem/async/loop.h"
#include "tandem/async/task.h"
#include "tandem/base/random.h"
#include "tandem/http/message.h"
#include "tandem/http/parser.h"
#include "tandem/net/stream.h"

namespace tandem::http {

using Handler = std::function<async::Task<Response>(Request&)>;

struct ServerOptions {
    Limits limits;  // sizes of what is read
    size_t max_connections = 10'000;
    // Deadlines are looked at once a tick, so each may come up to one tick late.
    base::Duration tick = std::chrono::milliseconds(250);
    // From a connection's start, or a later request's first byte, to the end of its header section.
    base::Duration header_timeout = std::chrono::seconds(10);
    base::Duration idle_timeout = std::chrono::seconds(60);  // between requests
    // Time spent waiting for the client to send its body, and the rate it must keep once the grace is over.
    base::Duration body_timeout = std::chrono::seconds(60);
    base::Duration body_rate_grace = std::chrono::seconds(5);
    uint64_t min_body_bytes_per_second = 240;
    base::Duration write_timeout = std::chrono::seconds(30);  // for one gathered write, whatever its size
    base::Duration linger_timeout = std::chrono::seconds(2);  // reading on after the last response, before closing
    base::Duration drain_timeout = std::chrono::seconds(30);  // after drain(): then requests under way are cancelled
    size_t read_buffer_bytes = 16 * 1024;                     // of each connection, at least 1024
    // A batch of responses is written early when it has grown this large.
    size_t write_batch_bytes = 256 * 1024;
    // Bodies up to this size are copied behind their header; larger ones are written from where they are.
    size_t copied_body_bytes = 4 * 1024;
    // What a handler left of a request's body is read up to this size to keep the connection.
    size_t max_discarded_body_bytes = 64 * 1024;
    // Read and dropped after the last response, so that it is not lost in a reset.
    size_t max_lingering_bytes = 1024 * 1024;
    base::Random* random = &base::Random::real();  // seeds the ids of traces
};

struct ServerStats {
    std::atomic<uint64_t> connections_accepted{0};
    std::atomic<uint64_t> connections_open{0};
    std::atomic<uint64_t> requests{0};              // handed to the handler or answered for it
    std::atomic<uint64_t> responses_by_class[6]{};  // [2] counts 2xx
    std::atomic<uint64_t> bytes_read{0};
    std::atomic<uint64_t> bytes_written{0};
    std::atomic<uint64_t> handler_errors{0};  // exceptions that became 500
    std::atomic<uint64_t> timeouts{0};        // connections ended by a deadline
    std::atomic<uint64_t> accept_errors{0};
};

class Server {
  public:
    explicit Server(Handler handler, ServerOptions options = {});
    ~Server();  // no serve() may be running
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Serves until drain() has done its work (returns) or the context is cancelled (throws). May run for several
    // listeners at once; each must live until its serve() ended.
    async::Task<void> serve(net::Listener& listener);
    // Serves one connection that came from elsewhere.
    async::Task<void> serve_connection(std::unique_ptr<net::Stream> stream);

    // Stops accepting, closes idle connections, lets requests under way end with "Connection: close", and cancels
    // those that are not done after drain_timeout. serve() returns then.
    void drain();
    bool draining() const noexcept;

    const ServerStats& stats() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::http
