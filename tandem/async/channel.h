// `Channel<T>`: a bounded queue between coroutines. push() waits while it is full, pop() while it is empty; close()
// lets poppers drain it and then see nullopt, and makes push() fail.
//
// Thread rules: any loop may push and pop; try_push and close also any plain thread.
#pragma once

#include <deque>
#include <optional>

#include "tandem/async/sync.h"
#include "tandem/async/task.h"

namespace tandem::async {

template <typename T>
class Channel {
  public:
    explicit Channel(size_t capacity) : space_(capacity), items_(0) {}

    // Throws cancelled when the channel is closed.
    Task<void> push(T value) {
        Permit permit = co_await space_.acquire();
        put(std::move(value));
        permit.disown();  // space became an item
    }
    // False when full or closed; `value` is moved from only on success.
    bool try_push(T& value) {
        Permit permit = space_.try_acquire();
        if (!permit) return false;
        {
            std::lock_guard lock(mutex_);
            if (closed_) return false;
            queue_.push_back(std::move(value));
        }
        permit.disown();
        items_.release();
        return true;
    }
    // nullopt once the channel is closed and drained.
    Task<std::optional<T>> pop() {
        Permit permit = co_await items_.acquire();
        std::optional<T> value;
        {
            std::lock_guard lock(mutex_);
            if (queue_.empty()) co_return std::nullopt;  // closed: the permit goes back for the next popper
            value.emplace(std::move(queue_.front()));
            queue_.pop_front();
        }
        permit.disown();  // an item became space
        space_.release();
        co_return value;
    }
    // nullopt when there is nothing now.
    std::optional<T> try_pop() {
        Permit permit = items_.try_acquire();
        if (!permit) return std::nullopt;
        std::optional<T> value;
        {
            std::lock_guard lock(mutex_);
            if (queue_.empty()) return std::nullopt;
            value.emplace(std::move(queue_.front()));
            queue_.pop_front();
        }
        permit.disown();
        space_.release();
        return value;
    }
    void close() {
        {
            std::lock_guard lock(mutex_);
            if (std::exchange(closed_, true)) return;
        }
        items_.release();  // one unit for ever: wakes poppers one after the other
        space_.release();  // and likewise pushers, who then find it closed
    }
    size_t size() const {
        std::lock_guard lock(mutex_);
        return queue_.size();
    }

  private:
    void put(T value) {
        {
            std::lock_guard lock(mutex_);
            if (closed_) fail(Code::cancelled, "the channel is closed");
            queue_.push_back(std::move(value));
        }
        items_.release();
    }
    mutable std::mutex mutex_;
    Semaphore space_;
    Semaphore items_;
    std::deque<T> queue_;
    bool closed_ = false;
};

}  // namespace tandem::async
