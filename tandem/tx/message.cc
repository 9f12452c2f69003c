// Invariants of a two-phase message:
// 1. prepare() has reached the coordinator before the local transaction begins: a commit is never unknown to it.
// 2. The barrier's row of the message is written in the local transaction, first: whoever has it, has the commit.
// 3. Abort is asked for only when the local transaction has not committed and cannot commit any more.
// 4. Submit is asked for only when it has committed.
#include "tandem/tx/message.h"

#include "tandem/async/time.h"
#include "tandem/base/log.h"

namespace tandem::tx {

using async::Task;

Message::Message(Node& node, std::string gid) : node_(node) {
    transaction_.mode = Mode::message;
    transaction_.gid = gid.empty() ? node.new_gid() : std::move(gid);
}

Message& Message::step(std::string url, Payload payload) {
    transaction_.steps.push_back({std::move(url), {}, std::move(payload.text)});
    return *this;
}

Message& Message::wait() {
    transaction_.options.wait_result = true;
    return *this;
}

Message& Message::delay(base::Duration delay) {
    transaction_.options.delay_ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
    return *this;
}

Message& Message::options(Options options) {
    transaction_.options = std::move(options);
    return *this;
}

Task<void> Message::prepare(std::string check_back) {
    transaction_.check_back = std::move(check_back);
    (void)co_await node_.create(transaction_);
    prepared_ = true;
}

Task<std::optional<RemoteTransaction>> Message::do_and_submit(db::Database& database, Barrier::Work work) {
    if (!prepared_) fail(Code::invalid_argument, "message {}: prepare() comes before do_and_submit()", gid());
    Barrier barrier(BranchContext::of_message(gid()));
    bool work_done = false;
    bool committed = false;
    std::exception_ptr error;
    try {
        // Lives, with what it refers to, until run() has ended.
        // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
        const Barrier::Work whole = [&](db::Session& session) -> Task<void> {
            co_await work(session);
            work_done = true;
        };
        committed = co_await barrier.run(database, whole);
    } catch (...) {
        error = std::current_exception();
    }
    // Nothing was thrown and the work did not run: the row was there, by the check-back or an earlier run. Or the
    // commit itself failed and nobody knows whether it happened. Asking settles both.
    if (!committed && (!error || work_done)) committed = co_await async::shielded(barrier.committed(database));
    if (!committed) {
        if (!error) {
            error = std::make_exception_ptr(Error(
                Code::conflict,
                fmt::format("message {}: the check-back found no commit in time and gave the message up", gid())));
        }
        co_await async::shielded(try_abort(Error::from(error).what()));
        std::rethrow_exception(error);
    }
    std::optional<Error> unreached;
    try {
        co_return co_await async::shielded(submit());
    } catch (const Error& failed) {
        unreached = failed;
    }
    if (unreached->code() != Code::unavailable && unreached->code() != Code::deadline_exceeded) throw *unreached;
    log::warn("the submit did not reach the coordinator, which will find the commit by its check-back",
              {{"gid", gid()}, {"error", unreached->what()}});
    co_return std::nullopt;
}

Task<void> Message::try_abort(std::string reason) {
    try {
        (void)co_await abort(std::move(reason));
    } catch (const Error& failed) {
        log::warn("the abort did not reach the coordinator, which will find no commit by its check-back",
                  {{"gid", gid()}, {"error", failed.what()}});
    }
}

Task<RemoteTransaction> Message::submit() {
    return node_.submit(gid(), transaction_.options.wait_result);
}

Task<RemoteTransaction> Message::abort(std::string reason) {
    constexpr size_t reason_max = 500;
    return node_.abort(gid(), reason.substr(0, reason_max));
}

}  // namespace tandem::tx
