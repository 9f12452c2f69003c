#include "tandem/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "tandem/base/error.h"

namespace tandem::base {

namespace {

[[noreturn]] void fail_errno(int number, std::string_view doing, std::string_view path) {
    Code code = Code::io;
    switch (number) {
        case ENOENT:
        case ENOTDIR:
            code = Code::not_found;
            break;
        case EEXIST:
            code = Code::already_exists;
            break;
        case EACCES:
        case EPERM:
        case EROFS:
            code = Code::permission_denied;
            break;
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case EFBIG:
            code = Code::resource_exhausted;
            break;
        default:
            break;
    }
    // generic_category().message is strerror without its shared buffer.
    fail(code, "cannot {} {}: {}", doing, path, std::generic_category().message(number));
}

// Calls again while a signal interrupts; the result, or -1 with errno.
template <typename Call>
auto uninterrupted(Call call) {
    while (true) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const noexcept { return number_; }

  private:
    const int number_;
};

class RealFile final : public File {
  public:
    RealFile(std::string path, int number) : path_(std::move(path)), descriptor_(number) {}

    size_t read_at(uint64_t offset, std::span<std::byte> into) override {
        size_t done = 0;
        while (done < into.size()) {
            const ssize_t got = uninterrupted([&] {
                return ::pread(descriptor_.get(), into.data() + done, into.size() - done,
                               static_cast<off_t>(offset + done));
            });
            if (got < 0) fail_errno(errno, "read", path_);
            if (got == 0) break;
            done += static_cast<size_t>(got);
        }
        return done;
    }

    void write_at(uint64_t offset, Bytes bytes) override {
        while (!bytes.empty()) {
            const ssize_t written = uninterrupted(
                [&] { return ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
            if (written < 0) fail_errno(errno, "write", path_);
            bytes = bytes.subspan(static_cast<size_t>(written));
            offset += static_cast<uint64_t>(written);
        }
    }

    void append(Bytes bytes) override { write_at(size(), bytes); }

    uint64_t size() override {
        struct stat status;
        if (::fstat(descriptor_.get(), &status) != 0) fail_errno(errno, "stat", path_);
        return static_cast<uint64_t>(status.st_size);
    }

    void truncate(uint64_t size) override {
        if (uninterrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0) {
            fail_errno(errno, "truncate", path_);
        }
    }

    void sync() override {
        if (uninterrupted([&] { return ::fdatasync(descriptor_.get()); }) != 0) fail_errno(errno, "sync", path_);
    }

    bool try_lock(LockKind kind, uint64_t offset, uint64_t size) override {
        struct flock lock = range(kind, offset, size);
        if (uninterrupted([&] { return ::fcntl(descriptor_.get(), F_OFD_SETLK, &lock); }) == 0) return true;
        if (errno == EAGAIN || errno == EACCES) return false;
        fail_errno(errno, "lock", path_);
    }

    bool locked_by_another(uint64_t offset, uint64_t size) override {
        struct flock lock = range(LockKind::exclusive, offset, size);
        if (::fcntl(descriptor_.get(), F_OFD_GETLK, &lock) != 0) fail_errno(errno, "look at the locks of", path_);
        return lock.l_type != F_UNLCK;
    }

    const std::string& path() const override { return path_; }

  private:
    // Open-file-description locks: unlike plain POSIX ones they hold between two opens in one process too, and closing
    // another descriptor of the file does not lose them.
    static struct flock range(LockKind kind, uint64_t offset, uint64_t size) {
        struct flock lock{};
        lock.l_type = kind == LockKind::none ? F_UNLCK : kind == LockKind::shared ? F_RDLCK : F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = static_cast<off_t>(offset);
        lock.l_len = static_cast<off_t>(size);
        return lock;
    }

    const std::string path_;
    const Descriptor descriptor_;
};

int open_flags(OpenMode mode) {
    switch (mode) {
        case OpenMode::read:
            return O_RDONLY;
        case OpenMode::read_write:
            return O_RDWR;
        case OpenMode::create:
            return O_RDWR | O_CREAT;
        case OpenMode::create_new:
            return O_RDWR | O_CREAT | O_EXCL;
    }
    return O_RDONLY;
}

EntryType type_from_mode(mode_t mode) {
    if (S_ISREG(mode)) return EntryType::file;
    if (S_ISDIR(mode)) return EntryType::directory;
    if (S_ISLNK(mode)) return EntryType::symbolic_link;
    return EntryType::other;
}

class RealFileSystem final : public FileSystem {
  public:
    std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
        // 0640: what a node keeps is not for everyone on the machine.
        const int number = uninterrupted([&] { return ::open(path.c_str(), open_flags(mode) | O_CLOEXEC, 0640); });
        if (number < 0) fail_errno(errno, "open", path);
        return std::make_unique<RealFile>(path, number);
    }

    void rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) fail_errno(errno, "rename", from + " to " + to);
    }

    bool remove(const std::string& path) override {
        if (std::remove(path.c_str()) == 0) return true;
        if (errno == ENOENT) return false;
        fail_errno(errno, "remove", path);
    }

    bool exists(const std::string& path) override {
        if (::access(path.c_str(), F_OK) == 0) return true;
        if (errno == ENOENT || errno == ENOTDIR) return false;
        fail_errno(errno, "look for", path);
    }

    EntryType type(const std::string& path) override {
        struct stat status;
        if (::lstat(path.c_str(), &status) != 0) fail_errno(errno, "stat", path);
        return type_from_mode(status.st_mode);
    }

    void create_directories(const std::string& path) override {
        size_t end = 0;
        while (end != path.size()) {
            end = std::min(path.find('/', end + 1), path.size());
            const std::string part = path.substr(0, end);
            if (::mkdir(part.c_str(), 0750) == 0) {
                sync_directory(parent_path(part));
            } else if (errno != EEXIST) {
                fail_errno(errno, "make the directory", part);
            }
        }
        struct stat status;
        if (::stat(path.c_str(), &status) != 0) fail_errno(errno, "stat", path);
        if (!S_ISDIR(status.st_mode)) fail_errno(EEXIST, "make the directory", path);
    }

    void sync_directory(const std::string& path) override {
        const Descriptor directory(
            uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (directory.get() < 0) fail_errno(errno, "open the directory", path);
        if (uninterrupted([&] { return ::fsync(directory.get()); }) != 0) fail_errno(errno, "sync the directory", path);
    }

    std::vector<DirectoryEntry> list(const std::string& path) override {
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
        if (!directory) fail_errno(errno, "list", path);
        std::vector<DirectoryEntry> entries;
        while (true) {
            errno = 0;
            const dirent* entry = ::readdir(directory.get());
            if (entry == nullptr) {
                if (errno != 0) fail_errno(errno, "list", path);
                return entries;
            }
            const std::string_view name = entry->d_name;
            if (name == "." || name == "..") continue;
            entries.push_back({std::string(name), type_of(::dirfd(directory.get()), *entry)});
        }
    }

    std::string absolute(const std::string& path) override {
        const auto resolve = [](const std::string& existing) {
            const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(existing.c_str(), nullptr), std::free);
            return resolved ? std::string(resolved.get()) : std::string();
        };
        if (std::string whole = resolve(path); !whole.empty()) return whole;
        const std::string parent = resolve(parent_path(path));
        if (parent.empty()) fail_errno(errno, "resolve", path);
        return join_path(parent, std::string_view(path).substr(path.rfind('/') + 1));
    }

  private:
    static EntryType type_of(int directory, const dirent& entry) {
        switch (entry.d_type) {
            case DT_REG:
                return EntryType::file;
            case DT_DIR:
                return EntryType::directory;
            case DT_LNK:
                return EntryType::symbolic_link;
            case DT_UNKNOWN: {
                struct stat status;
                if (::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return EntryType::other;
                return type_from_mode(status.st_mode);
            }
            default:
                return EntryType::other;
        }
    }
};

}  // namespace

FileSystem& FileSystem::real() {
    static RealFileSystem files;
    return files;
}

std::string read_whole(FileSystem& files, const std::string& path, uint64_t size_max) {
    const auto file = files.open(path, OpenMode::read);
    const uint64_t size = file->size();
    if (size > size_max) fail(Code::resource_exhausted, "{} holds {} bytes, more than {}", path, size, size_max);
    std::string content(size, '\0');
    content.resize(file->read_at(0, std::as_writable_bytes(std::span(content))));
    return content;
}

void replace_whole(FileSystem& files, const std::string& path, Bytes content) {
    const std::string fresh = path + ".new";
    {
        const auto file = files.open(fresh, OpenMode::create);
        file->truncate(0);
        file->write_at(0, content);
        file->sync();
    }
    files.rename(fresh, path);
    files.sync_directory(parent_path(path));
}

std::string join_path(std::string_view directory, std::string_view name) {
    std::string path(directory);
    if (!path.empty() && path.back() != '/') path += '/';
    path += name;
    return path;
}

std::string parent_path(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

}  // namespace tandem::base
