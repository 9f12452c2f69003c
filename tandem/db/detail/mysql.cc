// `mysql:` sessions: MariaDB and MySQL.
//
// Invariants:
// 1. After an error that makes the server give a transaction up, nothing runs on the session but a rollback
//    (`doomed_`): the server would otherwise run the next statement by itself, outside any transaction.
// 2. A session that holds an XA branch in any state counts as in a transaction, so the pool closes it instead of
// handing
//    it out again: the server then rolls an unprepared branch back and keeps a prepared one for recovery.
//
//        none --xa_start--> active --xa_end--> idle --xa_prepare--> prepared
//          ^                  |                 | xa_commit(one phase)   | xa_commit
//          +------------------+--xa_rollback----+------------------------+
#include <netdb.h>

#include "tandem/async/blocking.h"
#include "tandem/async/time.h"
#include "tandem/db/detail/drivers.h"
#include "tandem/db/detail/mysql_connection.h"

namespace tandem::db::detail {

namespace {

using async::Task;

std::string_view isolation_name(Isolation isolation) {
    switch (isolation) {
        case Isolation::read_uncommitted:
            return "READ UNCOMMITTED";
        case Isolation::read_committed:
            return "READ COMMITTED";
        case Isolation::repeatable_read:
            return "REPEATABLE READ";
        default:
            return "SERIALIZABLE";
    }
}

class MysqlSession final : public Session {
  public:
    explicit MysqlSession(std::unique_ptr<MysqlConnection> connection) : connection_(std::move(connection)) {}

    Task<Result> execute(std::string sql, std::vector<Value> parameters) override {
        refuse_if_doomed();
        std::optional<Error> error;
        try {
            co_return co_await connection_->execute(sql, parameters);
        } catch (const Error& failed) {
            error = failed;
        }
        if (error->code() != Code::unsupported || !connection_usable()) note(*error);
        // Not in the prepared protocol: as text, once it is known to be one statement.
        std::string text = with_literals({std::move(sql), std::move(parameters)}, connection_->backslash_escapes());
        std::vector<Result> results = co_await text_query(std::move(text));
        co_return std::move(results.front());
    }

    Task<std::vector<Result>> execute_batch(std::vector<Command> commands) override {
        if (in_transaction()) fail(Code::conflict, "a batch is a transaction of its own; one is open on this session");
        std::vector<std::string> texts;
        texts.reserve(commands.size());
        for (const Command& command : commands) {
            texts.push_back(with_literals(command, connection_->backslash_escapes()));
            // Both may answer with any number of results, or end the transaction.
            if (begins_with_word(texts.back(), "CALL") || begins_with_word(texts.back(), "EXECUTE")) {
                fail(Code::unsupported, "a batch cannot run a procedure; use begin, execute and commit: {}",
                     command.sql.substr(0, 200));
            }
        }
        begun_ = true;
        std::optional<Error> error;
        try {
            std::vector<Result> results = co_await send_batch(std::move(texts));
            begun_ = false;
            co_return results;
        } catch (const Error& failed) {
            error = failed;
        }
        if (connection_usable()) {
            try {
                co_await async::shielded(rollback());
            } catch (const Error&) {
                // Still inside the transaction, so the pool will close the session; the first error tells more.
            }
        }
        throw *error;
    }

    Task<void> execute_script(std::string sql) override {
        refuse_if_doomed();
        co_await text_query(std::move(sql));
    }

    Task<void> begin(Isolation isolation) override {
        std::string sql = "START TRANSACTION";
        if (isolation != Isolation::engine_default) {
            sql = fmt::format("SET TRANSACTION ISOLATION LEVEL {}; {}", isolation_name(isolation), sql);
        }
        co_await begin_with(std::move(sql));
    }
    Task<void> begin_read_only() override { co_await begin_with("START TRANSACTION READ ONLY"); }

    Task<void> commit() override {
        if (!begun_) fail(Code::conflict, "there is no transaction to commit");
        refuse_if_doomed();
        co_await text_query("COMMIT");
        begun_ = false;
    }

    Task<void> rollback() override {
        if (xa_ != XaState::none) fail(Code::conflict, "an XA branch is open on this session; use xa_rollback");
        if (!begun_ && !in_transaction()) fail(Code::conflict, "there is no transaction to roll back");
        co_await text_query("ROLLBACK");
        begun_ = doomed_ = false;
    }

    bool in_transaction() const noexcept override {
        return begun_ || xa_ != XaState::none || connection_->server_in_transaction();
    }

    bool supports_xa() const noexcept override { return true; }
    Task<void> xa_start(Xid xid) override {
        co_await text_query("XA START " + xid_literal(xid));
        xa_ = XaState::active;
    }
    Task<void> xa_end(Xid xid) override {
        co_await text_query("XA END " + xid_literal(xid));
        xa_ = XaState::idle;
    }
    Task<void> xa_prepare(Xid xid) override {
        co_await text_query("XA PREPARE " + xid_literal(xid));
        xa_ = XaState::prepared;
        xid_ = std::move(xid);
    }
    Task<void> xa_commit(Xid xid, bool one_phase) override {
        co_await text_query("XA COMMIT " + xid_literal(xid) + (one_phase ? " ONE PHASE" : ""));
        xa_ended(xid);
    }
    Task<void> xa_rollback(Xid xid) override {
        co_await text_query("XA ROLLBACK " + xid_literal(xid));
        xa_ended(xid);
    }
    Task<std::vector<Xid>> xa_recover() override {
        const std::vector<Result> results = co_await text_query("XA RECOVER");
        std::vector<Xid> found;
        for (const Row row : results.front().rows) {
            const std::string data = row.get<std::string>("data");
            const auto global = row.get<size_t>("gtrid_length");
            const auto branch = row.get<size_t>("bqual_length");
            if (global + branch > data.size()) fail(Code::corrupted, "XA RECOVER lists a name shorter than it says");
            found.push_back({row.get<int32_t>("formatID"), data.substr(0, global), data.substr(global, branch)});
        }
        co_return found;
    }

    uint64_t connection_id() const noexcept override { return connection_->id(); }
    Dialect dialect() const noexcept override { return Dialect::mysql; }
    bool healthy() const noexcept override { return connection_usable() && !connection_->peer_spoke(); }
    Task<void> ping() override { co_await connection_->ping(); }

  private:
    enum class XaState : unsigned char { none, active, idle, prepared };

    bool connection_usable() const noexcept { return !connection_->lost(); }

    void refuse_if_doomed() const {
        if (doomed_) fail(Code::aborted, "the server gave this transaction up; roll it back and run it again");
    }
    // Rethrows after noting what the error did to the transaction.
    [[noreturn]] void note(const Error& error) {
        if (error.code() == Code::aborted && begun_) doomed_ = true;
        throw Error(error);
    }

    Task<std::vector<Result>> text_query(std::string sql) {
        std::optional<Error> error;
        try {
            co_return co_await connection_->query(std::move(sql));
        } catch (const Error& failed) {
            error = failed;
        }
        note(*error);
    }

    Task<void> begin_with(std::string sql) {
        if (in_transaction()) fail(Code::conflict, "a transaction is open on this session already");
        co_await text_query(std::move(sql));
        begun_ = true;
        doomed_ = false;
    }

    // START TRANSACTION, the commands and COMMIT in as few packets as batch_bytes allows; the server stops at the first
    // error and leaves the transaction open.
    Task<std::vector<Result>> send_batch(std::vector<std::string> texts) {
        texts.insert(texts.begin(), "START TRANSACTION");
        texts.push_back("COMMIT");
        std::vector<Result> results;
        results.reserve(texts.size());
        std::string packet;
        for (size_t i = 0; i < texts.size(); ++i) {
            if (!packet.empty()) packet += ';';
            packet += texts[i];
            if (i + 1 < texts.size() && packet.size() + texts[i + 1].size() < batch_bytes) continue;
            std::ranges::move(co_await connection_->query(std::exchange(packet, {})), std::back_inserter(results));
        }
        if (results.size() != texts.size()) {
            fail(Code::unsupported, "a command of the batch answered with several results; the batch was done");
        }
        results.pop_back();
        results.erase(results.begin());
        co_return results;
    }

    void xa_ended(const Xid& xid) noexcept {
        if (xa_ != XaState::prepared || xid == xid_) xa_ = XaState::none;
    }

    static constexpr size_t batch_bytes = 1 << 20;  // well under the default max_allowed_packet of 16 MiB

    std::unique_ptr<MysqlConnection> connection_;
    bool begun_ = false;
    bool doomed_ = false;
    XaState xa_ = XaState::none;
    Xid xid_;  // of the prepared branch
};

// Blocks: looks a name up.
std::vector<std::string> numeric_hosts(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
        fail(Code::unavailable, "mysql: cannot find the host '{}': {}", host, gai_strerror(error));
    }
    std::vector<std::string> addresses;
    for (const addrinfo* one = found; one; one = one->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) {
            addresses.emplace_back(text);
        }
    }
    freeaddrinfo(found);
    if (addresses.empty()) fail(Code::unavailable, "mysql: the host '{}' has no usable address", host);
    return addresses;
}

class MysqlDriver final : public Driver {
  public:
    explicit MysqlDriver(MysqlAddress address) : address_(std::move(address)) {}
    Task<std::unique_ptr<Session>> connect() override {
        std::vector<std::string> hosts{""};
        if (address_.socket.empty()) {
            hosts = co_await async::run_blocking([name = address_.host] { return numeric_hosts(name); });
        }
        std::optional<Error> error;
        for (std::string& host : hosts) {
            auto connection = std::make_unique<MysqlConnection>(address_);
            try {
                co_await connection->open(std::move(host));
                co_return std::make_unique<MysqlSession>(std::move(connection));
            } catch (const Error& failed) {
                error = failed;
            }
            if (error->code() != Code::unavailable) break;
        }
        throw *error;
    }
    Dialect dialect() const noexcept override { return Dialect::mysql; }

  private:
    const MysqlAddress address_;
};

}  // namespace

std::unique_ptr<Driver> mysql_driver(std::string_view url) {
    return std::make_unique<MysqlDriver>(parse_mysql_url(url));
}

}  // namespace tandem::db::detail
