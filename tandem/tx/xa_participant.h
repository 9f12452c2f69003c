// `XaParticipant`: a service's side of an XA transaction on MariaDB or MySQL. One view serves both phases:
//
//     const auto branch = tx::BranchContext::from_query(request.query);
//     if (branch.operation == "action") {
//         co_await participant.prepare(branch, body, [&](db::Session& session) -> Task<void> { … business SQL … });
//     } else {
//         co_await participant.finish(branch);        // commit or rollback
//     }
//
// Between the phases the connection that prepared is kept: MariaDB may lose a commit that another connection asks for
// while the preparer is leaving. Each prepared branch therefore takes a session out of the Database's pool: let its
// sessions_max be larger than kept_max, since finish() needs one more after a restart.
//
// Thread rules: belongs to the loop of its Database and Node, which must outlive it. When it dies, kept connections are
// closed; what they prepared stays prepared, for finish() of its successor.
// Errors: invalid_argument (the call is none of XA's), conflict (the branch was rolled back before it could prepare, or
// its outcome is the opposite), resource_exhausted (kept_max), unsupported (no XA in this database), unavailable,
// deadline_exceeded and aborted (ask again), and whatever the work throws.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tandem/async/sync.h"
#include "tandem/db/database.h"
#include "tandem/tx/barrier.h"
#include "tandem/tx/node.h"

namespace tandem::tx {

struct XaOptions {
    size_t kept_max = 6;  // branches prepared, or being prepared, at a time; one more is refused
    // How long finish() waits for another connection that prepared to leave the server before it is asked again.
    base::Duration preparer_wait = std::chrono::seconds(5);
};

class XaParticipant {
  public:
    // `own_url` is where the coordinator calls for phase two: it must reach this process or, after a restart, its
    // successor.
    XaParticipant(db::Database& database, Node& node, std::string own_url, XaOptions options = {});
    ~XaParticipant();
    XaParticipant(const XaParticipant&) = delete;
    XaParticipant& operator=(const XaParticipant&) = delete;

    // Registers the branch, runs `work` in it and prepares it. A repeated call finds it prepared and does nothing.
    async::Task<void> prepare(BranchContext branch, Payload payload, Barrier::Work work);
    // Commits or rolls back, as branch.operation says. Once it has returned, a repeated call does nothing.
    async::Task<void> finish(BranchContext branch);

    size_t kept() const noexcept { return kept_; }

  private:
    struct Entry;
    class Turn;
    async::Task<Turn> turn_of(const BranchContext& branch);
    async::Task<void> begin_and_prepare(Entry& entry, BranchContext branch, Barrier::Work work);
    async::Task<void> answer_repeated(db::Session& session, BranchContext branch);
    async::Task<bool> finish_on_kept(Entry& entry, BranchContext branch);
    async::Task<void> commit_elsewhere(db::Session& session, BranchContext branch);
    async::Task<void> rollback_elsewhere(db::Session& session, BranchContext branch);

    db::Database& database_;
    Node& node_;
    const std::string own_url_;
    const XaOptions options_;
    std::map<std::string, std::shared_ptr<Entry>> entries_;  // branches with a call under way or a kept connection
    size_t kept_ = 0;
};

}  // namespace tandem::tx
