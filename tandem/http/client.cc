// What holds:
// 1. A connection is with one request or idle in its origin's pool, never both; one whose exchange did not end cleanly
//    is closed, never reused.
// 2. Each origin's permits bound the connections in use; idle ones are bounded beside them.
// 3. A second attempt always goes over a new connection, so there is at most one.
#include "tandem/http/client.h"

#include <limits>
#include <unordered_map>
#include <vector>

#include "tandem/async/sync.h"
#include "tandem/async/time.h"
#include "tandem/base/error.h"
#include "tandem/http/read_buffer.h"
#include "tandem/http/trace.h"
#include "tandem/http/url.h"

namespace tandem::http {

namespace {

constexpr size_t read_buffer_bytes = 16 * 1024;
// Interim responses before the final one.
constexpr int max_interim_responses = 16;

struct Pooled {
    explicit Pooled(std::unique_ptr<net::Stream> stream) : stream(std::move(stream)), buffer(read_buffer_bytes) {}
    std::unique_ptr<net::Stream> stream;
    detail::ReadBuffer buffer;
    base::TimePoint idle_since{};
};

struct Origin {
    explicit Origin(size_t connections) : slots(connections) {}
    async::Semaphore slots;
    size_t users = 0;  // send() calls under way, waiting ones included
    size_t waiting = 0;
    std::vector<std::unique_ptr<Pooled>> idle;  // the most recently used last
};

struct Count {
    explicit Count(size_t& counter) : counter(counter) { ++counter; }
    ~Count() { --counter; }
    Count(const Count&) = delete;
    size_t& counter;
};

// One request and its response on one connection.
struct Exchange {
    Exchange(const ClientRequest& request, const ClientOptions& options, std::string_view head, Pooled& connection)
        : request(request), options(options), head(head), connection(connection), limits(options.limits) {
        limits.body_bytes =
            request.on_body ? std::numeric_limits<uint64_t>::max() : uint64_t{options.max_response_bytes};
    }

    async::Task<ClientResponse> run();
    async::Task<void> send();
    async::Task<void> read_head();
    async::Task<void> read_body();
    async::Task<bool> fill();
    async::Task<void> deliver(std::string_view piece);

    const ClientRequest& request;
    const ClientOptions& options;
    std::string_view head;
    Pooled& connection;
    Limits limits;
    ResponseHead response_head;
    ClientResponse response;
    bool answered = false;  // a byte of the response came
    bool reusable = false;
};

async::Task<bool> Exchange::fill() {
    size_t size = co_await connection.stream->read(connection.buffer.space());
    connection.buffer.added(size);
    answered = answered || size > 0;
    co_return size > 0;
}

async::Task<void> Exchange::send() {
    const std::span<const std::byte> parts[] = {std::as_bytes(std::span(head)), std::as_bytes(std::span(request.body))};
    co_await connection.stream->write(std::span(parts, request.body.empty() ? 1 : 2));
}

async::Task<ClientResponse> Exchange::run() {
    std::optional<Error> not_sent;
    try {
        co_await send();
    } catch (const Error& error) {
        if (error.code() != Code::unavailable) throw;
        not_sent = error;
    }
    // A server may refuse a body before it has come, and close: its answer counts, if there is one.
    if (not_sent && request.body.empty()) throw Error(*not_sent);
    co_await read_head();
    co_await read_body();
    reusable = !not_sent && response_head.keep_alive && connection.buffer.empty();
    response.status = response_head.status;
    response.headers = std::move(response_head.headers);
    co_return std::move(response);
}

async::Task<void> Exchange::read_head() {
    ResponseParser parser(limits);
    for (int interim = 0; interim <= max_interim_responses;) {
        Parsed parsed = parser.parse(connection.buffer.unread(), request.method, response_head);
        connection.buffer.consume(parsed.consumed);
        if (parsed.progress == Progress::failed)
            fail(Code::corrupted, "not an HTTP response: {}", parser.error().reason);
        if (parsed.progress == Progress::need_more) {
            if (!co_await fill()) fail(Code::unavailable, "the server closed the connection before it answered");
            continue;
        }
        if (response_head.status / 100 != 1) co_return;
        if (response_head.status == 101) fail(Code::corrupted, "the server switched protocols unasked");
        ++interim;
        parser.reset();
        response_head = ResponseHead();
    }
    fail(Code::corrupted, "more than {} interim responses", max_interim_responses);
}

async::Task<void> Exchange::deliver(std::string_view piece) {
    if (request.on_body) {
        co_await request.on_body(std::as_bytes(std::span(piece)));
        co_return;
    }
    if (response.body.size() + piece.size() > options.max_response_bytes)
        fail(Code::resource_exhausted, "the response's body is larger than {} bytes", options.max_response_bytes);
    response.body.append(piece);
}

async::Task<void> Exchange::read_body() {
    if (response_head.framing == Framing::none) co_return;
    uint64_t left = response_head.framing == Framing::length ? response_head.length : limits.body_bytes;
    if (left > limits.body_bytes)
        fail(Code::resource_exhausted, "the response's body is larger than {} bytes", limits.body_bytes);
    bool chunked = response_head.framing == Framing::chunked;
    ChunkedDecoder chunks(limits);
    while (true) {
        std::string_view unread = connection.buffer.unread();
        if (chunked) {
            ChunkedDecoder::Step step = chunks.next(unread, std::numeric_limits<size_t>::max());
            if (step.progress == Progress::failed)
                fail(chunks.error().status == Status::content_too_large ? Code::resource_exhausted : Code::corrupted,
                     "the response's body: {}", chunks.error().reason);
            if (!step.data.empty()) co_await deliver(step.data);
            connection.buffer.consume(step.consumed);
            if (step.progress == Progress::done) co_return;
            if (!step.data.empty()) continue;
        } else if (!unread.empty()) {
            std::string_view piece = unread.substr(0, static_cast<size_t>(std::min<uint64_t>(left, unread.size())));
            if (piece.empty())
                fail(Code::resource_exhausted, "the response's body is larger than {} bytes", limits.body_bytes);
            co_await deliver(piece);
            connection.buffer.consume(piece.size());
            left -= piece.size();
            if (response_head.framing == Framing::length && left == 0) co_return;
            continue;
        }
        if (co_await fill()) continue;
        if (response_head.framing == Framing::until_close) co_return;
        fail(Code::unavailable, "the server closed the connection before the end of its response");
    }
}

bool is_own_field(std::string_view name) noexcept {
    for (std::string_view each :
         {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Expect"}) {
        if (equals_ignoring_case(name, each)) return true;
    }
    return false;
}

std::string request_head(const ClientRequest& request, const Url& url, const ClientOptions& options) {
    Headers headers = request.headers;
    if (!headers.contains("traceparent")) send_trace(headers, *options.random);
    std::string head;
    head.reserve(512);
    head.append(to_string(request.method)).append(" ").append(url.target()).append(" HTTP/1.1\r\nHost: ");
    head.append(headers.get_or("Host", url.authority())).append("\r\n");
    if (!options.user_agent.empty() && !headers.contains("User-Agent")) headers.add("User-Agent", options.user_agent);
    for (auto [name, value] : headers) {
        if (!is_own_field(name)) head.append(name).append(": ").append(value).append("\r\n");
    }
    bool expects_body = !is_safe(request.method) && request.method != Method::delete_;
    if (!request.body.empty() || expects_body)
        head.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
    head.append("\r\n");
    return head;
}

}  // namespace

struct Client::Impl final : async::Timer {
    Impl(net::Network& network, ClientOptions options)
        : Timer(&Impl::close_expired), network(network), options(std::move(options)), loop(async::Loop::current()) {}
    ~Impl() { loop.disarm(*this); }

    async::Task<ClientResponse> exchange(const ClientRequest& request, const Url& url);
    Origin& origin_of(const std::string& name);
    std::unique_ptr<Pooled> take_idle(Origin& origin);
    void put_idle(Origin& origin, std::unique_ptr<Pooled> connection);
    static void close_expired(Timer& timer);

    net::Network& network;
    ClientOptions options;
    async::Loop& loop;
    ClientStats stats;
    std::unordered_map<std::string, std::unique_ptr<Origin>> origins;
};

Origin& Client::Impl::origin_of(const std::string& name) {
    auto found = origins.find(name);
    if (found != origins.end()) return *found->second;
    if (origins.size() >= options.max_origins)
        std::erase_if(origins, [](const auto& each) { return each.second->users == 0; });
    if (origins.size() >= options.max_origins)
        fail(Code::resource_exhausted, "requests to {} origins are under way", origins.size());
    return *origins.emplace(name, std::make_unique<Origin>(options.max_connections_per_origin)).first->second;
}

std::unique_ptr<Pooled> Client::Impl::take_idle(Origin& origin) {
    base::TimePoint oldest = loop.now() - options.idle_timeout;
    while (!origin.idle.empty()) {
        std::unique_ptr<Pooled> connection = std::move(origin.idle.back());
        origin.idle.pop_back();
        if (connection->idle_since > oldest && !connection->stream->peer_closed()) return connection;
    }
    return nullptr;
}

void Client::Impl::put_idle(Origin& origin, std::unique_ptr<Pooled> connection) {
    if (origin.idle.size() >= options.max_idle_per_origin) return;
    connection->idle_since = loop.now();
    origin.idle.push_back(std::move(connection));
    if (!armed()) loop.arm(*this, loop.now() + options.idle_timeout);
}

void Client::Impl::close_expired(Timer& timer) {
    Impl& self = static_cast<Impl&>(timer);
    base::TimePoint oldest = self.loop.now() - self.options.idle_timeout;
    std::optional<base::TimePoint> next;
    for (auto& [name, origin] : self.origins) {
        std::erase_if(origin->idle, [&](const auto& each) { return each->idle_since <= oldest; });
        for (const auto& each : origin->idle) {
            if (!next || each->idle_since < *next) next = each->idle_since;
        }
    }
    if (next) self.loop.arm(self, *next + self.options.idle_timeout);
}

async::Task<ClientResponse> Client::Impl::exchange(const ClientRequest& request, const Url& url) {
    net::Address address = url.address();
    Origin& origin = origin_of(address.to_string());
    Count user(origin.users);
    async::Permit slot = origin.slots.try_acquire();
    if (!slot) {
        if (origin.waiting >= options.max_waiting_per_origin)
            fail(Code::resource_exhausted, "{} requests wait for a connection already", origin.waiting);
        Count waiting(origin.waiting);
        slot = co_await origin.slots.acquire();
    }
    std::string head = request_head(request, url, options);
    std::unique_ptr<Pooled> connection = take_idle(origin);
    bool reused = connection != nullptr;
    if (reused) ++stats.connections_reused;
    while (true) {
        if (!connection) {
            connection = std::make_unique<Pooled>(co_await network.dial(address));
            ++stats.connections_opened;
        }
        Exchange exchange(request, options, head, *connection);
        std::optional<ClientResponse> response;
        std::exception_ptr error;
        try {
            response = co_await exchange.run();
        } catch (...) {
            error = std::current_exception();
        }
        if (response) {
            if (exchange.reusable) put_idle(origin, std::move(connection));
            co_return std::move(*response);
        }
        connection.reset();
        bool again = reused && !exchange.answered && is_idempotent(request.method) &&
                     Error::from(error).code() == Code::unavailable;
        if (!again) std::rethrow_exception(error);
        reused = false;
        ++stats.retries;
    }
}

ClientRequest ClientRequest::get(std::string url) {
    ClientRequest request;
    request.url = std::move(url);
    return request;
}

ClientRequest ClientRequest::post(std::string url, std::string_view content_type, std::string body) {
    ClientRequest request;
    request.method = Method::post;
    request.url = std::move(url);
    request.headers.add("Content-Type", content_type);
    request.body = std::move(body);
    return request;
}

Client::Client(net::Network& network, ClientOptions options)
    : impl_(std::make_unique<Impl>(network, std::move(options))) {}
Client::~Client() = default;

const ClientStats& Client::stats() const noexcept {
    return impl_->stats;
}

void Client::close_idle() noexcept {
    for (auto& [name, origin] : impl_->origins) origin->idle.clear();
}

async::Task<ClientResponse> Client::send(ClientRequest request) {
    Url url = Url::parse(request.url);
    if (url.scheme == "https") fail(Code::unsupported, "https is not offered; expected http or http+unix");
    if (request.method == Method::unknown || request.method == Method::connect)
        fail(Code::invalid_argument, "a request needs one of HTTP's methods, and not CONNECT");
    ++impl_->stats.requests;
    co_return co_await async::with_deadline(request.timeout.value_or(impl_->options.timeout),
                                            impl_->exchange(request, url));
}

}  // namespace tandem::http
