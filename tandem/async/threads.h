// `LoopThreads`: one loop a core, each on a thread of its own, for servers that use every core.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "tandem/async/loop.h"

namespace tandem::async {

// Thread rules: owned by a plain thread; the loops take submit() from any.
class LoopThreads {
  public:
    explicit LoopThreads(size_t count = std::thread::hardware_concurrency());
    // Stops the loops (which cancels what runs on them) and waits for the threads.
    ~LoopThreads();

    size_t size() const noexcept { return loops_.size(); }
    Loop& operator[](size_t index) noexcept { return *loops_[index]; }

  private:
    std::vector<std::unique_ptr<Loop>> loops_;
    std::vector<std::thread> threads_;
};

}  // namespace tandem::async
