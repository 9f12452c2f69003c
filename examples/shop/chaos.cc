#include "examples/shop/chaos.h"

#include "examples/shop/catalogue.h"
#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/base/random.h"

namespace shop {

using namespace std::chrono_literals;

namespace {

constexpr int64_t pieces_max = 3;
constexpr base::Duration ask_again_after = 100ms;

// Rather one of the first, of which there is enough, than one of the last.
template <typename T>
const T& pick(std::span<const T> choices) {
    base::Random& random = base::Random::real();
    const int64_t last = std::ssize(choices) - 1;
    return choices[static_cast<size_t>(std::min({random.between(0, last), random.between(0, last)}))];
}

std::string summary(const ChaosProgress& progress, const Verdict& verdict) {
    if (verdict.good()) {
        return fmt::format("{} orders, {} kills, 0 lost, 0 doubled: stock and money add up", progress.orders,
                           progress.kills);
    }
    return fmt::format("{} orders, {} kills, {} lost, {} doubled, sums {}", progress.orders, progress.kills,
                       verdict.lost.size(), verdict.doubled.size(), verdict.adds_up ? "add up" : "DO NOT ADD UP");
}

}  // namespace

Chaos::Chaos(Orders& orders, Audit& audit, Feed& feed, Supervisor& supervisor, tx::Node& node)
    : orders_(orders), audit_(audit), feed_(feed), supervisor_(supervisor), node_(node) {}

void Chaos::begin(Wish wish) {
    if (progress_.running) fail(Code::conflict, "it is running already");
    progress_ = {.running = true, .orders = wish.orders};
    placed_ = 0;
    show();
    scope_.spawn(run(wish));
}

Task<void> Chaos::stop() {
    scope_.cancel();
    try {
        co_await scope_.join();
    } catch (const Error& error) {
        if (error.code() != Code::cancelled) log::warn("the chaos broke off", {{"error", error.what()}});
    }
}

void Chaos::show() {
    feed_.set_panel("chaos", chaos_html(progress_));
}

Order Chaos::random_order(tx::Mode mode) {
    const Good& good = pick(goods());
    const Account& account = pick(accounts());
    Order order;
    order.id = node_.new_gid();
    order.item = good.id;
    order.quantity = base::Random::real().between(1, pieces_max);
    order.account = account.id;
    order.amount = good.price * order.quantity;
    order.mode = mode;
    return order;
}

Task<void> Chaos::customer(Wish wish) {
    while (placed_ < wish.orders) {
        ++placed_;
        Order order = random_order(wish.mode);
        while (order.open()) {
            order = (co_await orders_.place(order)).order;  // with the same id, until there is an answer
            if (order.open()) co_await async::sleep(ask_again_after);
        }
        ++(order.status == "succeeded" ? progress_.succeeded : progress_.failed);
        show();
    }
}

// Spreads the kills over the orders: each waits for its share of them to be answered, and then a random moment more.
Task<void> Chaos::killer(Wish wish) {
    base::Random& random = base::Random::real();
    for (int64_t kill = 1; kill <= wish.kills; ++kill) {
        const int64_t due = wish.orders * kill / (wish.kills + 1);
        while (progress_.succeeded + progress_.failed < due) co_await async::sleep(10ms);
        co_await async::sleep(std::chrono::milliseconds(random.between(0, 150)));
        const std::vector<ProcessState> processes = supervisor_.states();
        const ProcessState& victim = processes[static_cast<size_t>(random.between(0, std::ssize(processes) - 1))];
        while (!supervisor_.kill(victim.name)) co_await async::sleep(10ms);
        ++progress_.kills;
        progress_.last = victim.name;
        show();
    }
}

Task<void> Chaos::run(Wish wish) {
    std::optional<Error> error;
    try {
        async::Scope scope;
        for (int64_t i = 0; i < wish.customers; ++i) scope.spawn(customer(wish));
        scope.spawn(killer(wish));
        co_await scope.join();
        const Verdict verdict = co_await audit_.verdict();
        progress_.verdict = summary(progress_, verdict);
        progress_.good = verdict.good();
    } catch (const Error& failed) {
        error = failed;
    }
    if (error) {
        progress_.verdict = fmt::format("could not be finished: {}", error->what());
        progress_.good = false;
    }
    progress_.running = false;
    show();
}

}  // namespace shop
