// `Node`: a service's client of the coordinator (POST /v1/transactions and so on), and what it says about a
// transaction. The builders saga.h, tcc.h, message.h and xa.h are written with it.
//
// Every call names the transaction by a gid made here, so sending it again changes nothing: calls that got no answer
// are repeated a few times.
//
// Thread rules: a Node belongs to the loop of its Client, which must outlive it.
// Errors: invalid_argument (the coordinator names the field), not_found, conflict (the decision went the other way),
// unauthenticated, permission_denied, resource_exhausted, unavailable and deadline_exceeded (no answer: the outcome is
// unknown), cancelled.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/base/id.h"
#include "tandem/http/client.h"
#include "tandem/tx/model.h"

namespace tandem::tx {

// What a branch is called with: text as it is, or JSON.
struct Payload {
    Payload() = default;
    Payload(std::string body) : text(std::move(body)) {}
    Payload(const char* body) : text(body) {}
    Payload(const boost::json::value& body);
    Payload(const boost::json::object& body);
    std::string text;
};

// A new transaction. Of `options` only what differs from the default is sent.
struct NewTransaction {
    Mode mode = Mode::saga;
    std::string gid;
    struct Step {
        std::string action;      // empty: nothing to call
        std::string compensate;  // likewise
        std::string payload;
    };
    std::vector<Step> steps;  // saga, message
    std::string check_back;   // message
    Options options;
};

// A branch of a TCC (confirm, cancel) or XA transaction (url).
struct NewBranch {
    std::string id;
    std::string confirm;
    std::string cancel;
    std::string url;
    std::string payload;
};

// A transaction as the coordinator tells it.
struct RemoteTransaction {
    std::string gid;
    Mode mode = Mode::saga;
    Status status = Status::prepared;
    std::string reason;            // why it is aborting or failed
    boost::json::object document;  // all of the answer
};

struct NodeOptions {
    base::Duration request_timeout = std::chrono::seconds(10);
    base::Duration wait_timeout = std::chrono::seconds(60);          // instead, when the answer waits for the result
    int attempts_max = 3;                                            // of one call without an answer
    base::Duration retry_interval = std::chrono::milliseconds(100);  // doubles
    base::GidGenerator* gids = nullptr;                              // nullptr: one for the whole process
};

class Node {
  public:
    // `url` is the coordinator's, such as "http://127.0.0.1:7070"; `token` goes into Authorization: Bearer.
    Node(http::Client& client, std::string url, std::string token = {}, NodeOptions options = {});

    // A gid that no one else makes; needs no trip.
    std::string new_gid();

    async::Task<RemoteTransaction> create(NewTransaction transaction);
    async::Task<void> add_branch(std::string gid, NewBranch branch);
    async::Task<RemoteTransaction> submit(std::string gid, bool wait = false);
    async::Task<RemoteTransaction> abort(std::string gid, std::string reason);
    async::Task<std::optional<RemoteTransaction>> find(std::string gid);

    http::Client& client() const noexcept { return client_; }
    const std::string& url() const noexcept { return url_; }

  private:
    async::Task<http::ClientResponse> send(http::Method method, std::string path, std::string body, bool wait = false);

    http::Client& client_;
    std::string url_;
    std::string token_;
    NodeOptions options_;
};

}  // namespace tandem::tx
