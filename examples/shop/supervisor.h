// Keeps the node, stock and wallet running as children of the shop: a child that ends is started again. When the shop
// goes, so do they, even when it is killed.
//
// Thread rules: one loop's, on the thread that lives as long as the program (the kernel ties the children to it).
// Errors: unavailable when a program cannot be started.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "examples/shop/service.h"
#include "tandem/async/scope.h"
#include "tandem/async/sync.h"

namespace shop {

struct ChildProgram {
    std::string name;
    std::string url;
    std::vector<std::string> command;  // the program's path first
};

struct ProcessState {
    std::string name;
    std::string url;
    pid_t pid = 0;  // 0: between two lives
    int64_t restarts = 0;
};

class Supervisor {
  public:
    // The children's output goes to files in `log_directory`.
    explicit Supervisor(std::string log_directory);
    ~Supervisor();

    void start(ChildProgram program);
    // kill -9. False when there is no such child or it is just between two lives.
    bool kill(std::string_view name);
    std::vector<ProcessState> states() const;
    // Asks all children to end, the last started first, and ends those that do not.
    Task<void> stop();

  private:
    struct Child;
    Task<void> keep(Child* child);
    pid_t spawn(const Child& child) const;

    const std::string log_directory_;
    std::vector<std::unique_ptr<Child>> children_;
    bool stopping_ = false;
    async::Scope scope_{async::Scope::OnError::keep_going};
};

// The directory of the running program, where its siblings are.
std::string own_directory();

}  // namespace shop
