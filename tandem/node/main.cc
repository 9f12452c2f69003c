// The program `tandem`: reads the command line and hands over to commands.h.
#include <CLI/CLI.hpp>

#include <csignal>

#include "tandem/base/error.h"
#include "tandem/node/commands.h"

namespace {

using namespace tandem::node;

struct Arguments {
    CommonArguments common;
    RemoteArguments remote;
    std::string data, listen, file, url, gid, outcome, reason, status;
    int limit = 50;
};

void add_remote(CLI::App* command, Arguments& a) {
    command->add_option("--url", a.remote.url, "The node's address")->capture_default_str();
    command->add_option("--token", a.remote.token, "Its bearer token")->envname("TANDEM_SERVER_TOKEN");
}

int run(int argc, char** argv) {
    Arguments a;
    CLI::App app(
        "Tandem: one request, one transaction, however many services and databases it touches.\n"
        "Start a node with `tandem serve`; documentation is in docs/.");
    app.require_subcommand(1);

    CLI::App* serve_command = app.add_subcommand("serve", "Run a node until Ctrl-C");
    serve_command->add_option("--config", a.common.config_file,
                              "Configuration file (default: ./tandem.toml if there is one)");
    serve_command->add_option("--data", a.data, "Data directory (default ./tandem-data)");
    serve_command->add_option("--listen", a.listen, "ADDRESS:PORT of the HTTP API (default 127.0.0.1:7070)");
    serve_command->add_option("--set", a.common.settings, "A setting, as section.key=value; may be repeated");

    CLI::App* tx_command = app.add_subcommand("tx", "Look at transactions of a running node, and decide them");
    tx_command->require_subcommand(1);
    CLI::App* tx_list = tx_command->add_subcommand("list", "List transactions, newest first");
    tx_list->add_option("--status", a.status, "prepared, submitted, aborting, succeed, failed or unfinished");
    tx_list->add_option("--limit", a.limit, "How many at most")->capture_default_str();
    CLI::App* tx_show = tx_command->add_subcommand("show", "Show one transaction with its branches");
    tx_show->add_option("gid", a.gid)->required();
    CLI::App* tx_decide = tx_command->add_subcommand(
        "decide",
        "Force an outcome. submit and abort still call every branch; succeed and failed declare the outcome "
        "without calling anybody");
    tx_decide->add_option("gid", a.gid)->required();
    tx_decide->add_option("outcome", a.outcome)
        ->required()
        ->check(CLI::IsMember({"submit", "abort", "succeed", "failed"}));
    tx_decide->add_option("--reason", a.reason, "Why; kept with the transaction")->required();
    for (CLI::App* command : {tx_list, tx_show, tx_decide}) add_remote(command, a);

    CLI::App* config_command = app.add_subcommand("config", "Check a configuration file, or print one to start from");
    config_command->require_subcommand(1);
    CLI::App* config_check = config_command->add_subcommand("check", "Report every mistake, or the effective settings");
    config_check->add_option("FILE", a.file)->required();
    CLI::App* config_default = config_command->add_subcommand("default", "Print every setting at its default");

    CLI::App* config_table =
        config_command->add_subcommand("table", "Print every setting as a table for the documentation");

    CLI::App* barrier_command = app.add_subcommand("barrier", "The table that makes branches idempotent");
    barrier_command->require_subcommand(1);
    CLI::App* barrier_install = barrier_command->add_subcommand("install", "Make it in a service's database");
    barrier_install->add_option("URL", a.url, "sqlite:FILE or mysql://user:password@host:port/schema")->required();

    CLI::App* version_command = app.add_subcommand("version", "Print the version");

    CLI11_PARSE(app, argc, argv);
    if (!a.data.empty()) a.common.settings.push_back("server.data=" + a.data);
    if (!a.listen.empty()) a.common.settings.push_back("server.listen=" + a.listen);

    if (serve_command->parsed()) return serve(a.common);
    if (tx_list->parsed()) return list_transactions(a.remote, a.status, a.limit);
    if (tx_show->parsed()) return show_transaction(a.remote, a.gid);
    if (tx_decide->parsed()) return decide_transaction(a.remote, a.gid, a.outcome, a.reason);
    if (config_check->parsed()) return check_config(a.file);
    if (config_default->parsed()) return print_default_config();
    if (config_table->parsed()) return print_settings_table();
    if (barrier_install->parsed()) return install_barrier(a.url);
    if (version_command->parsed()) fmt::print("tandem {}\n", TANDEM_VERSION);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that went away is an error of its write
    try {
        return run(argc, argv);
    } catch (const tandem::Error& error) {
        fmt::print(stderr, "tandem: {}\n", error.what());
        return 1;
    }
}
