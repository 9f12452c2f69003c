// "Place many orders and kill things": orders from several customers at once, and kill -9 for the node, stock and
// wallet at random moments meanwhile. Ends with the verdict of the audit.
//
// Thread rules: one loop's.
#pragma once

#include "examples/shop/audit.h"
#include "examples/shop/feed.h"
#include "examples/shop/orders.h"
#include "examples/shop/page.h"
#include "examples/shop/supervisor.h"

namespace shop {

class Chaos {
  public:
    Chaos(Orders& orders, Audit& audit, Feed& feed, Supervisor& supervisor, tx::Node& node);

    struct Wish {
        int64_t orders = 200;
        int64_t customers = 8;
        int64_t kills = 12;
        tx::Mode mode = tx::Mode::tcc;
    };
    // Throws conflict when it is running already.
    void begin(Wish wish);
    bool running() const noexcept { return progress_.running; }
    const ChaosProgress& progress() const noexcept { return progress_; }
    // What is under way is given up; open orders are settled later.
    Task<void> stop();

  private:
    Task<void> run(Wish wish);
    Task<void> customer(Wish wish);
    Task<void> killer(Wish wish);
    Order random_order(tx::Mode mode);
    void show();

    Orders& orders_;
    Audit& audit_;
    Feed& feed_;
    Supervisor& supervisor_;
    tx::Node& node_;
    ChaosProgress progress_;
    int64_t placed_ = 0;
    async::Scope scope_{async::Scope::OnError::keep_going};
};

}  // namespace shop
