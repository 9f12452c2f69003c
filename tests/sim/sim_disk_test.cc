#include "sim_disk.h"

#include <gtest/gtest.h>

#include "tandem/base/error.h"

namespace tandem::sim {
namespace {

using base::OpenMode;

// A disk whose hardships are the test's own.
struct DiskTest : testing::Test {
    DiskTest() { world.hardship = Hardship(); }
    std::string read(const std::string& path) {
        SimFileSystem now(disk);
        return base::read_whole(now, path);
    }
    static void write(base::FileSystem& files, const std::string& path, std::string_view text) {
        files.open(path, OpenMode::create)->write_at(0, base::as_bytes(text));
    }
    World world{7, false};
    SimDisk disk{world, "host"};
    SimFileSystem files{disk};
};
using SimDiskCrash = DiskTest;
using SimDiskFaults = DiskTest;

TEST_F(SimDiskCrash, keeps_what_was_synced) {
    const auto file = files.open("/a", OpenMode::create);
    file->append(base::as_bytes("written"));
    file->sync();
    files.sync_directory("/");
    disk.lose_unsynced();
    EXPECT_EQ(read("/a"), "written");
}

TEST_F(SimDiskCrash, may_lose_a_name_whose_directory_was_not_synced) {
    bool lost = false;
    bool kept = false;
    for (int i = 0; i < 50; ++i) {
        const std::string path = fmt::format("/file{}", i);
        const auto file = files.open(path, OpenMode::create);
        file->append(base::as_bytes("x"));
        file->sync();
        disk.lose_unsynced();
        (SimFileSystem(disk).exists(path) ? kept : lost) = true;
    }
    EXPECT_TRUE(lost);
    EXPECT_TRUE(kept);
}

TEST_F(SimDiskCrash, mixes_old_and_new_sectors_of_an_unsynced_write) {
    const std::string old(4 * SimDisk::sector_bytes, 'o');
    const std::string changed(4 * SimDisk::sector_bytes, 'n');
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) {
        const auto file = files.open("/a", OpenMode::create);
        file->write_at(0, base::as_bytes(old));
        file->sync();
        files.sync_directory("/");
        file->write_at(0, base::as_bytes(changed));
        disk.lose_unsynced();
        std::string sectors;
        const std::string after = read("/a");
        ASSERT_EQ(after.size(), old.size());
        for (size_t at = 0; at < after.size(); at += SimDisk::sector_bytes) {
            const std::string sector = after.substr(at, SimDisk::sector_bytes);
            ASSERT_EQ(sector, std::string(SimDisk::sector_bytes, sector[0])) << "a sector is torn";
            sectors += sector[0];
        }
        seen.insert(sectors);
    }
    EXPECT_TRUE(seen.contains("oooo"));
    EXPECT_TRUE(seen.contains("nnnn"));
    EXPECT_GT(seen.size(), 8U);
}

TEST_F(SimDiskCrash, keeps_the_old_or_the_new_file_after_a_rename) {
    std::set<std::string> seen;
    for (int i = 0; i < 50; ++i) {
        base::replace_whole(files, "/settings", base::as_bytes("old"));
        {
            const auto file = files.open("/settings.new", OpenMode::create);
            file->append(base::as_bytes("new"));
            file->sync();
        }
        files.rename("/settings.new", "/settings");
        disk.lose_unsynced();
        seen.insert(read("/settings"));
    }
    EXPECT_EQ(seen, (std::set<std::string>{"old", "new"}));
}

TEST_F(SimDiskCrash, loses_synced_data_when_syncs_are_ignored) {
    disk.ignore_syncs();
    bool lost = false;
    for (int i = 0; i < 50; ++i) {
        const std::string path = fmt::format("/file{}", i);
        base::replace_whole(files, path, base::as_bytes("x"));
        disk.lose_unsynced();
        lost = lost || !SimFileSystem(disk).exists(path);
    }
    EXPECT_TRUE(lost);
}

TEST_F(SimDiskFaults, fail_every_call_of_a_dead_host) {
    const auto file = files.open("/a", OpenMode::create);
    files.kill();
    std::byte byte{};
    EXPECT_THROW(file->write_at(0, base::as_bytes("x")), Error);
    EXPECT_THROW(file->read_at(0, {&byte, 1}), Error);
    EXPECT_THROW(file->sync(), Error);
    EXPECT_THROW(files.open("/a", OpenMode::create), Error);
    EXPECT_EQ(read("/a"), "");
}

TEST_F(SimDiskFaults, interrupt_the_operation_that_was_asked_for) {
    const auto file = files.open("/a", OpenMode::create);
    files.interrupt_at(3, [this] { files.kill(); });
    file->write_at(0, base::as_bytes("1"));
    file->write_at(1, base::as_bytes("2"));
    EXPECT_THROW(file->write_at(2, base::as_bytes("3")), Error);
    EXPECT_EQ(read("/a"), "12");
}

TEST_F(SimDiskFaults, come_with_the_chance_that_was_set) {
    world.hardship.disk_error = 0.5;
    int failed = 0;
    const auto file = [&] {
        for (;;) {
            try {
                return files.open("/a", OpenMode::create);
            } catch (const Error&) {
                ++failed;
            }
        }
    }();
    for (int i = 0; i < 1000; ++i) {
        try {
            file->write_at(0, base::as_bytes("x"));
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::io);
            ++failed;
        }
    }
    EXPECT_GT(failed, 400);
    EXPECT_LT(failed, 600);
}

}  // namespace
}  // namespace tandem::sim
