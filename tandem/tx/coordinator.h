// The coordinator: takes global transactions in, makes each decision durable, and drives every branch until the
// transaction has ended, through failures and restarts.
//
// Each unfinished transaction is driven by at most one coroutine on at most one node: a lease in its record says whose.
// A failing transaction lets go of everything, and waits in the store for its next attempt, so it never holds up
// another. After a restart the store is all there is: what is due and not leased is picked up, oldest first.
//
// Thread rules: belongs to the loop it was started on.
// Errors: not_found (gid), conflict (the decision was already taken the other way, or another request has this gid),
// invalid_argument, resource_exhausted (a bound), and the store's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tandem/async/scope.h"
#include "tandem/async/sync.h"
#include "tandem/base/id.h"
#include "tandem/base/random.h"
#include "tandem/tx/branch_caller.h"
#include "tandem/tx/model.h"
#include "tandem/tx/store.h"

namespace tandem::tx {

struct CoordinatorOptions {
    std::string node_id;                    // stable over restarts, unique among nodes that share a store
    size_t driving_max = 4096;              // transactions driven at a time; further ones wait in the store
    size_t branches_max = 1000;             // of one transaction
    size_t calls_per_transaction_max = 32;  // branch calls of one transaction at a time
    size_t calls_per_origin_max = 512;      // to one scheme://host:port; further ones wait a while, then try later
    base::Duration request_timeout = std::chrono::seconds(3);
    base::Duration retry_interval = std::chrono::seconds(10);
    base::Duration retry_interval_max = std::chrono::seconds(60);
    base::Duration prepared_timeout = std::chrono::seconds(35);  // TCC, XA: aborted; message: checked back
    base::Duration lease_margin = std::chrono::seconds(10);      // a lease lasts request_timeout and this
    base::Duration poll_interval = std::chrono::seconds(1);      // how often the store is asked for what others left
    base::Duration history = std::chrono::days(7);               // how long finished transactions are kept
    base::Duration wait_max = std::chrono::seconds(60);          // of a submit with wait_result
    int alert_after = 3;                                         // failures in a row
    // Told once when a transaction has failed alert_after times in a row.
    std::function<async::Task<void>(Transaction)> alert;
};

struct CoordinatorStats {
    uint64_t begun = 0;
    uint64_t succeeded = 0;
    uint64_t failed = 0;
    uint64_t calls = 0;
    uint64_t call_errors = 0;
    size_t driving = 0;
};

// A transaction as it now is, and whether this very request made it (else it was there already).
struct Accepted {
    Transaction transaction;
    bool created = false;
};

class Coordinator {
  public:
    Coordinator(Store& store, BranchCaller& caller, base::Random& random, CoordinatorOptions options);
    ~Coordinator();

    // Opens the store, frees what this node drove when it died, and starts driving.
    async::Task<void> start();
    // Stops driving; transactions under way stay in the store.
    async::Task<void> stop();
    // True once recovery has begun to drive (readiness).
    bool driving() const noexcept { return driving_; }

    std::string new_gid() { return gids_.next(); }

    // TCC, XA, message: makes a prepared transaction. The same request again gives the one that exists.
    async::Task<Accepted> begin(Transaction request);
    // Decides to commit: a new saga (or a message never prepared), or a prepared transaction. Returns once the
    // decision is on disk; with wait_result once the transaction ended or met a failure.
    async::Task<Accepted> submit(Transaction request);
    // Decides to commit a transaction that is prepared, by gid alone.
    async::Task<Transaction> commit(std::string gid, bool wait_result);
    // Decides to abort.
    async::Task<Transaction> abort(std::string gid, std::string reason);
    // Adds a branch to a prepared TCC or XA transaction; the same branch again changes nothing.
    async::Task<Transaction> add_branch(std::string gid, Mode mode, Branch branch);
    // A person's word over the machine's: declares the outcome without calling anybody (heuristic), and remembers why.
    async::Task<Transaction> force(std::string gid, Status outcome, std::string reason);
    // The next attempt now.
    async::Task<Transaction> retry_now(std::string gid);
    // Unfinished ones that would wait longer than `longer_than` are tried now; how many.
    async::Task<int64_t> retry_all(base::Duration longer_than, size_t limit);

    async::Task<std::optional<Transaction>> find(std::string gid) { return store_.load(std::move(gid)); }
    async::Task<std::vector<Transaction>> list(ListFilter filter) { return store_.list(std::move(filter)); }
    Store& store() noexcept { return store_; }
    const CoordinatorOptions& options() const noexcept { return options_; }
    CoordinatorStats stats() const noexcept;

    // Called after each transition is on disk, from the coordinator's loop (the node's live pages).
    void on_change(std::function<void(const Transaction&)> observer) { observer_ = std::move(observer); }

  private:
    // A transaction that somebody here works with: its record as last written, and who may write next.
    struct Entry {
        Entry(Coordinator& coordinator, std::string gid) : coordinator(coordinator), gid(std::move(gid)) {}
        ~Entry() { coordinator.entries_.erase(gid); }
        Coordinator& coordinator;
        const std::string gid;
        std::optional<Transaction> record;
        async::Mutex writer;  // held over one write
        bool driven = false;  // a drive() has it
        async::Event drive_ended;
    };
    using EntryPointer = std::shared_ptr<Entry>;
    // A scheme://host:port that is being called, and how many calls it bears at a time.
    struct Origin {
        Origin(Coordinator& coordinator, std::string name)
            : coordinator(coordinator), name(std::move(name)), slots(coordinator.options_.calls_per_origin_max) {}
        ~Origin() { coordinator.origins_.erase(name); }
        Coordinator& coordinator;
        const std::string name;
        async::Semaphore slots;
        size_t waiting = 0;
    };
    using OriginPointer = std::shared_ptr<Origin>;
    // Changes the record; false: nothing to change. Throws to refuse.
    using Change = std::function<bool(Transaction&)>;

    EntryPointer entry(const std::string& gid);
    async::Task<void> load(EntryPointer entry);
    async::Task<Transaction> write(EntryPointer entry, Change change);
    // Inserts a new transaction; nullopt when the gid is taken.
    async::Task<std::optional<Transaction>> insert(EntryPointer entry, Transaction transaction);
    void validate(Transaction& request) const;

    async::Task<Transaction> drive_after_decision(EntryPointer entry, bool wait);
    bool start_driving(const EntryPointer& entry);
    async::Task<void> drive(EntryPointer entry);
    async::Task<void> drive_to_the_end(EntryPointer entry);
    async::Task<bool> take_open_decision(EntryPointer entry);
    async::Task<Answer> call_branch(Transaction snapshot, std::string branch_id, std::string url, std::string operation,
                                    std::string payload);
    // Outcomes of branch calls, with the branches' indexes.
    using Outcomes = std::vector<std::pair<size_t, Answer>>;
    // True when there is more to do at once.
    async::Task<bool> write_outcomes(EntryPointer entry, Status direction, const Outcomes& outcomes,
                                     const std::set<size_t>& tried);
    void raise_alert(const Transaction& transaction);
    OriginPointer origin(const std::string& name);
    // A place among the origin's calls; nullopt when it stays too busy.
    async::Task<std::optional<async::Permit>> wait_for_slot(Origin& origin);
    void reschedule(Transaction& transaction, bool ongoing_only);
    void wake_pump_for(int64_t due_ms);
    void extend_lease(Transaction& transaction) const;
    async::Task<void> pump();
    // What of the due transactions one look at the store found: how many are driven now, and how many must wait because
    // the origin they would call is saturated.
    struct PickedUp {
        size_t started = 0;
        size_t held_back = 0;
    };
    async::Task<PickedUp> pick_up_due();
    bool would_wait(const Transaction& transaction) const;
    size_t waiting_max() const noexcept { return options_.driving_max / 2; }
    async::Task<void> claim(Transaction found, EntryPointer* claimed);
    async::Task<void> forget_old();
    int64_t now_ms() const;
    int64_t request_timeout_ms(const Transaction& transaction) const;

    Store& store_;
    BranchCaller& caller_;
    base::Random& random_;
    const CoordinatorOptions options_;
    base::GidGenerator gids_;
    std::unordered_map<std::string, std::weak_ptr<Entry>> entries_;
    std::unordered_map<std::string, std::weak_ptr<Origin>> origins_;
    std::unique_ptr<async::Scope> scope_;
    async::Event due_changed_;  // something becomes due earlier than the pump believes
    int64_t pump_sleeps_until_ms_ = 0;
    int64_t look_from_ms_ = 0;  // where the next look at due transactions begins, past those held back
    bool driving_ = false;
    size_t driven_ = 0;
    CoordinatorStats stats_;
    std::function<void(const Transaction&)> observer_;
};

}  // namespace tandem::tx
