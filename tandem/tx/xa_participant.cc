// Invariants of an XA branch:
// 1. The coordinator knows the branch before the database does: none can be left prepared that nobody will finish.
// 2. Every branch writes the barrier's row (op action, reason action) in its own XA transaction. So no branch is
//    read-only (MariaDB forgets such a one at a disconnect), and the row, once visible, proves the commit.
// 3. A rollback leaves the same row with the reason rollback before it answers. The row's unique key fences the branch
//    off: a prepare that comes later finds it and refuses; one under way holds the row's lock, and the rollback waits.
// 4. Phase two runs on the connection that prepared, or after that one has left the server's process list. Which one it
//    was is recorded, and committed, before the branch begins.
// 5. "Unknown branch" is no answer to a commit: it counts as done only if the row of 2 is visible.
// 6. One call at a time works on a branch within this process.
#include "tandem/tx/xa_participant.h"

#include <algorithm>

#include "tandem/async/time.h"
#include "tandem/base/assert.h"
#include "tandem/base/crash_point.h"
#include "tandem/base/log.h"
#include "tandem/db/xa.h"

namespace tandem::tx {

using async::Task;

namespace {

constexpr size_t xid_part_max = 64;  // X/Open XA: bytes of gtrid, and of bqual

db::Xid xid_of(const BranchContext& branch) {
    return {.format_id = 1, .global_id = branch.gid, .branch_id = branch.branch_id};
}

// The row of invariants 2 and 3, where DTM's clients keep it too.
BarrierRow row_of(const BranchContext& branch, std::string reason) {
    return {Mode::xa, branch.gid, branch.branch_id, "action", "01", std::move(reason)};
}

std::string name_of(const BranchContext& branch) {
    return fmt::format("XA branch {} {}", branch.gid, branch.branch_id);
}

void check(const BranchContext& branch, std::initializer_list<std::string_view> allowed) {
    branch.check();
    if (branch.mode != Mode::xa || std::ranges::find(allowed, branch.operation) == allowed.end()) {
        fail(Code::invalid_argument, "trans_type {} and op {} are not of XA: expected xa and {}",
             to_string(branch.mode), branch.operation, fmt::join(allowed, " or "));
    }
    if (branch.gid.size() > xid_part_max || branch.branch_id.size() > xid_part_max) {
        fail(Code::invalid_argument, "{}: XA names have at most {} bytes", name_of(branch), xid_part_max);
    }
}

// Whether the record is new.
Task<bool> record_preparer(db::Session& session, BranchContext branch) {
    const db::Result result = co_await session.execute(
        "INSERT IGNORE INTO dtm_barrier.tandem_xa_branch (gid, branch_id, connection_id, begun_at) "
        "VALUES (?, ?, CONNECTION_ID(), UNIX_TIMESTAMP())",
        branch.gid, branch.branch_id);
    co_return result.affected > 0;
}

// The connection that began the branch, if it is recorded; 0, which is nobody's, when the server was restarted since:
// its numbers begin anew.
Task<std::optional<uint64_t>> recorded_preparer(db::Session& session, BranchContext branch) {
    const db::Result record = co_await session.execute(
        "SELECT connection_id, UNIX_TIMESTAMP() - begun_at AS age_s FROM dtm_barrier.tandem_xa_branch "
        "WHERE gid = ? AND branch_id = ?",
        branch.gid, branch.branch_id);
    if (record.rows.empty()) co_return std::nullopt;
    const db::Result uptime = co_await session.execute("SHOW GLOBAL STATUS LIKE 'Uptime'");
    constexpr int64_t rounding_s = 1;
    const bool restarted = record.rows[0].get<int64_t>("age_s") > uptime.rows[0].get<int64_t>("Value") + rounding_s;
    co_return restarted ? 0 : record.rows[0].get<uint64_t>("connection_id");
}

// Only tidies up: what stays behind costs a row.
Task<void> forget_preparer(db::Session& session, BranchContext branch) {
    try {
        co_await session.execute("DELETE FROM dtm_barrier.tandem_xa_branch WHERE gid = ? AND branch_id = ?", branch.gid,
                                 branch.branch_id);
    } catch (const Error& error) {
        log::warn("an ended XA branch is still recorded",
                  {{"gid", branch.gid}, {"branch", branch.branch_id}, {"error", error.what()}});
    }
}

// Takes an unprepared branch back; false when that is not known to have worked. Then the pool closes the session, and
// the server rolls back.
Task<bool> take_back(db::Session& session, db::Xid xid) {
    try {
        co_await session.xa_end(xid);
    } catch (const Error&) {
        // It had ended, or the database has marked it for rollback.
    }
    try {
        co_await session.xa_rollback(xid);
        co_return true;
    } catch (const Error& error) {
        co_return error.code() == Code::not_found;
    }
}

}  // namespace

struct XaParticipant::Entry {
    async::Mutex mutex;
    std::optional<db::Lease> session;  // that prepared the branch
};

// The right to work on a branch; forgets an entry that holds nothing when nobody else waits for it.
class XaParticipant::Turn {
  public:
    static constexpr long map_and_one = 2;  // holders of an entry that nobody waits for
    Turn(XaParticipant& participant, std::string key, std::shared_ptr<Entry> entry, async::Permit permit)
        : participant_(&participant), key_(std::move(key)), entry_(std::move(entry)), permit_(std::move(permit)) {}
    Turn(Turn&&) noexcept = default;
    ~Turn() {
        if (!entry_) return;
        permit_.release();
        if (!entry_->session && entry_.use_count() == map_and_one) participant_->entries_.erase(key_);
    }
    Entry& entry() const noexcept { return *entry_; }

  private:
    XaParticipant* participant_;
    std::string key_;
    std::shared_ptr<Entry> entry_;
    async::Permit permit_;
};

XaParticipant::XaParticipant(db::Database& database, Node& node, std::string own_url, XaOptions options)
    : database_(database), node_(node), own_url_(std::move(own_url)), options_(options) {}

XaParticipant::~XaParticipant() = default;

Task<XaParticipant::Turn> XaParticipant::turn_of(const BranchContext& branch) {
    std::string key = branch.gid + " " + branch.branch_id;
    std::shared_ptr<Entry>& slot = entries_[key];
    if (!slot) slot = std::make_shared<Entry>();
    std::shared_ptr<Entry> entry = slot;
    std::exception_ptr cancelled;
    try {
        async::Permit permit = co_await entry->mutex.lock();
        co_return Turn(*this, std::move(key), std::move(entry), std::move(permit));
    } catch (...) {
        cancelled = std::current_exception();
    }
    if (!entry->session && entry.use_count() == Turn::map_and_one) entries_.erase(key);
    std::rethrow_exception(cancelled);
}

Task<void> XaParticipant::prepare(BranchContext branch, Payload payload, Barrier::Work work) {
    check(branch, {"action"});
    if (database_.dialect() != db::Dialect::mysql) {
        fail(Code::unsupported, "{}: this database has no XA", name_of(branch));
    }
    const Turn turn = co_await turn_of(branch);
    if (turn.entry().session) co_return;
    if (kept_ >= options_.kept_max) {
        fail(Code::resource_exhausted, "{}: {} branches are prepared and wait for their outcome (kept_max)",
             name_of(branch), kept_);
    }
    ++kept_;  // the place is taken from here on
    std::exception_ptr error;
    try {
        co_await node_.add_branch(
            branch.gid,
            {.id = branch.branch_id, .confirm = {}, .cancel = {}, .url = own_url_, .payload = std::move(payload.text)});
        co_await begin_and_prepare(turn.entry(), branch, std::move(work));
    } catch (...) {
        error = std::current_exception();
    }
    if (!turn.entry().session) --kept_;
    if (error) std::rethrow_exception(error);
}

Task<void> XaParticipant::begin_and_prepare(Entry& entry, BranchContext branch, Barrier::Work work) {
    db::Lease session = co_await database_.session();
    if (!co_await record_preparer(*session, branch)) {
        co_await answer_repeated(*session, branch);
        co_return;
    }
    const db::Xid xid = xid_of(branch);
    bool fresh = false;
    std::exception_ptr error;
    try {
        co_await session->xa_start(xid);
        fresh = co_await insert_barrier(*session, row_of(branch, "action"));
        if (fresh) {
            co_await work(*session);
            co_await session->xa_end(xid);
            TANDEM_CRASH_POINT("xa.before_prepare");
            co_await session->xa_prepare(xid);
            TANDEM_CRASH_POINT("xa.after_prepare");
        }
    } catch (...) {
        error = std::current_exception();
    }
    if (fresh && !error) {
        entry.session.emplace(std::move(session));
        co_return;
    }
    if (co_await async::shielded(take_back(*session, xid))) {
        co_await async::shielded(forget_preparer(*session, branch));
    }
    if (error) std::rethrow_exception(error);
    co_await answer_repeated(*session, branch);
}

// The branch has been here before: returns when it went forward to the end, throws when it did not.
Task<void> XaParticipant::answer_repeated(db::Session& session, BranchContext branch) {
    const std::optional<std::string> reason = co_await barrier_reason(session, row_of(branch, {}));
    if (reason == "action") co_return;
    if (reason) fail(Code::conflict, "{} was rolled back before it could prepare", name_of(branch));
    fail(Code::conflict, "{} was begun before, on another connection, and is not decided", name_of(branch));
}

Task<void> XaParticipant::finish(BranchContext branch) {
    check(branch, {"commit", "rollback"});
    const Turn turn = co_await turn_of(branch);
    const bool ended = turn.entry().session && co_await finish_on_kept(turn.entry(), branch);
    if (ended && branch.operation == "commit") co_return;
    db::Lease session = co_await database_.session();
    if (branch.operation == "commit") {
        co_await commit_elsewhere(*session, branch);
    } else {
        co_await rollback_elsewhere(*session, branch);
    }
}

// False when the connection did not do it: it is closed then, and what it prepared stays prepared.
Task<bool> XaParticipant::finish_on_kept(Entry& entry, BranchContext branch) {
    db::Lease session = std::move(*entry.session);
    entry.session.reset();
    --kept_;
    std::optional<Error> error;
    try {
        if (branch.operation == "commit") {
            co_await session->xa_commit(xid_of(branch), false);
        } else {
            co_await session->xa_rollback(xid_of(branch));
        }
        co_await forget_preparer(*session, branch);
        co_return true;
    } catch (const Error& failed) {
        error = failed;
    }
    log::warn("the connection that prepared an XA branch could not finish it",
              {{"gid", branch.gid}, {"branch", branch.branch_id}, {"error", error->what()}});
    async::Context::current()->check();
    co_return false;
}

Task<void> XaParticipant::commit_elsewhere(db::Session& session, BranchContext branch) {
    const db::Xid xid = xid_of(branch);
    if (const std::optional<uint64_t> preparer = co_await recorded_preparer(session, branch)) {
        try {
            co_await async::with_deadline(options_.preparer_wait,
                                          db::commit_prepared_elsewhere(session, xid, *preparer));
        } catch (const Error& error) {
            if (error.code() != Code::not_found) throw;
        }
    }
    // In this order: a branch that is not listed any more has its row visible, if it ever will be.
    const std::vector<db::Xid> in_doubt = co_await session.xa_recover();
    const std::optional<std::string> reason = co_await barrier_reason(session, row_of(branch, {}));
    if (reason == "action") {
        co_await forget_preparer(session, branch);
        co_return;
    }
    if (std::ranges::find(in_doubt, xid) != in_doubt.end()) {
        fail(Code::unavailable, "{} is prepared and could not be committed yet", name_of(branch));
    }
    fail(Code::conflict, "{} can not be committed: it is neither prepared nor committed here", name_of(branch));
}

Task<void> XaParticipant::rollback_elsewhere(db::Session& session, BranchContext branch) {
    if (const std::optional<uint64_t> preparer = co_await recorded_preparer(session, branch)) {
        co_await async::with_deadline(options_.preparer_wait,
                                      db::rollback_prepared_elsewhere(session, xid_of(branch), *preparer));
    }
    if (!co_await insert_barrier(session, row_of(branch, "rollback"))) {
        const std::optional<std::string> reason = co_await barrier_reason(session, row_of(branch, {}));
        if (reason != "rollback") {
            fail(Code::conflict, "{} can not be rolled back: it was committed", name_of(branch));
        }
    }
    co_await forget_preparer(session, branch);
}

}  // namespace tandem::tx
