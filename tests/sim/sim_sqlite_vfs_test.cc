#include "sim_sqlite_vfs.h"

#include <gtest/gtest.h>

#include "sim_disk.h"
#include "tandem/async/time.h"
#include "tandem/db/database.h"

namespace tandem::sim {
namespace {

using async::Task;

// Runs `body` on a database on the simulated disk, as one life of a process.
using Life = std::function<Task<void>(db::Database&, SimFileSystem&)>;

Task<void> live(World& world, SimDisk& disk, Life body) {
    SimFileSystem files(disk);
    const SqliteVfs vfs("sim-test", files, world.loop().clock());
    db::Database database("sqlite:/test.db?vfs=sim-test", {.sessions_max = 2});
    co_await body(database, files);
    // No farewell to the disk: closing would write the log back.
    files.kill();
    database.close_idle();
}

struct SqliteOnSimDisk : testing::Test {
    SqliteOnSimDisk() {
        world.hardship = Hardship();
        seed_sqlite(world.random);
    }
    void life(Life body) { world.run(live(world, disk, std::move(body))); }
    World world{11, false};
    SimDisk disk{world, "host"};
};

TEST_F(SqliteOnSimDisk, keeps_every_commit_that_returned_through_crashes) {
    int committed = 0;
    for (int round = 0; round < 100; ++round) {
        life([&](db::Database& database, SimFileSystem& files) -> Task<void> {
            co_await database.execute("CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY)");
            const db::Result rows = co_await database.execute("SELECT COUNT(*), COALESCE(MAX(i), 0) FROM t");
            const int count = rows.rows[0].get<int>(0);
            EXPECT_EQ(count, rows.rows[0].get<int>(1)) << "a commit in the middle is gone";
            // One that did not return may be there too.
            EXPECT_GE(count, committed);
            EXPECT_LE(count, committed + 1);
            committed = count;
            files.interrupt_at(1 + world.random.below(40), [&files] { files.kill(); });
            std::optional<Error> dead;
            while (!dead) {
                try {
                    co_await database.execute("INSERT INTO t (i) VALUES (?)", committed + 1);
                    ++committed;
                    if (world.random.chance(0.2)) (void)co_await database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
                } catch (const Error& error) {
                    dead = error;
                }
            }
        });
        disk.lose_unsynced();
    }
    EXPECT_GT(committed, 100);
}

TEST_F(SqliteOnSimDisk, lets_two_sessions_read_and_write) {
    life([&](db::Database& database, SimFileSystem&) -> Task<void> {
        co_await database.execute("CREATE TABLE t (i INTEGER)");
        db::Lease reader = co_await database.session();
        co_await reader->begin_read_only();
        EXPECT_EQ((co_await reader->execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 0);
        db::Lease writer = co_await database.session();
        co_await writer->execute("INSERT INTO t VALUES (1)");
        EXPECT_EQ((co_await reader->execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 0) << "its snapshot";
        co_await reader->rollback();
        EXPECT_EQ((co_await reader->execute("SELECT COUNT(*) FROM t")).rows[0].get<int>(0), 1);
    });
}

TEST_F(SqliteOnSimDisk, tells_the_simulated_time) {
    life([&](db::Database& database, SimFileSystem&) -> Task<void> {
        const db::Result now = co_await database.execute("SELECT date('now')");
        EXPECT_EQ(now.rows[0].get<std::string>(0), "2026-01-01");
    });
}

TEST_F(SqliteOnSimDisk, closes_its_files_when_a_connection_cannot_be_set_up) {
    SimFileSystem files(disk);
    const SqliteVfs vfs("sim-broken", files, world.loop().clock());
    files.open("/broken.db", base::OpenMode::create)->append(base::as_bytes(std::string(4096, 'x')));
    db::Database database("sqlite:/broken.db?vfs=sim-broken");
    const auto open = [](db::Database* database) -> Task<bool> {
        try {
            co_await database->check_health();
        } catch (const Error&) {
            co_return false;
        }
        co_return true;
    };
    EXPECT_FALSE(world.run(open(&database)));
    // The VFS asserts that nothing is open when it goes.
}

}  // namespace
}  // namespace tandem::sim
