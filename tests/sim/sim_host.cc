#include "sim_host.h"

#include "tandem/async/time.h"

namespace tandem::sim {

using async::Task;
using std::chrono::milliseconds;

Task<void> Host::run_program() {
    std::optional<Error> error;
    try {
        machine_->files.create_directories("/" + name_);
        co_await program_(*machine_);
    } catch (const Error& failed) {
        error = failed;
    }
    if (machine_->alive) {
        world_.trace.add("{} ends by itself: {}", name_, error ? error->what() : "no error");
        crash(Crash::process_dies, milliseconds(300));
    }
}

Task<void> Host::run() {
    while (!stopping_) {
        world_.trace.add("{} starts", name_);
        machine_ = std::make_unique<Machine>(world_, wires_, disk, name_);
        ended_.reset();
        {
            async::Scope scope(async::Scope::OnError::keep_going);
            scope.spawn(run_program());
            co_await ended_.wait();
            co_await scope.cancel_and_join();
        }
        machine_.reset();
        if (!stopping_) co_await async::sleep_until(start_again_);
    }
}

void Host::die(Crash kind) {
    machine_->alive = false;
    machine_->files.kill();
    machine_->network.kill();
    if (kind == Crash::power_fails) disk.lose_unsynced();
    ended_.set();
}

void Host::crash(Crash kind, base::Duration down) {
    if (!up()) return;
    ++world_.counts.crashes;
    world_.trace.add("{} crashes ({}), down for {} ms", name_,
                     kind == Crash::power_fails ? "the power fails" : "the process dies", down / milliseconds(1));
    start_again_ = world_.now() + down;
    die(kind);
}

void Host::crash_at_disk_operation(uint64_t n, Crash kind, base::Duration down) {
    if (!up()) return;
    machine_->files.interrupt_at(n, [this, kind, down] {
        if (!world_.calm()) crash(kind, down);
    });
}

void Host::stop() {
    stopping_ = true;
    if (up()) die(Crash::power_fails);
}

}  // namespace tandem::sim
