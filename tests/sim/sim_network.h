// A network of named hosts in memory: delays, connections that break before or after what was written arrived,
// refused connections, partitions one way or both, requests that are delivered again later.
//
// Addresses are "HOST:PORT" with the host's name. Each host sees the network through its own HostNetwork, so that a
// link has two ends; when the host crashes its HostNetwork is dead, and a new one is attached when it starts again.
//
// Errors as net/stream.h says.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tandem/async/sync.h"
#include "tandem/net/stream.h"
#include "world.h"

namespace tandem::sim {

class SimNetwork;
struct Connection;
struct Port;

class HostNetwork final : public net::Network {
  public:
    HostNetwork(SimNetwork& wires, std::string host) : wires_(wires), host_(std::move(host)) {}
    async::Task<std::unique_ptr<net::Stream>> dial(net::Address address) override;
    std::unique_ptr<net::Listener> listen(const net::Address& address, const net::ListenOptions& options) override;
    using net::Network::listen;
    // The host is gone: every call fails, nothing more leaves or arrives.
    void kill();

  private:
    friend class SimNetwork;
    void check_alive() const;

    SimNetwork& wires_;
    const std::string host_;
    bool alive_ = true;
    std::vector<std::weak_ptr<Port>> ports_;
};

class SimNetwork {
  public:
    explicit SimNetwork(World& world) : world_(world) {}
    World& world() noexcept { return world_; }

    // What `from` sends to `to` waits until then.
    void partition(const std::string& from, const std::string& to, base::TimePoint until);
    // Every partition ends now, and slow links become fast.
    void heal();

  private:
    friend class HostNetwork;
    friend class SimStream;
    friend class SimListener;
    struct Link {
        base::Duration delay;
        base::Duration jitter;
        base::TimePoint blocked_until{};
    };
    Link& link(const std::string& from, const std::string& to);
    base::TimePoint arrival(const std::string& from, const std::string& to);
    void send(const std::shared_ptr<Connection>& connection, int from, std::string text);
    void deliver(const std::shared_ptr<Connection>& connection, int to, std::string text);
    void end(const std::shared_ptr<Connection>& connection, int from);
    void reset(const std::shared_ptr<Connection>& connection, int side, base::Duration delay);
    void break_connection(const std::shared_ptr<Connection>& connection);
    void repeat(const std::shared_ptr<Connection>& connection, std::string request);
    Port* port(const std::string& address);
    std::shared_ptr<Connection> connect(const std::string& from, const std::string& to, std::string address);

    World& world_;
    std::vector<std::weak_ptr<Connection>> connections_;
    std::map<std::pair<std::string, std::string>, Link> links_;
    std::map<std::string, std::weak_ptr<Port>> ports_;
};

}  // namespace tandem::sim
