// What can be configured on a node: the schema of tandem.toml, and its values in the shape the parts want them.
#pragma once

#include <string>
#include <vector>

#include "tandem/base/config.h"
#include "tandem/base/log.h"
#include "tandem/db/database.h"
#include "tandem/net/address.h"
#include "tandem/tx/coordinator.h"

namespace tandem::node {

struct Settings {
    std::string data_directory;
    net::Address listen;
    std::string token;  // empty: none is asked for
    int64_t loops = 1;
    int64_t max_body_bytes = 0;
    int64_t max_connections = 0;
    std::string store_url;  // empty: SQLite in the data directory
    db::PoolOptions pool;
    tx::StoreOptions store;
    tx::CoordinatorOptions coordinator;
    std::vector<std::string> allowed_branches;
    std::string alert_webhook;
    log::Options log;
};

base::Schema settings_schema();

// Throws invalid_argument where settings contradict each other: above all, listening beyond loopback without a token.
Settings settings_from(const base::Config& config);

}  // namespace tandem::node
