#include "tandem/async/threads.h"

namespace tandem::async {

LoopThreads::LoopThreads(size_t count) {
    for (size_t i = 0; i < count; ++i) loops_.push_back(std::make_unique<Loop>());
    for (auto& loop : loops_) threads_.emplace_back([&loop = *loop] { loop.run_until_stopped(); });
}

LoopThreads::~LoopThreads() {
    for (auto& loop : loops_) loop->stop();
    for (std::thread& thread : threads_) thread.join();
}

}  // namespace tandem::async
