#include "tandem/node/node.h"

#include <csignal>

#include <boost/json.hpp>

#include "tandem/async/combine.h"
#include "tandem/async/signals.h"
#include "tandem/async/threads.h"
#include "tandem/async/time.h"
#include "tandem/base/file_system.h"
#include "tandem/base/log.h"
#include "tandem/base/metrics.h"
#include "tandem/http/client.h"
#include "tandem/http/server.h"
#include "tandem/node/api.h"
#include "tandem/node/events.h"
#include "tandem/node/transaction_json.h"
#include "tandem/tx/http_branch_caller.h"

namespace tandem::node {

using async::Task;
using base::FileSystem;

namespace {

// The data directory, which one node at a time may use.
class DataDirectory {
  public:
    explicit DataDirectory(std::string path) : path_(std::move(path)) {
        FileSystem& files = FileSystem::real();
        files.create_directories(path_);
        lock_ = files.open(in("lock"), base::OpenMode::create);
        if (!lock_->try_lock(base::LockKind::exclusive)) {
            fail(Code::unavailable,
                 "the data directory {} is used by another node that is running; stop it, or choose "
                 "another directory with --data",
                 path_);
        }
    }
    std::string in(std::string_view name) const { return base::join_path(path_, name); }

    // Made once, then kept: leases in the store are known by it after a restart.
    std::string node_id(base::GidGenerator& ids) const {
        FileSystem& files = FileSystem::real();
        const std::string file = in("node-id");
        if (!files.exists(file)) base::replace_whole(files, file, base::as_bytes("node-" + ids.next()));
        return base::read_whole(files, file, 256);
    }

  private:
    std::string path_;
    std::unique_ptr<base::File> lock_;
};

Task<void> post_alert(http::Client& client, std::string url, tx::Transaction transaction) {
    std::optional<Error> error;
    try {
        http::ClientRequest request = http::ClientRequest::post(
            std::move(url), "application/json", boost::json::serialize(transaction_to_json(transaction)));
        const http::ClientResponse response = co_await client.send(std::move(request));
        if (response.ok()) co_return;
        error.emplace(Code::unavailable, fmt::format("it answered {}", response.status));
    } catch (const Error& failed) {
        error = failed;
    }
    log::warn("the alert webhook was not told", {{"gid", transaction.gid}, {"error", error->what()}});
}

}  // namespace

struct Node::State {
    explicit State(Settings given)
        : settings(std::move(given)),
          directory(settings.data_directory),
          ids(base::Clock::real(), base::Random::real()),
          allowed(settings.allowed_branches),
          database(store_url(), settings.pool),
          store(database, settings.store),
          client(net::Network::real(), client_options()),
          caller(client),
          coordinator(store, caller, base::Random::real(), coordinator_options()),
          app("tandem", {.limits = {.max_body_bytes = static_cast<size_t>(settings.max_body_bytes)}}) {
        const ApiContext context{coordinator, async::Loop::current(), allowed};
        require_token(app, settings.token);
        add_health(app, context);
        add_v1(app, context);
        add_dtm(app, context);
        events.add_to(app, context);
        coordinator.on_change([this](const tx::Transaction& transaction) { events.publish(transaction); });
        export_metrics();
    }

    std::string store_url() const {
        return settings.store_url.empty() ? "sqlite:" + directory.in("transactions.db") : settings.store_url;
    }
    http::ClientOptions client_options() const {
        http::ClientOptions options;
        options.max_connections_per_origin = settings.coordinator.calls_per_origin_max;
        options.max_idle_per_origin = 64;
        options.max_response_bytes = 1024 * 1024;
        options.user_agent = "tandem/" TANDEM_VERSION;
        return options;
    }
    tx::CoordinatorOptions coordinator_options() {
        tx::CoordinatorOptions options = settings.coordinator;
        if (options.node_id.empty()) options.node_id = directory.node_id(ids);
        if (!settings.alert_webhook.empty()) {
            options.alert = [this](tx::Transaction transaction) {
                return post_alert(client, settings.alert_webhook, std::move(transaction));
            };
        }
        return options;
    }
    http::ServerOptions server_options() const {
        http::ServerOptions options;
        options.max_connections = static_cast<size_t>(settings.max_connections);
        return options;
    }
    void export_metrics();

    const Settings settings;
    DataDirectory directory;
    base::GidGenerator ids;
    tx::AllowedUrls allowed;
    db::Database database;
    tx::Store store;
    http::Client client;
    tx::HttpBranchCaller caller;
    tx::Coordinator coordinator;
    Events events;
    web::App app;
    std::vector<tandem::metrics::Callback> exported;
};

void Node::State::export_metrics() {
    const auto counter = [this](std::string_view name, std::string_view help, auto read) {
        exported.push_back(metrics::Registry::global().counter_callback(
            name, help, [this, read] { return static_cast<double>(read(*this)); }));
    };
    counter("tandem_transactions_begun_total", "Transactions taken in since the start",
            [](State& s) { return s.coordinator.stats().begun; });
    counter("tandem_transactions_succeeded_total", "Transactions that went forward since the start",
            [](State& s) { return s.coordinator.stats().succeeded; });
    counter("tandem_transactions_failed_total", "Transactions that were undone since the start",
            [](State& s) { return s.coordinator.stats().failed; });
    counter("tandem_branch_calls_total", "Calls of branches since the start",
            [](State& s) { return s.coordinator.stats().calls; });
    counter("tandem_branch_call_errors_total", "Calls of branches that brought no usable answer",
            [](State& s) { return s.coordinator.stats().call_errors; });
    counter("tandem_store_commits_total", "Database commits of the transaction store",
            [](State& s) { return s.store.stats().commits; });
    counter("tandem_store_writes_total", "Transitions written in those commits",
            [](State& s) { return s.store.stats().writes; });
    exported.push_back(metrics::Registry::global().gauge_callback(
        "tandem_transactions_driving", "Transactions being driven now",
        [this] { return static_cast<double>(coordinator.stats().driving); }));
}

Node::Node(Settings settings) : state_(std::make_unique<State>(std::move(settings))) {}
Node::~Node() = default;

namespace {

// One loop's server.
struct LoopServer {
    std::unique_ptr<net::Listener> listener;
    std::unique_ptr<http::Server> server;
};

Task<void> serve_on_this_loop(LoopServer* here, web::App* app, net::Address address, http::ServerOptions options) {
    if (!here->listener) here->listener = net::Network::real().listen(address, {.share_port = true});
    here->server = std::make_unique<http::Server>(app->handler(), options);
    co_await here->server->serve(*here->listener);
    here->server.reset();
    here->listener.reset();
}

Task<void> drain(LoopServer* here) {
    if (here->server) here->server->drain();
    co_return;
}

}  // namespace

Task<void> Node::run() {
    State& s = *state_;
    const auto extra_loops = static_cast<size_t>(s.settings.loops - 1);
    std::vector<LoopServer> servers(extra_loops + 1);
    servers[0].listener = net::Network::real().listen(s.settings.listen, {.share_port = extra_loops > 0});
    const net::Address address = servers[0].listener->local();
    co_await s.coordinator.start();

    async::LoopThreads threads(extra_loops);
    async::Scope scope;
    scope.spawn(serve_on_this_loop(&servers[0], &s.app, address, s.server_options()));
    for (size_t i = 0; i < extra_loops; ++i) {
        scope.spawn(
            async::on_loop(threads[i], serve_on_this_loop(&servers[i + 1], &s.app, address, s.server_options())));
    }
    log::info("listening", {{"url", "http://" + address.to_string()},
                            {"data", s.settings.data_directory},
                            {"store", db::redact(s.store_url())},
                            {"node", s.coordinator.options().node_id}});
    const auto stop_on_signal = [](State* state, std::vector<LoopServer>* all,
                                   async::LoopThreads* loops) -> Task<void> {
        const int signal = co_await async::wait_for_signal({SIGINT, SIGTERM});
        log::info("stopping: requests under way are finished first", {{"signal", signal}});
        state->events.close();
        for (size_t i = 1; i < all->size(); ++i) co_await async::on_loop((*loops)[i - 1], drain(&(*all)[i]));
        co_await drain(&(*all)[0]);
    };
    scope.spawn(stop_on_signal(&s, &servers, &threads));
    std::optional<Error> error;
    try {
        co_await scope.join();
    } catch (const Error& failed) {
        error = failed;
    }
    co_await s.coordinator.stop();
    co_await s.store.close();
    s.database.close_idle();
    s.client.close_idle();
    if (error) throw *error;
    log::info("stopped");
}

}  // namespace tandem::node
