// Invariants:
// 1. A sector whose `content` differs from `durable` is in `dirty`; a sync makes them equal.
// 2. After a crash a file is made of whole sectors, each as it was at the last sync or as it was at the crash.
// 3. `names_` is `durable_names_` with the unsynced changes applied in order; a crash keeps the first few of each
//    directory's changes, as a journal does.
#include "sim_disk.h"

#include <algorithm>

#include "tandem/base/crc32c.h"
#include "tandem/base/error.h"

namespace tandem::sim {

using base::Bytes;
using base::LockKind;
using base::OpenMode;

void SimDisk::apply(Names& names, const NameChange& change) {
    if (change.now) {
        names[change.path] = change.now;
    } else {
        names.erase(change.path);
    }
    if (!change.also_removed.empty()) names.erase(change.also_removed);
}

void SimDisk::change(NameChange change) {
    apply(names_, change);
    unsynced_names_[base::parent_path(change.path)].push_back(std::move(change));
}

void SimDisk::touch(Inode& inode, size_t from, size_t to) {
    for (size_t sector = from / sector_bytes; sector * sector_bytes < to; ++sector) inode.dirty.insert(sector);
}

void SimDisk::sync(Inode& inode) {
    ++world_.counts.syncs;
    if (ignores_syncs_) return;
    inode.durable.resize(inode.content.size());
    for (size_t sector : inode.dirty) {
        const size_t at = sector * sector_bytes;
        if (at >= inode.content.size()) continue;
        inode.durable.replace(at, std::min(sector_bytes, inode.content.size() - at), inode.content, at, sector_bytes);
    }
    inode.dirty.clear();
}

void SimDisk::sync_directory(const std::string& directory) {
    if (ignores_syncs_) return;
    for (const NameChange& change : unsynced_names_[directory]) apply(durable_names_, change);
    unsynced_names_.erase(directory);
}

void SimDisk::lose_unsynced() {
    for (auto& [directory, changes] : unsynced_names_) {
        const size_t kept = world_.random.below(changes.size() + 1);
        for (size_t i = 0; i < kept; ++i) apply(durable_names_, changes[i]);
    }
    unsynced_names_.clear();
    names_ = durable_names_;
    // A disk that kept all of its cache, or none, shows other faults than one that kept a mixture.
    const uint64_t kind = world_.random.below(4);
    for (auto& [path, inode] : names_) {
        auto after = std::make_shared<Inode>();
        const auto keep = [&] { return kind == 0 || (kind != 1 && world_.random.chance(0.5)); };
        after->content = inode->durable;
        if (inode->content.size() != inode->durable.size() && keep()) after->content.resize(inode->content.size());
        for (size_t sector : inode->dirty) {
            const size_t at = sector * sector_bytes;
            if (!keep()) {
                ++world_.counts.lost_sectors;
                continue;
            }
            if (at >= inode->content.size()) continue;
            const size_t size = std::min(sector_bytes, inode->content.size() - at);
            // A sector that was kept lies within the file.
            if (after->content.size() < at + size) after->content.resize(at + size);
            after->content.replace(at, size, inode->content, at, size);
        }
        after->durable = after->content;
        inode = after;
        durable_names_[path] = after;
        world_.trace.add("{} keeps {}: {} bytes, {:08x}", host_, path, after->content.size(),
                         base::crc32c(base::as_bytes(after->content)));
    }
}

void SimFileSystem::Mount::check_alive(const std::string& path) const {
    if (!alive) fail(Code::io, "{}: host {} is down", path, disk.host_);
}

void SimFileSystem::Mount::begin(std::string_view what, const std::string& path) {
    check_alive(path);
    if (operations_left > 0 && --operations_left == 0) {
        std::exchange(interruption, nullptr)();
        check_alive(path);
    }
    if (!disk.world_.chance(disk.world_.hardship.disk_error)) return;
    ++disk.world_.counts.disk_errors;
    disk.world_.trace.add("{}: the disk fails to {} {}", disk.host_, what, path);
    fail(Code::io, "{}: cannot {}: simulated disk error", path, what);
}

// An open file of a mount.
class SimFile final : public base::File {
  public:
    SimFile(std::shared_ptr<SimFileSystem::Mount> mount, SimDisk::InodePointer inode, std::string path)
        : mount_(std::move(mount)), inode_(std::move(inode)), path_(std::move(path)) {}
    ~SimFile() override { inode_->locks.erase(this); }

    size_t read_at(uint64_t offset, std::span<std::byte> into) override {
        mount_->check_alive(path_);
        if (offset >= inode_->content.size()) return 0;
        const size_t size = std::min<size_t>(into.size(), inode_->content.size() - offset);
        std::memcpy(into.data(), inode_->content.data() + offset, size);
        return size;
    }
    void write_at(uint64_t offset, Bytes bytes) override {
        mount_->begin("write", path_);
        const size_t end = offset + bytes.size();
        const size_t before = inode_->content.size();
        if (end > before) inode_->content.resize(end);
        std::memcpy(inode_->content.data() + offset, bytes.data(), bytes.size());
        SimDisk::touch(*inode_, std::min<size_t>(offset, before), end);
    }
    void append(Bytes bytes) override { write_at(inode_->content.size(), bytes); }
    uint64_t size() override {
        mount_->check_alive(path_);
        return inode_->content.size();
    }
    void truncate(uint64_t size) override {
        mount_->begin("truncate", path_);
        const size_t before = inode_->content.size();
        inode_->content.resize(size);
        SimDisk::touch(*inode_, std::min<size_t>(before, size), std::max<size_t>(before, size));
    }
    void sync() override {
        mount_->begin("sync", path_);
        mount_->disk.sync(*inode_);
    }
    // One range for the whole file: nobody in the simulator locks parts.
    bool try_lock(LockKind kind, uint64_t, uint64_t) override {
        mount_->check_alive(path_);
        if (kind == LockKind::none) {
            inode_->locks.erase(this);
            return true;
        }
        for (const auto& [owner, held] : inode_->locks) {
            if (owner != this && (kind == LockKind::exclusive || held == LockKind::exclusive)) return false;
        }
        inode_->locks[this] = kind;
        return true;
    }
    bool locked_by_another(uint64_t, uint64_t) override {
        return std::ranges::any_of(inode_->locks, [this](const auto& each) { return each.first != this; });
    }
    const std::string& path() const override { return path_; }

  private:
    std::shared_ptr<SimFileSystem::Mount> mount_;
    SimDisk::InodePointer inode_;
    const std::string path_;
};

void SimFileSystem::interrupt_at(uint64_t operations, std::function<void()> then) {
    mount_->operations_left = operations;
    mount_->interruption = std::move(then);
}

std::unique_ptr<base::File> SimFileSystem::open(const std::string& path, OpenMode mode) {
    mount_->check_alive(path);
    SimDisk& disk = mount_->disk;
    const auto found = disk.names_.find(path);
    SimDisk::InodePointer inode = found == disk.names_.end() ? nullptr : found->second;
    if (inode && mode == OpenMode::create_new) fail(Code::already_exists, "{}: exists already", path);
    if (!inode) {
        if (mode == OpenMode::read || mode == OpenMode::read_write) fail(Code::not_found, "{}: no such file", path);
        if (!disk.directories_.contains(base::parent_path(path))) fail(Code::not_found, "{}: no such directory", path);
        mount_->begin("create", path);
        inode = std::make_shared<SimDisk::Inode>();
        disk.change({path, inode, {}});
    }
    return std::make_unique<SimFile>(mount_, std::move(inode), path);
}

void SimFileSystem::rename(const std::string& from, const std::string& to) {
    mount_->begin("rename", from);
    const auto found = mount_->disk.names_.find(from);
    if (found == mount_->disk.names_.end()) fail(Code::not_found, "{}: no such file", from);
    const SimDisk::InodePointer inode = found->second;
    mount_->disk.change({to, inode, from == to ? "" : from});
}

bool SimFileSystem::remove(const std::string& path) {
    mount_->begin("remove", path);
    if (!mount_->disk.names_.contains(path)) return mount_->disk.directories_.erase(path) > 0;
    mount_->disk.change({path, nullptr, {}});
    return true;
}

bool SimFileSystem::exists(const std::string& path) {
    mount_->check_alive(path);
    return mount_->disk.names_.contains(path) || mount_->disk.directories_.contains(path);
}

base::EntryType SimFileSystem::type(const std::string& path) {
    if (!exists(path)) fail(Code::not_found, "{}: no such file", path);
    return mount_->disk.names_.contains(path) ? base::EntryType::file : base::EntryType::directory;
}

void SimFileSystem::create_directories(const std::string& path) {
    mount_->begin("create directory", path);
    for (std::string each = path; each != "/" && each != "."; each = base::parent_path(each)) {
        mount_->disk.directories_.insert(each);
    }
}

void SimFileSystem::sync_directory(const std::string& path) {
    mount_->begin("sync directory", path);
    mount_->disk.sync_directory(path);
}

std::vector<base::DirectoryEntry> SimFileSystem::list(const std::string& path) {
    mount_->check_alive(path);
    std::vector<base::DirectoryEntry> entries;
    const auto add = [&](const std::string& each, base::EntryType type) {
        if (each != path && base::parent_path(each) == path) {
            entries.push_back({each.substr(each.rfind('/') + 1), type});
        }
    };
    for (const auto& [name, inode] : mount_->disk.names_) add(name, base::EntryType::file);
    for (const std::string& name : mount_->disk.directories_) add(name, base::EntryType::directory);
    return entries;
}

std::string SimFileSystem::absolute(const std::string& path) {
    return path;
}

}  // namespace tandem::sim
