#include "examples/shop/orders.h"

#include <boost/json/serialize.hpp>

#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/base/utf8.h"
#include "tandem/db/migrate.h"
#include "tandem/tx/saga.h"

namespace shop {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr base::Duration answer_within = 20s;
constexpr base::Duration pause_min = 50ms, pause_max = 400ms;
constexpr int64_t settled_at_once = 100;
constexpr size_t reason_max = 500;

constexpr const char* columns = "id, item, quantity, account, amount, mode, status, reason, created_ms";

int64_t now_ms() {
    return base::Clock::real().wall_ms();
}

Order order_from(const db::Row& row) {
    return {.id = row.get<std::string>("id"),
            .item = row.get<std::string>("item"),
            .quantity = row.get<int64_t>("quantity"),
            .account = row.get<std::string>("account"),
            .amount = row.get<int64_t>("amount"),
            .mode = *tx::mode_from(row.get<std::string>("mode")),
            .status = row.get<std::string>("status"),
            .reason = row.get<std::string>("reason"),
            .created_ms = row.get<int64_t>("created_ms")};
}

std::vector<Order> orders_from(const db::Result& result) {
    std::vector<Order> orders;
    for (const db::Row row : result.rows) orders.push_back(order_from(row));
    return orders;
}

tx::Options options() {
    tx::Options options;
    options.wait_result = true;
    options.timeout_to_fail_ms = 10'000;
    options.request_timeout_ms = 5'000;
    options.retry_interval_ms = 200;
    return options;
}

}  // namespace

bool Order::same_wish(const Order& other) const {
    return item == other.item && quantity == other.quantity && account == other.account && mode == other.mode;
}

json::object to_json(const Order& order) {
    return {{"id", order.id},           {"item", order.item},     {"quantity", order.quantity},
            {"account", order.account}, {"amount", order.amount}, {"mode", tx::to_string(order.mode)},
            {"status", order.status},   {"reason", order.reason}, {"created_ms", order.created_ms}};
}

Orders::Orders(db::Database& database, tx::Node& node, std::string stock_url, std::string wallet_url)
    : database_(database), node_(node), stock_(std::move(stock_url)), wallet_(std::move(wallet_url)) {}

Task<void> Orders::create_tables() {
    const db::Lease session = co_await database_.session();
    co_await db::migrate(*session, "shop_orders", {R"(
CREATE TABLE IF NOT EXISTS shop_orders (
    id VARCHAR(64) PRIMARY KEY,
    item VARCHAR(64) NOT NULL,
    quantity BIGINT NOT NULL,
    account VARCHAR(64) NOT NULL,
    amount BIGINT NOT NULL,
    mode VARCHAR(8) NOT NULL,
    status VARCHAR(16) NOT NULL,
    reason VARCHAR(600) NOT NULL,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL DEFAULT 0
);)"});
}

Task<std::optional<Order>> Orders::find(std::string id) {
    const db::Result found =
        co_await database_.execute(fmt::format("SELECT {} FROM shop_orders WHERE id = ?", columns), std::move(id));
    if (found.rows.empty()) co_return std::nullopt;
    co_return order_from(found.rows[0]);
}

Task<std::vector<Order>> Orders::newest(int64_t limit) {
    co_return orders_from(co_await database_.execute(
        fmt::format("SELECT {} FROM shop_orders ORDER BY created_ms DESC, id DESC LIMIT ?", columns), limit));
}

Task<std::vector<Order>> Orders::page(std::string after, int64_t limit) {
    co_return orders_from(co_await database_.execute(
        fmt::format("SELECT {} FROM shop_orders WHERE id > ? ORDER BY id LIMIT ?", columns), std::move(after), limit));
}

Task<OrderSums> Orders::sums() {
    const db::Result counted = co_await database_.execute(
        "SELECT status, COUNT(*) AS orders, SUM(quantity) AS pieces, SUM(amount) AS cents "
        "FROM shop_orders GROUP BY status");
    OrderSums sums;
    for (const db::Row row : counted.rows) {
        const std::string status = row.get<std::string>("status");
        const int64_t orders = row.get<int64_t>("orders");
        if (status == "open") sums.open = orders;
        if (status == "failed") sums.failed = orders;
        if (status == "succeeded") {
            sums.succeeded = orders;
            sums.sold = row.get<int64_t>("pieces");
            sums.spent = row.get<int64_t>("cents");
        }
    }
    co_return sums;
}

Task<Orders::Placed> Orders::place(Order wish) {
    wish.created_ms = now_ms();
    bool created = true;
    try {
        co_await database_.execute(
            "INSERT INTO shop_orders (id, item, quantity, account, amount, mode, status, reason, created_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, 'open', '', ?)",
            wish.id, wish.item, wish.quantity, wish.account, wish.amount, tx::to_string(wish.mode), wish.created_ms);
    } catch (const Error& error) {
        if (error.code() != Code::already_exists) throw;
        created = false;
    }
    Order order = (co_await find(wish.id)).value();
    if (!order.same_wish(wish)) fail(Code::conflict, "{} is the id of another order", order.id);
    if (on_order) on_order(order);
    co_await drive(order, answer_within);
    co_return Placed{std::move(order), created};
}

// Until the order has ended or the patience is at its end. What goes wrong meanwhile (a service that was killed, a node
// that restarts) is tried again; nothing of it can make the order happen twice.
Task<void> Orders::drive(Order& order, base::Duration patience) {
    if (!order.open() || !driven_.insert(order.id).second) co_return;
    struct Driven {
        std::set<std::string>& all;
        std::string id;
        ~Driven() { all.erase(id); }
    } driven{driven_, order.id};
    const base::TimePoint deadline = async::Loop::current().now() + patience;
    for (base::Duration pause = pause_min; order.open(); pause = std::min(2 * pause, pause_max)) {
        try {
            co_await advance(order);
        } catch (const Error& error) {
            log::debug("an order does not get further yet", {{"order", order.id}, {"error", error.what()}});
        }
        if (!order.open()) co_return;
        if (async::Loop::current().now() + pause > deadline) co_return;
        co_await async::sleep(pause);
    }
}

// One step towards the end, from whatever state the transaction is in. Only the node knows that state.
Task<void> Orders::advance(Order& order) {
    std::optional<tx::RemoteTransaction> transaction = co_await node_.find(order.id);
    if (!transaction) {
        transaction = co_await run_transaction(order);
    } else if (transaction->status == tx::Status::prepared) {
        // Begun, and then the shop or the node died before the decision: nobody knows which branches were tried.
        transaction = co_await node_.abort(order.id, "the order was interrupted");
    }
    if (on_transaction) on_transaction(transaction->document);
    if (tx::is_final(transaction->status)) co_await finish(order, *transaction);
}

Task<tx::RemoteTransaction> Orders::run_transaction(const Order& order) {
    const tx::Payload goods = json::object{{"id", order.item}, {"amount", order.quantity}};
    const tx::Payload money = json::object{{"id", order.account}, {"amount", order.amount}};
    if (order.mode == tx::Mode::tcc) {
        return tx::Tcc::run(
            node_, options(), [=, this](tx::Tcc& tcc) { return try_both(tcc, goods, money); }, order.id);
    }
    if (order.mode == tx::Mode::xa) {
        return tx::Xa::run(
            node_, options(), [=, this](tx::Xa& xa) { return prepare_both(xa, goods, money); }, order.id);
    }
    return tx::Saga(node_, order.id)
        .options(options())
        .step(stock_ + "/action", stock_ + "/compensate", goods)
        .step(wallet_ + "/action", wallet_ + "/compensate", money)
        .submit();
}

Task<void> Orders::try_both(tx::Tcc& tcc, tx::Payload goods, tx::Payload money) {
    co_await tcc.call(stock_ + "/try", stock_ + "/confirm", stock_ + "/cancel", goods);
    co_await tcc.call(wallet_ + "/try", wallet_ + "/confirm", wallet_ + "/cancel", money);
}

Task<void> Orders::prepare_both(tx::Xa& xa, tx::Payload goods, tx::Payload money) {
    co_await xa.call(stock_ + "/xa", goods);
    co_await xa.call(wallet_ + "/xa", money);
}

Task<void> Orders::finish(Order& order, const tx::RemoteTransaction& transaction) {
    const bool succeeded = transaction.status == tx::Status::succeeded;
    co_await database_.execute(
        "UPDATE shop_orders SET status = ?, reason = ?, finished_ms = ? WHERE id = ? AND status = 'open'",
        succeeded ? "succeeded" : "failed",
        succeeded ? std::string() : std::string(base::truncate_utf8(transaction.reason, reason_max)), now_ms(),
        order.id);
    order = (co_await find(order.id)).value();
    if (on_order) on_order(order);
}

Task<void> Orders::keep_settling() {
    for (;;) {
        co_await async::sleep(1s);
        std::vector<Order> open;
        try {
            open = orders_from(co_await database_.execute(
                fmt::format("SELECT {} FROM shop_orders WHERE status = 'open' ORDER BY created_ms LIMIT ?", columns),
                settled_at_once));
        } catch (const Error& error) {
            async::Context::current()->check();
            log::warn("cannot look for open orders", {{"error", error.what()}});
        }
        for (Order& order : open) co_await drive(order, base::Duration::zero());
    }
}

}  // namespace shop
