// A running node: its data directory, store, coordinator and HTTP server.
//
//     co_await Node(settings).run();     // until SIGINT or SIGTERM, then drains and stops
//
// Thread rules: made and run on one loop; further loops (server.loops) are threads of its own.
#pragma once

#include <memory>

#include "tandem/async/task.h"
#include "tandem/node/settings.h"

namespace tandem::node {

class Node {
  public:
    explicit Node(Settings settings);
    ~Node();

    // Locks the data directory, recovers, serves. Throws with what to do about it when it cannot start.
    async::Task<void> run();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace tandem::node
