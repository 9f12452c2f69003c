// A load generator for HTTP/1.1 on loopback: a fixed number of GET requests over keep-alive connections, each of which
// sends a batch of requests (the depth), waits for all their answers, and sends the next. One thread, epoll. Prints one
// line of JSON: requests, seconds, requests per second, and percentiles of the time from a batch's write to each of its
// answers, in microseconds. Exits with 1 when an answer is not a 200, a connection breaks, or the time runs out.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kInputBytes = 256 * 1024;
constexpr int kEventsAtOnce = 256;

struct Settings {
    uint16_t port = 0;
    std::string path = "/";
    uint64_t requests = 100'000;
    uint32_t connections = 64;
    uint32_t depth = 1;
    uint32_t time_limit_s = 60;
};

struct Connection {
    int fd = -1;
    uint32_t outstanding = 0;  // answers of the current batch that have not arrived
    SteadyClock::time_point sent_at;
    std::vector<char> input = std::vector<char>(kInputBytes);
    size_t filled = 0;
};

[[noreturn]] void stop(const std::string& what) {
    throw std::runtime_error(what);
}

// The value of Content-Length in a response's header.
size_t content_length(std::string_view header) {
    constexpr std::string_view kName = "\r\ncontent-length:";
    for (size_t at = 0; (at = header.find("\r\n", at)) != std::string_view::npos; at += 2) {
        if (header.size() - at < kName.size() || strncasecmp(header.data() + at, kName.data(), kName.size()) != 0) {
            continue;
        }
        size_t value = header.find_first_not_of(' ', at + kName.size());
        size_t length = 0;
        if (value == std::string_view::npos) break;
        const auto parsed = std::from_chars(header.data() + value, header.data() + header.size(), length);
        if (parsed.ec == std::errc()) return length;
    }
    stop("an answer without Content-Length, which this generator needs");
}

// The size of the first complete response in `bytes`; 0 when there is none yet.
size_t response_size(std::string_view bytes) {
    const size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    const std::string_view header = bytes.substr(0, end + 2);
    if (!header.starts_with("HTTP/1.1 200 ")) stop(fmt::format("not a 200: {}", header.substr(0, header.find('\r'))));
    const size_t size = end + 4 + content_length(header);
    return size <= bytes.size() ? size : 0;
}

class Load {
  public:
    explicit Load(const Settings& settings) : settings_(settings), left_to_send_(settings.requests) {
        latencies_us_.reserve(settings.requests);
        const std::string request =
            fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", settings.path, settings.port);
        for (uint32_t i = 0; i < settings.depth; ++i) batch_ += request;
        request_bytes_ = request.size();
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        connections_.resize(settings.connections);
        for (Connection& connection : connections_) open(connection);
    }

    void run() {
        const auto started = SteadyClock::now();
        const auto deadline = started + std::chrono::seconds(settings_.time_limit_s);
        for (Connection& connection : connections_) send_batch(connection);
        std::array<epoll_event, kEventsAtOnce> events;
        while (latencies_us_.size() < settings_.requests) {
            if (SteadyClock::now() > deadline) {
                stop(fmt::format("{} of {} answers within {} s", latencies_us_.size(), settings_.requests,
                                 settings_.time_limit_s));
            }
            const int count = epoll_wait(epoll_, events.data(), kEventsAtOnce, 100);
            if (count < 0 && errno != EINTR) stop(fmt::format("epoll_wait: {}", std::strerror(errno)));
            for (int i = 0; i < count; ++i) receive(*static_cast<Connection*>(events[i].data.ptr));
        }
        report(std::chrono::duration<double>(SteadyClock::now() - started).count());
    }

  private:
    void open(Connection& connection) {
        connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(settings_.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            stop(fmt::format("connect to port {}: {}", settings_.port, std::strerror(errno)));
        }
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &connection;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    }

    // The socket blocks on writing only; a batch is far smaller than its buffer and that is empty when a batch starts.
    void send_batch(Connection& connection) {
        const auto count = static_cast<uint32_t>(std::min<uint64_t>(settings_.depth, left_to_send_));
        if (count == 0) return;
        left_to_send_ -= count;
        connection.outstanding = count;
        connection.sent_at = SteadyClock::now();
        std::string_view left(batch_.data(), count * request_bytes_);
        while (!left.empty()) {
            const ssize_t sent = send(connection.fd, left.data(), left.size(), MSG_NOSIGNAL);
            if (sent < 0) stop(fmt::format("send: {}", std::strerror(errno)));
            left.remove_prefix(static_cast<size_t>(sent));
        }
    }

    void receive(Connection& connection) {
        const ssize_t got = recv(connection.fd, connection.input.data() + connection.filled,
                                 connection.input.size() - connection.filled, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) stop(got == 0 ? "the server closed a connection" : std::strerror(errno));
        connection.filled += static_cast<size_t>(got);
        const auto now = SteadyClock::now();
        const auto latency = std::chrono::duration_cast<std::chrono::microseconds>(now - connection.sent_at).count();
        std::string_view bytes(connection.input.data(), connection.filled);
        while (const size_t size = response_size(bytes)) {
            if (connection.outstanding == 0) stop("more answers than requests");
            --connection.outstanding;
            latencies_us_.push_back(static_cast<uint32_t>(latency));
            bytes.remove_prefix(size);
        }
        std::memmove(connection.input.data(), bytes.data(), bytes.size());
        connection.filled = bytes.size();
        if (connection.filled == connection.input.size()) stop("an answer larger than the input buffer");
        if (connection.outstanding == 0) send_batch(connection);
    }

    void report(double seconds) {
        std::ranges::sort(latencies_us_);
        const auto percentile = [this](double share) {
            const auto index = static_cast<size_t>(share * static_cast<double>(latencies_us_.size() - 1));
            return latencies_us_[index];
        };
        fmt::print(
            "{{\"requests\":{},\"seconds\":{:.4f},\"requests_per_s\":{:.0f},\"p50_us\":{},\"p90_us\":{},\"p99_us\":{},"
            "\"p999_us\":{},\"max_us\":{}}}\n",
            latencies_us_.size(), seconds, static_cast<double>(latencies_us_.size()) / seconds, percentile(0.5),
            percentile(0.9), percentile(0.99), percentile(0.999), latencies_us_.back());
    }

    Settings settings_;
    uint64_t left_to_send_;
    std::string batch_;
    size_t request_bytes_ = 0;
    int epoll_ = -1;
    std::vector<Connection> connections_;
    std::vector<uint32_t> latencies_us_;
};

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app("Sends GET requests to 127.0.0.1 and prints how fast they were answered, as JSON");
    app.add_option("--port", settings.port, "the server's port")->required();
    app.add_option("--path", settings.path, "what to ask for")->capture_default_str();
    app.add_option("--requests", settings.requests, "how many in all")
        ->capture_default_str()
        ->check(CLI::Range(1, 100'000'000));
    app.add_option("--connections", settings.connections, "how many connections")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));
    app.add_option("--depth", settings.depth, "requests sent at once on a connection (pipelining)")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    app.add_option("--time-limit", settings.time_limit_s, "seconds after which to give up")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        Load(settings).run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "http_load: {}\n", error.what());
        return 1;
    }
    return 0;
}
