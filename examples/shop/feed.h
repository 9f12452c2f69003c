// What the page shows live: each recent order with the steps of its transaction as the node reports them, the state of
// stock and wallet, the processes, and how the chaos is going. Changes go to every browser that listens, as HTML.
//
// Thread rules: one loop's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "examples/shop/orders.h"
#include "tandem/async/sync.h"
#include "tandem/http/client.h"
#include "tandem/web/events.h"

namespace shop {

// One thing that happened to an order's transaction.
struct Step {
    int64_t at_ms = 0;  // since the order was placed
    std::string who;    // "node", "stock", "wallet"
    std::string what;   // "tried", "confirmed", …
    bool bad = false;
};

struct Card {
    Order order;
    std::vector<Step> steps;
    // What was last seen, to tell what is new.
    std::string status;
    std::map<std::string, std::string> branches;
};

class Feed {
  public:
    Feed(std::string stock_url, std::string wallet_url);

    void see_order(const Order& order);
    // A transaction as the node writes it; ignored when it is none of the orders shown.
    void see_transaction(const boost::json::object& transaction);
    // A part of the page with an id of its own, such as the totals; sent when it has changed.
    void set_panel(const std::string& id, std::string html);
    const std::string& panel(const std::string& id) { return panels_[id]; }

    // The newest first.
    std::vector<const Card*> cards() const;
    size_t listeners() const noexcept { return listeners_.size(); }

    // The page's event stream.
    http::Response listen();
    // Ends all streams.
    void close();

    // Follows the node's own events, and comes back to it whenever it was away. Until cancelled.
    Task<void> follow(http::Client& client, std::string node_url);

  private:
    struct Listener;
    void changed(const std::string& id);
    Task<void> send_changes(std::shared_ptr<Listener> listener, web::EventStream& events);
    std::string_view who(std::string_view branch_url) const;
    void add_step(Card& card, std::string_view who, std::string what, bool bad = false);
    void see_branch(Card& card, const boost::json::object& branch, std::string_view mode);

    const std::string stock_;
    const std::string wallet_;
    std::map<std::string, Card> cards_;
    std::deque<std::string> order_of_cards_;  // oldest first
    std::map<std::string, std::string> panels_;
    std::set<std::shared_ptr<Listener>> listeners_;
    bool closed_ = false;
};

}  // namespace shop
