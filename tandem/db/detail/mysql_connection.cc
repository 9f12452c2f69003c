// Invariants:
// 1. While an operation of libmariadb is suspended, `handle_` is in the middle of the protocol. If the wait ends with
// an
//    error (a deadline, a cancellation) the socket is shut down, the operation is run to its end, which then comes at
//    once, and the connection is `lost_`: nothing is ever sent on it again. A server notices a closed connection only
//    between statements, so it is told to kill it, over a connection of its own.
// 2. `watch_` never outlives the socket: libmariadb closes it only inside an operation that fails, and fail_with()
// drops
//    the watch before anything else can run on the loop.
// 3. SQL that a caller wrote goes through the prepared-statement protocol, which takes one statement only. Text may
// hold
//    several (CLIENT_MULTI_STATEMENTS), so only text checked by with_literals(), our own verbs and scripts go there.
#include "tandem/db/detail/mysql_connection.h"

#include <sys/socket.h>

#include <cerrno>

#include "tandem/async/time.h"
#include "tandem/base/assert.h"
#include "tandem/base/error.h"
#include "tandem/db/detail/mysql_values.h"

namespace tandem::db::detail {

using async::Task;

MysqlConnection::MysqlConnection(MysqlAddress address) : address_(std::move(address)) {
    static const int initialised = mysql_library_init(0, nullptr, nullptr);  // not thread-safe by itself
    if (initialised != 0 || !mysql_init(&handle_)) fail(Code::resource_exhausted, "libmariadb cannot be initialised");
}

MysqlConnection::~MysqlConnection() {
    watch_.reset();
    mysql_close(&handle_);  // says goodbye in five bytes that no empty socket buffer refuses; statements turn local
}

template <typename Start, typename Continue>
Task<void> MysqlConnection::drive(Start start, Continue go_on) {
    TANDEM_ASSERT(!driving_, "a session does one operation at a time");
    if (lost_) fail(Code::unavailable, "mysql {}: the connection was lost before", address_.name());
    async::Context::current()->check();
    driving_ = true;
    int status = start();
    while (status != 0) {
        std::optional<Error> interrupted;
        int happened = 0;
        try {
            if (!watch_) watch_ = std::make_unique<net::FdWatch>(mysql_get_socket(&handle_));
            const net::Readiness ready = co_await watch_->wait(
                {.readable = (status & MYSQL_WAIT_READ) != 0, .writable = (status & MYSQL_WAIT_WRITE) != 0});
            happened = (ready.readable ? MYSQL_WAIT_READ : 0) | (ready.writable ? MYSQL_WAIT_WRITE : 0);
        } catch (...) {
            interrupted = Error::current();
        }
        if (interrupted) {
            lost_ = true;
            watch_.reset();
            ::shutdown(mysql_get_socket(&handle_), SHUT_RDWR);
            while (status != 0) status = go_on(MYSQL_WAIT_TIMEOUT);
            driving_ = false;
            co_await async::shielded(kill_on_server());
            throw *interrupted;
        }
        status = go_on(happened);
    }
    driving_ = false;
}

Task<void> MysqlConnection::kill_on_server() {
    if (id_ == 0 || helper_) co_return;
    try {
        MysqlConnection other(address_);
        other.helper_ = true;
        co_await async::with_deadline(kill_timeout, kill_through(other));
    } catch (const Error&) {
        // The server is as unreachable as it was for the statement; it will find out by itself.
    }
}

Task<void> MysqlConnection::kill_through(MysqlConnection& other) {
    co_await other.open(host_);
    co_await other.query(fmt::format("KILL CONNECTION {}", id_));
}

Task<void> MysqlConnection::open(std::string numeric_host) {
    host_ = std::move(numeric_host);
    const bool local = !address_.socket.empty();
    const unsigned protocol = local ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    const unsigned no = 0;
    mysql_options(&handle_, MYSQL_OPT_NONBLOCK, nullptr);
    mysql_options(&handle_, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(&handle_, MYSQL_OPT_LOCAL_INFILE, &no);  // a server may not ask for our files
    mysql_options(&handle_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options4(&handle_, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "tandem");
    MYSQL* connected = nullptr;
    co_await drive(
        [&] {
            return mysql_real_connect_start(
                &connected, &handle_, local ? nullptr : host_.c_str(), address_.user.c_str(), address_.password.c_str(),
                address_.schema.empty() ? nullptr : address_.schema.c_str(), address_.port,
                local ? address_.socket.c_str() : nullptr, CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS);
        },
        [&](int happened) { return mysql_real_connect_cont(&connected, &handle_, happened); });
    if (!connected) fail_now("connect");
    id_ = mysql_thread_id(&handle_);
    // What a server may have been configured otherwise: statements commit by themselves, and wrong values are errors.
    co_await query("SET autocommit = 1, sql_mode = TRIM(BOTH ',' FROM CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'))");
}

bool MysqlConnection::peer_spoke() noexcept {
    char byte;
    const ssize_t got = ::recv(mysql_get_socket(&handle_), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

Task<void> MysqlConnection::ping() {
    int failed = 0;
    co_await drive([&] { return mysql_ping_start(&failed, &handle_); },
                   [&](int happened) { return mysql_ping_cont(&failed, &handle_, happened); });
    if (failed) fail_now("ping");
}

Task<std::vector<Result>> MysqlConnection::query(std::string sql) {
    int failed = 0;
    co_await drive([&] { return mysql_real_query_start(&failed, &handle_, sql.data(), sql.size()); },
                   [&](int happened) { return mysql_real_query_cont(&failed, &handle_, happened); });
    if (failed) fail_now(sql);
    std::vector<Result> results;
    for (;;) {
        MYSQL_RES* stored = nullptr;
        co_await drive([&] { return mysql_store_result_start(&stored, &handle_); },
                       [&](int happened) { return mysql_store_result_cont(&stored, &handle_, happened); });
        const std::unique_ptr<MYSQL_RES, decltype([](MYSQL_RES* rows) { mysql_free_result(rows); })> rows(stored);
        if (!rows && mysql_errno(&handle_) != 0) fail_now(sql);
        results.push_back(text_result(rows.get()));
        if (!mysql_more_results(&handle_)) break;
        co_await drive([&] { return mysql_next_result_start(&failed, &handle_); },
                       [&](int happened) { return mysql_next_result_cont(&failed, &handle_, happened); });
        if (failed > 0) fail_now(sql);
    }
    co_return results;
}

Result MysqlConnection::text_result(MYSQL_RES* rows) {
    Result result;
    if (!rows) {
        result.affected = mysql_affected_rows(&handle_);
        result.last_insert_id = static_cast<int64_t>(mysql_insert_id(&handle_));
        return result;
    }
    const unsigned columns = mysql_num_fields(rows);
    const MYSQL_FIELD* fields = mysql_fetch_fields(rows);
    result.rows = Rows(column_names(fields, columns));
    while (MYSQL_ROW row = mysql_fetch_row(rows)) {
        const unsigned long* lengths = mysql_fetch_lengths(rows);
        for (unsigned i = 0; i < columns; ++i) {
            result.rows.append(row[i] ? value_from_text(fields[i], {row[i], lengths[i]}) : Value());
        }
    }
    return result;
}

Task<MYSQL_STMT*> MysqlConnection::prepared(const std::string& sql) {
    if (const auto found = by_sql_.find(sql); found != by_sql_.end()) {
        statements_.splice(statements_.begin(), statements_, found->second);
        co_return found->second->handle.get();
    }
    std::unique_ptr<MYSQL_STMT, StatementCloser> statement(mysql_stmt_init(&handle_));
    if (!statement) fail_now(sql);
    int failed = 0;
    co_await drive([&] { return mysql_stmt_prepare_start(&failed, statement.get(), sql.data(), sql.size()); },
                   [&](int happened) { return mysql_stmt_prepare_cont(&failed, statement.get(), happened); });
    if (failed) fail_now(statement.get(), sql);
    if (statements_.size() >= statements_max) {
        by_sql_.erase(statements_.back().sql);
        statements_.pop_back();
    }
    statements_.push_front({sql, std::move(statement)});
    by_sql_.emplace(statements_.front().sql, statements_.begin());
    co_return statements_.front().handle.get();
}

Task<Result> MysqlConnection::execute(std::string sql, std::vector<Value> parameters) {
    MYSQL_STMT* statement = co_await prepared(sql);
    if (const unsigned long wanted = mysql_stmt_param_count(statement); wanted != parameters.size()) {
        fail(Code::invalid_argument, "the statement has {} parameters, {} were given: {}", wanted, parameters.size(),
             sql.substr(0, 200));
    }
    ParameterBinds binds(parameters);
    if (!parameters.empty() && mysql_stmt_bind_param(statement, binds.data())) fail_now(statement, sql);
    int failed = 0;
    co_await drive([&] { return mysql_stmt_execute_start(&failed, statement); },
                   [&](int happened) { return mysql_stmt_execute_cont(&failed, statement, happened); });
    if (failed) fail_now(statement, sql);
    Result result;
    // A procedure answers with several results: the first with rows counts, all are read.
    for (;;) {
        if (mysql_stmt_field_count(statement) > 0) {
            Rows rows = co_await read_rows(statement);
            if (result.rows.columns().empty()) result.rows = std::move(rows);
        } else {
            result.affected += mysql_stmt_affected_rows(statement);
            if (const auto id = static_cast<int64_t>(mysql_stmt_insert_id(statement)); id != 0) {
                result.last_insert_id = id;
            }
        }
        if (!mysql_stmt_more_results(statement)) break;
        co_await drive([&] { return mysql_stmt_next_result_start(&failed, statement); },
                       [&](int happened) { return mysql_stmt_next_result_cont(&failed, statement, happened); });
        if (failed > 0) fail_now(statement, sql);
        if (failed < 0) break;
    }
    co_return result;
}

Task<Rows> MysqlConnection::read_rows(MYSQL_STMT* statement) {
    int failed = 0;
    co_await drive([&] { return mysql_stmt_store_result_start(&failed, statement); },
                   [&](int happened) { return mysql_stmt_store_result_cont(&failed, statement, happened); });
    if (failed) fail_now(statement, "reading rows");
    // Everything is in memory from here on.
    const MYSQL_FIELD* fields = mariadb_stmt_fetch_fields(statement);
    const unsigned columns = mysql_stmt_field_count(statement);
    Rows rows(column_names(fields, columns));
    ResultBinds binds(fields, columns);
    if (mysql_stmt_bind_result(statement, binds.data())) fail_now(statement, "reading rows");
    for (;;) {
        const int fetched = mysql_stmt_fetch(statement);
        if (fetched == MYSQL_NO_DATA) break;
        if (fetched == 1) fail_now(statement, "reading rows");
        for (unsigned i = 0; i < columns; ++i) rows.append(binds.value(statement, i));
    }
    mysql_stmt_free_result(statement);
    co_return rows;
}

void MysqlConnection::fail_now(std::string_view doing) {
    fail_with(mysql_errno(&handle_), mysql_error(&handle_), doing);
}

void MysqlConnection::fail_now(MYSQL_STMT* statement, std::string_view doing) {
    fail_with(mysql_stmt_errno(statement), mysql_stmt_error(statement), doing);
}

void MysqlConnection::fail_with(unsigned number, std::string_view message, std::string_view doing) {
    if (is_connection_lost(number)) {
        lost_ = true;
        watch_.reset();
    }
    throw Error(code_of_mysql_error(number),
                fmt::format("mysql {}: {} (error {}; {})", address_.name(), message, number, doing.substr(0, 200)));
}

}  // namespace tandem::db::detail
