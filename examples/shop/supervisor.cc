#include "examples/shop/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "tandem/async/time.h"
#include "tandem/base/file_system.h"
#include "tandem/base/log.h"
#include "tandem/net/wait_fd.h"

namespace shop {

using namespace std::chrono_literals;

namespace {

constexpr base::Duration restart_pause = 200ms;  // a program that ends at once must not keep the machine busy
constexpr base::Duration stop_within = 5s;

// Readable once the process has ended: pidfd_open(2).
class ProcessHandle {
  public:
    explicit ProcessHandle(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
        if (fd_ < 0) fail(Code::unavailable, "cannot watch process {}: {}", pid, std::strerror(errno));
    }
    ~ProcessHandle() { ::close(fd_); }
    ProcessHandle(const ProcessHandle&) = delete;
    ProcessHandle& operator=(const ProcessHandle&) = delete;
    int fd() const noexcept { return fd_; }

  private:
    const int fd_;
};

// Between fork and exec: only what signal-safety(7) allows.
[[noreturn]] void become(const char* const* command, int log) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::setpgid(0, 0);  // Ctrl-C is the shop's affair
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    ::execv(command[0], const_cast<char* const*>(command));
    ::_exit(127);
}

}  // namespace

struct Supervisor::Child {
    ChildProgram program;
    pid_t pid = 0;
    int64_t restarts = 0;
    async::Event ended;
};

Supervisor::Supervisor(std::string log_directory) : log_directory_(std::move(log_directory)) {
    base::FileSystem::real().create_directories(log_directory_);
}
Supervisor::~Supervisor() = default;

void Supervisor::start(ChildProgram program) {
    children_.push_back(std::make_unique<Child>(std::move(program)));
    scope_.spawn(keep(children_.back().get()));
}

pid_t Supervisor::spawn(const Child& child) const {
    std::vector<const char*> command;
    for (const std::string& part : child.program.command) command.push_back(part.c_str());
    command.push_back(nullptr);
    const std::string log_path = fmt::format("{}/{}.log", log_directory_, child.program.name);
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) fail(Code::unavailable, "cannot write {}: {}", log_path, std::strerror(errno));
    const pid_t pid = ::fork();
    if (pid == 0) become(command.data(), log);
    ::close(log);
    if (pid < 0) fail(Code::unavailable, "cannot start {}: {}", child.program.name, std::strerror(errno));
    return pid;
}

Task<void> Supervisor::keep(Child* child) {
    while (!stopping_) {
        child->pid = spawn(*child);
        {
            const ProcessHandle handle(child->pid);
            net::FdWatch watch(handle.fd());
            (void)co_await watch.wait({.readable = true});
        }
        int status = 0;
        ::waitpid(child->pid, &status, 0);
        child->pid = 0;
        if (stopping_) break;
        ++child->restarts;
        log::info("a process ended and is started again", {{"name", child->program.name}, {"status", status}});
        co_await async::sleep(restart_pause);
    }
    child->ended.set();
}

bool Supervisor::kill(std::string_view name) {
    for (const auto& child : children_) {
        if (child->program.name == name && child->pid > 0) return ::kill(child->pid, SIGKILL) == 0;
    }
    return false;
}

std::vector<ProcessState> Supervisor::states() const {
    std::vector<ProcessState> states;
    for (const auto& child : children_) {
        states.push_back({child->program.name, child->program.url, child->pid, child->restarts});
    }
    return states;
}

Task<void> Supervisor::stop() {
    stopping_ = true;
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
        if ((*child)->pid > 0) ::kill((*child)->pid, SIGTERM);
        const bool late = !co_await async::wait_for((*child)->ended, stop_within);
        if (late && (*child)->pid > 0) ::kill((*child)->pid, SIGKILL);
    }
    co_await scope_.join();
}

std::string own_directory() {
    char path[PATH_MAX];
    const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0) fail(Code::unavailable, "cannot find this program's directory");
    const std::string_view program(path, static_cast<size_t>(size));
    return std::string(program.substr(0, program.rfind('/')));
}

}  // namespace shop
