// `Host`: one machine of the simulation. It runs its program over its own view of the network and its own disk, can be
// crashed at any instant, even in the middle of a disk operation, and then starts again on what the disk kept.
//
// A crash first makes the views dead, so that nothing the program still does reaches the world; then the program is
// cancelled and joined.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sim_disk.h"
#include "sim_network.h"
#include "sim_sqlite_vfs.h"
#include "tandem/async/scope.h"

namespace tandem::sim {

// What a program sees of its machine, from one start to the next crash.
struct Machine {
    Machine(World& world, SimNetwork& wires, SimDisk& disk, const std::string& name)
        : world(world),
          name(name),
          network(wires, name),
          files(disk),
          vfs("sim-" + name, files, world.loop().clock()) {}
    // A database file of this machine.
    std::string database_url(std::string_view file) const {
        return fmt::format("sqlite:/{}/{}?vfs={}", name, file, vfs.name());
    }
    World& world;
    const std::string name;
    HostNetwork network;
    SimFileSystem files;
    SqliteVfs vfs;
    bool alive = true;
};

class Host {
  public:
    using Program = std::function<async::Task<void>(Machine&)>;
    enum class Crash : unsigned char { process_dies, power_fails };

    Host(World& world, SimNetwork& wires, std::string name, Program program)
        : world_(world), wires_(wires), name_(std::move(name)), program_(std::move(program)), disk(world, name_) {}

    // Runs the program, again after each crash, until stop(). At the end the power fails.
    async::Task<void> run();
    // Does nothing while the host is down.
    void crash(Crash kind, base::Duration down);
    // Crashes in the middle of the n-th disk operation from now, unless the world is calm by then.
    void crash_at_disk_operation(uint64_t n, Crash kind, base::Duration down);
    void stop();
    bool up() const noexcept { return machine_ && machine_->alive; }
    const std::string& name() const noexcept { return name_; }

  private:
    async::Task<void> run_program();
    void die(Crash kind);

    World& world_;
    SimNetwork& wires_;
    const std::string name_;
    const Program program_;
    std::unique_ptr<Machine> machine_;
    async::Event ended_;
    base::TimePoint start_again_{};
    bool stopping_ = false;

  public:
    SimDisk disk;
};

}  // namespace tandem::sim
