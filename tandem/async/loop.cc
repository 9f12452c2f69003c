#include "tandem/async/loop.h"

#include "tandem/async/asio.h"
#include "tandem/async/blocking.h"
#include "tandem/base/assert.h"

namespace tandem::async {

constinit thread_local Loop* Loop::current_ = nullptr;

Loop::Loop() : Loop(Options{}) {}

Loop::Loop(Options options)
    : clock_(options.clock ? options.clock : &base::Clock::real()),
      poller_(options.poller ? std::move(options.poller) : std::make_unique<AsioPoller>()),
      blocking_pool_(options.inline_blocking ? nullptr
                     : options.blocking_pool ? options.blocking_pool
                                             : &BlockingPool::shared()) {}

Loop::~Loop() {
    TANDEM_ASSERT(submitted_ == 0, "a loop died with tasks still running on it");
    TANDEM_ASSERT(timers_.empty(), "a loop died with timers armed");
    // What another thread scheduled may have run, and ended this loop's last task, before that thread has left.
    while (callers_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

Loop& Loop::current() {
    TANDEM_ASSERT(current_, "no loop runs on this thread");
    return *current_;
}

void Loop::Starter::begin(Runnable& self) {
    std::unique_ptr<Starter> starter(static_cast<Starter*>(&self));
    ++starter->loop.submitted_;
    ContextGuard guard(&starter->loop.root_context_);
    starter->root.resume();
}

void Loop::start(std::unique_ptr<Starter> starter) {
    schedule(*starter.release());
}

void Loop::schedule(Runnable& runnable) noexcept {
    if (current_ == this) {
        runnable.next_ready_ = nullptr;
        (ready_last_ ? ready_last_->next_ready_ : ready_first_) = &runnable;
        ready_last_ = &runnable;
        return;
    }
    callers_.fetch_add(1, std::memory_order_relaxed);
    Runnable* first = inbox_.load(std::memory_order_relaxed);
    do {
        runnable.next_ready_ = first;
    } while (!inbox_.compare_exchange_weak(first, &runnable, std::memory_order_seq_cst, std::memory_order_relaxed));
    // seq_cst on both sides: either the loop sees the inbox before it sleeps, or we see it sleeping.
    if (sleeping_.exchange(false, std::memory_order_seq_cst)) poller_->wake();
    callers_.fetch_sub(1, std::memory_order_release);
}

void Loop::take_inbox() noexcept {
    if (!inbox_.load(std::memory_order_relaxed)) return;
    Runnable* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
    Runnable* oldest_first = nullptr;
    while (newest) {
        Runnable* next = newest->next_ready_;
        newest->next_ready_ = oldest_first;
        oldest_first = newest;
        newest = next;
    }
    while (oldest_first) {
        Runnable* next = oldest_first->next_ready_;
        schedule(*oldest_first);
        oldest_first = next;
    }
}

void Loop::run_ready() {
    // Only what is ready now: what becomes ready meanwhile waits for the next turn, so that polling is never starved.
    Runnable* batch = std::exchange(ready_first_, nullptr);
    ready_last_ = nullptr;
    while (batch) {
        Runnable* next = batch->next_ready_;
        batch->run_(*batch);
        batch = next;
    }
}

std::optional<base::Duration> Loop::time_to_sleep() {
    if (ready_first_) return base::Duration::zero();
    if (timers_.empty()) return std::nullopt;
    return std::max(base::Duration::zero(), timers_.front()->when_ - now());
}

void Loop::sleep() {
    std::optional<base::Duration> timeout = time_to_sleep();
    sleeping_.store(true, std::memory_order_seq_cst);
    if (inbox_.load(std::memory_order_seq_cst)) timeout = base::Duration::zero();
    poller_->poll(timeout);
    sleeping_.store(false, std::memory_order_relaxed);
    fire_timers();
}

void Loop::run_while(bool (*condition)(void*), void* state) {
    TANDEM_ASSERT(!current_, "a loop already runs on this thread");
    current_ = this;
    for (;;) {
        take_inbox();
        run_ready();
        if (!condition(state)) break;
        sleep();
    }
    current_ = nullptr;
}

void Loop::run_until_stopped() {
    run_while(
        [](void* state) {
            Loop& loop = *static_cast<Loop*>(state);
            if (!loop.stop_requested_.load(std::memory_order_acquire)) return true;
            loop.root_context_.cancel(Error(Code::cancelled, "the loop is stopping"));
            loop.take_inbox();
            return loop.submitted_ > 0 || loop.ready_first_;
        },
        this);
}

void Loop::stop() {
    callers_.fetch_add(1, std::memory_order_relaxed);
    stop_requested_.store(true, std::memory_order_release);
    poller_->wake();
    callers_.fetch_sub(1, std::memory_order_release);
}

void Loop::arm(Timer& timer, base::TimePoint when) {
    TANDEM_ASSERT(!timer.armed(), "a timer was armed twice");
    timer.when_ = when;
    timer.sequence_ = ++timer_sequence_;
    timers_.push_back(&timer);
    timer.heap_index_ = timers_.size() - 1;
    sift_up(timer.heap_index_);
}

void Loop::disarm(Timer& timer) noexcept {
    if (!timer.armed()) return;
    const size_t index = timer.heap_index_;
    timer.heap_index_ = Timer::unarmed;
    Timer* last = timers_.back();
    timers_.pop_back();
    if (last == &timer) return;
    place(index, last);
    sift_up(index);
    sift_down(last->heap_index_);
}

void Loop::fire_timers() {
    if (timers_.empty()) return;
    const base::TimePoint limit = now();
    while (!timers_.empty() && timers_.front()->when_ <= limit) {
        Timer& timer = *timers_.front();
        disarm(timer);
        timer.fire_(timer);
    }
}

namespace {
bool earlier(base::TimePoint a, uint64_t a_sequence, base::TimePoint b, uint64_t b_sequence) {
    return a != b ? a < b : a_sequence < b_sequence;
}
}  // namespace

void Loop::place(size_t index, Timer* timer) noexcept {
    timers_[index] = timer;
    timer->heap_index_ = index;
}

void Loop::sift_up(size_t index) noexcept {
    Timer* timer = timers_[index];
    while (index > 0) {
        Timer* above = timers_[(index - 1) / 2];
        if (!earlier(timer->when_, timer->sequence_, above->when_, above->sequence_)) break;
        place(index, above);
        index = (index - 1) / 2;
    }
    place(index, timer);
}

void Loop::sift_down(size_t index) noexcept {
    Timer* timer = timers_[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= timers_.size()) break;
        if (child + 1 < timers_.size() && earlier(timers_[child + 1]->when_, timers_[child + 1]->sequence_,
                                                  timers_[child]->when_, timers_[child]->sequence_)) {
            ++child;
        }
        if (!earlier(timers_[child]->when_, timers_[child]->sequence_, timer->when_, timer->sequence_)) break;
        place(index, timers_[child]);
        index = child;
    }
    place(index, timer);
}

}  // namespace tandem::async
