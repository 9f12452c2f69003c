// What the program `tandem` does, a function for each command. main.cc only reads the command line.
#pragma once

#include <string>
#include <vector>

namespace tandem::node {

struct CommonArguments {
    std::string config_file;            // empty: tandem.toml when there is one here
    std::vector<std::string> settings;  // "section.key=value"
};

struct RemoteArguments {
    std::string url = "http://127.0.0.1:7070";
    std::string token;
};

// Each returns the program's exit code and throws Error with a message for the person at the terminal.
int serve(const CommonArguments& arguments);
int check_config(const std::string& file);
int print_default_config();
int print_settings_table();
int install_barrier(const std::string& database_url);
int list_transactions(const RemoteArguments& remote, const std::string& status, int limit);
int show_transaction(const RemoteArguments& remote, const std::string& gid);
int decide_transaction(const RemoteArguments& remote, const std::string& gid, const std::string& outcome,
                       const std::string& reason);

}  // namespace tandem::node
