// Files as a parameter: production passes `FileSystem::real()`, the simulator one that loses what was not synced.
//
// Thread rules: a FileSystem is thread-safe. A File may be read by several threads at once; writes to one File come
// from one thread at a time. Calls block: on a loop, use the blocking pool. Errors: Error with the path and the
// system's reason; not_found, already_exists, permission_denied and resource_exhausted where that is the reason, io
// otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/bytes.h"

namespace tandem::base {

enum class OpenMode : unsigned char {
    read,        // must exist
    read_write,  // must exist
    create,      // read_write, made empty if missing
    create_new,  // read_write; already_exists if it does
};

enum class LockKind : unsigned char { none, shared, exclusive };

class File {
  public:
    virtual ~File() = default;

    // Reads until `into` is full or the file ends; the number of bytes read.
    virtual size_t read_at(uint64_t offset, std::span<std::byte> into) = 0;
    // All of it, or throws. A gap before `offset` reads as zeros.
    virtual void write_at(uint64_t offset, Bytes bytes) = 0;
    virtual void append(Bytes bytes) = 0;
    virtual uint64_t size() = 0;
    // Cuts, or extends with zeros.
    virtual void truncate(uint64_t size) = 0;
    // Returns when content and size are durable (fdatasync). The name is durable only after sync_directory. After a
    // failed sync the kernel may have dropped the pages: treat the file as lost, do not try again.
    virtual void sync() = 0;
    // Locks a range of bytes (size 0: to the end of all) against other opens of the file, in this process or another.
    // Replaces the lock this File holds there; `none` unlocks. False if somebody else's lock forbids it; never waits.
    // Locks end with the File.
    virtual bool try_lock(LockKind kind, uint64_t offset = 0, uint64_t size = 0) = 0;
    // Whether another open of the file holds a lock that an exclusive one on this range would meet.
    virtual bool locked_by_another(uint64_t offset, uint64_t size) = 0;
    virtual const std::string& path() const = 0;
};

enum class EntryType : unsigned char { file, directory, symbolic_link, other };

struct DirectoryEntry {
    std::string name;
    EntryType type;
    bool operator==(const DirectoryEntry&) const = default;
};

class FileSystem {
  public:
    virtual ~FileSystem() = default;

    virtual std::unique_ptr<File> open(const std::string& path, OpenMode mode) = 0;
    // Replaces `to` atomically; durable after sync_directory of the parent.
    virtual void rename(const std::string& from, const std::string& to) = 0;
    // A file, a link or an empty directory; false if there was none.
    virtual bool remove(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;
    // Of the path itself, not of what a link points to. Throws not_found.
    virtual EntryType type(const std::string& path) = 0;
    // With all parents; durable when it returns.
    virtual void create_directories(const std::string& path) = 0;
    // Makes names made, renamed and removed in the directory durable.
    virtual void sync_directory(const std::string& path) = 0;
    // Without "." and "..", in no order. The types come from the directory itself (d_type); only a file system that
    // does not tell costs a stat for the entry.
    virtual std::vector<DirectoryEntry> list(const std::string& path) = 0;
    // Without links and dots, from the root; the last part need not exist.
    virtual std::string absolute(const std::string& path) = 0;

    static FileSystem& real();
};

inline constexpr uint64_t default_read_whole_max = 64 << 20;

// The whole file; resource_exhausted if it is larger than size_max.
std::string read_whole(FileSystem& files, const std::string& path, uint64_t size_max = default_read_whole_max);
// Replaces the file by `content` so that a crash leaves the old or the new one, durably: writes path.new, syncs,
// renames.
void replace_whole(FileSystem& files, const std::string& path, Bytes content);

// "a/b" + "c" = "a/b/c"; "" + "c" = "c".
std::string join_path(std::string_view directory, std::string_view name);
// "a/b/c" -> "a/b"; "c" -> "."; "/c" -> "/".
std::string parent_path(std::string_view path);

}  // namespace tandem::base
