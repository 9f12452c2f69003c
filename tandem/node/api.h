// The node's HTTP interfaces: the RESTful one under /v1, DTM's under /api, and what operators ask for (/healthz,
// /readyz, /metrics). Reference: docs/http-api.md.
//
// Thread rules: views run on any loop that serves the app; each calls the coordinator on the coordinator's own loop.
#pragma once

#include "tandem/async/combine.h"
#include "tandem/tx/allowed_urls.h"
#include "tandem/tx/coordinator.h"
#include "tandem/web/app.h"

namespace tandem::node {

// What the interfaces share.
struct ApiContext {
    tx::Coordinator& coordinator;
    async::Loop& home;  // the coordinator's
    const tx::AllowedUrls& allowed;

    // Runs a call of the coordinator on its loop. Its invalid_argument ("field: what is wrong") becomes a problem that
    // names the field.
    template <typename T>
    async::Task<T> at_home(async::Task<T> call) const {
        std::optional<Error> refused;
        try {
            co_return co_await async::on_loop(home, std::move(call));
        } catch (const Error& error) {
            if (error.code() != Code::invalid_argument) throw;
            refused = error;
        }
        refuse(*refused);
    }
    [[noreturn]] static void refuse(const Error& error);
};

void add_v1(web::App& app, const ApiContext& context);
void add_dtm(web::App& app, const ApiContext& context);
void add_health(web::App& app, const ApiContext& context);
// Asks for `Authorization: Bearer TOKEN` everywhere but on /healthz, /readyz and /api/ping.
void require_token(web::App& app, const std::string& token);

}  // namespace tandem::node
