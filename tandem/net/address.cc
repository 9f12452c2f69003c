#include "tandem/net/address.h"

#include <arpa/inet.h>

#include <charconv>

#include "tandem/base/error.h"

namespace tandem::net {

namespace {

uint16_t parse_port(std::string_view text, std::string_view whole) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
        fail(Code::invalid_argument, "address '{}': the port must be a number from 0 to 65535, not '{}'", whole, text);
    }
    return port;
}

}  // namespace

Address Address::parse(std::string_view text) {
    if (text.starts_with("unix:")) {
        if (text.size() == 5) fail(Code::invalid_argument, "address '{}': the path after 'unix:' is empty", text);
        return unix_socket(std::string(text.substr(5)));
    }
    if (text.starts_with("memory:")) return memory(std::string(text.substr(7)));
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        fail(Code::invalid_argument, "address '{}': expected HOST:PORT, [IPv6]:PORT or unix:PATH", text);
    }
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        in6_addr ignored;
        if (::inet_pton(AF_INET6, std::string(host).c_str(), &ignored) != 1) {
            fail(Code::invalid_argument, "address '{}': '{}' is no IPv6 address", text, host);
        }
    } else if (host.find(':') != std::string_view::npos) {
        fail(Code::invalid_argument, "address '{}': write an IPv6 address in brackets, as [::1]:80", text);
    }
    if (host.empty()) fail(Code::invalid_argument, "address '{}': the host before ':' is missing", text);
    return tcp(std::string(host), parse_port(text.substr(colon + 1), text));
}

Address Address::tcp(std::string host, uint16_t port) {
    Address address;
    address.kind_ = Kind::tcp;
    address.host_ = std::move(host);
    address.port_ = port;
    return address;
}

Address Address::unix_socket(std::string path) {
    Address address;
    address.kind_ = Kind::unix_socket;
    address.host_ = std::move(path);
    return address;
}

Address Address::memory(std::string name) {
    Address address;
    address.kind_ = Kind::memory;
    address.host_ = std::move(name);
    return address;
}

bool Address::is_loopback() const noexcept {
    if (kind_ != Kind::tcp) return true;
    if (host_ == "localhost" || host_ == "::1") return true;
    in_addr v4;
    return ::inet_pton(AF_INET, host_.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

std::string Address::to_string() const {
    switch (kind_) {
        case Kind::unix_socket:
            return "unix:" + host_;
        case Kind::memory:
            return "memory:" + host_;
        case Kind::tcp:
            break;
    }
    const bool v6 = host_.find(':') != std::string::npos;
    return v6 ? fmt::format("[{}]:{}", host_, port_) : fmt::format("{}:{}", host_, port_);
}

}  // namespace tandem::net
