// The real network: TCP and Unix sockets over Asio's reactor.
//
// Reads go through Asio, which remembers whether trying at once is worth a system call. Writes are tried at once, which
// nearly always takes everything; only what is left waits for the reactor.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "tandem/async/asio.h"
#include "tandem/async/blocking.h"
#include "tandem/async/time.h"
#include "tandem/net/detail/operation.h"
#include "tandem/net/stream.h"

namespace tandem::net {

namespace asio = boost::asio;
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
using boost::system::error_code;

namespace detail {

Error to_error(const error_code& error, std::string_view what) {
    Code code = Code::io;
    switch (error.value()) {
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENOTCONN:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ETIMEDOUT:
        case ECANCELED:
        case EBADF:
        case EADDRINUSE:
        case EADDRNOTAVAIL:
        case ENOENT:
            code = Code::unavailable;
            break;
        case EACCES:
        case EPERM:
            code = Code::permission_denied;
            break;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            code = Code::resource_exhausted;
            break;
        default:
            break;
    }
    return Error(code, fmt::format("{}: {}", what, error.message()));
}

}  // namespace detail

namespace {

Address from_sockaddr(const sockaddr* address, size_t size) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        return Address::tcp(text, ntohs(v4->sin_port));
    }
    if (address->sa_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
        ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        return Address::tcp(text, ntohs(v6->sin6_port));
    }
    const auto* local = reinterpret_cast<const sockaddr_un*>(address);
    const size_t header = offsetof(sockaddr_un, sun_path);
    return Address::unix_socket(size > header ? std::string(local->sun_path, ::strnlen(local->sun_path, size - header))
                                              : std::string());
}

Protocol::endpoint unix_endpoint(const Address& address) {
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    if (address.host().size() >= sizeof local.sun_path) {
        fail(Code::invalid_argument, "{}: the path is longer than the {} bytes a Unix socket allows",
             address.to_string(), sizeof local.sun_path - 1);
    }
    std::memcpy(local.sun_path, address.host().data(), address.host().size());
    return Protocol::endpoint(&local,
                              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host().size() + 1));
}

// Blocks on name service unless the host is numeric.
std::vector<Protocol::endpoint> resolve(const Address& address, bool numeric_only) {
    if (address.kind() == Address::Kind::unix_socket) return {unix_endpoint(address)};
    if (address.kind() == Address::Kind::memory) {
        fail(Code::unsupported, "{}: the real network has no memory addresses", address.to_string());
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (numeric_only ? AI_NUMERICHOST : 0);
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(address.host().c_str(), std::to_string(address.port()).c_str(), &hints, &found);
    if (status == EAI_NONAME && numeric_only) return {};
    if (status != 0) {
        fail(Code::unavailable, "cannot resolve the host name in {}: {}", address.to_string(), ::gai_strerror(status));
    }
    std::vector<Protocol::endpoint> endpoints;
    for (const addrinfo* entry = found; entry; entry = entry->ai_next) {
        endpoints.emplace_back(entry->ai_addr, entry->ai_addrlen, IPPROTO_TCP);
    }
    ::freeaddrinfo(found);
    return endpoints;
}

class SocketStream final : public Stream {
  public:
    SocketStream(Socket socket, Address peer) : socket_(std::move(socket)), peer_(std::move(peer)) {
        error_code error;
        const Protocol::endpoint local = socket_.local_endpoint(error);
        if (!error) {
            local_ = from_sockaddr(local.data(), local.size());
            if (local_.kind() == Address::Kind::tcp) {
                const int on = 1;
                ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            }
        }
    }

    async::Task<size_t> read(std::span<std::byte> buffer) override {
        if (buffer.empty()) co_return 0;
        if (!socket_.is_open()) fail(Code::unavailable, "read from {}: the stream is closed", peer_.to_string());
        auto start = [this, buffer](auto handler) {
            socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), std::move(handler));
        };
        const auto [error, size] = co_await detail::Operation(start, read_signal_);
        if (error == asio::error::eof) co_return 0;
        if (error) throw detail::to_error(error, fmt::format("read from {}", peer_.to_string()));
        co_return size;
    }

    async::Task<void> write(std::span<const std::span<const std::byte>> parts) override {
        size_t skip = 0;  // bytes of parts.front() that are sent already
        while (!parts.empty()) {
            if (!socket_.is_open()) fail(Code::unavailable, "write to {}: the stream is closed", peer_.to_string());
            ssize_t sent = send_some(parts, skip);
            if (sent < 0) {
                if (errno == EINTR) continue;
                if (errno != EAGAIN && errno != EWOULDBLOCK) {
                    throw detail::to_error(error_code(errno, boost::system::system_category()),
                                           fmt::format("write to {}", peer_.to_string()));
                }
                auto start = [this](auto handler) { socket_.async_wait(Socket::wait_write, std::move(handler)); };
                const auto [error, ignored] = co_await detail::Operation(start, write_signal_);
                if (error) throw detail::to_error(error, fmt::format("write to {}", peer_.to_string()));
                continue;
            }
            skip += static_cast<size_t>(sent);
            while (!parts.empty() && skip >= parts.front().size()) {
                skip -= parts.front().size();
                parts = parts.subspan(1);
            }
        }
    }

    void shutdown_write() noexcept override {
        error_code ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
    void close() noexcept override {
        error_code ignored;
        socket_.close(ignored);
    }
    bool peer_closed() noexcept override {
        if (!socket_.is_open()) return true;
        char byte;
        const ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    }
    const Address& peer() const noexcept override { return peer_; }
    const Address& local() const noexcept override { return local_; }

  private:
    ssize_t send_some(std::span<const std::span<const std::byte>> parts, size_t skip) {
        // The usual case, and the cheaper call: the kernel has no vector to copy and check.
        if (parts.size() == 1) {
            const std::span<const std::byte> rest = parts.front().subspan(skip);
            return ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        static constexpr size_t parts_max = 64;  // well under IOV_MAX, and small enough for the stack
        iovec vectors[parts_max];
        const size_t count = std::min(parts.size(), parts_max);
        for (size_t i = 0; i < count; ++i) {
            const size_t from = i == 0 ? skip : 0;
            vectors[i] = {const_cast<std::byte*>(parts[i].data()) + from, parts[i].size() - from};
        }
        msghdr message{};
        message.msg_iov = vectors;
        message.msg_iovlen = count;
        return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }

    Socket socket_;
    Address peer_;
    Address local_;
    asio::cancellation_signal read_signal_;
    asio::cancellation_signal write_signal_;
};

class SocketListener final : public Listener {
  public:
    SocketListener(Acceptor acceptor, const Address& asked) : acceptor_(std::move(acceptor)), local_(asked) {
        if (asked.kind() == Address::Kind::tcp) {
            const Protocol::endpoint bound = acceptor_.local_endpoint();
            local_ = from_sockaddr(bound.data(), bound.size());
        }
    }
    ~SocketListener() override { close(); }

    async::Task<std::unique_ptr<Stream>> accept() override {
        for (;;) {
            if (!acceptor_.is_open()) fail(Code::cancelled, "{}: the listener is closed", local_.to_string());
            Socket socket(async::AsioPoller::of_current_loop());
            auto start = [this, &socket](auto handler) { acceptor_.async_accept(socket, std::move(handler)); };
            const auto [error, ignored] = co_await detail::Operation(start, signal_);
            if (!acceptor_.is_open()) fail(Code::cancelled, "{}: the listener was closed", local_.to_string());
            if (error.value() == ECONNABORTED || error.value() == EPROTO) continue;  // gone before we looked
            if (error) throw detail::to_error(error, fmt::format("accept on {}", local_.to_string()));
            error_code gone;
            const Protocol::endpoint peer = socket.remote_endpoint(gone);
            if (gone) continue;
            co_return std::make_unique<SocketStream>(std::move(socket), from_sockaddr(peer.data(), peer.size()));
        }
    }
    const Address& local() const noexcept override { return local_; }
    void close() noexcept override {
        if (!acceptor_.is_open()) return;
        error_code ignored;
        acceptor_.close(ignored);
        if (local_.kind() == Address::Kind::unix_socket) ::unlink(local_.host().c_str());
    }

  private:
    Acceptor acceptor_;
    Address local_;
    asio::cancellation_signal signal_;
};

class RealNetwork final : public Network {
  public:
    async::Task<std::unique_ptr<Stream>> dial(Address address) override {
        std::vector<Protocol::endpoint> endpoints = resolve(address, true);
        if (endpoints.empty()) endpoints = co_await async::run_blocking([&] { return resolve(address, false); });
        error_code last;
        for (const Protocol::endpoint& endpoint : endpoints) {
            Socket socket(async::AsioPoller::of_current_loop());
            asio::cancellation_signal signal;
            auto start = [&](auto handler) { socket.async_connect(endpoint, std::move(handler)); };
            const auto [error, ignored] = co_await detail::Operation(start, signal);
            if (!error) co_return std::make_unique<SocketStream>(std::move(socket), address);
            last = error;
        }
        throw detail::to_error(last, fmt::format("connect to {}", address.to_string()));
    }

    std::unique_ptr<Listener> listen(const Address& address, const ListenOptions& options) override {
        const std::vector<Protocol::endpoint> endpoints = resolve(address, false);
        const std::string what = fmt::format("listen on {}", address.to_string());
        auto check = [&](const error_code& error) {
            if (error) throw detail::to_error(error, what);
        };
        const Protocol::endpoint& endpoint = endpoints.front();
        Acceptor acceptor(async::AsioPoller::of_current_loop());
        error_code error;
        acceptor.open(endpoint.protocol(), error);
        check(error);
        const int fd = acceptor.native_handle();
        const int on = 1;
        if (address.kind() == Address::Kind::tcp) {
            ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            if (options.share_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        } else {
            remove_stale_socket(endpoint, address);
        }
        acceptor.bind(endpoint, error);
        check(error);
        if (address.kind() == Address::Kind::unix_socket) ::chmod(address.host().c_str(), options.mode);
        acceptor.listen(options.backlog, error);
        check(error);
        return std::make_unique<SocketListener>(std::move(acceptor), address);
    }

  private:
    // A socket file that nobody listens on any more is left over from a process that died: replace it.
    static void remove_stale_socket(const Protocol::endpoint& endpoint, const Address& address) {
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe < 0) return;
        if (::connect(probe, static_cast<const sockaddr*>(endpoint.data()), static_cast<socklen_t>(endpoint.size())) <
                0 &&
            errno == ECONNREFUSED) {
            ::unlink(address.host().c_str());
        }
        ::close(probe);
    }
};

}  // namespace

Network& Network::real() {
    static RealNetwork network;
    return network;
}

}  // namespace tandem::net
