#include "tandem/db/xa.h"

#include "tandem/async/time.h"
#include "tandem/base/error.h"

namespace tandem::db {

using async::Task;

namespace {

constexpr base::Duration first_wait = std::chrono::milliseconds(2);
constexpr base::Duration longest_wait = std::chrono::milliseconds(200);

Task<void> wait_until_gone(Session& session, uint64_t connection_id) {
    base::Duration wait = first_wait;
    while (!co_await connection_gone(session, connection_id)) {
        co_await async::sleep(wait);
        wait = std::min(wait * 2, longest_wait);
    }
}

}  // namespace

Task<bool> connection_gone(Session& session, uint64_t connection_id) {
    if (connection_id == session.connection_id()) co_return true;
    const Result found =
        co_await session.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ?", connection_id);
    co_return found.rows[0].get<int64_t>(0) == 0;
}

Task<void> commit_prepared_elsewhere(Session& session, Xid xid, uint64_t preparer_connection_id) {
    co_await wait_until_gone(session, preparer_connection_id);
    co_await session.xa_commit(std::move(xid), false);
}

Task<void> rollback_prepared_elsewhere(Session& session, Xid xid, uint64_t preparer_connection_id) {
    co_await wait_until_gone(session, preparer_connection_id);
    try {
        co_await session.xa_rollback(std::move(xid));
    } catch (const Error& error) {
        if (error.code() != Code::not_found) throw;
    }
}

}  // namespace tandem::db
