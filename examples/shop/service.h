// What the three programs have in common: their command line, their database and their HTTP server.
//
// Thread rules: everything in this example runs on one loop, the main thread's.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tandem/async/task.h"
#include "tandem/base/error.h"
#include "tandem/db/database.h"
#include "tandem/net/address.h"
#include "tandem/web/app.h"

namespace shop {

using namespace tandem;
using async::Task;

struct Arguments {
    std::string listen;
    std::string data = "./tandem-data/shop";
    std::string node = "http://127.0.0.1:7070";
    std::string database;  // empty: a SQLite file in `data`
};

void add_options(CLI::App& command_line, Arguments& arguments);

// The program's database: mysql://… as it was given, else the SQLite file NAME.db in the data directory.
std::string database_url(const Arguments& arguments, std::string_view name);
// Room for the XA branches that keep their session between the two phases.
db::PoolOptions pool_options();

// Answers on `address`, which must be loopback, until SIGINT or SIGTERM. `before_drain` ends what would not end by
// itself, such as streams of events.
Task<void> serve(web::App& app, std::string address, std::function<void()> before_drain = {});

// Runs `program` on a loop of its own; what it throws is told on stderr. The exit status.
int run(std::string_view name, Task<void> program);

}  // namespace shop
