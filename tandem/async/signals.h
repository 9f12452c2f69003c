// Waiting for a Unix signal (SIGINT, SIGTERM, SIGHUP) in a coroutine.
#pragma once

#include <vector>

#include "tandem/async/task.h"

namespace tandem::async {

// The number of the first of `signals` that comes. While it waits, they do not end the process.
Task<int> wait_for_signal(std::vector<int> signals);

}  // namespace tandem::async
