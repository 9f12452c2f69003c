// One connection of libmariadb, driven through its non-blocking interface on a loop.
//
// Thread rules: belongs to the loop that opened it; one operation at a time.
// Errors: those of session.h, with the server's number and message.
// Source: MariaDB Knowledge Base, "Using the Non-blocking Library" and "Non-blocking API Reference".
#pragma once

#include <mysql.h>

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/db/detail/mysql_text.h"
#include "tandem/net/wait_fd.h"

namespace tandem::db::detail {

class MysqlConnection {
  public:
    explicit MysqlConnection(MysqlAddress address);
    ~MysqlConnection();
    MysqlConnection(const MysqlConnection&) = delete;
    MysqlConnection& operator=(const MysqlConnection&) = delete;

    // `numeric_host`: the host's address, since a name would be looked up on the loop.
    async::Task<void> open(std::string numeric_host);
    // Text protocol; the results of all statements in `sql`, in order. An error ends the rest. Nothing that a caller of
    // Session wrote may come here unless it is one statement, or a script that may be several.
    async::Task<std::vector<Result>> query(std::string sql);
    // Binary protocol; keeps the statement.
    async::Task<Result> execute(std::string sql, std::vector<Value> parameters);
    async::Task<void> ping();

    // Nothing is known about the connection any more, or it is known to be dead: it can only be closed.
    bool lost() const noexcept { return lost_; }
    // The server has closed it, or said something unasked (a farewell).
    bool peer_spoke() noexcept;
    bool server_in_transaction() const noexcept { return (handle_.server_status & SERVER_STATUS_IN_TRANS) != 0; }
    bool backslash_escapes() const noexcept {
        return (handle_.server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES) == 0;
    }
    uint64_t id() const noexcept { return id_; }
    const MysqlAddress& address() const noexcept { return address_; }

  private:
    struct StatementCloser {
        void operator()(MYSQL_STMT* statement) const noexcept { mysql_stmt_close(statement); }
    };
    struct Statement {
        std::string sql;
        std::unique_ptr<MYSQL_STMT, StatementCloser> handle;
    };
    using Statements = std::list<Statement>;

    static constexpr size_t statements_max = 128;
    static constexpr base::Duration kill_timeout = std::chrono::seconds(1);

    // Runs a pair of libmariadb's xxx_start and xxx_cont functions to their end.
    template <typename Start, typename Continue>
    async::Task<void> drive(Start start, Continue go_on);
    // Ends what this lost connection was doing, rolling it back.
    async::Task<void> kill_on_server();
    async::Task<void> kill_through(MysqlConnection& other);
    async::Task<MYSQL_STMT*> prepared(const std::string& sql);
    async::Task<Rows> read_rows(MYSQL_STMT* statement);
    Result text_result(MYSQL_RES* rows);
    // For what the server or the library just reported.
    [[noreturn]] void fail_now(std::string_view doing);
    [[noreturn]] void fail_now(MYSQL_STMT* statement, std::string_view doing);
    [[noreturn]] void fail_with(unsigned number, std::string_view message, std::string_view doing);

    const MysqlAddress address_;
    std::string host_;
    MYSQL handle_;
    std::unique_ptr<net::FdWatch> watch_;
    bool lost_ = false;
    bool driving_ = false;
    bool helper_ = false;  // only there to kill another
    uint64_t id_ = 0;
    Statements statements_;  // most recently used in front
    std::unordered_map<std::string_view, Statements::iterator> by_sql_;
};

}  // namespace tandem::db::detail
