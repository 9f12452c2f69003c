// Identifiers made without asking anybody: `Snowflake` numbers that fit a BIGINT column, and `gid`s, the sortable
// 26-character names of global transactions (ULID layout, github.com/ulid/spec).
//
// Both generators are thread-safe, never repeat an id within their lifetime and give ids that only grow, whatever the
// wall clock does meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "tandem/base/clock.h"
#include "tandem/base/random.h"

namespace tandem::base {

// 64-bit ids, positive: 41 bits of milliseconds since 2024-01-01T00:00:00Z (until 2093), 10 bits of node, 12 of
// sequence. Uniqueness among nodes rests on distinct node numbers. A restarted process must come back at a later wall
// time than its last id's; lead_max bounds how much later is surely enough.
class Snowflake {
  public:
    static constexpr int64_t epoch_ms = 1'704'067'200'000;
    static constexpr uint16_t node_max = 1023;
    static constexpr uint16_t sequence_max = 4095;

    // When the clock stands still or steps back, ids go on from the last timestamp, borrowing milliseconds that the
    // clock has yet to reach: at most lead_max ahead of it.
    Snowflake(Clock& clock, uint16_t node, Duration lead_max = std::chrono::seconds(5));

    // Throws unavailable when the clock stands more than lead_max before the last id, or before the epoch.
    int64_t next();

    static int64_t unix_ms(int64_t id) noexcept { return (id >> 22) + epoch_ms; }
    static uint16_t node(int64_t id) noexcept { return static_cast<uint16_t>(id >> 12 & node_max); }
    static uint16_t sequence(int64_t id) noexcept { return static_cast<uint16_t>(id & sequence_max); }

  private:
    Clock& clock_;
    const int64_t node_bits_;
    const int64_t lead_max_ms_;
    std::atomic<int64_t> last_{-1};  // milliseconds since the epoch << 12 | sequence
};

// 48 bits of milliseconds since 1970, then 80 random bits, in Crockford's base32. Within one millisecond, or when the
// clock steps back, the random part counts up, so that text order is always the order of making.
class GidGenerator {
  public:
    // `random` is used under this generator's lock alone.
    GidGenerator(Clock& clock, Random& random) : clock_(clock), random_(random) {}

    std::string next();

    // The milliseconds since 1970 in a gid made here; 0 for a gid from elsewhere.
    static int64_t unix_ms(std::string_view gid) noexcept;

  private:
    void draw();

    Clock& clock_;
    Random& random_;
    std::mutex mutex_;
    int64_t last_ms_ = -1;
    unsigned __int128 tail_ = 0;  // 80 bits
};

inline constexpr size_t gid_size_max = 128;

// Clients may bring a gid of their own: 1 to gid_size_max of A-Z a-z 0-9 and - _ . : ~ which need no escaping in a
// URL's path, in a header, or in JSON.
bool valid_gid_characters(std::string_view gid) noexcept;

}  // namespace tandem::base
