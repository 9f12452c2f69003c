// What TCC and XA share on the side that begins them: begin, run the caller's function, decide by how it ended.
//
// Invariants:
// 1. A branch is called only after the transaction is known to the coordinator.
// 2. Exactly one decision is asked for: submit when the function returned and every call in it succeeded, else abort.
//    It is asked for even when the caller has been cancelled.
// 3. Without a decision (this process dies, the coordinator cannot be reached) the coordinator aborts by its time-out.
//
// Thread rules: belongs to the coroutine of run(); calls may overlap (async::all).
#pragma once

#include <optional>
#include <string>

#include "tandem/async/task.h"
#include "tandem/tx/headers.h"
#include "tandem/tx/node.h"

namespace tandem::tx {

class Initiator {
  public:
    Initiator(const Initiator&) = delete;
    Initiator& operator=(const Initiator&) = delete;
    const std::string& gid() const noexcept { return gid_; }

  protected:
    Initiator(Node& node, Mode mode, Options options, std::string gid)
        : node_(node), mode_(mode), gid_(gid.empty() ? node.new_gid() : std::move(gid)), options_(std::move(options)) {}
    ~Initiator() = default;

    // Begins, runs `body`, decides. Throws what `body` threw after asking for the abort.
    async::Task<RemoteTransaction> decide_by(async::Task<void> body);
    std::string next_branch_id();
    // The body of the branch's answer. Throws conflict when it refuses, unavailable when it gives no usable answer.
    async::Task<std::string> call_branch(std::string url, std::string branch_id, std::string operation,
                                         std::string payload);
    // `call`, noting its failure: a function that swallows it must not end in a submit.
    async::Task<std::string> noting_failure(async::Task<std::string> call);

    Node& node_;

  private:
    const Mode mode_;
    const std::string gid_;
    const Options options_;
    int branches_ = 0;
    std::optional<Error> failure_;  // of the first call that failed
};

}  // namespace tandem::tx
