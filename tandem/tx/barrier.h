// The sub-transaction barrier: lets a branch's business SQL run exactly when it should, although calls of a global
// transaction may come twice, too late, or in the wrong order. Table, columns and values are those of DTM's clients
// (github.com/dtm-labs/dtm, client/dtmcli/barrier.go), so that services in any language share one database.
//
//     tx::Barrier barrier(tx::BranchContext::from_query(request.query));
//     bool ran = co_await barrier.run(database, [&](db::Session& session) -> Task<void> {
//         co_await session.execute("UPDATE account SET balance = balance - ? WHERE id = ?", amount, id);
//     });
//
// Thread rules: a Barrier belongs to one request; its calls are made one after another.
// Errors: invalid_argument (a name is missing or breaks its rules), and whatever the database or the work throws; then
// nothing of this call is kept.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tandem/async/task.h"
#include "tandem/db/database.h"
#include "tandem/http/headers.h"
#include "tandem/tx/model.h"

namespace tandem::tx {

// Which call of which global transaction this is.
struct BranchContext {
    Mode mode = Mode::saga;
    std::string gid;
    std::string branch_id;  // "01", "02", …; "00" for a message's local transaction and its check-back
    std::string operation;  // action, compensate, try, confirm, cancel, commit, rollback, msg

    // From the query parameters gid, trans_type, branch_id and op that the coordinator adds to a branch's URL. Throws
    // invalid_argument that names the one that is missing or wrong.
    static BranchContext from_query(std::string_view query);
    // From the fields dtm-gid, dtm-trans_type, dtm-branch_id and dtm-op.
    static BranchContext from_headers(const http::Headers& headers);
    // The local transaction of a message, as its sender and its check-back name it.
    static BranchContext of_message(std::string gid);
    // Throws invalid_argument unless every part keeps its rules: the table must never cut a name short.
    void check() const;
    bool operator==(const BranchContext&) const = default;
};

struct BarrierOptions {
    // How often run(Database&) runs the local transaction when the database gives it up (deadlock, serialization).
    int attempts_max = 3;
};

class Barrier {
  public:
    using Work = std::function<async::Task<void>(db::Session&)>;

    explicit Barrier(BranchContext branch, BarrierOptions options = {});

    // Runs `work` in one local transaction with the barrier's rows; whether it ran. False: this call is a duplicate,
    // came after its own reversal, or has nothing to undo; answer it like a success. Each call counts as the next one
    // of this request, so a request must make its calls in the same order every time. `work` may run again when the
    // database gave the transaction up: it must touch nothing but the session.
    async::Task<bool> run(db::Database& database, Work work);
    // The same on a session of the caller's, once. In a transaction that the caller opened, the caller commits it,
    // whether this answers true or false; when this throws, the caller must roll back.
    async::Task<bool> run(db::Session& session, Work work);

    // For a message's check-back: did the local transaction commit? Once this has answered false it cannot any more.
    async::Task<bool> committed(db::Database& database);

    const BranchContext& branch() const noexcept { return branch_; }

  private:
    async::Task<bool> run_once(db::Session& session, std::string barrier_id, const Work& work);
    std::string next_id();

    BranchContext branch_;
    BarrierOptions options_;
    int calls_ = 0;
};

// The barrier's table: dtm_barrier.barrier on MariaDB and MySQL, barrier in SQLite.
std::string_view barrier_table(db::Dialect dialect) noexcept;
// The statements that make it where it is missing, and on MariaDB and MySQL the record of XA branches beside it.
std::string barrier_schema(db::Dialect dialect);
async::Task<void> install_barrier(db::Database& database);

// One row of the barrier, for those who build on it; see the invariants in barrier.cc.
struct BarrierRow {
    Mode mode = Mode::saga;
    std::string gid;
    std::string branch_id;
    std::string operation;
    std::string barrier_id;
    std::string reason;  // the operation that wrote the row
};
// Whether the row was new. Waits for a transaction under way that wrote the same row.
async::Task<bool> insert_barrier(db::Session& session, BarrierRow row);
// The reason of the row with this name, if there is one.
async::Task<std::optional<std::string>> barrier_reason(db::Session& session, BarrierRow row);

}  // namespace tandem::tx
