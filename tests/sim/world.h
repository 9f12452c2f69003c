// What every part of a simulation shares: virtual time, the one source of randomness, a list of things that will
// happen, the trace of what did, and how hard this seed's world is.
//
// Everything runs on one thread. Two runs of one seed make the same trace: its hash is how that is checked.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "tandem/async/testing.h"
#include "tandem/base/random.h"

namespace tandem::sim {

// What happened, in order: a running hash of all of it, and the last lines as text.
class Trace {
  public:
    static constexpr size_t lines_max = 80;

    Trace(const base::Clock& clock, bool print) : clock_(clock), print_(print) {}
    template <typename... Args>
    void add(fmt::format_string<Args...> format, Args&&... args) {
        add_line(fmt::format(format, std::forward<Args>(args)...));
    }
    uint64_t hash() const noexcept { return hash_; }
    uint64_t count() const noexcept { return count_; }
    const std::deque<std::string>& tail() const noexcept { return tail_; }

  private:
    void add_line(std::string line);
    const base::Clock& clock_;
    const bool print_;
    // FNV-1a (Fowler, Noll, Vo): the same in every process, which base::hash_text is not.
    uint64_t hash_ = 0xcbf29ce484222325;
    uint64_t count_ = 0;
    std::deque<std::string> tail_;
};

// Plain functions that run at a virtual time, in the order of their times.
class Agenda final : async::Timer {
  public:
    explicit Agenda(async::Loop& loop) : Timer(&Agenda::fire), loop_(loop) {}
    ~Agenda() { loop_.disarm(*this); }
    void at(base::TimePoint when, std::function<void()> what);
    void clear();

  private:
    struct Entry {
        base::TimePoint when;
        uint64_t sequence;
        std::function<void()> what;
        bool operator<(const Entry& other) const {  // the earliest on top of the heap
            return when != other.when ? when > other.when : sequence > other.sequence;
        }
    };
    static void fire(Timer& timer);
    async::Loop& loop_;
    std::vector<Entry> heap_;
    uint64_t sequence_ = 0;
};

// Chances of each thing that goes wrong, drawn anew for each seed; all zero once the world is calm.
struct Hardship {
    double connection_breaks = 0;  // at a write
    double request_again = 0;      // a request is delivered a second time, later
    double dial_refused = 0;
    double slow_link = 0;    // of a host pair, for the whole run
    double disk_error = 0;   // of one disk operation
    double answer_late = 0;  // a participant is slow
    double answer_lost = 0;  // a participant fails after its commit
    double refusal = 0;      // a participant says no
    base::Duration between_crashes = base::Duration::zero();
    base::Duration between_partitions = base::Duration::zero();
};

struct Counts {
    uint64_t transactions = 0;  // begun by shops
    uint64_t succeeded = 0;     // by the coordinator's records
    uint64_t failed = 0;
    uint64_t calls = 0;
    uint64_t crashes = 0;
    uint64_t partitions = 0;
    uint64_t broken_connections = 0;
    uint64_t repeated_requests = 0;
    uint64_t syncs = 0;
    uint64_t lost_sectors = 0;
    uint64_t disk_errors = 0;
    void operator+=(const Counts& other);
};

// The parts of the system, or of the world, that a test can switch off to see that the invariants notice.
enum class Sabotage : unsigned char {
    none,
    barrier,     // participants work without the barrier
    store_sync,  // the coordinator's disk does not sync
    bank_sync,   // the participants' disks do not sync
    caller,      // the coordinator takes a call without an answer for a success
    check_back,  // a message's check-back always says that the local transaction has committed
};

class World {
  public:
    World(uint64_t seed, bool print);

    base::TimePoint now() const { return loop_.loop().now(); }
    void after(base::Duration delay, std::function<void()> what) { agenda.at(now() + delay, std::move(what)); }
    base::Duration between(base::Duration low, base::Duration high);
    bool chance(double probability) { return probability > 0 && random.chance(probability); }
    // From here on nothing goes wrong any more.
    void calm_down();
    bool calm() const noexcept { return calm_; }
    async::Loop& loop() noexcept { return loop_.loop(); }
    template <typename T>
    T run(async::Task<T> task) {
        return loop_.run(std::move(task));
    }

  private:
    mutable async::testing::VirtualLoop loop_;
    bool calm_ = false;

  public:
    base::SeededRandom random;
    Trace trace;
    Agenda agenda;
    Hardship hardship;
    Counts counts;
    Sabotage sabotage = Sabotage::none;
};

}  // namespace tandem::sim
