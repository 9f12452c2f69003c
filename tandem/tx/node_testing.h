// For tests: one loopback server that plays a coordinator and the branches' services, keeps a list of what it was
// asked, and answers as it was told to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tandem/async/loop.h"
#include "tandem/async/scope.h"
#include "tandem/http/client.h"
#include "tandem/http/server.h"
#include "tandem/http/url.h"
#include "tandem/tx/headers.h"
#include "tandem/tx/node.h"

namespace tandem::tx::testing {

class FakeWorld {
  public:
    // Called instead of the built-in behaviour; nullopt: the built-in one after all.
    using Script = std::function<async::Task<std::optional<http::Response>>(http::Request&, const std::string& body)>;

    FakeWorld() : listener_(net::Network::real().listen(net::Address::parse("127.0.0.1:0"))) {
        url = "http://" + listener_->local().to_string();
        scope_.spawn(server_.serve(*listener_));
    }
    // Must be awaited before this dies.
    async::Task<void> close() {
        client.close_idle();
        server_.drain();
        co_await scope_.join();
    }

    // "POST /v1/transactions/GID/submit", with GID for the gid, in order.
    std::vector<std::string> asked;
    std::vector<std::string> bodies;  // of the same requests
    std::vector<http::Headers> headers;
    std::vector<std::string> queries;
    std::map<std::string, std::string> status;  // of each gid
    std::string gid;                            // the last one that came
    Script script;

    std::string url;
    http::Client client{net::Network::real()};

  private:
    async::Task<http::Response> answer(http::Request& request) {
        std::string body = co_await request.body.read_all();
        note(request, body);
        if (script) {
            if (std::optional<http::Response> scripted = co_await script(request, body)) {
                co_return std::move(*scripted);
            }
        }
        if (!request.path.starts_with("/v1/")) co_return http::Response::json(R"({"answer":"fine"})");
        co_return coordinate(request, body);
    }

    void note(const http::Request& request, const std::string& body) {
        std::string line = request.method_text + " " + request.path;
        if (request.path == "/v1/transactions") gid = boost::json::parse(body).at("gid").as_string();
        if (const size_t at = line.find(gid); !gid.empty() && at != std::string::npos)
            line.replace(at, gid.size(), "GID");
        asked.push_back(line);
        bodies.push_back(body);
        headers.push_back(request.headers);
        queries.push_back(request.query);
    }

    http::Response coordinate(const http::Request& request, const std::string& body) {
        if (request.path == "/v1/transactions") {
            const boost::json::value asked_for = boost::json::parse(body);
            mode_[gid] = asked_for.at("mode").as_string();
            status[gid] = mode_[gid] == "saga" ? "submitted" : "prepared";
            return describe(gid, http::Status::created);
        }
        const std::string rest = request.path.substr(std::string_view("/v1/transactions/").size());
        const size_t slash = rest.find('/');
        const std::string id = rest.substr(0, slash);
        if (!status.contains(id)) return http::Response::problem(http::Status::not_found, "no such transaction");
        const std::string verb = slash == std::string::npos ? "" : rest.substr(slash + 1);
        if (verb == "submit") status[id] = "submitted";
        if (verb == "abort") status[id] = "aborting";
        return describe(id, verb == "branches" ? http::Status::created : http::Status::ok);
    }

    http::Response describe(const std::string& id, http::Status code) {
        const boost::json::object transaction{
            {"gid", id}, {"mode", mode_[id]}, {"status", status[id]}, {"branches", boost::json::array()}};
        return http::Response::json(boost::json::serialize(transaction), code);
    }

    std::map<std::string, std::string> mode_;
    http::Server server_{[this](http::Request& request) { return answer(request); }};
    std::unique_ptr<net::Listener> listener_;
    async::Scope scope_;
};

using WorldBody = std::function<async::Task<void>(FakeWorld&, Node&)>;

// Runs `body` in a fresh world with a node whose repeats come at once.
inline async::Task<void> in_world_task(WorldBody body) {
    FakeWorld world;
    Node node(world.client, world.url, "secret", {.retry_interval = base::Duration::zero()});
    std::exception_ptr error;
    try {
        co_await body(world, node);
    } catch (...) {
        error = std::current_exception();
    }
    co_await world.close();
    if (error) std::rethrow_exception(error);
}
inline void in_world(WorldBody body) {
    async::run(in_world_task(std::move(body)));
}

// The code of what `task` throws.
template <typename T>
async::Task<std::optional<Error>> error_of(async::Task<T> task) {
    try {
        (void)co_await std::move(task);
    } catch (const Error& error) {
        co_return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    co_return std::nullopt;
}
inline async::Task<std::optional<Error>> error_of(async::Task<void> task) {
    try {
        co_await std::move(task);
    } catch (const Error& error) {
        co_return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    co_return std::nullopt;
}

}  // namespace tandem::tx::testing
