// `Saga`: actions one after the other; when one refuses, the compensations of those before it, in reverse. The
// coordinator makes all the calls; this builds the list and hands it over.
//
//     co_await tx::Saga(node)
//         .step(stock + "/take", stock + "/give_back", order)
//         .step(wallet + "/pay", wallet + "/refund", order)
//         .wait()
//         .submit();
//
// Thread rules: a value of one coroutine. Errors: node.h; invalid_argument when after() names a step that is not there.
#pragma once

#include <vector>

#include "tandem/tx/node.h"

namespace tandem::tx {

class Saga {
  public:
    explicit Saga(Node& node, std::string gid = {});

    // `compensate` may be empty: then there is nothing to undo.
    Saga& step(std::string action, std::string compensate, Payload payload = {});
    // Steps run at the same time, but for those that after() makes wait. Steps count from 0.
    Saga& concurrent();
    Saga& after(int step, std::vector<int> before);
    // submit() answers when the saga has ended.
    Saga& wait();
    // An action that failed (rather than refused) this often counts as refused.
    Saga& retry_limit(int times);
    // The saga turns back when it has not gone forward by then.
    Saga& timeout(base::Duration after);
    // Sent with every call of a branch.
    Saga& header(std::string name, std::string value);
    Saga& options(Options options);

    const std::string& gid() const noexcept { return transaction_.gid; }
    // Once this returns, the coordinator sees the saga through.
    async::Task<RemoteTransaction> submit();

  private:
    Node& node_;
    NewTransaction transaction_;
};

}  // namespace tandem::tx
