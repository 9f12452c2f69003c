// The shop's orders: each is one global transaction, whose gid is the order's id.
//
// What holds:
// 1. An order is on disk before its transaction begins, so that a shop that died finds it again and asks the node how
// it
//    ended.
// 2. Whoever repeats an order (same id) gets the one there is; it is never carried out twice.
// 3. At most one coroutine drives an order at a time.
//
// Thread rules: one loop's.
// Errors of place(): invalid_argument, conflict (the id stands for another order).
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "examples/shop/service.h"
#include "tandem/tx/node.h"
#include "tandem/tx/tcc.h"
#include "tandem/tx/xa.h"

namespace shop {

struct Order {
    std::string id;
    std::string item;
    int64_t quantity = 0;
    std::string account;
    int64_t amount = 0;  // cents
    tx::Mode mode = tx::Mode::tcc;
    std::string status = "open";  // then succeeded or failed
    std::string reason;           // why it failed
    int64_t created_ms = 0;

    bool open() const noexcept { return status == "open"; }
    // What the one who orders says; the rest is the shop's.
    bool same_wish(const Order& other) const;
};

boost::json::object to_json(const Order& order);

// Sums over all orders, to be compared with what stock and wallet say.
struct OrderSums {
    int64_t open = 0;
    int64_t succeeded = 0;
    int64_t failed = 0;
    int64_t sold = 0;   // pieces in succeeded orders
    int64_t spent = 0;  // cents in succeeded orders
};

class Orders {
  public:
    Orders(db::Database& database, tx::Node& node, std::string stock_url, std::string wallet_url);

    struct Placed {
        Order order;
        bool created;
    };
    // Waits for the order's end for a while; it may still be open then, and goes on.
    Task<Placed> place(Order wish);
    Task<std::optional<Order>> find(std::string id);
    // The newest first.
    Task<std::vector<Order>> newest(int64_t limit);
    // In the order of their ids.
    Task<std::vector<Order>> page(std::string after, int64_t limit);
    Task<OrderSums> sums();

    Task<void> create_tables();
    // Sees to orders that nobody drives, such as those of a shop that died. Until cancelled.
    Task<void> keep_settling();

    // Told about every order that was placed or ended, and about every transaction that was seen.
    std::function<void(const Order&)> on_order;
    std::function<void(const boost::json::object&)> on_transaction;

  private:
    Task<void> drive(Order& order, base::Duration patience);
    Task<void> advance(Order& order);
    Task<tx::RemoteTransaction> run_transaction(const Order& order);
    Task<void> try_both(tx::Tcc& tcc, tx::Payload goods, tx::Payload money);
    Task<void> prepare_both(tx::Xa& xa, tx::Payload goods, tx::Payload money);
    Task<void> finish(Order& order, const tx::RemoteTransaction& transaction);

    db::Database& database_;
    tx::Node& node_;
    const std::string stock_;
    const std::string wallet_;
    std::set<std::string> driven_;
};

}  // namespace shop
