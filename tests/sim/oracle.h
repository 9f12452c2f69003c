// What must hold. The oracle watches every transition that becomes durable at the coordinator, remembers what clients
// were told, and at the end compares the coordinator's records with what the participants' databases show.
//
// A violation throws `Violation`, or is noted where an exception could not get through; either ends the run.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tandem/tx/model.h"
#include "world.h"

namespace tandem::sim {

// What a client asked for, and what it was told.
struct Intent {
    tx::Mode mode = tx::Mode::saga;
    std::string shop;
    size_t branches = 0;     // that it wanted, and was told are registered
    bool begun = false;      // told: the coordinator has it
    bool submitted = false;  // told: decided forward
    bool aborted = false;    // told: decided backward
    bool given_up = false;   // message: told that nothing was committed
    std::optional<tx::Status> told_end;
};

// One row that a branch's business SQL left.
struct Effect {
    std::string host;
    std::string gid;
    std::string branch_id;
    std::string operation;
    int64_t at_ns = 0;
    int64_t order = 0;  // within its host
};

// What a database holds in money, all accounts together.
struct Money {
    int64_t balance = 0;
    int64_t frozen = 0;
    int64_t incoming = 0;
};

class Oracle {
  public:
    explicit Oracle(World& world) : world_(world) {}

    Intent& intent(const std::string& gid) { return intents_[gid]; }
    // Each transition, once it is on disk.
    void observe(const tx::Transaction& transaction);
    // At the end: everything durable, nobody running.
    void judge(const std::vector<tx::Transaction>& records, const std::vector<Effect>& effects, const Money& money,
               int64_t money_at_start);
    void violation(std::string what);
    const std::vector<std::string>& violations() const noexcept { return violations_; }

  private:
    using Effects = std::vector<const Effect*>;
    void judge_transaction(const tx::Transaction& record, const std::map<std::string, Effects>& by_branch);
    void judge_branch(const tx::Transaction& record, const tx::Branch& branch, const Effects& effects);
    void judge_order(const tx::Transaction& record, const std::map<std::string, Effects>& by_branch);
    void judge_told(const std::string& gid, const Intent& intent, const tx::Transaction* record);

    struct Seen {
        tx::Status status;
        int64_t version;
    };
    World& world_;
    std::map<std::string, Intent> intents_;
    std::map<std::string, Seen> seen_;
    std::vector<std::string> violations_;
};

}  // namespace tandem::sim
