#include "examples/shop/service.h"

#include <csignal>

#include "tandem/async/loop.h"
#include "tandem/async/scope.h"
#include "tandem/async/signals.h"
#include "tandem/base/file_system.h"
#include "tandem/base/log.h"
#include "tandem/http/server.h"
#include "tandem/net/stream.h"

namespace shop {

void add_options(CLI::App& command_line, Arguments& arguments) {
    command_line.add_option("--listen", arguments.listen, "ADDRESS:PORT, on loopback")->capture_default_str();
    command_line.add_option("--data", arguments.data, "Directory of the SQLite file")->capture_default_str();
    command_line.add_option("--node", arguments.node, "URL of the Tandem node")->capture_default_str();
    command_line.add_option("--database", arguments.database, "mysql://user:password@host:port/schema instead");
}

std::string database_url(const Arguments& arguments, std::string_view name) {
    if (!arguments.database.empty()) return arguments.database;
    base::FileSystem::real().create_directories(arguments.data);
    return fmt::format("sqlite:{}/{}.db", arguments.data, name);
}

db::PoolOptions pool_options() {
    db::PoolOptions options;
    options.sessions_max = 32;
    return options;
}

Task<void> serve(web::App& app, std::string address, std::function<void()> before_drain) {
    const net::Address wanted = net::Address::parse(address);
    if (!wanted.is_loopback()) fail(Code::invalid_argument, "{} is not loopback: the example knows no users", address);
    const std::unique_ptr<net::Listener> listener = net::Network::real().listen(wanted);
    http::ServerOptions options;
    options.drain_timeout = std::chrono::seconds(2);
    http::Server server(app.handler(), options);

    const auto drain_on_signal = [](http::Server* server, std::function<void()>* before_drain) -> Task<void> {
        (void)co_await async::wait_for_signal({SIGINT, SIGTERM});
        if (*before_drain) (*before_drain)();
        server->drain();
    };
    log::info("listening", {{"program", app.name()}, {"url", "http://" + listener->local().to_string()}});
    async::Scope scope;
    scope.spawn(drain_on_signal(&server, &before_drain));
    scope.spawn(server.serve(*listener));
    co_await scope.join();
}

int run(std::string_view name, Task<void> program) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that went away is an error of its write
    try {
        async::run(std::move(program));
        log::flush();
        return 0;
    } catch (const Error& error) {
        log::flush();
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return 1;
    }
}

}  // namespace shop
