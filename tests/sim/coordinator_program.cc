#include "coordinator_program.h"

#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/http/client.h"
#include "tandem/http/server.h"
#include "tandem/node/api.h"
#include "tandem/tx/http_branch_caller.h"

namespace tandem::sim {

using async::Task;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Takes a call without an answer for a success, when sabotaged.
class Caller final : public tx::BranchCaller {
  public:
    Caller(http::Client& client, const World& world) : real_(client), world_(world) {}
    Task<tx::Answer> call(tx::BranchCall call) override {
        tx::Answer answer = co_await real_.call(std::move(call));
        if (world_.sabotage == Sabotage::caller && answer.verdict == tx::Verdict::error) {
            answer.verdict = tx::Verdict::success;
        }
        co_return answer;
    }

  private:
    tx::HttpBranchCaller real_;
    const World& world_;
};

tx::CoordinatorOptions options_for(const Machine& machine) {
    tx::CoordinatorOptions options;
    options.node_id = machine.name;
    options.request_timeout = seconds(1);
    options.retry_interval = milliseconds(200);
    options.retry_interval_max = seconds(3);
    options.prepared_timeout = seconds(4);
    options.lease_margin = seconds(2);
    options.wait_max = seconds(5);
    return options;
}

}  // namespace

Task<void> run_coordinator(Machine& machine, CoordinatorDesk& desk) {
    World& world = machine.world;
    db::Database database(machine.database_url(store_file), {.sessions_max = 4});
    tx::Store store(database);
    http::Client client(machine.network, {.random = &world.random});
    Caller caller(client, world);
    tx::Coordinator coordinator(store, caller, world.random, options_for(machine));
    coordinator.on_change([&desk](const tx::Transaction& transaction) { desk.oracle.observe(transaction); });
    const tx::AllowedUrls allowed({"*"});
    web::App app("tandem");
    const node::ApiContext api{coordinator, async::Loop::current(), allowed};
    node::add_v1(app, api);
    http::Server server(app.handler(), {.random = &world.random});

    std::optional<Error> error;
    try {
        co_await coordinator.start();
        const std::unique_ptr<net::Listener> listener = machine.network.listen(net::Address::tcp(machine.name, 7070));
        desk.coordinator = &coordinator;
        co_await server.serve(*listener);
    } catch (const Error& failed) {
        error = failed;
    }
    desk.coordinator = nullptr;
    co_await async::shielded(coordinator.stop());
    co_await async::shielded(store.close());
    client.close_idle();
    database.close_idle();
    if (error) throw *error;
}

}  // namespace tandem::sim
