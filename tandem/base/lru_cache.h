// A cache that forgets what was used longest ago, bounded by entries or by bytes, with statistics.
//
// Thread rules: like a std container's: one loop's own, or under a lock. A pointer from get() holds until the next
// put(), erase() or clear(). Sizes are in the units that the size functor counts: entries by default.
//
// Invariants
// 1. The list newest_ .. oldest_ threads through exactly the entries in the table, most recently used first.
// 2. size() is the sum of the entries' sizes and never above capacity() between calls.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>

#include "tandem/base/assert.h"
#include "tandem/base/hash.h"

namespace tandem::base {

// Counts entries. For bytes: a functor that gives key.size() + value.size(), plus the entry's own overhead.
struct OneEach {
    template <typename Key, typename Value>
    size_t operator()(const Key&, const Value&) const noexcept {
        return 1;
    }
};

struct CacheStatistics {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t evictions = 0;  // pushed out by others; erased and replaced ones do not count
};

template <typename Key, typename Value, typename SizeOf = OneEach, typename KeyHash = Hash<Key>>
class LruCache {
  public:
    explicit LruCache(size_t capacity, SizeOf size_of = {}) : capacity_(capacity), size_of_(std::move(size_of)) {}
    LruCache(const LruCache&) = delete;
    LruCache& operator=(const LruCache&) = delete;

    // The value, now the most recently used, or nullptr. Counts a hit or a miss.
    template <typename Lookup = Key>
    Value* get(const Lookup& key) {
        const auto found = table_.find(key);
        if (found == table_.end()) {
            ++statistics_.misses;
            return nullptr;
        }
        ++statistics_.hits;
        unlink(found->second);
        link_newest(found->second);
        return &found->second.value;
    }
    // The value without a trace of having looked.
    template <typename Lookup = Key>
    const Value* peek(const Lookup& key) const {
        const auto found = table_.find(key);
        return found == table_.end() ? nullptr : &found->second.value;
    }

    // Replaces the key's value, and evicts the least recently used others until all fit. Nullptr if the entry alone is
    // larger than the capacity: then it is not kept, and what the key had before is gone.
    Value* put(Key key, Value value) {
        const size_t size = size_of_(std::as_const(key), std::as_const(value));
        if (size > capacity_) {
            erase(key);
            return nullptr;
        }
        const auto [found, made] = table_.try_emplace(std::move(key), std::move(value), size);
        Node& node = found->second;
        if (made) {
            node.key = &found->first;
        } else {
            unlink(node);
            size_ -= node.size;
            node.value = std::move(value);
            node.size = size;
        }
        link_newest(node);
        size_ += size;
        while (size_ > capacity_) {
            ++statistics_.evictions;
            remove(*oldest_);
        }
        return &node.value;
    }

    template <typename Lookup = Key>
    bool erase(const Lookup& key) {
        const auto found = table_.find(key);
        if (found == table_.end()) return false;
        remove(found->second);
        return true;
    }
    void clear() noexcept {
        table_.clear();
        newest_ = oldest_ = nullptr;
        size_ = 0;
    }

    // Most recently used first.
    void for_each(const std::function<void(const Key&, const Value&)>& visit) const {
        for (const Node* node = newest_; node != nullptr; node = node->older) visit(*node->key, node->value);
    }

    size_t entries() const noexcept { return table_.size(); }
    size_t size() const noexcept { return size_; }
    size_t capacity() const noexcept { return capacity_; }
    const CacheStatistics& statistics() const noexcept { return statistics_; }

  private:
    struct Node {
        Node(Value&& from, size_t size_of_entry) : value(std::move(from)), size(size_of_entry) {}
        Value value;
        size_t size;
        const Key* key = nullptr;  // the table's own; its nodes do not move
        Node* newer = nullptr;
        Node* older = nullptr;
    };

    void link_newest(Node& node) noexcept {
        node.newer = nullptr;
        node.older = newest_;
        (newest_ != nullptr ? newest_->newer : oldest_) = &node;
        newest_ = &node;
    }
    void unlink(Node& node) noexcept {
        (node.newer != nullptr ? node.newer->older : newest_) = node.older;
        (node.older != nullptr ? node.older->newer : oldest_) = node.newer;
    }
    void remove(Node& node) {
        unlink(node);
        size_ -= node.size;
        const auto found = table_.find(*node.key);
        TANDEM_ASSERT(found != table_.end(), "what is in the list is in the table");
        table_.erase(found);
    }

    const size_t capacity_;
    size_t size_ = 0;
    std::unordered_map<Key, Node, KeyHash, std::equal_to<>> table_;
    Node* newest_ = nullptr;
    Node* oldest_ = nullptr;
    CacheStatistics statistics_;
    [[no_unique_address]] SizeOf size_of_;
};

}  // namespace tandem::base
