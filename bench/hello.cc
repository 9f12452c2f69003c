// The smallest Tandem servers, for scripts/bench.py: `hello PORT` answers 200 through http::Server alone, as the bare
// epoll loop and nginx's `return 200` do; `hello PORT web` through the web layer (routing, hooks, request context).
#include <cstdlib>
#include <cstring>

#include "tandem/http/server.h"
#include "tandem/web/app.h"

namespace {

using tandem::async::Task;
using namespace tandem;

Task<void> serve(uint16_t port, bool with_web) {
    web::App app("hello");
    app.get("/", [] { return http::Response::text("hello\n"); });
    const auto hello = [](http::Request&) -> Task<http::Response> { co_return http::Response::text("hello\n"); };
    http::Server server(with_web ? app.handler() : http::Handler(hello), {.max_connections = 20'000});
    auto listener = net::Network::real().listen(net::Address::tcp("127.0.0.1", port), {.backlog = 4096});
    co_await server.serve(*listener);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    async::run(serve(static_cast<uint16_t>(std::atoi(argv[1])), argc > 2 && std::strcmp(argv[2], "web") == 0));
    return 0;
}
