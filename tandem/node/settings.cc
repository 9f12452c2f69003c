#include "tandem/node/settings.h"

#include "tandem/base/error.h"
#include "tandem/tx/allowed_urls.h"

namespace tandem::node {

using base::Duration;
using namespace std::chrono_literals;
using namespace base::literals;

namespace {

void add_server(base::Schema& schema) {
    schema.add(
        {.name = "server.listen", .default_value = "127.0.0.1:7070", .help = "Address and port of the HTTP API"});
    schema.add(
        {.name = "server.data", .default_value = "./tandem-data", .help = "Directory of everything the node keeps"});
    schema.add({.name = "server.token",
                .default_value = "",
                .secret = true,
                .help = "Bearer token that callers must show; needed to listen beyond loopback"});
    schema.add({.name = "server.loops",
                .default_value = int64_t{1},
                .least = int64_t{1},
                .most = int64_t{64},
                .help = "Event loops that serve HTTP; the coordinator runs on the first"});
    schema.add({.name = "server.max_body",
                .default_value = 1_MiB,
                .least = 1_KiB,
                .most = 64_MiB,
                .help = "Largest request body"});
    schema.add({.name = "server.max_connections",
                .default_value = int64_t{20'000},
                .least = int64_t{1},
                .most = int64_t{1'000'000},
                .help = "Connections open at a time, for each loop"});
}

void add_store(base::Schema& schema) {
    schema.add({.name = "store.url",
                .default_value = "",
                .secret = true,
                .help = "Database of the transactions; empty: SQLite in the data directory"});
    schema.add({.name = "store.sessions",
                .default_value = int64_t{8},
                .least = int64_t{2},
                .most = int64_t{256},
                .help = "Database sessions at most"});
    schema.add({.name = "store.group_max",
                .default_value = int64_t{512},
                .least = int64_t{1},
                .most = int64_t{10'000},
                .help = "Transitions written in one commit at most"});
    schema.add({.name = "store.waiting_max",
                .default_value = int64_t{100'000},
                .least = int64_t{1},
                .most = int64_t{10'000'000},
                .help = "Transitions waiting to be written; beyond it requests get 503"});
}

void add_branches(base::Schema& schema) {
    schema.add({.name = "branches.allow",
                .default_value = tx::AllowedUrls::loopback(),
                .help = "URLs that branches may have: \"scheme://host[:port][/path]\", \"http://*.internal\", \"*\""});
    schema.add({.name = "branches.max",
                .default_value = int64_t{1000},
                .least = int64_t{1},
                .most = int64_t{100'000},
                .help = "Branches of one transaction"});
    schema.add({.name = "branches.request_timeout",
                .default_value = Duration(3s),
                .least = Duration(10ms),
                .most = Duration(1h),
                .help = "How long one branch call may take"});
    schema.add({.name = "branches.retry_interval",
                .default_value = Duration(10s),
                .least = Duration(10ms),
                .most = Duration(24h),
                .help = "Wait after the first failure; doubles with each further one"});
    schema.add({.name = "branches.retry_interval_max",
                .default_value = Duration(60s),
                .least = Duration(10ms),
                .most = Duration(24h),
                .help = "Where the doubling ends"});
    schema.add({.name = "branches.calls_per_origin",
                .default_value = int64_t{512},
                .least = int64_t{1},
                .most = int64_t{100'000},
                .help = "Calls to one host and port at a time"});
}

void add_coordinator(base::Schema& schema) {
    schema.add({.name = "coordinator.node_id",
                .default_value = "",
                .help = "Name among the nodes that share a store; empty: made once and kept in the data directory"});
    schema.add({.name = "coordinator.driving_max",
                .default_value = int64_t{4096},
                .least = int64_t{1},
                .most = int64_t{1'000'000},
                .help = "Transactions driven at a time"});
    schema.add({.name = "coordinator.prepared_timeout",
                .default_value = Duration(35s),
                .least = Duration(100ms),
                .most = Duration(24h),
                .help = "When an undecided TCC or XA is aborted and a message checked back"});
    schema.add({.name = "coordinator.history",
                .default_value = Duration(168h),
                .least = Duration(1s),
                .help = "How long finished transactions are kept"});
}

void add_alerts_and_log(base::Schema& schema) {
    schema.add({.name = "alerts.after",
                .default_value = int64_t{3},
                .least = int64_t{1},
                .most = int64_t{1000},
                .help = "Failures in a row after which the webhook is told"});
    schema.add({.name = "alerts.webhook", .default_value = "", .help = "URL that gets a POST with the transaction"});
    schema.add({.name = "log.level",
                .default_value = "info",
                .choices = {"trace", "debug", "info", "warn", "error", "off"},
                .help = "Least level that is written"});
    schema.add(
        {.name = "log.format", .default_value = "text", .choices = {"text", "json"}, .help = "For people or machines"});
}

}  // namespace

base::Schema settings_schema() {
    base::Schema schema;
    add_server(schema);
    add_store(schema);
    add_branches(schema);
    add_coordinator(schema);
    add_alerts_and_log(schema);
    return schema;
}

Settings settings_from(const base::Config& config) {
    const auto number = [&](std::string_view name) { return config.get<int64_t>(name); };
    Settings settings;
    settings.data_directory = config.get<std::string>("server.data");
    settings.listen = net::Address::parse(config.get<std::string>("server.listen"));
    settings.token = config.get<std::string>("server.token");
    if (!settings.listen.is_loopback() && settings.token.empty()) {
        fail(Code::invalid_argument,
             "server.listen is {}, which others can reach, but server.token is not set: anybody could start and force "
             "transactions. Set server.token (or TANDEM_SERVER_TOKEN), or listen on 127.0.0.1",
             settings.listen.to_string());
    }
    settings.loops = number("server.loops");
    settings.max_body_bytes = config.get<base::ByteSize>("server.max_body").bytes;
    settings.max_connections = number("server.max_connections");
    settings.store_url = config.get<std::string>("store.url");
    settings.pool.sessions_max = static_cast<size_t>(number("store.sessions"));
    settings.store.group_max = static_cast<size_t>(number("store.group_max"));
    settings.store.waiting_max = static_cast<size_t>(number("store.waiting_max"));
    settings.allowed_branches = config.get<base::TextList>("branches.allow");
    (void)tx::AllowedUrls(settings.allowed_branches);
    settings.alert_webhook = config.get<std::string>("alerts.webhook");

    tx::CoordinatorOptions& coordinator = settings.coordinator;
    coordinator.node_id = config.get<std::string>("coordinator.node_id");
    coordinator.branches_max = static_cast<size_t>(number("branches.max"));
    coordinator.request_timeout = config.get<Duration>("branches.request_timeout");
    coordinator.retry_interval = config.get<Duration>("branches.retry_interval");
    coordinator.retry_interval_max = config.get<Duration>("branches.retry_interval_max");
    coordinator.calls_per_origin_max = static_cast<size_t>(number("branches.calls_per_origin"));
    coordinator.driving_max = static_cast<size_t>(number("coordinator.driving_max"));
    coordinator.prepared_timeout = config.get<Duration>("coordinator.prepared_timeout");
    coordinator.history = config.get<Duration>("coordinator.history");
    coordinator.alert_after = static_cast<int>(number("alerts.after"));

    settings.log.level = log::level_from(config.get<std::string>("log.level"));
    settings.log.format = log::format_from(config.get<std::string>("log.format"));
    return settings;
}

}  // namespace tandem::node
