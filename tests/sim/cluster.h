// One whole run: a coordinator, banks and shops on simulated machines, a time of trouble, a quiet time, and the
// judgement. `simulate(seed)` is a pure function of its arguments.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "world.h"

namespace tandem::sim {

struct RunOptions {
    uint64_t seed = 1;
    bool print = false;  // the trace, as it happens
    Sabotage sabotage = Sabotage::none;
};

struct RunResult {
    std::vector<std::string> violations;
    std::deque<std::string> trace_tail;
    uint64_t trace_hash = 0;
    uint64_t trace_lines = 0;
    Counts counts;
};

RunResult simulate(const RunOptions& options);

}  // namespace tandem::sim
