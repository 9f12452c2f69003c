#include "tandem/async/blocking.h"

namespace tandem::async {

BlockingPool::BlockingPool() : BlockingPool(Options{}) {}
BlockingPool::BlockingPool(Options options) : options_(options) {}

BlockingPool::~BlockingPool() {
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    has_work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::submit(Job& job) {
    {
        std::lock_guard lock(mutex_);
        if (queued_ >= options_.queue_max) {
            fail(Code::resource_exhausted, "{} blocking calls are waiting already (the bound of the blocking pool)",
                 queued_);
        }
        job.next_ = nullptr;
        (last_ ? last_->next_ : first_) = &job;
        last_ = &job;
        ++queued_;
        if (queued_ > idle_ && threads_.size() < options_.threads_max) threads_.emplace_back([this] { work(); });
    }
    has_work_.notify_one();
}

void BlockingPool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        has_work_.wait(lock, [this] { return first_ || closing_; });
        --idle_;
        if (!first_) return;
        Job* job = first_;
        first_ = job->next_;
        if (!first_) last_ = nullptr;
        --queued_;
        lock.unlock();
        job->run_on_pool();
        lock.lock();
    }
}

BlockingPool& BlockingPool::shared() {
    static BlockingPool pool;
    return pool;
}

}  // namespace tandem::async
