// For tests: an empty database of either engine, gone with the object.
//
// Thread rules: made on the main thread, outside of any loop.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "tandem/db/testing_mariadb.h"

namespace tandem::db::testing {

enum class Engine : unsigned char { sqlite, mariadb };

class TestDatabase {
  public:
    explicit TestDatabase(Engine engine) {
        if (engine == Engine::mariadb) {
            url_ = MariadbServer::shared().new_schema();
            return;
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "tandem-sqlite-XXXXXX").string();
        if (!mkdtemp(pattern.data())) fail(Code::io, "cannot make a directory like {}", pattern);
        directory_ = pattern;
        url_ = "sqlite:" + (directory_ / "test.db").string();
    }
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;
    ~TestDatabase() {
        std::error_code ignored;
        if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
    }
    const std::string& url() const noexcept { return url_; }

  private:
    std::filesystem::path directory_;
    std::string url_;
};

}  // namespace tandem::db::testing
