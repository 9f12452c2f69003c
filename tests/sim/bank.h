// A participant: accounts in a database of its own, changed by branches of global transactions behind the barrier.
//
//     /move?account=N&amount=A     A < 0 takes, A > 0 gives; the operation (try, confirm, action, …) comes in the query
//
// Each change also leaves a row in `effects`, which is what the oracle counts.
#pragma once

#include "oracle.h"
#include "sim_host.h"
#include "tandem/db/database.h"

namespace tandem::sim {

inline constexpr int accounts_per_bank = 3;
inline constexpr int64_t money_per_account = 1000;
inline constexpr std::string_view bank_file = "bank.db";

async::Task<void> run_bank(Machine& machine);

// Makes the tables of a bank or a shop, the accounts and the barrier's table where they are missing.
async::Task<void> prepare_database(db::Database& database, int accounts);
// Adds the row the oracle counts; part of the caller's transaction.
async::Task<void> note_effect(db::Session& session, const World& world, std::string gid, std::string branch_id,
                              std::string operation);

}  // namespace tandem::sim
