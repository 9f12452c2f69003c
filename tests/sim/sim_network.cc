// Invariants:
// 1. What one end writes arrives at the other in order, each piece not before the one ahead of it.
// 2. A broken connection delivers nothing more after the break, whatever is written to it.
// 3. An end that closed, or whose host died, changes nothing any more: what is on its way to it is dropped, what it
//    sent before is still delivered.
#include "sim_network.h"

#include <deque>

#include "tandem/async/time.h"
#include "tandem/base/crc32c.h"
#include "tandem/base/error.h"

namespace tandem::sim {

using async::Task;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct End {
    std::string host;
    std::string inbox;
    size_t taken = 0;
    bool ended = false;   // the peer ended its direction
    bool reset = false;   // the peer, or the network, broke the connection
    bool closed = false;  // by its owner
    bool dead = false;    // its host crashed
    bool write_ended = false;
    base::TimePoint last_arrival{};
    async::Event changed;

    void notify() {
        changed.set();
        changed.reset();
    }
};

constexpr int dialer = 0;
constexpr int acceptor = 1;

struct Connection {
    End ends[2];
    std::string address;     // the acceptor's
    bool broken = false;     // nothing is delivered any more
    bool repeating = false;  // carries a request a second time; nobody reads the answer
};

struct Port {
    std::string host;
    std::deque<std::unique_ptr<net::Stream>> waiting;
    async::Event changed;
    bool closed = false;
};

class SimStream final : public net::Stream {
  public:
    SimStream(SimNetwork& wires, std::shared_ptr<Connection> connection, int side)
        : wires_(wires),
          connection_(std::move(connection)),
          side_(side),
          local_(net::Address::tcp(connection_->ends[side].host, 1)),
          peer_(net::Address::tcp(connection_->ends[1 - side].host, 1)) {}
    ~SimStream() override { close(); }

    Task<size_t> read(std::span<std::byte> buffer) override {
        if (buffer.empty()) co_return 0;
        End& me = connection_->ends[side_];
        for (;;) {
            if (me.closed || me.dead) fail(Code::unavailable, "the stream is closed");
            if (me.reset) fail(Code::unavailable, "{} reset the connection", peer_.host());
            if (me.taken < me.inbox.size()) break;
            if (me.ended) co_return 0;
            co_await me.changed.wait();
        }
        const size_t size = std::min(buffer.size(), me.inbox.size() - me.taken);
        std::memcpy(buffer.data(), me.inbox.data() + me.taken, size);
        me.taken += size;
        if (me.taken == me.inbox.size()) {
            me.inbox.clear();
            me.taken = 0;
        }
        co_return size;
    }

    Task<void> write(std::span<const std::span<const std::byte>> parts) override {
        const End& me = connection_->ends[side_];
        if (me.closed || me.dead || me.write_ended) fail(Code::unavailable, "the stream is closed");
        if (me.reset) fail(Code::unavailable, "{} reset the connection", peer_.host());
        std::string text;
        for (const auto part : parts) text.append(base::as_text(part));
        wires_.send(connection_, side_, std::move(text));
        co_return;
    }

    void shutdown_write() noexcept override {
        End& me = connection_->ends[side_];
        if (me.dead || me.closed || std::exchange(me.write_ended, true)) return;
        wires_.end(connection_, side_);
    }
    void close() noexcept override {
        End& me = connection_->ends[side_];
        if (me.closed) return;
        shutdown_write();
        me.closed = true;
        me.notify();
    }
    bool peer_closed() noexcept override {
        const End& me = connection_->ends[side_];
        return me.ended || me.reset;
    }
    const net::Address& peer() const noexcept override { return peer_; }
    const net::Address& local() const noexcept override { return local_; }

  private:
    SimNetwork& wires_;
    std::shared_ptr<Connection> connection_;
    const int side_;
    net::Address local_;
    net::Address peer_;
};

class SimListener final : public net::Listener {
  public:
    SimListener(std::shared_ptr<Port> port, net::Address address)
        : port_(std::move(port)), address_(std::move(address)) {}
    ~SimListener() override { close(); }
    Task<std::unique_ptr<net::Stream>> accept() override {
        for (;;) {
            if (port_->closed) fail(Code::cancelled, "the listener is closed");
            if (!port_->waiting.empty()) break;
            co_await port_->changed.wait();
        }
        std::unique_ptr<net::Stream> stream = std::move(port_->waiting.front());
        port_->waiting.pop_front();
        co_return stream;
    }
    const net::Address& local() const noexcept override { return address_; }
    void close() noexcept override {
        port_->closed = true;
        port_->waiting.clear();
        port_->changed.set();
    }

  private:
    std::shared_ptr<Port> port_;
    net::Address address_;
};

void HostNetwork::check_alive() const {
    if (!alive_) fail(Code::unavailable, "host {} is down", host_);
}

std::unique_ptr<net::Listener> HostNetwork::listen(const net::Address& address, const net::ListenOptions&) {
    check_alive();
    const std::string name = address.to_string();
    if (wires_.port(name)) fail(Code::unavailable, "{} is taken", name);
    auto port = std::make_shared<Port>();
    port->host = host_;
    wires_.ports_[name] = port;
    ports_.push_back(port);
    return std::make_unique<SimListener>(std::move(port), address);
}

Task<std::unique_ptr<net::Stream>> HostNetwork::dial(net::Address address) {
    check_alive();
    World& world = wires_.world_;
    const bool refused = world.chance(world.hardship.dial_refused);
    co_await async::sleep_until(wires_.arrival(host_, address.host()));
    check_alive();
    Port* port = wires_.port(address.to_string());
    std::unique_ptr<SimStream> stream;
    if (port && !refused) {
        const std::shared_ptr<Connection> connection = wires_.connect(host_, port->host, address.to_string());
        stream = std::make_unique<SimStream>(wires_, connection, dialer);
        port->waiting.push_back(std::make_unique<SimStream>(wires_, connection, acceptor));
        port->changed.set();
        port->changed.reset();
    }
    co_await async::sleep_until(wires_.arrival(address.host(), host_));
    check_alive();
    if (!stream) fail(Code::unavailable, "{} refused the connection", address.to_string());
    co_return std::move(stream);
}

void HostNetwork::kill() {
    alive_ = false;
    for (const std::weak_ptr<Port>& each : ports_) {
        if (const std::shared_ptr<Port> port = each.lock()) {
            for (const auto& stream : port->waiting) stream->close();
            port->closed = true;
            port->changed.set();
        }
    }
    for (const std::weak_ptr<Connection>& each : wires_.connections_) {
        const std::shared_ptr<Connection> connection = each.lock();
        if (!connection) continue;
        for (int side : {dialer, acceptor}) {
            End& end = connection->ends[side];
            if (end.host != host_ || end.dead) continue;
            end.dead = true;
            end.notify();
            // The peer learns of it at once, or only when it writes.
            if (wires_.world_.random.chance(0.5)) wires_.reset(connection, 1 - side, base::Duration::zero());
        }
    }
}

SimNetwork::Link& SimNetwork::link(const std::string& from, const std::string& to) {
    const auto [found, added] = links_.try_emplace({from, to});
    if (added) {
        const bool slow = world_.chance(world_.hardship.slow_link);
        found->second.delay = slow ? world_.between(milliseconds(20), milliseconds(300))
                                   : world_.between(microseconds(50), milliseconds(5));
        found->second.jitter = found->second.delay;
    }
    return found->second;
}

Port* SimNetwork::port(const std::string& address) {
    const auto found = ports_.find(address);
    if (found == ports_.end()) return nullptr;
    const std::shared_ptr<Port> port = found->second.lock();
    return port && !port->closed ? port.get() : nullptr;
}

std::shared_ptr<Connection> SimNetwork::connect(const std::string& from, const std::string& to, std::string address) {
    auto connection = std::make_shared<Connection>();
    connection->ends[dialer].host = from;
    connection->ends[acceptor].host = to;
    connection->address = std::move(address);
    if (connections_.size() >= 64) std::erase_if(connections_, [](const auto& each) { return each.expired(); });
    connections_.push_back(connection);
    return connection;
}

base::TimePoint SimNetwork::arrival(const std::string& from, const std::string& to) {
    const Link& way = link(from, to);
    return std::max(world_.now(), way.blocked_until) + way.delay + world_.between(base::Duration::zero(), way.jitter);
}

void SimNetwork::partition(const std::string& from, const std::string& to, base::TimePoint until) {
    base::TimePoint& blocked = link(from, to).blocked_until;
    blocked = std::max(blocked, until);
    ++world_.counts.partitions;
    world_.trace.add("partition {} -> {} for {} ms", from, to, (until - world_.now()) / milliseconds(1));
}

void SimNetwork::heal() {
    links_.clear();  // made anew when they are used, none of them slow in a calm world
}

void SimNetwork::send(const std::shared_ptr<Connection>& connection, int from, std::string text) {
    if (connection->broken || text.empty()) return;
    End& to = connection->ends[1 - from];
    if (to.dead || to.closed) {
        // Whoever writes to a host that forgot the connection is told so.
        if (!connection->repeating)
            reset(connection, from, arrival(to.host, connection->ends[from].host) - world_.now());
        return;
    }
    if (from == dialer && world_.chance(world_.hardship.request_again)) repeat(connection, text);
    if (!connection->repeating && world_.chance(world_.hardship.connection_breaks)) {
        const uint64_t how = world_.random.below(3);  // nothing of it arrives, a part, all of it
        if (how == 1) text.resize(text.size() / 2);
        if (how > 0) deliver(connection, 1 - from, std::move(text));
        break_connection(connection);
        return;
    }
    deliver(connection, 1 - from, std::move(text));
}

void SimNetwork::deliver(const std::shared_ptr<Connection>& connection, int to, std::string text) {
    if (connection->repeating && to == dialer) return;
    End& end = connection->ends[to];
    end.last_arrival = std::max(end.last_arrival, arrival(connection->ends[1 - to].host, end.host));
    world_.agenda.at(end.last_arrival, [this, connection, to, text = std::move(text)] {
        End& end = connection->ends[to];
        if (end.closed || end.dead || end.reset) return;
        // The content itself may differ between machines' libraries; its size and order do not.
        world_.trace.add("{} <- {}: {} bytes, {:08x}", end.host, connection->ends[1 - to].host, text.size(),
                         base::crc32c(base::as_bytes(text)));
        end.inbox += text;
        end.notify();
    });
}

void SimNetwork::end(const std::shared_ptr<Connection>& connection, int from) {
    if (connection->broken) return;
    End& end = connection->ends[1 - from];
    end.last_arrival = std::max(end.last_arrival, arrival(connection->ends[from].host, end.host));
    world_.agenda.at(end.last_arrival, [connection, from] {
        End& end = connection->ends[1 - from];
        end.ended = true;
        end.notify();
    });
}

void SimNetwork::reset(const std::shared_ptr<Connection>& connection, int side, base::Duration delay) {
    world_.after(delay, [connection, side] {
        End& end = connection->ends[side];
        end.reset = true;
        end.notify();
    });
}

void SimNetwork::break_connection(const std::shared_ptr<Connection>& connection) {
    connection->broken = true;
    ++world_.counts.broken_connections;
    world_.trace.add("the connection {} - {} breaks", connection->ends[0].host, connection->ends[1].host);
    const base::TimePoint last = std::max(connection->ends[0].last_arrival, connection->ends[1].last_arrival);
    const base::Duration flying = std::max(base::Duration::zero(), last - world_.now());
    // Each side notices by itself.
    for (int side : {dialer, acceptor}) {
        reset(connection, side, flying + world_.between(milliseconds(0), milliseconds(500)));
    }
}

void SimNetwork::repeat(const std::shared_ptr<Connection>& connection, std::string request) {
    ++world_.counts.repeated_requests;
    const base::Duration delay = world_.random.chance(0.5) ? world_.between(milliseconds(0), milliseconds(50))
                                                           : world_.between(milliseconds(0), seconds(9));
    const std::string from = connection->ends[dialer].host;
    world_.after(delay, [this, from, address = connection->address, request = std::move(request)] {
        Port* at = port(address);
        if (!at) return;
        world_.trace.add("a request of {} reaches {} again", from, address);
        const std::shared_ptr<Connection> again = connect(from, at->host, address);
        again->repeating = true;
        again->ends[acceptor].inbox = request;
        again->ends[acceptor].ended = true;
        at->waiting.push_back(std::make_unique<SimStream>(*this, again, acceptor));
        at->changed.set();
        at->changed.reset();
    });
}

}  // namespace tandem::sim
