// The coordinator's machine: the real store, coordinator and HTTP interface of a node, put together as the node does,
// over the simulated network and disk.
#pragma once

#include "oracle.h"
#include "sim_host.h"
#include "tandem/tx/coordinator.h"

namespace tandem::sim {

inline constexpr std::string_view store_file = "transactions.db";

// Where a run finds the coordinator while it is up.
struct CoordinatorDesk {
    Oracle& oracle;
    tx::Coordinator* coordinator = nullptr;
};

async::Task<void> run_coordinator(Machine& machine, CoordinatorDesk& desk);

}  // namespace tandem::sim
