// Invariants
// 1. last_ (Snowflake) and (last_ms_, tail_) (GidGenerator) only grow; every id is made from a value they grew to.
// 2. Hence no id repeats and each is greater than the one before, even while the wall clock steps back.
#include "tandem/base/id.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tandem/base/assert.h"
#include "tandem/base/error.h"

namespace tandem::base {

namespace {
constexpr int sequence_bits = 12;
constexpr int64_t snowflake_ms_max = (int64_t{1} << 41) - 1;

constexpr std::string_view crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t gid_size = 26;
constexpr int64_t gid_ms_max = (int64_t{1} << 48) - 1;
constexpr unsigned __int128 tail_max = (static_cast<unsigned __int128>(1) << 80) - 1;
}  // namespace

Snowflake::Snowflake(Clock& clock, uint16_t node, Duration lead_max)
    : clock_(clock),
      node_bits_(static_cast<int64_t>(node) << sequence_bits),
      lead_max_ms_(std::chrono::duration_cast<std::chrono::milliseconds>(lead_max).count()) {
    if (node > node_max) fail(Code::invalid_argument, "snowflake node {} is above {}", node, node_max);
}

int64_t Snowflake::next() {
    int64_t last = last_.load(std::memory_order_relaxed);
    while (true) {
        const int64_t now_ms = clock_.wall_ms() - epoch_ms;
        if (now_ms < 0) fail(Code::unavailable, "the clock stands before 2024; no id can be made");
        const int64_t grown = std::max(last + 1, now_ms << sequence_bits);
        const int64_t ms = grown >> sequence_bits;
        if (ms > now_ms + lead_max_ms_) {
            fail(Code::unavailable, "the clock is {} ms behind the last id, more than the {} ms allowed; set it right",
                 ms - now_ms, lead_max_ms_);
        }
        if (ms > snowflake_ms_max) fail(Code::unavailable, "the clock stands after 2093; no id can be made");
        if (last_.compare_exchange_weak(last, grown, std::memory_order_relaxed)) {
            return ms << 22 | node_bits_ | (grown & sequence_max);
        }
    }
}

void GidGenerator::draw() {
    std::byte bytes[10];
    random_.fill(bytes);
    tail_ = 0;
    for (const std::byte byte : bytes) tail_ = tail_ << 8 | std::to_integer<unsigned>(byte);
}

std::string GidGenerator::next() {
    unsigned __int128 value;
    {
        const std::lock_guard lock(mutex_);
        const int64_t now_ms = clock_.wall_ms();
        if (now_ms > last_ms_) {
            last_ms_ = now_ms;
            draw();
        } else if (tail_ < tail_max) {
            ++tail_;
        } else {
            ++last_ms_;
            draw();
        }
        TANDEM_ASSERT(last_ms_ >= 0 && last_ms_ <= gid_ms_max, "a gid holds 48 bits of milliseconds since 1970");
        value = static_cast<unsigned __int128>(last_ms_) << 80 | tail_;
    }
    std::string gid(gid_size, '0');
    for (size_t i = gid_size; i-- > 0; value >>= 5) gid[i] = crockford[static_cast<size_t>(value & 31)];
    return gid;
}

int64_t GidGenerator::unix_ms(std::string_view gid) noexcept {
    constexpr size_t time_digits = 10;
    if (gid.size() != gid_size || gid[0] > '7') return 0;
    int64_t ms = 0;
    for (size_t i = 0; i < gid_size; ++i) {
        const size_t digit = crockford.find(gid[i]);
        if (digit == std::string_view::npos) return 0;
        if (i < time_digits) ms = ms << 5 | static_cast<int64_t>(digit);
    }
    return ms;
}

bool valid_gid_characters(std::string_view gid) noexcept {
    static constexpr auto allowed = [] {
        std::array<bool, 256> table{};
        for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
        for (int c = '0'; c <= '9'; ++c) table[c] = true;
        for (const char c : {'-', '_', '.', ':', '~'}) table[static_cast<unsigned char>(c)] = true;
        return table;
    }();
    if (gid.empty() || gid.size() > gid_size_max) return false;
    return std::ranges::all_of(gid, [](char c) { return allowed[static_cast<unsigned char>(c)]; });
}

}  // namespace tandem::base
