// Lets the real SQLite driver run on a base::FileSystem: an SQLite VFS (sqlite.org/vfs.html) registered under a name,
// for `sqlite:/path?vfs=NAME`. Locks and the WAL's shared memory are kept here, since one host is one process.
//
// Everything that opens files through it must have closed them before it dies. Single-threaded.
#pragma once

#include <memory>
#include <string>

#include "tandem/base/clock.h"
#include "tandem/base/file_system.h"
#include "tandem/base/random.h"

namespace tandem::sim {

class SqliteVfs {
  public:
    SqliteVfs(std::string name, base::FileSystem& files, const base::Clock& clock);
    ~SqliteVfs();
    SqliteVfs(const SqliteVfs&) = delete;
    SqliteVfs& operator=(const SqliteVfs&) = delete;

    const std::string& name() const noexcept;

    struct State;

  private:
    std::unique_ptr<State> state_;
};

// SQLite draws the salts of its log from one generator for the whole process: seeds it, so that a run can be repeated.
void seed_sqlite(base::Random& random);

}  // namespace tandem::sim
