// The drivers that Database chooses from by URL.
#pragma once

#include <memory>
#include <string_view>

#include "tandem/db/database.h"

namespace tandem::db::detail {

// `rest` is the URL after "sqlite:": PATH[?vfs=NAME], or ":memory:" (one session's own, gone with it).
std::unique_ptr<Driver> sqlite_driver(std::string_view rest, const PoolOptions& options);

// `mysql://…`, the whole URL.
std::unique_ptr<Driver> mysql_driver(std::string_view url);

}  // namespace tandem::db::detail
