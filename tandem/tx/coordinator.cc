// Requests: taking transactions in and deciding them. Driving them is in drive.cc.
//
// Invariants:
// 1. A decision is on disk (Store::insert or update has returned) before anybody is told of it or acts on it.
// 2. The record in an Entry is the one last written; every write goes through write(), one at a time for each Entry.
// 3. A version conflict means that another node wrote: the record is read again and the change tried on it.
#include "tandem/tx/coordinator.h"

#include "tandem/async/time.h"
#include "tandem/base/assert.h"
#include "tandem/base/crash_point.h"
#include "tandem/base/log.h"

namespace tandem::tx {

using async::Task;

Coordinator::Coordinator(Store& store, BranchCaller& caller, base::Random& random, CoordinatorOptions options)
    : store_(store),
      caller_(caller),
      random_(random),
      options_(std::move(options)),
      gids_(async::Loop::current().clock(), random) {
    TANDEM_ASSERT(!options_.node_id.empty(), "a coordinator needs a node id");
}

Coordinator::~Coordinator() {
    TANDEM_ASSERT(!scope_, "a coordinator died before stop()");
}

int64_t Coordinator::now_ms() const {
    return async::Loop::current().clock().wall_ms();
}

CoordinatorStats Coordinator::stats() const noexcept {
    CoordinatorStats stats = stats_;
    stats.driving = driven_;
    return stats;
}

Coordinator::EntryPointer Coordinator::entry(const std::string& gid) {
    std::weak_ptr<Entry>& slot = entries_[gid];
    EntryPointer found = slot.lock();
    if (!found) slot = found = std::make_shared<Entry>(*this, gid);
    return found;
}

Task<void> Coordinator::load(EntryPointer entry) {
    if (!entry->record) entry->record = co_await store_.load(entry->gid);
    if (!entry->record) fail(Code::not_found, "there is no transaction {}", entry->gid);
}

Task<Transaction> Coordinator::write(EntryPointer entry, Change change) {
    async::Permit writer = co_await entry->writer.lock();
    for (;;) {
        co_await load(entry);
        Transaction next = *entry->record;
        if (!change(next)) co_return *entry->record;
        ++next.version;
        next.updated_ms = now_ms();
        bool written = false;
        try {
            written = co_await store_.update(next);
        } catch (...) {
            entry->record.reset();  // it may have been written all the same
            throw;
        }
        if (!written) {
            entry->record.reset();
            continue;
        }
        if (is_final(next.status) && !is_final(entry->record->status)) {
            ++(next.status == Status::succeeded ? stats_.succeeded : stats_.failed);
        }
        entry->record = next;
        if (observer_) observer_(next);
        co_return next;
    }
}

Task<std::optional<Transaction>> Coordinator::insert(EntryPointer entry, Transaction transaction) {
    async::Permit writer = co_await entry->writer.lock();
    transaction.created_ms = transaction.updated_ms = now_ms();
    transaction.next_attempt_ms = transaction.created_ms;
    transaction.version = 1;
    if (transaction.status == Status::prepared) {
        transaction.next_attempt_ms = expires_ms(transaction, options_.prepared_timeout / std::chrono::milliseconds(1));
    } else if (transaction.options.delay_ms > 0) {
        transaction.next_attempt_ms += transaction.options.delay_ms;
    } else if (driven_ < options_.driving_max) {
        extend_lease(transaction);  // driven at once by us
    }
    TANDEM_CRASH_POINT("coordinator.before_insert");
    if (!co_await store_.insert(transaction)) co_return std::nullopt;
    TANDEM_CRASH_POINT("coordinator.after_insert");
    ++stats_.begun;
    entry->record = transaction;
    if (observer_) observer_(transaction);
    co_return transaction;
}

void Coordinator::validate(Transaction& request) const {
    if (request.gid.empty()) fail(Code::invalid_argument, "gid: is empty");
    if (!base::valid_gid_characters(request.gid)) {
        fail(Code::invalid_argument, "gid: may have up to {} of A-Z a-z 0-9 - _ . : ~", base::gid_size_max);
    }
    if (request.branches.size() > options_.branches_max) {
        fail(Code::invalid_argument, "steps: {} branches are more than the {} allowed (branches.max)",
             request.branches.size(), options_.branches_max);
    }
    const int count = static_cast<int>(request.branches.size());
    // Every arrow must lead to an earlier branch in some order: walk the graph until nothing moves.
    for (const auto& [branch, waits_for] : request.options.orders) {
        const auto known = [count](int index) { return index >= 0 && index < count; };
        if (!known(branch)) fail(Code::invalid_argument, "options.orders: there is no step {}", branch);
        for (int other : waits_for) {
            if (!known(other)) fail(Code::invalid_argument, "options.orders.{}: there is no step {}", branch, other);
        }
    }
    if (request.options.concurrent && count > 0) {
        Transaction walk = request;
        walk.status = Status::submitted;
        for (std::vector<size_t> ready; !(ready = callable(walk)).empty();) {
            for (size_t index : ready) walk.branches[index].status = BranchStatus::done;
        }
        for (const Branch& branch : walk.branches) {
            if (branch.status != BranchStatus::done) {
                fail(Code::invalid_argument, "options.orders: step {} waits for itself in a circle", branch.id);
            }
        }
    }
}

Task<Accepted> Coordinator::begin(Transaction request) {
    validate(request);
    if (request.mode == Mode::saga) fail(Code::invalid_argument, "mode: a saga is submitted at once, not prepared");
    request.status = Status::prepared;
    EntryPointer here = entry(request.gid);
    if (auto inserted = co_await insert(here, request)) {
        wake_pump_for(inserted->next_attempt_ms);
        co_return Accepted{std::move(*inserted), true};
    }
    co_await load(here);
    // TCC and XA get their branches later, so only what was given now is compared.
    Transaction asked = request;
    if (request.mode != Mode::message) asked.branches = here->record->branches;
    if (!same_request(asked, *here->record)) {
        fail(Code::conflict, "gid: {} is taken by another transaction", request.gid);
    }
    co_return Accepted{*here->record, false};
}

Task<Accepted> Coordinator::submit(Transaction request) {
    validate(request);
    const bool wait = request.options.wait_result;
    EntryPointer here = entry(request.gid);
    const bool may_be_new = request.mode == Mode::saga || request.mode == Mode::message;
    if (may_be_new) {
        request.status = Status::submitted;
        if (auto inserted = co_await insert(here, request)) {
            if (request.options.delay_ms == 0) co_return Accepted{co_await drive_after_decision(here, wait), true};
            wake_pump_for(inserted->next_attempt_ms);
            co_return Accepted{std::move(*inserted), true};
        }
    }
    co_await load(here);
    Transaction asked = request;
    if (!may_be_new) {
        asked.branches = here->record->branches;
        asked.options = here->record->options;
        asked.custom_data = here->record->custom_data;
    }
    asked.options.wait_result = here->record->options.wait_result;
    if (!same_request(asked, *here->record)) {
        fail(Code::conflict, "gid: {} is taken by another transaction", request.gid);
    }
    co_return Accepted{co_await commit(request.gid, wait), false};
}

Task<Transaction> Coordinator::commit(std::string gid, bool wait_result) {
    EntryPointer here = entry(gid);
    bool decided_now = false;
    TANDEM_CRASH_POINT("coordinator.before_decision");
    const Transaction now = co_await write(here, [&](Transaction& transaction) {
        decided_now = false;
        switch (transaction.status) {
            case Status::submitted:
            case Status::succeeded:
                return false;
            case Status::aborting:
            case Status::failed:
                fail(Code::conflict, "transaction {} is {}: {}", gid, to_string(transaction.status),
                     transaction.reason);
            case Status::prepared:
                break;
        }
        transaction.status = Status::submitted;
        transaction.next_attempt_ms = now_ms() + transaction.options.delay_ms;
        transaction.failures = 0;
        if (transaction.options.delay_ms == 0 && driven_ < options_.driving_max) extend_lease(transaction);
        decided_now = true;
        return true;
    });
    TANDEM_CRASH_POINT("coordinator.after_decision");
    if (decided_now && now.options.delay_ms > 0) {
        wake_pump_for(now.next_attempt_ms);
        co_return now;
    }
    if (decided_now || wait_result) co_return co_await drive_after_decision(here, wait_result);
    co_return now;
}

Task<Transaction> Coordinator::abort(std::string gid, std::string reason) {
    EntryPointer here = entry(gid);
    bool decided_now = false;
    const Transaction now = co_await write(here, [&](Transaction& transaction) {
        decided_now = false;
        if (transaction.status == Status::aborting || transaction.status == Status::failed) return false;
        const bool saga_under_way = transaction.status == Status::submitted && transaction.mode == Mode::saga;
        if (transaction.status != Status::prepared && !saga_under_way) {
            fail(Code::conflict, "transaction {} is {}: it can no longer be aborted", gid,
                 to_string(transaction.status));
        }
        turn_back(transaction, reason.empty() ? "aborted by its initiator" : reason);
        transaction.next_attempt_ms = now_ms();
        if (!here->driven && driven_ < options_.driving_max) extend_lease(transaction);
        decided_now = true;
        return true;
    });
    if (decided_now) co_return co_await drive_after_decision(here, false);
    co_return now;
}

Task<Transaction> Coordinator::add_branch(std::string gid, Mode mode, Branch branch) {
    EntryPointer here = entry(gid);
    co_return co_await write(here, [&](Transaction& transaction) {
        if (transaction.mode != mode) {
            fail(Code::conflict, "transaction {} is of mode {}, not {}", gid, to_string(transaction.mode),
                 to_string(mode));
        }
        for (const Branch& known : transaction.branches) {
            if (known.id != branch.id) continue;
            if (known.forward == branch.forward && known.backward == branch.backward &&
                known.payload == branch.payload) {
                return false;
            }
            fail(Code::conflict, "branch_id: {} of transaction {} is registered with other URLs", branch.id, gid);
        }
        if (transaction.status != Status::prepared) {
            fail(Code::conflict, "transaction {} is {}: no branch can join it any more", gid,
                 to_string(transaction.status));
        }
        if (transaction.branches.size() >= options_.branches_max) {
            fail(Code::resource_exhausted, "transaction {} has {} branches already (branches.max)", gid,
                 transaction.branches.size());
        }
        transaction.branches.push_back(branch);
        return true;
    });
}

Task<Transaction> Coordinator::force(std::string gid, Status outcome, std::string reason) {
    if (!is_final(outcome)) fail(Code::invalid_argument, "outcome: must be final");
    EntryPointer here = entry(gid);
    Transaction now = co_await write(here, [&](Transaction& transaction) {
        if (is_final(transaction.status)) {
            if (transaction.status == outcome) return false;
            fail(Code::conflict, "transaction {} has ended already: {}", gid, to_string(transaction.status));
        }
        transaction.status = outcome;
        transaction.forced = true;
        transaction.reason = reason;
        transaction.finished_ms = now_ms();
        transaction.lease_until_ms = 0;
        return true;
    });
    log::warn("outcome forced", {{"gid", gid}, {"outcome", to_string(outcome)}, {"reason", reason}});
    co_return now;
}

Task<Transaction> Coordinator::retry_now(std::string gid) {
    EntryPointer here = entry(gid);
    Transaction now = co_await write(here, [&](Transaction& transaction) {
        if (is_final(transaction.status)) {
            fail(Code::conflict, "transaction {} has ended already: {}", gid, to_string(transaction.status));
        }
        if (here->driven) return false;
        transaction.next_attempt_ms = now_ms();
        return true;
    });
    wake_pump_for(0);
    co_return now;
}

Task<int64_t> Coordinator::retry_all(base::Duration longer_than, size_t limit) {
    const int64_t now = now_ms();
    const int64_t after = now + longer_than / std::chrono::milliseconds(1);
    const int64_t count = co_await store_.hasten(after, now, limit);
    wake_pump_for(0);
    co_return count;
}

}  // namespace tandem::tx
