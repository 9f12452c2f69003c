#include "tandem/db/migrate.h"

#include "tandem/async/time.h"
#include "tandem/base/error.h"

namespace tandem::db {

using async::Task;

namespace {

constexpr int lock_wait_seconds = 60;

Task<size_t> version_of(Session& session, const std::string& component) {
    const Result found = co_await session.execute("SELECT version FROM tandem_schema WHERE component = ?", component);
    co_return found.rows.empty() ? 0 : found.rows[0].get<size_t>(0);
}

// Runs one step unless it has been run meanwhile; true if it ran.
Task<bool> run_step(Session& session, const std::string& component, size_t number, const std::string& step) {
    if (co_await version_of(session, component) >= number) co_return false;
    co_await session.execute_script(step);
    co_await session.execute("REPLACE INTO tandem_schema (component, version) VALUES (?, ?)", component, number);
    co_return true;
}

Task<bool> run_step_atomically(Session& session, const std::string& component, size_t number, const std::string& step) {
    try {
        if (session.dialect() == Dialect::sqlite) {
            bool ran = false;
            const auto work = [&](Session& s) { return run_step(s, component, number, step); };
            ran = co_await in_transaction(session, work);
            co_return ran;
        }
        co_return co_await run_step(session, component, number, step);
    } catch (const Error& error) {
        throw error.within(fmt::format("migrating '{}' to version {}", component, number));
    }
}

Task<size_t> run_steps(Session& session, const std::string& component, const std::vector<std::string>& steps) {
    co_await session.execute_script(
        "CREATE TABLE IF NOT EXISTS tandem_schema (component VARCHAR(64) NOT NULL PRIMARY KEY, version BIGINT NOT "
        "NULL)");
    const size_t version = co_await version_of(session, component);
    if (version > steps.size()) {
        fail(Code::unsupported, "the database has version {} of '{}', this program knows up to {}: run a newer one",
             version, component, steps.size());
    }
    size_t ran = 0;
    for (size_t i = version; i < steps.size(); ++i) {
        if (co_await run_step_atomically(session, component, i + 1, steps[i])) ++ran;
    }
    co_return ran;
}

}  // namespace

Task<size_t> migrate(Session& session, std::string component, std::vector<std::string> steps) {
    if (session.in_transaction()) fail(Code::conflict, "migrate() is not part of a transaction; one is open");
    if (session.dialect() == Dialect::sqlite) co_return co_await run_steps(session, component, steps);

    // A named lock of this schema; it goes with the connection should we not come to release it.
    static constexpr const char* lock_name = "CONCAT('tandem_schema.', MD5(COALESCE(DATABASE(), '')))";
    const Result locked = co_await session.execute(fmt::format("SELECT GET_LOCK({}, ?)", lock_name), lock_wait_seconds);
    if (locked.rows[0].get<std::optional<int>>(0) != 1) {
        fail(Code::unavailable, "another process has been migrating '{}' for {} s", component, lock_wait_seconds);
    }
    std::optional<Error> error;
    size_t ran = 0;
    try {
        ran = co_await run_steps(session, component, steps);
    } catch (...) {
        error = Error::current();
    }
    if (session.healthy()) co_await async::shielded(session.execute(fmt::format("DO RELEASE_LOCK({})", lock_name)));
    if (error) throw *error;
    co_return ran;
}

}  // namespace tandem::db
