// `Xa`: a transaction over several databases that prepare together and then commit, or roll back, together. The
// function given to run() calls services; each prepares a branch in its own database (xa_participant.h); the
// coordinator then commits all of them, or rolls back all of them.
//
//     co_await tx::Xa::run(node, {}, [&](tx::Xa& xa) -> Task<void> {
//         co_await xa.call(wallet + "/pay", order);
//         co_await xa.call(stock + "/take", order);
//     });
//
// Thread rules and invariants: node_initiator.h. Errors: node.h.
#pragma once

#include <functional>

#include "tandem/tx/node_initiator.h"

namespace tandem::tx {

class Xa final : public Initiator {
  public:
    using Body = std::function<async::Task<void>(Xa&)>;

    // Submits when `body` returns and answers the transaction then (its end with Options::wait_result); aborts and
    // throws on when `body` throws, or when one of its calls failed even if `body` did not care.
    // `gid` names it, for callers who write the name down first; empty: a new one.
    static async::Task<RemoteTransaction> run(Node& node, Options options, Body body, std::string gid = {});

    // Calls the service, which registers and prepares the branch. The answer's body. Throws conflict when it refuses.
    async::Task<std::string> call(std::string url, Payload payload = {});

  private:
    Xa(Node& node, Options options, std::string gid) : Initiator(node, Mode::xa, std::move(options), std::move(gid)) {}
};

}  // namespace tandem::tx
