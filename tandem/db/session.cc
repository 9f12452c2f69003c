#include "tandem/db/session.h"

namespace tandem::db {

namespace {
[[noreturn]] void no_xa() {
    fail(Code::unsupported, "this database has no XA; use a MariaDB or MySQL URL, or another transaction mode");
}
}  // namespace

async::Task<void> Session::xa_start(Xid) {
    no_xa();
    co_return;
}
async::Task<void> Session::xa_end(Xid) {
    no_xa();
    co_return;
}
async::Task<void> Session::xa_prepare(Xid) {
    no_xa();
    co_return;
}
async::Task<void> Session::xa_commit(Xid, bool) {
    no_xa();
    co_return;
}
async::Task<void> Session::xa_rollback(Xid) {
    no_xa();
    co_return;
}
async::Task<std::vector<Xid>> Session::xa_recover() {
    no_xa();
    co_return std::vector<Xid>{};
}

}  // namespace tandem::db
