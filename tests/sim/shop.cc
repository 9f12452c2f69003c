#include "shop.h"

#include "bank.h"
#include "tandem/async/time.h"
#include "tandem/base/id.h"
#include "tandem/http/client.h"
#include "tandem/http/server.h"
#include "tandem/tx/barrier.h"
#include "tandem/tx/message.h"
#include "tandem/tx/saga.h"
#include "tandem/tx/tcc.h"

namespace tandem::sim {

using async::Task;
using http::Request;
using http::Response;
using http::Status;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr int workers = 3;
constexpr int asks_max = 6;  // of one decision, each with the library's own repetitions

class Shop {
  public:
    Shop(Machine& machine, Market& market)
        : machine_(machine),
          world_(machine.world),
          market_(market),
          gids_(world_.loop().clock(), world_.random),
          client(machine.network, {.random = &world_.random}),
          node_(client, "http://node:7070", {},
                {.request_timeout = seconds(2), .wait_timeout = seconds(10), .gids = &gids_}),
          database(machine.database_url(shop_file), {.sessions_max = 3}),
          server([this](Request& request) { return check_back(request); }, {.random = &world_.random}) {}

    Task<void> work() {
        struct UnderWay {
            int& count;
            explicit UnderWay(int& count) : count(count) { ++count; }
            ~UnderWay() { --count; }
        };
        while (market_.orders_left > 0) {
            co_await async::sleep(world_.between(milliseconds(0), milliseconds(1500)));
            if (market_.orders_left == 0) break;
            --market_.orders_left;
            ++world_.counts.transactions;
            const UnderWay under_way(market_.orders_under_way);
            std::optional<Error> failed;
            try {
                co_await order();
            } catch (const Error& error) {
                failed = error;
            }
            if (failed) world_.trace.add("{}: an order ends: {}", machine_.name, failed->what());
            async::Context::current()->check();
        }
    }

  private:
    struct Leg {
        std::string url;
        int64_t amount = 0;
    };

    Task<void> order() {
        switch (world_.random.below(4)) {
            case 0:
                return saga();
            case 1:
                return tcc();
            case 2:
                return tcc_step_by_step();
            default:
                return message();
        }
    }

    std::string leg_url(int64_t amount) {
        return fmt::format("http://bank-{}/move?account={}&amount={}", world_.random.below(market_.banks),
                           world_.random.below(accounts_per_bank), amount);
    }
    // Legs of one transfer: the amounts add up to `sum`.
    std::vector<std::string> legs(int64_t sum) {
        std::vector<std::string> urls;
        const uint64_t count = 1 + world_.random.below(3);
        for (uint64_t i = 0; i < count; ++i) {
            const int64_t amount = world_.random.between(-400, 200);
            sum -= amount;
            urls.push_back(leg_url(amount));
        }
        urls.push_back(leg_url(sum));
        return urls;
    }

    // Asks until there is an answer, or not worth it any more. A repeated request has the same gid.
    template <typename Ask>
    Task<std::optional<tx::RemoteTransaction>> ask(Ask ask) {
        for (int i = 0; i < asks_max; ++i) {
            std::optional<Error> error;
            try {
                co_return co_await ask();
            } catch (const Error& failed) {
                error = failed;
            }
            async::Context::current()->check();
            if (error->code() == Code::conflict || error->code() == Code::not_found) throw *error;
            co_await async::sleep(milliseconds(200));
        }
        co_return std::nullopt;
    }

    // What a submit that was answered says.
    void note_submitted(const std::string& gid, const tx::RemoteTransaction& answer) {
        world_.trace.add("{}: told that {} is {}", machine_.name, gid, to_string(answer.status));
        Intent& intent = market_.oracle.intent(gid);
        intent.begun = true;
        intent.submitted = true;
        if (is_final(answer.status)) intent.told_end = answer.status;
    }
    Intent& plan(const std::string& gid, tx::Mode mode, size_t branches) {
        world_.trace.add("{}: {} {} of {} branches", machine_.name, to_string(mode), gid, branches);
        Intent& intent = market_.oracle.intent(gid);
        intent.mode = mode;
        intent.shop = machine_.name;
        intent.branches = branches;
        return intent;
    }
    tx::Options options() {
        tx::Options options;
        if (world_.random.chance(0.2)) options.wait_result = true;
        if (world_.random.chance(0.3)) options.request_timeout_ms = world_.random.between(200, 2000);
        if (world_.random.chance(0.2)) options.timeout_to_fail_ms = world_.random.between(500, 6000);
        return options;
    }

    Task<void> saga() {
        const std::vector<std::string> urls = legs(0);
        tx::Saga saga(node_, gids_.next());
        tx::Options options = this->options();
        if (world_.random.chance(0.3)) options.retry_limit = static_cast<int64_t>(1 + world_.random.below(4));
        if (world_.random.chance(0.5)) options.concurrent = true;
        saga.options(options);
        for (const std::string& url : urls) saga.step(url, url, "{}");
        if (options.concurrent && world_.random.chance(0.6)) {
            const int last = static_cast<int>(urls.size()) - 1;
            saga.after(last, {0});
            if (last > 1) saga.after(1, {0});
        }
        plan(saga.gid(), tx::Mode::saga, urls.size());
        std::optional<tx::RemoteTransaction> answer = co_await ask([&] { return saga.submit(); });
        if (answer) note_submitted(saga.gid(), *answer);
        // A saga may be called off while it runs.
        if (!answer || !world_.random.chance(0.15)) co_return;
        answer = co_await ask([&] { return node_.abort(saga.gid(), "changed its mind"); });
        if (answer) market_.oracle.intent(saga.gid()).aborted = true;
    }

    Task<void> tcc() {
        const std::vector<std::string> urls = legs(0);
        std::string gid;
        const tx::Tcc::Body body = [&](tx::Tcc& tcc) -> Task<void> {
            gid = tcc.gid();
            Intent& intent = plan(gid, tx::Mode::tcc, 0);
            intent.begun = true;
            for (const std::string& url : urls) {
                (void)co_await tcc.call(url, url, url, "{}");
                ++market_.oracle.intent(gid).branches;
            }
        };
        const tx::RemoteTransaction done = co_await tx::Tcc::run(node_, options(), body);
        note_submitted(gid, done);
    }

    // As a client in another language would: each call by itself, and the decision asked for until it is answered.
    Task<void> tcc_step_by_step() {
        const std::vector<std::string> urls = legs(0);
        const std::string gid = gids_.next();
        plan(gid, tx::Mode::tcc, 0);
        tx::NewTransaction request{.mode = tx::Mode::tcc, .gid = gid, .options = options()};
        if (!co_await ask([&] { return node_.create(request); })) co_return;
        market_.oracle.intent(gid).begun = true;
        bool all = true;
        for (size_t i = 0; all && i < urls.size(); ++i)
            all = co_await try_branch(gid, fmt::format("{:02}", i + 1), urls[i]);
        const bool submit = all && world_.random.chance(0.9);
        if (world_.random.chance(0.05)) co_return;  // leaves without a decision
        const std::optional<tx::RemoteTransaction> answer =
            co_await ask([&] { return submit ? node_.submit(gid) : node_.abort(gid, "a branch said no"); });
        if (!answer) co_return;
        if (submit) {
            note_submitted(gid, *answer);
        } else {
            world_.trace.add("{}: told that {} is aborted", machine_.name, gid);
            market_.oracle.intent(gid).aborted = true;
        }
    }

    Task<bool> try_branch(std::string gid, std::string id, std::string url) {
        bool registered = false;
        for (int i = 0; !registered && i < 3; ++i) {
            try {
                co_await node_.add_branch(gid, {.id = id, .confirm = url, .cancel = url, .url = {}, .payload = "{}"});
                registered = true;
            } catch (const Error& error) {
                if (error.code() == Code::conflict) co_return false;
            }
            async::Context::current()->check();
        }
        if (!registered) co_return false;
        ++market_.oracle.intent(gid).branches;
        http::ClientRequest request = http::ClientRequest::post(
            fmt::format("{}&gid={}&trans_type=tcc&branch_id={}&op=try", url, gid, id), "application/json", "{}");
        request.timeout = seconds(1);
        bool done = false;
        try {
            done = (co_await client.send(std::move(request))).status == 200;
        } catch (const Error&) {
            done = false;  // unknown: the abort undoes it if it happened
        }
        async::Context::current()->check();
        co_return done;
    }

    Task<void> message() {
        const int64_t amount = world_.random.between(1, 50);
        const std::vector<std::string> urls = positive_legs(amount);
        tx::Message message(node_, gids_.next());
        tx::Options options = this->options();
        options.concurrent = world_.random.chance(0.3);
        if (world_.random.chance(0.2)) options.delay_ms = world_.random.between(1, 2000);
        message.options(options);
        for (const std::string& url : urls) message.step(url, "{}");
        const std::string gid = message.gid();
        plan(gid, tx::Mode::message, urls.size());
        co_await message.prepare(fmt::format("http://{}/check_back", machine_.name));
        market_.oracle.intent(gid).begun = true;
        const tx::Barrier::Work pay = [&](db::Session& session) -> Task<void> {
            if (world_.chance(world_.hardship.refusal)) fail(Code::invalid_argument, "the customer left");
            co_await session.execute("UPDATE accounts SET balance = balance - ? WHERE id = 0", amount);
            co_await note_effect(session, world_, gid, "00", "msg");
        };
        const uint64_t fate = world_.random.below(10);
        if (fate == 0) co_return;  // dies before its local transaction
        if (fate == 1) {           // dies between the commit and the submit
            tx::Barrier barrier(tx::BranchContext::of_message(gid));
            (void)co_await barrier.run(database, pay);
            co_return;
        }
        if (fate == 2) co_await async::sleep(seconds(8));  // so late that the check-back comes first
        std::optional<Error> failed;
        try {
            if (const auto answer = co_await message.do_and_submit(database, pay)) note_submitted(gid, *answer);
        } catch (const Error& error) {
            failed = error;
        }
        if (!failed) co_return;
        // Only these two say that nothing was committed; after other errors nobody knows.
        const bool nothing = failed->code() == Code::invalid_argument || failed->code() == Code::conflict;
        if (nothing && machine_.alive) market_.oracle.intent(gid).given_up = true;
        throw *failed;
    }

    std::vector<std::string> positive_legs(int64_t sum) {
        std::vector<std::string> urls;
        while (sum > 20 && urls.size() < 2) {
            urls.push_back(leg_url(20));
            sum -= 20;
        }
        urls.push_back(leg_url(sum));
        return urls;
    }

    Task<Response> check_back(Request& request) {
        (void)co_await request.body.read_all();
        const tx::BranchContext asked = tx::BranchContext::from_query(request.query);
        if (world_.sabotage == Sabotage::check_back) co_return Response::json("{}");
        tx::Barrier barrier(tx::BranchContext::of_message(asked.gid));
        const bool committed = co_await barrier.committed(database);
        world_.trace.add("{}: check-back of {}: {}", machine_.name, asked.gid, committed ? "committed" : "no");
        if (!committed) co_return Response::problem(Status::conflict, "not committed");
        co_return Response::json("{}");
    }

    Machine& machine_;
    World& world_;
    Market& market_;
    base::GidGenerator gids_;

  public:
    http::Client client;

  private:
    tx::Node node_;

  public:
    db::Database database;
    http::Server server;
};

}  // namespace

Task<void> run_shop(Machine& machine, Market& market) {
    Shop shop(machine, market);
    co_await prepare_database(shop.database, accounts_per_shop);
    const std::unique_ptr<net::Listener> listener = machine.network.listen(net::Address::tcp(machine.name, 80));
    async::Scope scope;
    scope.spawn(shop.server.serve(*listener));
    for (int i = 0; i < workers; ++i) scope.spawn(shop.work());
    co_await scope.join();
}

}  // namespace tandem::sim
