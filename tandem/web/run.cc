#include "tandem/web/run.h"

#include <csignal>

#include "tandem/async/scope.h"
#include "tandem/async/signals.h"
#include "tandem/base/log.h"

namespace tandem::web {

namespace {

Task<void> drain_on_signal(http::Server* server) {
    (void)co_await async::wait_for_signal({SIGINT, SIGTERM});
    server->drain();
}

}  // namespace

Task<void> serve(App& app, net::Address address, http::ServerOptions options) {
    const std::unique_ptr<net::Listener> listener = net::Network::real().listen(address);
    http::Server server(app.handler(), options);
    log::info("listening", {{"app", app.name()}, {"url", "http://" + listener->local().to_string()}});
    async::Scope scope;
    scope.spawn(server.serve(*listener));
    scope.spawn(drain_on_signal(&server));
    co_await scope.join();
}

void run(App& app, std::string_view address, http::ServerOptions options) {
    async::run(serve(app, net::Address::parse(address), options));
    log::flush();
}

}  // namespace tandem::web
