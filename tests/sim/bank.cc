#include "bank.h"

#include <charconv>

#include "tandem/async/time.h"
#include "tandem/http/server.h"
#include "tandem/http/url.h"
#include "tandem/tx/barrier.h"

namespace tandem::sim {

using async::Task;
using http::Request;
using http::Response;
using http::Status;
using std::chrono::milliseconds;
using std::chrono::seconds;

Task<void> prepare_database(db::Database& database, int accounts) {
    db::Lease session = co_await database.session();
    co_await session->execute_script(
        tx::barrier_schema(database.dialect()) +
        "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, "
        "frozen INTEGER NOT NULL, incoming INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS effects (id INTEGER PRIMARY KEY, gid TEXT NOT NULL, branch_id TEXT NOT NULL, "
        "operation TEXT NOT NULL, at_ns INTEGER NOT NULL);");
    for (int i = 0; i < accounts; ++i) {
        co_await session->execute("INSERT INTO accounts VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING", i,
                                  money_per_account);
    }
}

Task<void> note_effect(db::Session& session, const World& world, std::string gid, std::string branch_id,
                       std::string operation) {
    co_await session.execute("INSERT INTO effects (gid, branch_id, operation, at_ns) VALUES (?, ?, ?, ?)",
                             std::move(gid), std::move(branch_id), std::move(operation),
                             int64_t{world.now().time_since_epoch().count()});
}

namespace {

struct Move {
    int64_t account = 0;
    int64_t amount = 0;
};

Move move_from(const http::QueryPairs& query) {
    const auto number = [&](std::string_view name) {
        int64_t value = 0;
        for (const auto& [key, text] : query) {
            if (key == name) std::from_chars(text.data(), text.data() + text.size(), value);
        }
        return value;
    };
    return {number("account"), number("amount")};
}

// What an operation does to an account; `?1` is the amount, never negative, `?2` the account.
std::string_view change_of(std::string_view operation, bool takes) {
    if (operation == "try") {
        return takes
                   ? "UPDATE accounts SET balance = balance - ?1, frozen = frozen + ?1 WHERE id = ?2 AND balance >= ?1"
                   : "UPDATE accounts SET incoming = incoming + ?1 WHERE id = ?2";
    }
    if (operation == "confirm") {
        return takes ? "UPDATE accounts SET frozen = frozen - ?1 WHERE id = ?2"
                     : "UPDATE accounts SET incoming = incoming - ?1, balance = balance + ?1 WHERE id = ?2";
    }
    if (operation == "cancel") {
        return takes ? "UPDATE accounts SET frozen = frozen - ?1, balance = balance + ?1 WHERE id = ?2"
                     : "UPDATE accounts SET incoming = incoming - ?1 WHERE id = ?2";
    }
    if ((operation == "action") == takes) {
        // Only an action may find too little.
        return operation == "action" ? "UPDATE accounts SET balance = balance - ?1 WHERE id = ?2 AND balance >= ?1"
                                     : "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2";
    }
    return operation == "action" ? "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2"
                                 : "UPDATE accounts SET balance = balance - ?1 WHERE id = ?2";
}

// The business of one branch: in the barrier's transaction.
Task<void> change_account(db::Session& session, const World& world, const tx::BranchContext& branch, Move move) {
    const bool takes = move.amount < 0;
    const std::string& operation = branch.operation;
    // A compensation gives back what the action took, and the other way round.
    const bool reversed = operation == "compensate";
    const db::Result result = co_await session.execute(std::string(change_of(operation, reversed ? !takes : takes)),
                                                       takes ? -move.amount : move.amount, move.account);
    if (result.affected == 0) fail(Code::conflict, "account {} has less than that", move.account);
    co_await note_effect(session, world, branch.gid, branch.branch_id, branch.operation);
}

class Bank {
  public:
    explicit Bank(Machine& machine)
        : machine_(machine),
          world_(machine.world),
          database(machine.database_url(bank_file), {.sessions_max = 3}),
          server([this](Request& request) { return answer(request); }, {.random = &machine.world.random}) {}

    // Now and then the log is written back into the database, as it would be after many commits.
    Task<void> housekeeping() {
        for (;;) {
            co_await async::sleep(world_.between(milliseconds(500), seconds(5)));
            try {
                (void)co_await database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
            } catch (const Error& error) {
                async::Context::current()->check();
                world_.trace.add("{}: no checkpoint: {}", machine_.name, error.message());
            }
        }
    }

  private:
    Task<Response> answer(Request& request) {
        (void)co_await request.body.read_all();
        ++world_.counts.calls;
        const Hardship& hard = world_.hardship;
        if (world_.chance(hard.answer_late)) co_await async::sleep(world_.between(milliseconds(0), seconds(2)));
        const tx::BranchContext branch = tx::BranchContext::from_query(request.query);
        if (world_.chance(hard.refusal)) co_return refuse(branch, "not today");
        std::optional<Error> failure;
        try {
            co_await work(branch, move_from(http::parse_query(request.query)));
        } catch (const Error& error) {
            failure = error;
        }
        if (failure) {
            if (failure->code() == Code::conflict) co_return refuse(branch, failure->message());
            world_.trace.add("{}: {} {} {} fails: {}", machine_.name, branch.gid, branch.branch_id, branch.operation,
                             failure->message());
            co_return Response::problem(Status::internal_server_error, "try again");
        }
        if (world_.chance(hard.answer_late)) co_await async::sleep(world_.between(milliseconds(0), seconds(2)));
        if (world_.chance(hard.answer_lost)) co_return Response::problem(Status::bad_gateway, "the answer was lost");
        co_return Response::json(R"({"dtm_result":"SUCCESS"})");
    }

    Response refuse(const tx::BranchContext& branch, std::string_view why) {
        world_.trace.add("{}: {} {} {} is refused: {}", machine_.name, branch.gid, branch.branch_id, branch.operation,
                         why);
        return Response::problem(Status::conflict, why);
    }

    Task<void> work(const tx::BranchContext& branch, Move move) {
        if (world_.sabotage == Sabotage::barrier) {
            co_await database.transaction(
                [&](db::Session& session) -> Task<void> { co_await change_account(session, world_, branch, move); });
            co_return;
        }
        tx::Barrier barrier(branch);
        const tx::Barrier::Work change = [&](db::Session& session) -> Task<void> {
            co_await change_account(session, world_, branch, move);
        };
        const bool ran = co_await barrier.run(database, change);
        world_.trace.add("{}: {} {} {}{}", machine_.name, branch.gid, branch.branch_id, branch.operation,
                         ran ? "" : ": nothing to do");
    }

    Machine& machine_;
    World& world_;

  public:
    db::Database database;
    http::Server server;
};

}  // namespace

Task<void> run_bank(Machine& machine) {
    Bank bank(machine);
    co_await prepare_database(bank.database, accounts_per_bank);
    const std::unique_ptr<net::Listener> listener = machine.network.listen(net::Address::tcp(machine.name, 80));
    async::Scope scope;
    scope.spawn(bank.server.serve(*listener));
    scope.spawn(bank.housekeeping());
    co_await scope.join();
}

}  // namespace tandem::sim
