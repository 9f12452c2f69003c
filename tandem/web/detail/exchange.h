// What App keeps of one request from its first hook to its last teardown.
//
// Thread rules: belongs to the request's coroutine.
#pragma once

#include "tandem/web/app.h"

namespace tandem::web {

struct App::Route {
    std::string rule;
    std::string endpoint;
    std::string blueprint;
    const detail::RouteRecord* record;
    std::vector<const detail::Contents*> scopes;  // blueprints, outermost first, without the app
    std::vector<std::string> variables;           // names of the rule's
};

struct App::Exchange {
    detail::RequestState state;
    Session session;
    detail::Match match;
    const Route* route = nullptr;  // found, or whose OPTIONS are asked for
    bool answers_options = false;  // by itself
    std::exception_ptr unhandled;  // what teardown hooks are told
};

}  // namespace tandem::web
