// `Tcc`: try, confirm, cancel. The function given to run() tries every branch; the coordinator then confirms all of
// them, or cancels all of them.
//
//     co_await tx::Tcc::run(node, {}, [&](tx::Tcc& tcc) -> Task<void> {
//         co_await tcc.call(wallet + "/freeze", wallet + "/pay", wallet + "/unfreeze", order);
//         co_await tcc.call(stock + "/reserve", stock + "/take", stock + "/release", order);
//     });
//
// Thread rules and invariants: node_initiator.h. Errors: node.h.
#pragma once

#include <functional>

#include "tandem/tx/node_initiator.h"

namespace tandem::tx {

class Tcc final : public Initiator {
  public:
    using Body = std::function<async::Task<void>(Tcc&)>;

    // Submits when `body` returns and answers the transaction then (its end with Options::wait_result); aborts and
    // throws on when `body` throws, or when one of its calls failed even if `body` did not care.
    // `gid` names it, for callers who write the name down first; empty: a new one.
    static async::Task<RemoteTransaction> run(Node& node, Options options, Body body, std::string gid = {});

    // Registers the branch, then calls `try_url` with `payload`; confirm and cancel will get the same. The answer's
    // body. Throws conflict when the branch refuses.
    async::Task<std::string> call(std::string try_url, std::string confirm_url, std::string cancel_url,
                                  Payload payload = {});

  private:
    Tcc(Node& node, Options options, std::string gid)
        : Initiator(node, Mode::tcc, std::move(options), std::move(gid)) {}
    async::Task<std::string> register_and_try(std::string try_url, std::string confirm_url, std::string cancel_url,
                                              std::string payload);
};

}  // namespace tandem::tx
