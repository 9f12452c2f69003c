// The text side of `mysql:`: its URL, SQL literals for commands that go as text, XA names, and what an error number
// means.
//
// Thread rules: plain functions. Errors: invalid_argument, which never repeats a password.
// Sources: MariaDB Knowledge Base, "String Literals", "Comment Syntax", "XA Transactions", "MariaDB Error Code
// Reference".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/db/session.h"

namespace tandem::db::detail {

struct MysqlAddress {
    std::string host;
    uint16_t port = 3306;
    std::string socket;  // a Unix socket's path, instead of host and port
    std::string user;
    std::string password;
    std::string schema;  // may be empty

    // For messages: "host:3306/schema", without user and password.
    std::string name() const;
};

// `mysql://user:password@host:port/schema?socket=PATH`; parts are percent-decoded.
MysqlAddress parse_mysql_url(std::string_view url);

// `command` with each `?` replaced by its parameter as a literal that no content can break out of. Refuses what would
// change the commands around it: a second statement, an unterminated quote or comment, an executable comment.
// `backslash_escapes`: the server reads backslashes in quotes as escapes (it does unless NO_BACKSLASH_ESCAPES is set).
std::string with_literals(const Command& command, bool backslash_escapes);

// Is `word` (in capitals) the first of what with_literals() made, after spaces, brackets and comments?
bool begins_with_word(std::string_view command, std::string_view word);

// X'..',X'..',n
std::string xid_literal(const Xid& xid);

Code code_of_mysql_error(unsigned number);
// The connection is gone or going.
bool is_connection_lost(unsigned number);

}  // namespace tandem::db::detail
