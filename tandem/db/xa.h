// Phase two of an XA branch from another connection than the one that prepared it: what recovery does.
//
// MariaDB lists a prepared branch in XA RECOVER while the connection that prepared it still lives or is just leaving,
// yet answers "unknown" when another one ends it then, and may even answer "done" without doing it. So these first wait
// until the preparer has left information_schema.processlist. The preparer's number is Session::connection_id(), kept
// beside the branch; the user needs to see it there (its own connections always, others with the PROCESS privilege).
//
// Errors: those of session.h; deadline_exceeded when the preparer stays for as long as the context allows.
// Source: MariaDB Knowledge Base, "XA Transactions" and "Information Schema PROCESSLIST Table".
#pragma once

#include <cstdint>

#include "tandem/async/task.h"
#include "tandem/db/session.h"

namespace tandem::db {

// Whether the server still knows the connection. A session's own number counts as gone: it can end its branch itself.
async::Task<bool> connection_gone(Session& session, uint64_t connection_id);

// Throws not_found when the server does not know the branch: committed before, or never prepared. Only a mark that the
// branch wrote in its own transaction tells which.
async::Task<void> commit_prepared_elsewhere(Session& session, Xid xid, uint64_t preparer_connection_id);
// An unknown branch is as good as rolled back.
async::Task<void> rollback_prepared_elsewhere(Session& session, Xid xid, uint64_t preparer_connection_id);

}  // namespace tandem::db
