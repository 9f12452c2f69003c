// What a running node counts: counters, gauges and histograms with labels, shown in Prometheus's text format 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats).
//
// Look a metric up once and keep the reference: lookup takes a lock, counting does not. Everything here is thread-safe;
// references live as long as their registry. Counters end in _total, units stand in names (_seconds, _bytes).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tandem::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

namespace detail {
struct RegistryState;
inline constexpr size_t shards = 8;
// Each thread keeps to one shard, so that loops do not fight over a cache line.
size_t this_thread_shard() noexcept;
}  // namespace detail

// Only grows.
class Counter {
  public:
    void add(uint64_t by = 1) noexcept {
        shards_[detail::this_thread_shard()].value.fetch_add(by, std::memory_order_relaxed);
    }
    uint64_t value() const noexcept;

  private:
    struct alignas(64) Shard {
        std::atomic<uint64_t> value{0};
    };
    std::array<Shard, detail::shards> shards_;
};

// Goes up and down.
class Gauge {
  public:
    void set(double value) noexcept { value_.store(value, std::memory_order_relaxed); }
    void add(double by) noexcept { value_.fetch_add(by, std::memory_order_relaxed); }
    double value() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<double> value_{0};
};

// Counts observations by size. Bucket i counts those at most bounds[i]; the last bucket takes the rest.
class Histogram {
  public:
    explicit Histogram(std::vector<double> bounds);

    void observe(double value) noexcept;

    struct Snapshot {
        std::vector<uint64_t> buckets;  // not cumulative; one more than there are bounds
        double sum = 0;
        uint64_t count = 0;
    };
    Snapshot snapshot() const;
    const std::vector<double>& bounds() const noexcept { return bounds_; }

  private:
    struct alignas(64) Shard {
        std::unique_ptr<std::atomic<uint64_t>[]> buckets;
        std::atomic<double> sum{0};
    };
    const std::vector<double> bounds_;
    std::array<Shard, detail::shards> shards_;
};

// 100 us to 10 s, for latencies.
std::vector<double> seconds_buckets();

// Takes its callback out of the registry when it dies; after that the callback does not run any more.
class Callback {
  public:
    Callback() = default;
    Callback(Callback&& other) noexcept = default;
    Callback& operator=(Callback&& other) noexcept;
    ~Callback() { remove(); }

  private:
    friend class Registry;
    Callback(std::weak_ptr<detail::RegistryState> state, uint64_t id) : state_(std::move(state)), id_(id) {}
    void remove() noexcept;

    std::weak_ptr<detail::RegistryState> state_;
    uint64_t id_ = 0;
};

// Families of metrics by name. Names match [a-z_][a-z0-9_]* and start with tandem_; a wrong name, or one name with two
// types, is a bug and asserts. The same name and labels give the same metric again.
class Registry {
  public:
    // A family holds at most series_max label combinations; further ones are counted together in one whose label values
    // are all "other", so that a label filled from a request cannot eat the memory.
    static constexpr size_t default_series_max = 1000;

    explicit Registry(size_t series_max = default_series_max);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
    // `bounds` ascend; those of the family's first histogram hold for all.
    Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds = seconds_buckets(),
                         Labels labels = {});
    // A gauge read when somebody looks, under the registry's lock: `read` must be quick and leave the registry alone.
    [[nodiscard]] Callback gauge_callback(std::string_view name, std::string_view help, std::function<double()> read,
                                          Labels labels = {});
    // A counter that is counted elsewhere; `read` never gives less than before.
    [[nodiscard]] Callback counter_callback(std::string_view name, std::string_view help, std::function<double()> read,
                                            Labels labels = {});

    // Everything, by name, in the text format; serve it as text/plain; version=0.0.4; charset=utf-8.
    std::string text() const;

    // The process's own.
    static Registry& global();

  private:
    std::shared_ptr<detail::RegistryState> state_;
};

}  // namespace tandem::metrics
