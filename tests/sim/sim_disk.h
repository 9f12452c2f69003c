// A disk in memory that forgets: what was written and not synced may be lost at a crash, sector by sector, and so may
// names that were made or renamed and whose directory was not synced. It can also fail an operation now and then.
//
// `SimDisk` is the disk itself, which outlives crashes; `SimFileSystem` is how a running host sees it, dead after the
// host's crash. Errors as base/file_system.h says.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tandem/base/file_system.h"
#include "world.h"

namespace tandem::sim {

class SimDisk {
  public:
    static constexpr size_t sector_bytes = 512;

    SimDisk(World& world, std::string host) : world_(world), host_(std::move(host)) {}

    // Power is lost: of what was not synced, each sector, each file's size and the later ones of each directory's
    // changes are kept or lost by chance.
    void lose_unsynced();
    // A sync then does nothing and says that it did.
    void ignore_syncs() noexcept { ignores_syncs_ = true; }

  private:
    friend class SimFileSystem;
    friend class SimFile;
    struct Inode {
        std::string content;
        std::string durable;
        std::set<size_t> dirty;  // sectors that differ, or may
        std::map<const void*, base::LockKind> locks;
    };
    using InodePointer = std::shared_ptr<Inode>;
    using Names = std::map<std::string, InodePointer>;
    struct NameChange {
        std::string path;
        InodePointer now;          // nullptr: removed
        std::string also_removed;  // a rename's old name
    };
    static void apply(Names& names, const NameChange& change);
    void change(NameChange change);
    static void touch(Inode& inode, size_t from, size_t to);
    void sync(Inode& inode);
    void sync_directory(const std::string& directory);

    World& world_;
    const std::string host_;
    bool ignores_syncs_ = false;
    Names names_;
    Names durable_names_;
    std::set<std::string> directories_{"/"};
    std::map<std::string, std::vector<NameChange>> unsynced_names_;  // by directory, in order
};

class SimFileSystem final : public base::FileSystem {
  public:
    explicit SimFileSystem(SimDisk& disk) : mount_(std::make_shared<Mount>(Mount{disk})) {}
    // The host is gone: every call fails from now on.
    void kill() noexcept { mount_->alive = false; }
    // `then` is called in the middle of the n-th operation from now, which fails if the host is dead after it.
    void interrupt_at(uint64_t operations, std::function<void()> then);

    std::unique_ptr<base::File> open(const std::string& path, base::OpenMode mode) override;
    void rename(const std::string& from, const std::string& to) override;
    bool remove(const std::string& path) override;
    bool exists(const std::string& path) override;
    base::EntryType type(const std::string& path) override;
    void create_directories(const std::string& path) override;
    void sync_directory(const std::string& path) override;
    std::vector<base::DirectoryEntry> list(const std::string& path) override;
    std::string absolute(const std::string& path) override;

  private:
    friend class SimFile;
    struct Mount {
        SimDisk& disk;
        bool alive = true;
        uint64_t operations_left = 0;  // until the interruption; 0: none
        std::function<void()> interruption;
        // Before each operation that may change something: dead, interrupted, or failing?
        void begin(std::string_view what, const std::string& path);
        void check_alive(const std::string& path) const;
    };
    std::shared_ptr<Mount> mount_;
};

}  // namespace tandem::sim
