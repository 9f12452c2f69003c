// `Message`: a two-phase message. A local transaction and the calls it entails: if the local transaction commits, the
// calls are made (at least once, until they succeed); if it does not, none is.
//
//     tx::Message message(node);
//     message.step(points + "/add", order);
//     co_await message.prepare(own_url + "/order_committed");    // asked when the submit does not come
//     co_await message.do_and_submit(database, [&](db::Session& session) -> Task<void> {
//         co_await session.execute("INSERT INTO orders …");
//     });
//
// The check-back's view answers by Barrier::committed(): 200 for true, 409 for false.
//
// Thread rules: belongs to one coroutine. Errors: node.h.
#pragma once

#include <optional>

#include "tandem/tx/barrier.h"
#include "tandem/tx/node.h"

namespace tandem::tx {

class Message {
  public:
    explicit Message(Node& node, std::string gid = {});

    Message& step(std::string url, Payload payload = {});
    // submit answers when all calls have been made.
    Message& wait();
    // The calls begin this long after the submit.
    Message& delay(base::Duration delay);
    Message& options(Options options);

    const std::string& gid() const noexcept { return transaction_.gid; }

    async::Task<void> prepare(std::string check_back);
    // Runs `work` in a local transaction together with the row that the check-back looks for, then submits.
    // Answers nullopt when it committed but the submit did not reach the coordinator, which will find out by its
    // check-back. Throws what `work` threw; conflict when the check-back had given the message up already; in both
    // cases nothing is committed. When the database cannot say whether it committed, throws that error and leaves the
    // decision to the check-back.
    async::Task<std::optional<RemoteTransaction>> do_and_submit(db::Database& database, Barrier::Work work);
    // For local transactions of another kind: the check-back is the caller's affair.
    async::Task<RemoteTransaction> submit();
    async::Task<RemoteTransaction> abort(std::string reason);

  private:
    async::Task<void> try_abort(std::string reason);

    Node& node_;
    NewTransaction transaction_;
    bool prepared_ = false;
};

}  // namespace tandem::tx
