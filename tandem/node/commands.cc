#include "tandem/node/commands.h"

#include <sys/resource.h>

#include <boost/json.hpp>
#include <cstdio>

#include "tandem/base/file_system.h"
#include "tandem/db/database.h"
#include "tandem/http/client.h"
#include "tandem/http/url.h"
#include "tandem/node/node.h"
#include "tandem/tx/barrier.h"

namespace tandem::node {

namespace json = boost::json;
using async::Task;

namespace {

base::Config load(const base::Schema& schema, const CommonArguments& arguments) {
    base::ConfigSources sources;
    sources.file = arguments.config_file;
    if (sources.file.empty() && base::FileSystem::real().exists("tandem.toml")) sources.file = "tandem.toml";
    sources.environment = base::process_environment();
    sources.command_line = arguments.settings;
    return base::Config::load(schema, sources);
}

// As many descriptors as the system lets us have: each connection is one.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

Task<void> run_node(Settings settings) {
    Node node(std::move(settings));
    co_await node.run();
}

Task<json::value> ask(RemoteArguments remote, http::Method method, std::string path, std::string body) {
    http::Client client(net::Network::real());
    http::ClientRequest request;
    request.method = method;
    request.url = remote.url + path;
    request.body = std::move(body);
    if (!request.body.empty()) request.headers.set("Content-Type", "application/json");
    if (!remote.token.empty()) request.headers.set("Authorization", "Bearer " + remote.token);
    const http::ClientResponse response = co_await client.send(std::move(request));
    boost::system::error_code malformed;
    json::value answer = json::parse(response.body, malformed);
    if (malformed) {
        fail(Code::unavailable, "{} answered {} with something that is not JSON; is a Tandem node there?", remote.url,
             response.status);
    }
    if (!response.ok()) {
        const json::value* detail = answer.is_object() ? answer.get_object().if_contains("detail") : nullptr;
        fail(Code::conflict, "{} answered {}: {}", remote.url, response.status,
             detail && detail->is_string() ? std::string_view(detail->get_string()) : std::string_view("(no detail)"));
    }
    co_return answer;
}

std::string text(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (!value) return "";
    return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

void print_transaction(const json::object& transaction) {
    fmt::print("{}  {}  {}\n", text(transaction, "gid"), text(transaction, "mode"), text(transaction, "status"));
    for (const char* name : {"created_at", "updated_at", "finished_at", "next_attempt_at", "failures", "reason",
                             "forced", "check_back", "version"}) {
        if (const std::string value = text(transaction, name); !value.empty()) fmt::print("  {:16}{}\n", name, value);
    }
    for (const json::value& item : transaction.at("branches").as_array()) {
        const json::object& branch = item.as_object();
        fmt::print("  branch {:8} {:9}", text(branch, "branch_id"), text(branch, "status"));
        for (const char* name : {"action", "compensate", "confirm", "cancel", "url", "attempts", "last_error"}) {
            if (const std::string value = text(branch, name); !value.empty()) fmt::print(" {}={}", name, value);
        }
        fmt::print("\n");
    }
}

}  // namespace

int serve(const CommonArguments& arguments) {
    const base::Schema schema = settings_schema();
    Settings settings = settings_from(load(schema, arguments));
    log::configure(settings.log);
    raise_descriptor_limit();
    async::run(run_node(std::move(settings)));
    log::flush();
    return 0;
}

int check_config(const std::string& file) {
    const base::Schema schema = settings_schema();
    base::ConfigSources sources;
    sources.file = file;
    sources.environment = base::process_environment();
    const base::Config config = base::Config::load(schema, sources);
    (void)settings_from(config);
    fmt::print("{}\n# {} is good: this is what a node would run with.\n", config.effective(), file);
    return 0;
}

int print_default_config() {
    fmt::print("{}", settings_schema().default_file());
    return 0;
}

int print_settings_table() {
    fmt::print("{}", settings_schema().markdown_table());
    return 0;
}

int install_barrier(const std::string& database_url) {
    const auto install = [](std::string url) -> Task<void> {
        db::Database database(url);
        co_await tx::install_barrier(database);
        database.close_idle();
    };
    async::run(install(database_url));
    fmt::print("The barrier's table is in place in {}\n", db::redact(database_url));
    return 0;
}

int list_transactions(const RemoteArguments& remote, const std::string& status, int limit) {
    std::string path = fmt::format("/v1/transactions?limit={}", limit);
    if (!status.empty()) path += "&status=" + http::percent_encode(status);
    const json::value answer = async::run(ask(remote, http::Method::get, path, {}));
    const json::array& transactions = answer.at("transactions").as_array();
    for (const json::value& item : transactions) {
        const json::object& transaction = item.as_object();
        fmt::print("{:28} {:8} {:10} {} branches={} failures={}\n", text(transaction, "gid"), text(transaction, "mode"),
                   text(transaction, "status"), text(transaction, "created_at"),
                   transaction.at("branches").as_array().size(), text(transaction, "failures"));
    }
    if (transactions.empty()) fmt::print("no transactions\n");
    if (answer.as_object().contains("next")) fmt::print("… there are more (--limit)\n");
    return 0;
}

int show_transaction(const RemoteArguments& remote, const std::string& gid) {
    const json::value answer =
        async::run(ask(remote, http::Method::get, "/v1/transactions/" + http::percent_encode(gid), {}));
    print_transaction(answer.as_object());
    return 0;
}

int decide_transaction(const RemoteArguments& remote, const std::string& gid, const std::string& outcome,
                       const std::string& reason) {
    const json::object body{{"outcome", outcome}, {"reason", reason}};
    const json::value answer =
        async::run(ask(remote, http::Method::post, "/v1/transactions/" + http::percent_encode(gid) + "/decision",
                       json::serialize(body)));
    print_transaction(answer.as_object());
    return 0;
}

}  // namespace tandem::node
