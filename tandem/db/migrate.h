// Schemas with a version: a list of steps that only ever grows. Each component (the transaction store, the barrier, an
// application) has its own version in the table `tandem_schema`.
//
//     co_await db::migrate(*session, "shop", {"CREATE TABLE goods (…)", "ALTER TABLE goods ADD COLUMN …"});
//
// On SQLite a step and its version are one transaction. MariaDB and MySQL commit a table's change by themselves, so
// write steps that can run twice there (IF NOT EXISTS): after a crash between the two the last step runs again. Several
// processes may migrate at once: they take turns.
//
// Errors: unsupported when the database is newer than the list of steps; a failing step's own, with its number.
#pragma once

#include <string>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/db/session.h"

namespace tandem::db {

// Runs the steps that the database has not seen; returns how many. A step may be several statements.
async::Task<size_t> migrate(Session& session, std::string component, std::vector<std::string> steps);

}  // namespace tandem::db
