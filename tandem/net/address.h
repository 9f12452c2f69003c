// Where a stream leads: "127.0.0.1:7070", "[::1]:80", "localhost:7070", "unix:/run/tandem.sock", "memory:name".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::net {

class Address {
  public:
    enum class Kind : unsigned char { tcp, unix_socket, memory };

    Address() = default;
    // Throws invalid_argument that says what is wrong with `text` and what was expected.
    static Address parse(std::string_view text);
    static Address tcp(std::string host, uint16_t port);
    static Address unix_socket(std::string path);
    static Address memory(std::string name);

    Kind kind() const noexcept { return kind_; }
    // Host name or numeric address (without brackets), socket path, or memory name.
    const std::string& host() const noexcept { return host_; }
    uint16_t port() const noexcept { return port_; }
    // Reaches this machine only: 127.0.0.0/8, ::1, localhost, Unix sockets, memory.
    bool is_loopback() const noexcept;
    // As parse() reads it.
    std::string to_string() const;

    bool operator==(const Address&) const = default;

  private:
    Kind kind_ = Kind::tcp;
    std::string host_;
    uint16_t port_ = 0;
};

}  // namespace tandem::net
