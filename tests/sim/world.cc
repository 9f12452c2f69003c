#include "world.h"

#include <algorithm>

namespace tandem::sim {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

void Trace::add_line(std::string text) {
    const auto now_us = duration_cast<std::chrono::microseconds>(clock_.now().time_since_epoch()).count();
    std::string line = fmt::format("{:>10.3f} ms  {}", static_cast<double>(now_us) / 1000, text);
    for (const char each : line) {
        hash_ = (hash_ ^ static_cast<unsigned char>(each)) * 0x100000001b3;
    }
    ++count_;
    if (print_) fmt::print("{}\n", line);
    tail_.push_back(std::move(line));
    if (tail_.size() > lines_max) tail_.pop_front();
}

void Agenda::at(base::TimePoint when, std::function<void()> what) {
    heap_.push_back({when, ++sequence_, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end());
    if (heap_.front().sequence != sequence_) return;
    loop_.disarm(*this);
    loop_.arm(*this, when);
}

void Agenda::clear() {
    loop_.disarm(*this);
    heap_.clear();
}

void Agenda::fire(Timer& timer) {
    Agenda& self = static_cast<Agenda&>(timer);
    const base::TimePoint now = self.loop_.now();
    while (!self.heap_.empty() && self.heap_.front().when <= now) {
        std::pop_heap(self.heap_.begin(), self.heap_.end());
        const std::function<void()> what = std::move(self.heap_.back().what);
        self.heap_.pop_back();
        what();
    }
    self.loop_.disarm(self);
    if (!self.heap_.empty()) self.loop_.arm(self, self.heap_.front().when);
}

void Counts::operator+=(const Counts& other) {
    transactions += other.transactions;
    succeeded += other.succeeded;
    failed += other.failed;
    calls += other.calls;
    crashes += other.crashes;
    partitions += other.partitions;
    broken_connections += other.broken_connections;
    repeated_requests += other.repeated_requests;
    syncs += other.syncs;
    lost_sectors += other.lost_sectors;
    disk_errors += other.disk_errors;
}

World::World(uint64_t seed, bool print) : random(seed), trace(loop_.clock(), print), agenda(loop_.loop()) {
    // Each kind of trouble is there in half of the worlds, so that some seeds show one kind alone.
    const auto draw = [this](double most) { return random.chance(0.5) ? random.unit() * most : 0.0; };
    hardship.connection_breaks = draw(0.06);
    hardship.request_again = draw(0.15);
    hardship.dial_refused = draw(0.1);
    hardship.slow_link = draw(0.3);
    hardship.disk_error = draw(0.002);
    hardship.answer_late = draw(0.15);
    hardship.answer_lost = draw(0.15);
    hardship.refusal = draw(0.25);
    if (random.chance(0.8)) hardship.between_crashes = between(milliseconds(300), seconds(5));
    if (random.chance(0.5)) hardship.between_partitions = between(milliseconds(500), seconds(5));
}

base::Duration World::between(base::Duration low, base::Duration high) {
    return base::Duration(random.between(low.count(), high.count()));
}

void World::calm_down() {
    trace.add("calm");
    calm_ = true;
    hardship = Hardship();
}

}  // namespace tandem::sim
