// For tests: the databases that a participant's tests run on, each test on an empty one with three accounts.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "tandem/async/loop.h"
#include "tandem/base/id.h"
#include "tandem/db/testing_mariadb.h"
#include "tandem/tx/barrier.h"

namespace tandem::tx::testing {

// A directory that goes away with this.
class TemporaryDirectory {
  public:
    TemporaryDirectory() : path_(::testing::TempDir() + "tandem_tx_XXXXXX") {
        if (!mkdtemp(path_.data())) throw std::runtime_error("mkdtemp failed");
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
};

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
        const std::string url =
            GetParam() == "sqlite" ? "sqlite:" + directory_.path() + "/test.db" : db::testing::fresh_schema_url();
        async::run(run_on(url, std::move(body), opening_balance));
    }

  private:
    TemporaryDirectory directory_;
};

}  // namespace tandem::tx::testing
