// The least an HTTP/1.1 server can do, as the limit that Tandem's server is measured against: one thread,
// level-triggered epoll, one read for all requests that have arrived, one write for all their answers. It looks for the
// blank line that ends a request's header and parses nothing else, so it is not a server to use.
//
//     epoll_baseline PORT      listens on 127.0.0.1:PORT until killed
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr size_t kInputBytes = 64 * 1024;
constexpr int kEventsAtOnce = 256;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

// The fixed response with the current date in it; made anew when the second changes.
class Response {
  public:
    std::string_view text() {
        const time_t now = std::time(nullptr);
        if (now != made_at_) {
            made_at_ = now;
            std::array<char, 64> date;
            tm utc;
            gmtime_r(&now, &utc);
            const size_t length = std::strftime(date.data(), date.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
            text_ = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nDate: " +
                    std::string(date.data(), length) + "\r\n\r\nhello\n";
        }
        return text_;
    }

  private:
    time_t made_at_ = 0;
    std::string text_;
};

struct Connection {
    int fd;
    size_t filled = 0;    // bytes of `input` that hold the start of an incomplete request
    std::string pending;  // what the socket did not take yet
    std::array<char, kInputBytes> input;
};

class Server {
  public:
    explicit Server(uint16_t port) {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
        if (listen(listener_, SOMAXCONN) != 0) die("listen");
        watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, kEventsAtOnce> events;
        for (;;) {
            const int count = epoll_wait(epoll_, events.data(), kEventsAtOnce, -1);
            if (count < 0 && errno != EINTR) die("epoll_wait");
            for (int i = 0; i < count; ++i) {
                auto* connection = static_cast<Connection*>(events[i].data.ptr);
                if (!connection) {
                    accept_all();
                } else if (!serve(*connection, events[i].events)) {
                    close(connection->fd);
                    delete connection;
                }
            }
        }
    }

  private:
    void watch(int operation, int fd, uint32_t what, Connection* connection) {
        epoll_event event{};
        event.events = what;
        event.data.ptr = connection;
        if (epoll_ctl(epoll_, operation, fd, &event) != 0) die("epoll_ctl");
    }

    void accept_all() {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            auto connection = std::make_unique_for_overwrite<Connection>();
            connection->fd = fd;
            watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection.release());
        }
    }

    // False when the connection is over.
    bool serve(Connection& connection, uint32_t events) {
        if (events & EPOLLOUT) {
            if (!flush(connection)) return false;
            if (!connection.pending.empty()) return true;
            watch(EPOLL_CTL_MOD, connection.fd, EPOLLIN, &connection);
        }
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return true;
        const ssize_t got =
            read(connection.fd, connection.input.data() + connection.filled, kInputBytes - connection.filled);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
        if (got < 0) return true;
        connection.filled += static_cast<size_t>(got);
        answer(connection);
        if (connection.filled == kInputBytes || !flush(connection)) return false;
        // While answers wait, nothing more is read: that bounds them.
        if (!connection.pending.empty()) watch(EPOLL_CTL_MOD, connection.fd, EPOLLOUT, &connection);
        return true;
    }

    void answer(Connection& connection) {
        const std::string_view text = response_.text();
        std::string_view left(connection.input.data(), connection.filled);
        for (size_t end; (end = left.find("\r\n\r\n")) != std::string_view::npos; left.remove_prefix(end + 4)) {
            connection.pending += text;
        }
        std::memmove(connection.input.data(), left.data(), left.size());
        connection.filled = left.size();
    }

    bool flush(Connection& connection) {
        if (connection.pending.empty()) return true;
        const ssize_t sent = send(connection.fd, connection.pending.data(), connection.pending.size(), MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        connection.pending.erase(0, static_cast<size_t>(sent));
        return true;
    }

    int epoll_ = -1;
    int listener_ = -1;
    Response response_;
};

}  // namespace

int main(int argc, char** argv) {
    uint16_t port = 0;
    const std::string_view given = argc == 2 ? argv[1] : "";
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), port);
    if (error != std::errc() || end != given.data() + given.size() || port == 0) {
        std::fputs("usage: epoll_baseline PORT\n", stderr);
        return 2;
    }
    Server(port).run();
}
