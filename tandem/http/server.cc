#include "tandem/http/server.h"

#include <algorithm>
#include <vector>

#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/http/connection.h"

namespace tandem::http {

namespace {
// After a failed accept(): long enough not to spin when descriptors ran out.
constexpr auto accept_pause = std::chrono::milliseconds(50);
}  // namespace

struct Server::Impl final : async::Timer {
    Impl(Handler handler, ServerOptions options)
        : Timer(&Impl::on_tick), state(std::move(handler), options), slots(state.options.max_connections) {}
    ~Impl() {
        TANDEM_ASSERT(!first && listeners.empty(), "a Server died while it served");
        state.loop.disarm(*this);
    }

    static void on_tick(Timer& timer);
    void add(detail::Connection& connection);
    void remove(detail::Connection& connection) noexcept;
    static async::Task<void> run(Impl& impl, std::unique_ptr<net::Stream> stream, async::Permit slot);
    static async::Task<void> accept_all(Impl& impl, net::Listener& listener, async::Scope& connections);

    detail::ServerState state;
    async::Semaphore slots;
    std::vector<net::Listener*> listeners;
    detail::Connection* first = nullptr;
    base::TimePoint drain_deadline{};
};

Server::Server(Handler handler, ServerOptions options) : impl_(std::make_unique<Impl>(std::move(handler), options)) {}
Server::~Server() = default;

bool Server::draining() const noexcept {
    return impl_->state.draining;
}
const ServerStats& Server::stats() const noexcept {
    return impl_->state.stats;
}

// One timer for all connections: they note their deadlines, it looks at them once a tick while there are any.
void Server::Impl::on_tick(Timer& timer) {
    Impl& self = static_cast<Impl&>(timer);
    self.state.now = self.state.loop.now();
    self.state.date_line = self.state.date.get();
    bool abort = self.state.draining && self.state.now >= self.drain_deadline;
    for (detail::Connection* each = self.first; each; each = each->next) {
        if (abort) {
            each->abort();
        } else {
            each->tick(self.state.now);
        }
    }
    if (self.first) self.state.loop.arm(self, self.state.now + self.state.options.tick);
}

void Server::Impl::add(detail::Connection& connection) {
    if (!first) {
        state.now = state.loop.now();
        if (!armed()) state.loop.arm(*this, state.now + state.options.tick);
    }
    connection.next = first;
    if (first) first->previous = &connection;
    first = &connection;
    state.stats.connections_accepted.fetch_add(1, std::memory_order_relaxed);
    state.stats.connections_open.fetch_add(1, std::memory_order_relaxed);
}

void Server::Impl::remove(detail::Connection& connection) noexcept {
    (connection.previous ? connection.previous->next : first) = connection.next;
    if (connection.next) connection.next->previous = connection.previous;
    state.stats.connections_open.fetch_sub(1, std::memory_order_relaxed);
}

async::Task<void> Server::Impl::run(Impl& impl, std::unique_ptr<net::Stream> stream, async::Permit slot) {
    detail::Connection connection(impl.state, std::move(stream));
    impl.add(connection);
    co_await connection.run();
    impl.remove(connection);
    slot.release();
}

async::Task<void> Server::Impl::accept_all(Impl& impl, net::Listener& listener, async::Scope& connections) {
    while (true) {
        async::Permit slot = co_await impl.slots.acquire();
        if (impl.state.draining) co_return;
        std::unique_ptr<net::Stream> stream;
        std::optional<Error> failure;
        try {
            stream = co_await listener.accept();
        } catch (const Error& error) {
            failure = error;
        }
        if (stream) {
            connections.spawn(run(impl, std::move(stream), std::move(slot)));
            continue;
        }
        async::Context::current()->check();
        if (impl.state.draining) co_return;
        if (failure->code() == Code::cancelled) throw Error(*failure);  // somebody else closed the listener
        impl.state.stats.accept_errors.fetch_add(1, std::memory_order_relaxed);
        log::warn("a connection could not be accepted", {{"error", failure->what()}});
        co_await async::sleep(accept_pause);
    }
}

async::Task<void> Server::serve(net::Listener& listener) {
    Impl& impl = *impl_;
    if (impl.state.draining) co_return;
    impl.listeners.push_back(&listener);
    async::Scope connections(async::Scope::OnError::keep_going);
    std::exception_ptr error;
    try {
        co_await Impl::accept_all(impl, listener, connections);
    } catch (...) {
        error = std::current_exception();
        connections.cancel();
    }
    co_await connections.join();
    std::erase(impl.listeners, &listener);
    if (error) std::rethrow_exception(error);
}

async::Task<void> Server::serve_connection(std::unique_ptr<net::Stream> stream) {
    async::Permit slot = co_await impl_->slots.acquire();
    co_await Impl::run(*impl_, std::move(stream), std::move(slot));
}

void Server::drain() {
    Impl& impl = *impl_;
    if (std::exchange(impl.state.draining, true)) return;
    impl.drain_deadline = impl.state.loop.now() + impl.state.options.drain_timeout;
    for (net::Listener* listener : impl.listeners) listener->close();
    for (detail::Connection* each = impl.first; each; each = each->next) each->close_if_idle();
}

}  // namespace tandem::http
