// `Client`: HTTP/1.1 requests to other servers, over a bounded pool of connections for each origin.
//
// What holds:
// - A request ends by its deadline (its own, the options', or the context's, whichever comes first).
// - A request is sent a second time only if its method is idempotent, and only when a reused connection failed before
//   any byte of a response came.
// - Redirects are not followed; an answer of any status is a ClientResponse, not an error.
//
// Thread rules: a Client belongs to one loop; create, use and destroy it there, with no send() under way at the end.
// Errors: invalid_argument (URL, header), unsupported (https), unavailable (no connection, or it broke),
// deadline_exceeded, cancelled, resource_exhausted (a bound of the options), corrupted (not HTTP).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/base/random.h"
#include "tandem/http/headers.h"
#include "tandem/http/method.h"
#include "tandem/http/parser.h"
#include "tandem/net/stream.h"

namespace tandem::http {

struct ClientRequest {
    Method method = Method::get;
    std::string url;  // http://… or http+unix://… (url.h)
    Headers headers;
    std::string body;
    std::optional<base::Duration> timeout;  // instead of ClientOptions::timeout
    // Gets the response's body piece by piece instead of ClientResponse::body; the connection waits for it.
    std::function<async::Task<void>(std::span<const std::byte>)> on_body;

    static ClientRequest get(std::string url);
    static ClientRequest post(std::string url, std::string_view content_type, std::string body);
};

struct ClientResponse {
    int status = 0;  // any three digits; compare with to_int(Status::ok)
    Headers headers;
    std::string body;
    bool ok() const noexcept { return status >= 200 && status < 300; }
};

struct ClientOptions {
    base::Duration timeout = std::chrono::seconds(30);       // of a whole request, waiting for a connection included
    base::Duration idle_timeout = std::chrono::seconds(30);  // a connection unused for longer is closed
    size_t max_connections_per_origin = 64;
    size_t max_idle_per_origin = 16;
    size_t max_waiting_per_origin = 1024;          // for a connection; beyond it resource_exhausted
    size_t max_origins = 1024;                     // remembered at a time
    size_t max_response_bytes = 16 * 1024 * 1024;  // body; not applied to on_body
    Limits limits;                                 // status line and header section
    base::Random* random = &base::Random::real();  // for the ids of trace steps
    std::string user_agent = "tandem";             // empty: none is sent
};

struct ClientStats {
    uint64_t requests = 0;
    uint64_t connections_opened = 0;
    uint64_t connections_reused = 0;
    uint64_t retries = 0;
};

class Client {
  public:
    explicit Client(net::Network& network, ClientOptions options = {});
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    async::Task<ClientResponse> send(ClientRequest request);
    // Closes idle connections now; later requests open new ones.
    void close_idle() noexcept;
    const ClientStats& stats() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::http
