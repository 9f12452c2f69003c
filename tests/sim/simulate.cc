// `simulate`: runs the simulated cluster for many seeds. Exit status 1 at the first seed that violates an invariant.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <map>

#include "cluster.h"
#include "tandem/base/log.h"

namespace {

using namespace tandem;

const std::map<std::string, sim::Sabotage> sabotages = {
    {"none", sim::Sabotage::none},
    {"barrier", sim::Sabotage::barrier},
    {"store-sync", sim::Sabotage::store_sync},
    {"bank-sync", sim::Sabotage::bank_sync},
    {"caller", sim::Sabotage::caller},
    {"check-back", sim::Sabotage::check_back},
};

std::string show(const sim::Counts& counts) {
    return fmt::format(
        "{} transactions ({} succeeded, {} failed), {} calls, {} crashes, {} partitions, {} broken connections, "
        "{} repeated requests, {} syncs, {} sectors lost, {} disk errors",
        counts.transactions, counts.succeeded, counts.failed, counts.calls, counts.crashes, counts.partitions,
        counts.broken_connections, counts.repeated_requests, counts.syncs, counts.lost_sectors, counts.disk_errors);
}

std::string replay_command(uint64_t seed, const std::string& sabotage) {
    return fmt::format("replay: build/release/bin/simulate --seed {} --verbose{}\n", seed,
                       sabotage == "none" ? "" : " --sabotage " + sabotage);
}

// An assertion that fails, and a seed that never ends, must say which seed it was.
constexpr unsigned seed_seconds_max = 120;  // of real time; a seed takes some milliseconds
char replay_line[200];

void say_seed_and_end(int signal) {
    (void)!::write(STDERR_FILENO, replay_line, std::strlen(replay_line));
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void watch(uint64_t seed, const std::string& sabotage) {
    const std::string line = replay_command(seed, sabotage);
    line.copy(replay_line, sizeof replay_line - 1);
    for (int signal : {SIGABRT, SIGSEGV, SIGALRM}) std::signal(signal, say_seed_and_end);
    ::alarm(seed_seconds_max);
}

// What the seed violates, with what is needed to look into it.
void report(const sim::RunResult& result, uint64_t seed, const std::string& sabotage) {
    fmt::print("\nseed {} violates:\n", seed);
    for (const std::string& violation : result.violations) fmt::print("  {}\n", violation);
    fmt::print("\nthe last events:\n");
    for (const std::string& line : result.trace_tail) fmt::print("{}\n", line);
    fmt::print("\n{}", replay_command(seed, sabotage));
}

}  // namespace

int main(int argc, char** argv) {
    uint64_t seeds = 2000;
    uint64_t first = 1;
    uint64_t only = 0;
    bool verbose = false;
    bool twice = false;
    std::string sabotage = "none";
    CLI::App app("Runs a simulated cluster of a coordinator, participants and clients, once for each seed.");
    app.add_option("--seeds", seeds, "how many seeds")->capture_default_str();
    app.add_option("--first", first, "the first of them")->capture_default_str();
    app.add_option("--seed", only, "this one alone");
    app.add_flag("--verbose", verbose, "print every event");
    app.add_flag("--twice", twice, "run each seed twice and compare the traces");
    app.add_option("--sabotage", sabotage, "switch this off, to see that it is noticed")
        ->check(CLI::IsMember({"none", "barrier", "store-sync", "bank-sync", "caller", "check-back"}));
    CLI11_PARSE(app, argc, argv);
    if (only) {
        first = only;
        seeds = 1;
    }
    log::configure({.level = log::Level::off});
    const auto start = std::chrono::steady_clock::now();
    sim::Counts counts;
    for (uint64_t done = 0; done < seeds;) {
        sim::RunOptions options{.seed = first + done, .print = verbose, .sabotage = sabotages.at(sabotage)};
        watch(options.seed, sabotage);
        const sim::RunResult result = sim::simulate(options);
        if (!result.violations.empty()) {
            report(result, options.seed, sabotage);
            return 1;
        }
        // A few seeds are always run twice.
        options.print = false;
        if ((twice || done % 500 == 0) && sim::simulate(options).trace_hash != result.trace_hash) {
            fmt::print("seed {} is not the same the second time\n", options.seed);
            return 1;
        }
        counts += result.counts;
        ++done;
        if (done % 200 == 0 && done < seeds) {
            fmt::print("{} seeds: {}\n", done, show(counts));
            std::fflush(stdout);
        }
        if (only) fmt::print("trace: {} events, {:016x}\n", result.trace_lines, result.trace_hash);
    }
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{:.1f} s\n", took);
    fmt::print("simulate: {} seeds, {}, 0 violations\n", seeds, show(counts));
    return 0;
}
