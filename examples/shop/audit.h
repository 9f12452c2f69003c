// Do stock and money add up? Compares the orders with what stock and wallet have: their sums for the page's totals, and
// order by order, from the ledgers, for the verdict.
//
// Thread rules: one loop's. Errors: unavailable when a service does not answer.
#pragma once

#include <string>
#include <vector>

#include "examples/shop/orders.h"
#include "tandem/http/client.h"

namespace shop {

// One service's sums.
struct Holdings {
    bool known = false;
    int64_t free = 0;
    int64_t held = 0;
    int64_t gone = 0;
    int64_t initial = 0;
    bool adds_up = false;
    std::vector<std::pair<std::string, int64_t>> left;  // what is free of each row
};

struct Totals {
    Holdings stock;
    Holdings wallet;
    OrderSums orders;
};

struct Verdict {
    int64_t orders = 0;
    std::vector<std::string> lost;     // succeeded, but stock or money did not move
    std::vector<std::string> doubled;  // moved more than once, or moved although the order failed
    bool adds_up = false;
    bool good() const noexcept { return lost.empty() && doubled.empty() && adds_up; }
};

class Audit {
  public:
    Audit(Orders& orders, http::Client& client, std::string stock_url, std::string wallet_url);

    // A service that does not answer is not known.
    Task<Totals> totals();
    // Waits until no order is open, then looks at every one there is.
    Task<Verdict> verdict();

  private:
    Task<boost::json::object> get(std::string url);
    Task<boost::json::object> get_patiently(std::string url);
    Task<Holdings> holdings(std::string service_url);
    // What is gone for good for each order, and what is still held for it.
    struct Effect {
        int64_t gone = 0;
        int64_t held = 0;
    };
    using Effects = std::map<std::string, Effect>;
    Task<Effects> effects(std::string service_url);
    static void judge(const Order& order, const Effects& effects, int64_t amount, Verdict& verdict);

    Orders& orders_;
    http::Client& client_;
    const std::string stock_;
    const std::string wallet_;
};

}  // namespace shop
