// Invariants:
// 1. A commit's sync reaches the FileSystem: nothing here caches or defers.
// 2. As SQLite's own unix VFS does, the first sync of a journal or log by each connection also syncs its directory,
//    which makes the database's own name durable too. The file may be there already and its name not durable: a process
//    may have died in between.
// 3. Locks and shared memory live as long as the process would: a crashed host starts with none.
#include "sim_sqlite_vfs.h"

#include <sqlite3.h>

#include <array>
#include <cstring>
#include <map>
#include <vector>

#include "tandem/base/assert.h"
#include "tandem/base/error.h"

namespace tandem::sim {

namespace {

// A lock of SQLite's five levels on one database file, and the shared memory of its log.
struct Shared {
    int readers = 0;
    const void* reserved = nullptr;  // who holds RESERVED or more
    const void* pending = nullptr;
    const void* exclusive = nullptr;
    std::vector<std::unique_ptr<char[]>> regions;
    struct Slot {
        int shared = 0;
        const void* exclusive = nullptr;
    };
    std::array<Slot, SQLITE_SHM_NLOCK> slots;
};

}  // namespace

struct SqliteVfs::State {
    std::string name;
    base::FileSystem* files = nullptr;
    const base::Clock* clock = nullptr;
    sqlite3_vfs vfs{};
    std::map<std::string, std::shared_ptr<Shared>> shared;  // by path
    int open_files = 0;
    uint64_t temporary_files = 0;
};

namespace {

struct OpenFile {
    sqlite3_file base;  // first: SQLite sees only this
    SqliteVfs::State* state;
    std::unique_ptr<base::File> file;
    std::shared_ptr<Shared> shared;
    std::string path;
    int level = SQLITE_LOCK_NONE;
    bool directory_unsynced = false;
    bool delete_on_close = false;
    uint16_t shm_shared = 0;
    uint16_t shm_exclusive = 0;
};

OpenFile& of(sqlite3_file* file) {
    return *reinterpret_cast<OpenFile*>(file);
}
SqliteVfs::State& of(sqlite3_vfs* vfs) {
    return *static_cast<SqliteVfs::State*>(vfs->pAppData);
}

// SQLite's code for what `work` throws.
template <typename Work>
int guarded(int io_code, Work work) {
    try {
        return work();
    } catch (const Error& error) {
        return error.code() == Code::resource_exhausted ? SQLITE_FULL : io_code;
    }
}

int shm_unmap(sqlite3_file* f, int remove) {
    OpenFile& self = of(f);
    for (int i = 0; i < SQLITE_SHM_NLOCK; ++i) {
        Shared::Slot& slot = self.shared->slots[static_cast<size_t>(i)];
        if (self.shm_shared & 1 << i) --slot.shared;
        if (slot.exclusive == &self) slot.exclusive = nullptr;
    }
    self.shm_shared = self.shm_exclusive = 0;
    if (remove) self.shared->regions.clear();
    return SQLITE_OK;
}

int unlock(sqlite3_file* f, int level) {
    OpenFile& self = of(f);
    Shared& lock = *self.shared;
    if (level >= self.level) return SQLITE_OK;
    if (level < SQLITE_LOCK_RESERVED) {
        for (const void** holder : {&lock.reserved, &lock.pending, &lock.exclusive}) {
            if (*holder == &self) *holder = nullptr;
        }
    }
    if (level == SQLITE_LOCK_NONE) --lock.readers;
    self.level = level;
    return SQLITE_OK;
}

int close_file(sqlite3_file* f) {
    OpenFile& self = of(f);
    unlock(f, SQLITE_LOCK_NONE);
    SqliteVfs::State& state = *self.state;
    const bool remove = self.delete_on_close;
    const std::string path = self.path;
    self.~OpenFile();
    --state.open_files;
    if (!remove) return SQLITE_OK;
    return guarded(SQLITE_IOERR_DELETE, [&] {
        state.files->remove(path);
        return SQLITE_OK;
    });
}

int read(sqlite3_file* f, void* into, int size, sqlite3_int64 offset) {
    return guarded(SQLITE_IOERR_READ, [&] {
        const std::span<std::byte> buffer(static_cast<std::byte*>(into), static_cast<size_t>(size));
        const size_t got = of(f).file->read_at(static_cast<uint64_t>(offset), buffer);
        if (got == buffer.size()) return SQLITE_OK;
        std::memset(buffer.data() + got, 0, buffer.size() - got);
        return SQLITE_IOERR_SHORT_READ;
    });
}

int write(sqlite3_file* f, const void* from, int size, sqlite3_int64 offset) {
    return guarded(SQLITE_IOERR_WRITE, [&] {
        of(f).file->write_at(static_cast<uint64_t>(offset),
                             {static_cast<const std::byte*>(from), static_cast<size_t>(size)});
        return SQLITE_OK;
    });
}

int truncate(sqlite3_file* f, sqlite3_int64 size) {
    return guarded(SQLITE_IOERR_TRUNCATE, [&] {
        of(f).file->truncate(static_cast<uint64_t>(size));
        return SQLITE_OK;
    });
}

int sync(sqlite3_file* f, int) {
    return guarded(SQLITE_IOERR_FSYNC, [&] {
        OpenFile& self = of(f);
        self.file->sync();
        if (self.directory_unsynced) {
            self.state->files->sync_directory(base::parent_path(self.path));
            self.directory_unsynced = false;
        }
        return SQLITE_OK;
    });
}

int file_size(sqlite3_file* f, sqlite3_int64* size) {
    return guarded(SQLITE_IOERR_FSTAT, [&] {
        *size = static_cast<sqlite3_int64>(of(f).file->size());
        return SQLITE_OK;
    });
}

int lock(sqlite3_file* f, int level) {
    OpenFile& self = of(f);
    Shared& lock = *self.shared;
    const auto taken = [&](const void* holder) { return holder && holder != &self; };
    if (level <= self.level) return SQLITE_OK;
    if (self.level == SQLITE_LOCK_NONE) {
        if (taken(lock.pending) || taken(lock.exclusive)) return SQLITE_BUSY;
        ++lock.readers;
        self.level = SQLITE_LOCK_SHARED;
    }
    if (level >= SQLITE_LOCK_RESERVED && self.level < SQLITE_LOCK_RESERVED) {
        if (taken(lock.reserved)) return SQLITE_BUSY;
        lock.reserved = &self;
        self.level = SQLITE_LOCK_RESERVED;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        lock.pending = &self;
        self.level = SQLITE_LOCK_PENDING;
        if (lock.readers > 1) return SQLITE_BUSY;
        lock.exclusive = &self;
        self.level = SQLITE_LOCK_EXCLUSIVE;
    }
    return SQLITE_OK;
}

int check_reserved(sqlite3_file* f, int* reserved) {
    *reserved = of(f).shared->reserved != nullptr;
    return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) {
    return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file*) {
    return 512;
}
// A write changes nothing beside itself, as SQLite takes for granted on every disk of today.
int characteristics(sqlite3_file*) {
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int shm_map(sqlite3_file* f, int region, int size, int extend, void volatile** memory) {
    Shared& shared = *of(f).shared;
    const auto index = static_cast<size_t>(region);
    *memory = nullptr;
    if (index >= shared.regions.size()) {
        if (!extend) return SQLITE_OK;
        while (index >= shared.regions.size()) {
            shared.regions.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
        }
    }
    *memory = shared.regions[index].get();
    return SQLITE_OK;
}

int shm_lock(sqlite3_file* f, int first, int count, int flags) {
    OpenFile& self = of(f);
    const bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    const auto each = [&](auto action) {
        for (int i = first; i < first + count; ++i)
            action(self.shared->slots[static_cast<size_t>(i)], uint16_t(1 << i));
    };
    if (flags & SQLITE_SHM_UNLOCK) {
        each([&](Shared::Slot& slot, uint16_t bit) {
            if (self.shm_shared & bit) --slot.shared;
            if (self.shm_exclusive & bit) slot.exclusive = nullptr;
            self.shm_shared &= static_cast<uint16_t>(~bit);
            self.shm_exclusive &= static_cast<uint16_t>(~bit);
        });
        return SQLITE_OK;
    }
    bool free = true;
    each([&](const Shared::Slot& slot, uint16_t bit) {
        const int other_readers = slot.shared - (self.shm_shared & bit ? 1 : 0);
        if ((slot.exclusive && slot.exclusive != &self) || (exclusive && other_readers > 0)) free = false;
    });
    if (!free) return SQLITE_BUSY;
    each([&](Shared::Slot& slot, uint16_t bit) {
        if (exclusive) {
            slot.exclusive = &self;
            self.shm_exclusive |= bit;
        } else if (!(self.shm_shared & bit)) {
            ++slot.shared;
            self.shm_shared |= bit;
        }
    });
    return SQLITE_OK;
}

void shm_barrier(sqlite3_file*) {}

constexpr sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read,
    .xWrite = write,
    .xTruncate = truncate,
    .xSync = sync,
    .xFileSize = file_size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = check_reserved,
    .xFileControl = file_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* f, int flags, int* out_flags) {
    f->pMethods = nullptr;
    return guarded(SQLITE_CANTOPEN, [&] {
        SqliteVfs::State& state = of(vfs);
        std::string path = name ? name : fmt::format("/temporary-{}", ++state.temporary_files);
        const base::OpenMode mode = flags & SQLITE_OPEN_CREATE      ? base::OpenMode::create
                                    : flags & SQLITE_OPEN_READWRITE ? base::OpenMode::read_write
                                                                    : base::OpenMode::read;
        std::unique_ptr<base::File> file = state.files->open(path, mode);
        OpenFile* self = new (f) OpenFile{};
        self->state = &state;
        self->file = std::move(file);
        std::shared_ptr<Shared>& shared = state.shared[path];
        if (!shared) shared = std::make_shared<Shared>();
        self->shared = shared;
        const int journals = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
        self->directory_unsynced = (flags & SQLITE_OPEN_CREATE) && (flags & journals);
        self->delete_on_close = flags & SQLITE_OPEN_DELETEONCLOSE;
        self->path = std::move(path);
        self->base.pMethods = &methods;
        ++state.open_files;
        if (out_flags) *out_flags = flags;
        return SQLITE_OK;
    });
}

int remove_file(sqlite3_vfs* vfs, const char* name, int sync_directory) {
    return guarded(SQLITE_IOERR_DELETE, [&] {
        base::FileSystem& files = *of(vfs).files;
        if (!files.remove(name)) return SQLITE_IOERR_DELETE_NOENT;
        if (sync_directory) files.sync_directory(base::parent_path(name));
        return SQLITE_OK;
    });
}

int access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    return guarded(SQLITE_IOERR_ACCESS, [&] {
        base::FileSystem& files = *of(vfs).files;
        *result = files.exists(name);
        // As on unix: an empty file does not count as existing.
        if (*result && flags == SQLITE_ACCESS_EXISTS) *result = files.open(name, base::OpenMode::read)->size() > 0;
        return SQLITE_OK;
    });
}

int full_path(sqlite3_vfs*, const char* name, int size, char* into) {
    sqlite3_snprintf(size, into, "%s", name);
    return SQLITE_OK;
}

int randomness(sqlite3_vfs*, int size, char* into) {
    std::memset(into, 0, static_cast<size_t>(size));
    return size;
}
int sleep(sqlite3_vfs*, int) {
    return 0;
}
int last_error(sqlite3_vfs*, int, char*) {
    return 0;
}

constexpr sqlite3_int64 unix_epoch_julian_ms = 210'866'760'000'000;

int current_time_ms(sqlite3_vfs* vfs, sqlite3_int64* time) {
    *time = unix_epoch_julian_ms + of(vfs).clock->wall_ms();
    return SQLITE_OK;
}

int current_time(sqlite3_vfs* vfs, double* days) {
    sqlite3_int64 ms = 0;
    current_time_ms(vfs, &ms);
    *days = static_cast<double>(ms) / 86'400'000.0;
    return SQLITE_OK;
}

}  // namespace

SqliteVfs::SqliteVfs(std::string name, base::FileSystem& files, const base::Clock& clock)
    : state_(std::make_unique<State>()) {
    state_->name = std::move(name);
    state_->files = &files;
    state_->clock = &clock;
    sqlite3_vfs& vfs = state_->vfs;
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(OpenFile);
    vfs.mxPathname = 512;
    vfs.zName = state_->name.c_str();
    vfs.pAppData = state_.get();
    vfs.xOpen = open_file;
    vfs.xDelete = remove_file;
    vfs.xAccess = access;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = randomness;
    vfs.xSleep = sleep;
    vfs.xCurrentTime = current_time;
    vfs.xGetLastError = last_error;
    vfs.xCurrentTimeInt64 = current_time_ms;
    TANDEM_ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK, "SQLite refused a VFS");
}

SqliteVfs::~SqliteVfs() {
    TANDEM_ASSERT(state_->open_files == 0, "an SQLite file is still open on a VFS that goes");
    sqlite3_vfs_unregister(&state_->vfs);
}

const std::string& SqliteVfs::name() const noexcept {
    return state_->name;
}

void seed_sqlite(base::Random& random) {
    sqlite3_initialize();
    sqlite3_vfs* const usual = sqlite3_vfs_find(nullptr);
    sqlite3_vfs seed = *usual;  // SQLite asks the default VFS, once
    seed.zName = "seed";
    seed.pNext = nullptr;
    seed.pAppData = &random;
    seed.xRandomness = [](sqlite3_vfs* vfs, int size, char* into) {
        static_cast<base::Random*>(vfs->pAppData)
            ->fill({reinterpret_cast<std::byte*>(into), static_cast<size_t>(size)});
        return size;
    };
    sqlite3_vfs_register(&seed, 1);
    sqlite3_randomness(0, nullptr);  // forgets what it had
    std::array<std::byte, 8> first{};
    sqlite3_randomness(static_cast<int>(first.size()), first.data());
    sqlite3_vfs_unregister(&seed);
    sqlite3_vfs_register(usual, 1);
}

}  // namespace tandem::sim
