// Waiting on a foreign library's file descriptor (libmariadb's, libpq's) without giving it away.
#pragma once

#include <memory>

#include "tandem/async/task.h"

namespace tandem::net {

struct Readiness {
    bool readable = false;
    bool writable = false;
};

// Watches one descriptor for as long as it lives; never closes it. Belongs to the loop it was made on.
class FdWatch {
  public:
    explicit FdWatch(int fd);
    ~FdWatch();
    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;

    // Returns what became ready of what was asked for (at least one of the two).
    async::Task<Readiness> wait(Readiness interest);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace tandem::net
