#include "cluster.h"

#include "bank.h"
#include "coordinator_program.h"
#include "shop.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"
#include "tandem/tx/store.h"

namespace tandem::sim {

using async::Task;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr int banks = 3;
constexpr int shops = 2;
constexpr auto trouble_max = seconds(25);
constexpr auto quiet_max = minutes(10);   // by then nothing may be unfinished
constexpr auto stragglers = seconds(10);  // longer than a request may be under way

class Cluster {
  public:
    explicit Cluster(const RunOptions& options);
    RunResult run();

  private:
    Host& add_host(std::string name, Host::Program program);
    Task<void> run_all();
    Task<void> make_trouble();
    Task<void> wait_until_finished();
    Task<void> judge();
    Task<void> read_effects(SimFileSystem& files, const std::string& host, std::string_view file, Money& money);
    void schedule_crash();
    void schedule_partition();
    bool everything_done() const;

    World world_;
    SimNetwork wires_;
    Oracle oracle_;
    CoordinatorDesk desk_{oracle_};
    Market market_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Effect> effects_;
};

Cluster::Cluster(const RunOptions& options)
    : world_(options.seed, options.print), wires_(world_), oracle_(world_), market_{oracle_} {
    world_.sabotage = options.sabotage;
    seed_sqlite(world_.random);
    market_.banks = banks;
    market_.orders_left = static_cast<int>(world_.random.between(5, 80));
    Host& node = add_host("node", [this](Machine& machine) { return run_coordinator(machine, desk_); });
    if (options.sabotage == Sabotage::store_sync) node.disk.ignore_syncs();
    for (int i = 0; i < banks; ++i) {
        Host& bank = add_host(fmt::format("bank-{}", i), [](Machine& machine) { return run_bank(machine); });
        if (options.sabotage == Sabotage::bank_sync) bank.disk.ignore_syncs();
    }
    for (int i = 0; i < shops; ++i) {
        add_host(fmt::format("shop-{}", i), [this](Machine& machine) { return run_shop(machine, market_); });
    }
}

Host& Cluster::add_host(std::string name, Host::Program program) {
    hosts_.push_back(std::make_unique<Host>(world_, wires_, std::move(name), std::move(program)));
    return *hosts_.back();
}

void Cluster::schedule_crash() {
    const base::Duration mean = world_.hardship.between_crashes;
    if (mean == base::Duration::zero()) return;
    world_.after(world_.between(milliseconds(0), 2 * mean), [this] {
        if (world_.calm()) return;
        const uint64_t victims = world_.random.chance(0.15) ? world_.random.below(hosts_.size()) + 1 : 1;
        for (uint64_t i = 0; i < victims; ++i) {
            Host& host = *hosts_[world_.random.below(hosts_.size())];
            const auto kind = world_.random.chance(0.7) ? Host::Crash::power_fails : Host::Crash::process_dies;
            const base::Duration down = world_.between(milliseconds(1), seconds(3));
            if (world_.random.chance(0.6)) {
                host.crash_at_disk_operation(1 + world_.random.below(30), kind, down);
            } else {
                host.crash(kind, down);
            }
        }
        schedule_crash();
    });
}

void Cluster::schedule_partition() {
    const base::Duration mean = world_.hardship.between_partitions;
    if (mean == base::Duration::zero()) return;
    world_.after(world_.between(milliseconds(0), 2 * mean), [this] {
        if (world_.calm()) return;
        const std::string& a = hosts_[world_.random.below(hosts_.size())]->name();
        const std::string& b = hosts_[world_.random.below(hosts_.size())]->name();
        const base::TimePoint until = world_.now() + world_.between(milliseconds(100), seconds(4));
        wires_.partition(a, b, until);
        if (world_.random.chance(0.6)) wires_.partition(b, a, until);
        schedule_partition();
    });
}

bool Cluster::everything_done() const {
    return market_.orders_left == 0 && market_.orders_under_way == 0;
}

Task<void> Cluster::make_trouble() {
    schedule_crash();
    schedule_partition();
    const base::TimePoint end = world_.now() + trouble_max;
    while (world_.now() < end && !everything_done()) co_await async::sleep(milliseconds(100));
    // Some of what is left to do is done in trouble, some in quiet.
    co_await async::sleep(world_.between(milliseconds(0), seconds(5)));
    world_.calm_down();
    wires_.heal();
}

Task<void> Cluster::wait_until_finished() {
    const base::TimePoint give_up = world_.now() + quiet_max;
    for (;;) {
        co_await async::sleep(seconds(1));
        if (world_.now() > give_up) {
            oracle_.violation("something is still unfinished after the quiet time");
            co_return;
        }
        if (!everything_done() || !desk_.coordinator) continue;
        if (co_await desk_.coordinator->store().count_unfinished() == 0) break;
    }
    co_await async::sleep(stragglers);
}

Task<void> Cluster::run_all() {
    async::Scope scope;
    for (const auto& host : hosts_) scope.spawn(host->run());
    co_await make_trouble();
    co_await wait_until_finished();
    for (const auto& host : hosts_) host->stop();
    co_await scope.join();
    world_.agenda.clear();
    co_await judge();
}

Task<void> Cluster::read_effects(SimFileSystem& files, const std::string& host, std::string_view file, Money& money) {
    const SqliteVfs vfs("judge-" + host, files, world_.loop().clock());
    db::Database database(fmt::format("sqlite:/{}/{}?vfs={}", host, file, vfs.name()));
    {
        db::Lease session = co_await database.session();
        const db::Result integrity = co_await session->execute("PRAGMA integrity_check");
        if (integrity.rows[0].get<std::string>(0) != "ok") {
            oracle_.violation(fmt::format("{}'s database is damaged: {}", host, integrity.rows[0].get<std::string>(0)));
        }
        const db::Result rows =
            co_await session->execute("SELECT gid, branch_id, operation, at_ns, id FROM effects ORDER BY id");
        for (const db::Row row : rows.rows) {
            effects_.push_back({host, row.get<std::string>(0), row.get<std::string>(1), row.get<std::string>(2),
                                row.get<int64_t>(3), row.get<int64_t>(4)});
        }
        const db::Result sums =
            co_await session->execute("SELECT SUM(balance), SUM(frozen), SUM(incoming) FROM accounts");
        money.balance += sums.rows[0].get<int64_t>(0);
        money.frozen += sums.rows[0].get<int64_t>(1);
        money.incoming += sums.rows[0].get<int64_t>(2);
    }
    database.close_idle();
}

Task<void> Cluster::judge() {
    std::vector<tx::Transaction> records;
    Money money;
    for (const auto& host : hosts_) {
        SimFileSystem files(host->disk);
        std::optional<Error> unreadable;
        try {
            if (host->name() != "node") {
                const bool bank = host->name().starts_with("bank");
                co_await read_effects(files, host->name(), bank ? bank_file : shop_file, money);
                continue;
            }
            const SqliteVfs vfs("judge-node", files, world_.loop().clock());
            db::Database database(fmt::format("sqlite:/node/{}?vfs={}", store_file, vfs.name()));
            tx::Store store(database);
            std::optional<Error> failed;
            try {
                co_await store.open();
                records = co_await store.list({.limit = 1'000'000});
            } catch (const Error& error) {
                failed = error;
            }
            co_await store.close();
            database.close_idle();
            if (failed) throw *failed;
        } catch (const Error& error) {
            unreadable = error;
        }
        if (unreadable)
            oracle_.violation(fmt::format("{}'s database cannot be read: {}", host->name(), unreadable->what()));
    }
    constexpr int64_t at_start = money_per_account * (banks * accounts_per_bank + shops * accounts_per_shop);
    oracle_.judge(records, effects_, money, at_start);
}

RunResult Cluster::run() {
    world_.run(run_all());
    RunResult result;
    result.violations = oracle_.violations();
    result.trace_tail = world_.trace.tail();
    result.trace_hash = world_.trace.hash();
    result.trace_lines = world_.trace.count();
    result.counts = world_.counts;
    return result;
}

}  // namespace

RunResult simulate(const RunOptions& options) {
    return Cluster(options).run();
}

}  // namespace tandem::sim
