// `web::run`: serves an app on one loop until SIGINT or SIGTERM, then finishes the requests under way. What main() of a
// small service calls; a larger one puts http::Server together itself.
#pragma once

#include <string_view>

#include "tandem/http/server.h"
#include "tandem/web/app.h"

namespace tandem::web {

// `address` as net::Address::parse reads it; port 0 takes a free one. Logs the URL. Throws Error when it cannot listen.
void run(App& app, std::string_view address, http::ServerOptions options = {});
// The same inside a coroutine, for services with other work beside.
Task<void> serve(App& app, net::Address address, http::ServerOptions options = {});

}  // namespace tandem::web
