#include "tandem/base/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <variant>

#include <fmt/format.h>

#include "tandem/base/assert.h"

namespace tandem::metrics {

namespace {

enum class Type { counter, gauge, histogram };

std::string_view to_string(Type type) {
    switch (type) {
        case Type::counter:
            return "counter";
        case Type::gauge:
            return "gauge";
        case Type::histogram:
            return "histogram";
    }
    return "untyped";
}

struct CallbackMetric {
    uint64_t id;
    std::function<double()> read;
};

// One label combination of a family.
struct Series {
    std::string labels;  // as written: a="b",c="d"
    std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>, CallbackMetric> metric;
};

struct Family {
    Type type;
    std::string help;
    std::vector<double> bounds;
    std::map<std::string, Series, std::less<>> series;  // by written labels
};

bool valid_name(std::string_view name) {
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

// In HELP a backslash and a line feed are escaped, in a label's value the double quote too.
void append_escaped(std::string& to, std::string_view text, bool quotes) {
    for (const char c : text) {
        if (c == '\\') {
            to += "\\\\";
        } else if (c == '\n') {
            to += "\\n";
        } else if (c == '"' && quotes) {
            to += "\\\"";
        } else {
            to += c;
        }
    }
}

std::string written(const Labels& labels, bool hide_values = false) {
    std::string text;
    for (const auto& [name, value] : labels) {
        TANDEM_ASSERT(valid_name(name) && !name.starts_with("__") && name != "le", "a label has a plain name");
        if (!text.empty()) text += ',';
        text += name;
        text += "=\"";
        append_escaped(text, hide_values ? "other" : std::string_view(value), true);
        text += '"';
    }
    return text;
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    return fmt::format("{}", value);
}

void append_sample(std::string& to, std::string_view name, std::string_view suffix, std::string_view labels,
                   std::string_view more_labels, std::string_view value) {
    to += name;
    to += suffix;
    if (!labels.empty() || !more_labels.empty()) {
        to += '{';
        to += labels;
        if (!labels.empty() && !more_labels.empty()) to += ',';
        to += more_labels;
        to += '}';
    }
    to += ' ';
    to += value;
    to += '\n';
}

void append_histogram(std::string& to, std::string_view name, std::string_view labels, const Histogram& histogram) {
    const Histogram::Snapshot snapshot = histogram.snapshot();
    uint64_t cumulative = 0;
    for (size_t i = 0; i < snapshot.buckets.size(); ++i) {
        cumulative += snapshot.buckets[i];
        const double bound =
            i < histogram.bounds().size() ? histogram.bounds()[i] : std::numeric_limits<double>::infinity();
        append_sample(to, name, "_bucket", labels, fmt::format("le=\"{}\"", number(bound)),
                      fmt::format("{}", cumulative));
    }
    append_sample(to, name, "_sum", labels, {}, number(snapshot.sum));
    append_sample(to, name, "_count", labels, {}, fmt::format("{}", snapshot.count));
}

}  // namespace

struct detail::RegistryState {
    explicit RegistryState(size_t max) : series_max(max) {}

    Family& family(std::string_view name, std::string_view help, Type type) {
        TANDEM_ASSERT(name.starts_with("tandem_") && valid_name(name), "a metric's name starts with tandem_");
        TANDEM_ASSERT(type != Type::counter || name.ends_with("_total"), "a counter's name ends in _total");
        const auto [found, made] = families.try_emplace(std::string(name), Family{type, std::string(help), {}, {}});
        TANDEM_ASSERT(found->second.type == type, "a metric's name has one type");
        return found->second;
    }

    template <typename Metric, typename Make>
    Metric& find_or_make(Family& family, const Labels& labels, Make make) {
        std::string key = written(labels);
        auto found = family.series.find(key);
        if (found == family.series.end()) {
            if (family.series.size() >= series_max) key = written(labels, true);
            found = family.series.try_emplace(key, Series{key, std::unique_ptr<Metric>()}).first;
            auto& metric = std::get<std::unique_ptr<Metric>>(found->second.metric);
            if (!metric) metric = make();
        }
        auto* metric = std::get_if<std::unique_ptr<Metric>>(&found->second.metric);
        TANDEM_ASSERT(metric != nullptr, "a gauge is either set or read by a callback");
        return **metric;
    }

    const size_t series_max;
    std::mutex mutex;
    uint64_t add_callback(Family& family, const Labels& labels, std::function<double()> read) {
        const uint64_t id = ++last_callback;
        const std::string key = written(labels);
        const bool made = family.series.try_emplace(key, Series{key, CallbackMetric{id, std::move(read)}}).second;
        TANDEM_ASSERT(made, "a metric has one reader");
        return id;
    }

    std::map<std::string, Family, std::less<>> families;
    uint64_t last_callback = 0;
};

size_t detail::this_thread_shard() noexcept {
    static std::atomic<size_t> next{0};
    static thread_local const size_t shard = next.fetch_add(1, std::memory_order_relaxed) % shards;
    return shard;
}

uint64_t Counter::value() const noexcept {
    uint64_t sum = 0;
    for (const Shard& shard : shards_) sum += shard.value.load(std::memory_order_relaxed);
    return sum;
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)) {
    // less_equal makes equal neighbours count as out of order.
    TANDEM_ASSERT(std::ranges::is_sorted(bounds_, std::ranges::less_equal{}), "a histogram's bounds ascend");
    for (Shard& shard : shards_) shard.buckets = std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1);
}

void Histogram::observe(double value) noexcept {
    const size_t bucket = static_cast<size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
    Shard& shard = shards_[detail::this_thread_shard()];
    shard.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
    shard.sum.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
    Snapshot snapshot;
    snapshot.buckets.resize(bounds_.size() + 1);
    for (const Shard& shard : shards_) {
        for (size_t i = 0; i < snapshot.buckets.size(); ++i) {
            const uint64_t count = shard.buckets[i].load(std::memory_order_relaxed);
            snapshot.buckets[i] += count;
            snapshot.count += count;
        }
        snapshot.sum += shard.sum.load(std::memory_order_relaxed);
    }
    return snapshot;
}

std::vector<double> seconds_buckets() {
    return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

Callback& Callback::operator=(Callback&& other) noexcept {
    if (this != &other) {
        remove();
        state_ = std::move(other.state_);
        id_ = other.id_;
    }
    return *this;
}

void Callback::remove() noexcept {
    const auto state = state_.lock();
    state_.reset();
    if (!state) return;
    const std::lock_guard lock(state->mutex);
    for (auto& [name, family] : state->families) {
        std::erase_if(family.series, [this](const auto& entry) {
            const auto* callback = std::get_if<CallbackMetric>(&entry.second.metric);
            return callback != nullptr && callback->id == id_;
        });
    }
}

Registry::Registry(size_t series_max) : state_(std::make_shared<detail::RegistryState>(series_max)) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(state_->mutex);
    return state_->find_or_make<Counter>(state_->family(name, help, Type::counter), labels,
                                         [] { return std::make_unique<Counter>(); });
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(state_->mutex);
    return state_->find_or_make<Gauge>(state_->family(name, help, Type::gauge), labels,
                                       [] { return std::make_unique<Gauge>(); });
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                               Labels labels) {
    const std::lock_guard lock(state_->mutex);
    Family& family = state_->family(name, help, Type::histogram);
    if (family.series.empty()) family.bounds = std::move(bounds);
    return state_->find_or_make<Histogram>(family, labels, [&] { return std::make_unique<Histogram>(family.bounds); });
}

Callback Registry::gauge_callback(std::string_view name, std::string_view help, std::function<double()> read,
                                  Labels labels) {
    const std::lock_guard lock(state_->mutex);
    return Callback(state_, state_->add_callback(state_->family(name, help, Type::gauge), labels, std::move(read)));
}

Callback Registry::counter_callback(std::string_view name, std::string_view help, std::function<double()> read,
                                    Labels labels) {
    const std::lock_guard lock(state_->mutex);
    return Callback(state_, state_->add_callback(state_->family(name, help, Type::counter), labels, std::move(read)));
}

std::string Registry::text() const {
    const std::lock_guard lock(state_->mutex);
    std::string out;
    for (const auto& [name, family] : state_->families) {
        if (family.series.empty()) continue;
        out += fmt::format("# HELP {} ", name);
        append_escaped(out, family.help, false);
        out += fmt::format("\n# TYPE {} {}\n", name, to_string(family.type));
        for (const auto& [key, series] : family.series) {
            if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series.metric)) {
                append_sample(out, name, {}, series.labels, {}, fmt::format("{}", (*counter)->value()));
            } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series.metric)) {
                append_sample(out, name, {}, series.labels, {}, number((*gauge)->value()));
            } else if (const auto* histogram = std::get_if<std::unique_ptr<Histogram>>(&series.metric)) {
                append_histogram(out, name, series.labels, **histogram);
            } else {
                append_sample(out, name, {}, series.labels, {}, number(std::get<CallbackMetric>(series.metric).read()));
            }
        }
    }
    return out;
}

Registry& Registry::global() {
    // Never destroyed: threads and static objects may still count while the process ends.
    static Registry& registry = *new Registry;
    return registry;
}

}  // namespace tandem::metrics
