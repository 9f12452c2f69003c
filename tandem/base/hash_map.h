// An insertion-ordered, compact hash map: entries lie densely in the order of insertion, and a table of 1, 2 or 4 byte
// slots (as the size needs) points at them. The layout is that of CPython's dict (Hettinger 2012,
// mail.python.org/pipermail/python-dev/2012-December/123028.html).
//
// Thread rules: like a std container's. Pointers, references and iterators end with the next insertion; erasing ends
// those of the erased entry alone. Up to three quarters of 2^32 entries.
//
// A slot's low bits hold an entry's number; the bits that the number leaves free hold the top of the key's hash, so
// that a search in a large map seldom touches an entry in vain.
//
// Invariants
// 1. Entry i, for i in [first_, used_), is constructed if and only if live_[i]; entries before first_ are not.
// 2. Exactly the live entries have a slot; a slot's number is mask_ (empty), mask_ - 1 (erased) or a live entry's.
// 3. used_ <= usable slots, and every non-empty slot was taken by one of the used_ entries: so an empty slot always
//    exists, and a search ends.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/base/assert.h"
#include "tandem/base/hash.h"

namespace tandem::base {

namespace detail {

// The slots: as narrow as the number of entries allows.
class SlotTable {
  public:
    SlotTable() = default;
    // `size` is a power of two; all slots have all bits set.
    explicit SlotTable(size_t size) {
        if (size <= (uint64_t{1} << 8)) {
            slots_ = std::vector<uint8_t>(size, std::numeric_limits<uint8_t>::max());
        } else if (size <= (uint64_t{1} << 16)) {
            slots_ = std::vector<uint16_t>(size, std::numeric_limits<uint16_t>::max());
        } else {
            slots_ = std::vector<uint32_t>(size, std::numeric_limits<uint32_t>::max());
        }
    }
    // Calls `work` with the typed vector, so that a loop over slots branches on the width once.
    template <typename Work>
    decltype(auto) visit(Work work) {
        switch (slots_.index()) {
            case 0:
                return work(*std::get_if<0>(&slots_));
            case 1:
                return work(*std::get_if<1>(&slots_));
            default:
                return work(*std::get_if<2>(&slots_));
        }
    }
    template <typename Work>
    decltype(auto) visit(Work work) const {
        return const_cast<SlotTable*>(this)->visit([&](const auto& slots) -> decltype(auto) { return work(slots); });
    }

  private:
    std::variant<std::vector<uint8_t>, std::vector<uint16_t>, std::vector<uint32_t>> slots_;
};

}  // namespace detail

template <typename Key, typename Value, typename KeyHash = Hash<Key>, typename KeyEqual = std::equal_to<>,
          typename Allocator = std::allocator<std::pair<Key, Value>>>
class HashMap {
    template <bool is_const>
    class Iterator;

  public:
    // What iteration gives: for (const auto& [key, value] : map), or for (auto [key, value] : map) to change values.
    struct Item {
        const Key& key;
        Value& value;
    };
    struct ConstItem {
        const Key& key;
        const Value& value;
    };
    using iterator = Iterator<false>;
    using const_iterator = Iterator<true>;

    HashMap() = default;
    explicit HashMap(const Allocator& allocator) : allocator_(allocator) {}
    HashMap(std::initializer_list<std::pair<Key, Value>> items) {
        for (const auto& [key, value] : items) insert_or_assign(key, value);
    }
    HashMap(const HashMap& other) : hash_(other.hash_), equal_(other.equal_), allocator_(other.allocator_) {
        reserve(other.size());
        for (const auto& [key, value] : other) try_emplace(key, value);
    }
    HashMap(HashMap&& other) noexcept : allocator_(other.allocator_) { swap(other); }
    HashMap& operator=(HashMap other) noexcept {
        swap(other);
        return *this;
    }
    ~HashMap() { release(); }

    void swap(HashMap& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(mask_, other.mask_);
        std::swap(entries_, other.entries_);
        std::swap(live_, other.live_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(used_, other.used_);
        std::swap(size_, other.size_);
        std::swap(hash_, other.hash_);
        std::swap(equal_, other.equal_);
        std::swap(allocator_, other.allocator_);
    }

    size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Lookup takes whatever the hash and the comparison take: a std::string key is found by a std::string_view.
    template <typename Lookup = Key>
    Value* find(const Lookup& key) {
        if (size_ == 0) return nullptr;
        const size_t number = number_of(key, hash_(key));
        return number == not_found ? nullptr : &entries_[number].second;
    }
    template <typename Lookup = Key>
    const Value* find(const Lookup& key) const {
        return const_cast<HashMap*>(this)->find(key);
    }
    template <typename Lookup = Key>
    bool contains(const Lookup& key) const {
        return find(key) != nullptr;
    }

    // The value of the key, and whether it was made from `arguments` now. Those must not refer into this map: growing
    // moves the entries first.
    template <typename NewKey = Key, typename... Arguments>
    std::pair<Value&, bool> try_emplace(NewKey&& key, Arguments&&... arguments) {
        const uint64_t hash = hash_(key);
        if (const size_t number = number_of(key, hash); number != not_found) return {entries_[number].second, false};
        make_room();
        std::construct_at(&entries_[used_], std::piecewise_construct, std::forward_as_tuple(std::forward<NewKey>(key)),
                          std::forward_as_tuple(std::forward<Arguments>(arguments)...));
        put_in_slot(hash, used_);
        set_live(used_, true);
        ++size_;
        return {entries_[used_++].second, true};
    }
    // Keeps the place of a key that is there already.
    template <typename NewKey = Key, typename NewValue = Value>
    Value& insert_or_assign(NewKey&& key, NewValue&& value) {
        auto [held, made] = try_emplace(std::forward<NewKey>(key), std::forward<NewValue>(value));
        if (!made) held = std::forward<NewValue>(value);
        return held;
    }
    template <typename NewKey = Key>
    Value& operator[](NewKey&& key) {
        return try_emplace(std::forward<NewKey>(key)).first;
    }

    // False if the key was not there. The others keep their order.
    template <typename Lookup = Key>
    bool erase(const Lookup& key) {
        if (size_ == 0) return false;
        return slots_.visit([&](auto& slots) {
            using Slot = std::remove_reference_t<decltype(slots[0])>;
            const size_t slot = slot_of(slots, key, hash_(key));
            const size_t number = slots[slot] & mask_;
            if (number == mask_) return false;
            slots[slot] = static_cast<Slot>(mask_ - 1);
            std::destroy_at(&entries_[number]);
            set_live(number, false);
            --size_;
            while (first_ < used_ && !is_live(first_))
                ++first_;  // each entry is passed once: taking from the front is cheap
            return true;
        });
    }
    void clear() noexcept {
        release();
        slots_ = {};
        live_ = {};
        entries_ = nullptr;
        mask_ = capacity_ = first_ = used_ = size_ = 0;
    }
    // Room for `count` entries in all without another allocation.
    void reserve(size_t count) {
        if (count > capacity_) rebuild(count);
    }

    iterator begin() noexcept { return {this, first_}; }
    iterator end() noexcept { return {this, used_}; }
    const_iterator begin() const noexcept { return {this, first_}; }
    const_iterator end() const noexcept { return {this, used_}; }

    bool operator==(const HashMap& other) const {
        return size_ == other.size_ &&
               std::equal(begin(), end(), other.begin(), [](const auto& left, const auto& right) {
                   return left.key == right.key && left.value == right.value;
               });
    }

  private:
    using Entry = std::pair<Key, Value>;
    using Allocation = std::allocator_traits<Allocator>;
    static constexpr size_t not_found = std::numeric_limits<size_t>::max();
    static constexpr size_t entries_min = 4;

    bool is_live(size_t number) const noexcept { return (live_[number / 64] >> (number % 64) & 1) != 0; }
    void set_live(size_t number, bool live) noexcept {
        const uint64_t bit = uint64_t{1} << (number % 64);
        live_[number / 64] = live ? live_[number / 64] | bit : live_[number / 64] & ~bit;
    }

    // What a slot of this type holds of the hash, above the number.
    template <typename Slot>
    Slot fragment(uint64_t hash) const noexcept {
        return static_cast<Slot>(static_cast<Slot>(hash >> (64 - 8 * sizeof(Slot))) & static_cast<Slot>(~mask_));
    }

    // The key's slot, or the empty one where the search ended.
    template <typename Slots, typename Lookup>
    size_t slot_of(const Slots& slots, const Lookup& key, uint64_t hash) const {
        using Slot = typename Slots::value_type;
        const Slot wanted = fragment<Slot>(hash);
        for (size_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
            const size_t number = slots[slot] & mask_;
            if (number == mask_) return slot;
            if (number == mask_ - 1 || static_cast<Slot>(slots[slot] & static_cast<Slot>(~mask_)) != wanted) continue;
            if (equal_(entries_[number].first, key)) return slot;
        }
    }
    template <typename Lookup>
    size_t number_of(const Lookup& key, uint64_t hash) const {
        if (size_ == 0) return not_found;
        return slots_.visit([&](const auto& slots) {
            const size_t number = slots[slot_of(slots, key, hash)] & mask_;
            return number == mask_ ? not_found : number;
        });
    }
    void put_in_slot(uint64_t hash, size_t number) {
        slots_.visit([&](auto& slots) {
            using Slot = std::remove_reference_t<decltype(slots[0])>;
            size_t slot = hash & mask_;
            while ((slots[slot] & mask_) != mask_) slot = (slot + 1) & mask_;
            slots[slot] = static_cast<Slot>(fragment<Slot>(hash) | number);
        });
    }

    // Before an insertion. A rebuild leaves room for half as many entries again as there are, so its cost is spread
    // over that many insertions; after many erasures it shrinks the map.
    void make_room() {
        if (used_ == capacity_) rebuild(std::max(entries_min, size_ + size_ / 2 + 1));
    }

    void rebuild(size_t capacity) {
        const size_t slot_count = std::bit_ceil(capacity + capacity / 3 + 2);  // at most three quarters are taken
        TANDEM_ASSERT(slot_count <= uint64_t{1} << 32, "a HashMap numbers its entries with 32 bits");
        detail::SlotTable slots(slot_count);
        std::vector<uint64_t> live((capacity + 63) / 64);
        Entry* entries = Allocation::allocate(allocator_, capacity);
        size_t moved = 0;
        for (size_t i = first_; i < used_; ++i) {
            if (!is_live(i)) continue;
            std::construct_at(&entries[moved], std::move(entries_[i]));
            ++moved;
        }
        release();
        slots_ = std::move(slots);
        live_ = std::move(live);
        entries_ = entries;
        mask_ = slot_count - 1;
        capacity_ = capacity;
        first_ = 0;
        used_ = moved;
        for (size_t i = 0; i < used_; ++i) {
            put_in_slot(hash_(entries_[i].first), i);
            set_live(i, true);
        }
    }

    void release() noexcept {
        for (size_t i = first_; i < used_; ++i) {
            if (is_live(i)) std::destroy_at(&entries_[i]);
        }
        if (entries_ != nullptr) Allocation::deallocate(allocator_, entries_, capacity_);
    }

    static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_constructible_v<Value>,
                  "entries move when the map grows");

    detail::SlotTable slots_;
    std::vector<uint64_t> live_;  // one bit an entry
    Entry* entries_ = nullptr;
    size_t mask_ = 0;
    size_t capacity_ = 0;  // entries allocated
    size_t first_ = 0;     // no live entry is before it
    size_t used_ = 0;      // entries taken, live or erased
    size_t size_ = 0;      // live ones
    [[no_unique_address]] KeyHash hash_;
    [[no_unique_address]] KeyEqual equal_;
    [[no_unique_address]] Allocator allocator_;
};

template <typename Key, typename Value, typename KeyHash, typename KeyEqual, typename Allocator>
template <bool is_const>
class HashMap<Key, Value, KeyHash, KeyEqual, Allocator>::Iterator {
    using Map = std::conditional_t<is_const, const HashMap, HashMap>;

  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::conditional_t<is_const, ConstItem, Item>;
    using difference_type = std::ptrdiff_t;
    using reference = value_type;
    using pointer = void;

    Iterator() = default;
    Iterator(Map* map, size_t number) : map_(map), number_(number) {}

    value_type operator*() const { return {map_->entries_[number_].first, map_->entries_[number_].second}; }
    Iterator& operator++() {
        do {
            ++number_;
        } while (number_ < map_->used_ && !map_->is_live(number_));
        return *this;
    }
    Iterator operator++(int) {
        Iterator before = *this;
        ++*this;
        return before;
    }
    bool operator==(const Iterator& other) const { return number_ == other.number_; }

  private:
    Map* map_ = nullptr;
    size_t number_ = 0;
};

}  // namespace tandem::base
