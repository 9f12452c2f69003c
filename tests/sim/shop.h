// A client: begins sagas, TCC transactions and two-phase messages of every kind with the library's own builders, asks
// again when no answer comes, and tells the oracle what it was told. Its database holds the local transactions of its
// messages; it answers their check-backs.
#pragma once

#include "oracle.h"
#include "sim_host.h"

namespace tandem::sim {

inline constexpr std::string_view shop_file = "shop.db";
inline constexpr int accounts_per_shop = 1;

// What all shops of a run share; outlives them.
struct Market {
    Oracle& oracle;
    int banks = 0;
    int orders_left = 0;
    int orders_under_way = 0;
};

async::Task<void> run_shop(Machine& machine, Market& market);

}  // namespace tandem::sim
