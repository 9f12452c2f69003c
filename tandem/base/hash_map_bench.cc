// HashMap against std::unordered_map: nanoseconds an operation, and bytes of heap an entry (counter "bytes_per_entry",
// as malloc hands them out, with its headers).
#include "tandem/base/hash_map.h"

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "tandem/base/random.h"

namespace {

using tandem::base::HashMap;
using tandem::base::SeededRandom;

size_t heap_bytes() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

template <typename Key>
std::vector<Key> keys(size_t count) {
    SeededRandom random(1);
    std::vector<Key> made;
    for (size_t i = 0; i < count; ++i) {
        if constexpr (std::is_same_v<Key, std::string>) {
            made.push_back(fmt::format("key-{:08x}", random.next() >> 32));  // fits std::string's own buffer
        } else {
            made.push_back(random.next());
        }
    }
    return made;
}

template <typename Map, typename Key>
Map filled(const std::vector<Key>& with) {
    Map map;
    for (const Key& key : with) map.try_emplace(key, 1);
    return map;
}

template <typename Map, typename Key>
void fill(benchmark::State& state) {
    const auto with = keys<Key>(static_cast<size_t>(state.range(0)));
    size_t bytes = 0;
    for (auto _ : state) {
        const size_t before = heap_bytes();
        const Map map = filled<Map>(with);
        bytes = heap_bytes() - before;
        benchmark::DoNotOptimize(&map);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
    state.counters["bytes_per_entry"] = static_cast<double>(bytes) / static_cast<double>(with.size());
}

template <typename Map, typename Key>
void look_up(benchmark::State& state) {
    const auto with = keys<Key>(static_cast<size_t>(state.range(0)));
    const Map map = filled<Map>(with);
    size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map.find(with[i]));
        i = i + 1 == with.size() ? 0 : i + 1;
    }
    state.SetItemsProcessed(state.iterations());
}

template <typename Map, typename Key>
void iterate(benchmark::State& state) {
    const Map map = filled<Map>(keys<Key>(static_cast<size_t>(state.range(0))));
    for (auto _ : state) {
        uint64_t sum = 0;
        for (const auto& [key, value] : map) sum += value;
        benchmark::DoNotOptimize(sum);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

using OursOfNumbers = HashMap<uint64_t, uint64_t>;
using TheirsOfNumbers = std::unordered_map<uint64_t, uint64_t>;
using OursOfTexts = HashMap<std::string, uint64_t>;
using TheirsOfTexts = std::unordered_map<std::string, uint64_t>;

BENCHMARK(fill<OursOfNumbers, uint64_t>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(fill<TheirsOfNumbers, uint64_t>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(fill<OursOfTexts, std::string>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(fill<TheirsOfTexts, std::string>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(look_up<OursOfNumbers, uint64_t>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(look_up<TheirsOfNumbers, uint64_t>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(look_up<OursOfTexts, std::string>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(look_up<TheirsOfTexts, std::string>)->Arg(100)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(iterate<OursOfNumbers, uint64_t>)->Arg(1'000'000);
BENCHMARK(iterate<TheirsOfNumbers, uint64_t>)->Arg(1'000'000);

}  // namespace
