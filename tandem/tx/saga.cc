#include "tandem/tx/saga.h"

namespace tandem::tx {

Saga::Saga(Node& node, std::string gid) : node_(node) {
    transaction_.mode = Mode::saga;
    transaction_.gid = gid.empty() ? node.new_gid() : std::move(gid);
}

Saga& Saga::step(std::string action, std::string compensate, Payload payload) {
    transaction_.steps.push_back({std::move(action), std::move(compensate), std::move(payload.text)});
    return *this;
}

Saga& Saga::concurrent() {
    transaction_.options.concurrent = true;
    return *this;
}

Saga& Saga::after(int step, std::vector<int> before) {
    transaction_.options.orders[step] = std::move(before);
    return concurrent();
}

Saga& Saga::wait() {
    transaction_.options.wait_result = true;
    return *this;
}

Saga& Saga::retry_limit(int times) {
    transaction_.options.retry_limit = times;
    return *this;
}

Saga& Saga::timeout(base::Duration after) {
    transaction_.options.timeout_to_fail_ms = std::chrono::duration_cast<std::chrono::milliseconds>(after).count();
    return *this;
}

Saga& Saga::header(std::string name, std::string value) {
    transaction_.options.branch_headers[std::move(name)] = std::move(value);
    return *this;
}

Saga& Saga::options(Options options) {
    transaction_.options = std::move(options);
    return *this;
}

async::Task<RemoteTransaction> Saga::submit() {
    const int steps = static_cast<int>(transaction_.steps.size());
    const auto check = [&](int step) {
        if (step < 0 || step >= steps) {
            fail(Code::invalid_argument, "after(): there is no step {}, the saga has {}", step, steps);
        }
    };
    for (const auto& [step, before] : transaction_.options.orders) {
        check(step);
        for (int earlier : before) check(earlier);
    }
    // The task holds a copy: it may outlive this builder.
    return node_.create(transaction_);
}

}  // namespace tandem::tx
