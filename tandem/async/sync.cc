#include "tandem/async/sync.h"

#include "tandem/async/time.h"

namespace tandem::async {

namespace detail {

void WaitQueue::push(Waiter& waiter, std::mutex& mutex, std::coroutine_handle<> handle) {
    waiter.continuation_.capture(handle);
    waiter.continuation_.context().add(waiter);
    waiter.queue_ = this;
    waiter.mutex_ = &mutex;
    waiter.previous_ = last_;
    waiter.next_ = nullptr;
    (last_ ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
    ++size_;
}

void WaitQueue::remove(Waiter& waiter) noexcept {
    (waiter.previous_ ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.queue_ = nullptr;
    --size_;
}

void WaitQueue::grant_front() noexcept {
    Waiter& waiter = *first_;
    remove(waiter);
    waiter.granted = true;
    waiter.continuation_.schedule();
}

void Waiter::on_cancel(const Error&) {
    {
        std::lock_guard lock(*mutex_);
        if (!queue_) return;  // granted by another thread a moment ago: the grant stands
        queue_->remove(*this);
    }
    continuation_.schedule();
}

}  // namespace detail

Permit Semaphore::try_acquire(size_t units) {
    std::lock_guard lock(mutex_);
    if (!try_take(units)) return {};
    return Permit(*this, units);
}

void Semaphore::release(size_t units) {
    std::lock_guard lock(mutex_);
    available_ += units;
    while (!queue_.empty() && take(queue_.front()->wanted)) queue_.grant_front();
}

size_t Semaphore::available() const {
    std::lock_guard lock(mutex_);
    return available_;
}

void Event::set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    while (!queue_.empty()) queue_.grant_front();
}

void Event::reset() {
    std::lock_guard lock(mutex_);
    set_ = false;
}

Task<bool> wait_for(Event& event, base::Duration at_most) {
    const auto wait = [](Event* waited_for) -> Task<void> { co_await waited_for->wait(); };
    try {
        co_await with_deadline(at_most, wait(&event));
    } catch (const Error& error) {
        Context::current()->check();  // the caller's deadline, not ours
        if (error.code() != Code::deadline_exceeded) throw;
        co_return false;
    }
    co_return true;
}

bool Event::is_set() const {
    std::lock_guard lock(mutex_);
    return set_;
}

}  // namespace tandem::async
