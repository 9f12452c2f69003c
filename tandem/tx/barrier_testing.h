// For tests: the databases that a participant's tests run on, each test on an empty one with three accounts.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>

#include "tandem/async/loop.h"
#include "tandem/base/id.h"
#include "tandem/db/testing_database.h"
#include "tandem/tx/barrier.h"

namespace tandem::tx::testing {

using Body = std::function<async::Task<void>(db::Database&, std::string gid)>;

inline std::string fresh_gid() {
    static base::GidGenerator generator(base::Clock::real(), base::Random::real());
    return generator.next();
}

inline async::Task<void> run_on(std::string url, Body body, int64_t opening_balance) {
    db::Database database(url);
    co_await install_barrier(database);
    co_await database.execute(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL, frozen BIGINT NOT NULL DEFAULT 0)");
    for (int id = 1; id <= 3; ++id) {
        co_await database.execute("INSERT INTO account (id, balance) VALUES (?, ?)", id, opening_balance);
    }
    co_await body(database, fresh_gid());
}

// Parameter: the database's kind, "sqlite" or "mariadb".
class Places : public ::testing::TestWithParam<std::string> {
  public:
    static constexpr int64_t opening_balance = 1000;
    static auto all() { return ::testing::Values(std::string("sqlite"), std::string("mariadb")); }
    static std::string name_of(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

  protected:
    void on(Body body) {
        using db::testing::Engine;
        db::testing::TestDatabase place(GetParam() == "sqlite" ? Engine::sqlite : Engine::mariadb);
        async::run(run_on(place.url(), std::move(body), opening_balance));
    }
};

}  // namespace tandem::tx::testing
