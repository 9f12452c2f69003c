#include "tandem/db/detail/mysql_text.h"

#include <cctype>
#include <charconv>
#include <cmath>

#include "tandem/base/error.h"

namespace tandem::db::detail {

namespace {

constexpr std::string_view expected = "expected mysql://USER:PASSWORD@HOST:PORT/SCHEMA[?socket=PATH]";

std::string percent_decoded(std::string_view text, std::string_view part) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned char byte = 0;
        const char* end = text.data() + std::min(i + 3, text.size());
        const auto [stop, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
        if (error != std::errc() || stop != text.data() + i + 3) {
            fail(Code::invalid_argument, "the database URL's {} has a '%' without two hexadecimal digits", part);
        }
        if (byte == 0) fail(Code::invalid_argument, "the database URL's {} contains a zero byte", part);
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

void read_authority(std::string_view authority, MysqlAddress& address) {
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
        const std::string_view credentials = authority.substr(0, at);
        authority.remove_prefix(at + 1);
        const size_t colon = credentials.find(':');
        address.user = percent_decoded(credentials.substr(0, colon), "user");
        if (colon != std::string_view::npos) {
            address.password = percent_decoded(credentials.substr(colon + 1), "password");
        }
    }
    std::string_view host = authority;
    std::string_view port;
    if (authority.starts_with('[')) {
        const size_t bracket = authority.find(']');
        if (bracket == std::string_view::npos) fail(Code::invalid_argument, "the database URL's '[' is not closed");
        host = authority.substr(1, bracket - 1);
        port = authority.substr(bracket + 1);
    } else if (const size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
        host = authority.substr(0, colon);
        port = authority.substr(colon);
    }
    if (!port.empty()) {
        const char* end = port.data() + port.size();
        const auto [stop, error] = std::from_chars(port.data() + 1, end, address.port);
        if (port.front() != ':' || error != std::errc() || stop != end || address.port == 0) {
            fail(Code::invalid_argument, "the database URL's port is not a number from 1 to 65535");
        }
    }
    address.host = percent_decoded(host, "host");
}

// Reads one command's SQL and copies it, with literals for the `?` outside quotes and comments.
class LiteralWriter {
  public:
    LiteralWriter(const Command& command, bool backslash_escapes)
        : command_(command), sql_(command.sql), backslash_escapes_(backslash_escapes) {}

    std::string write() {
        while (at_ < sql_.size()) step();
        if (!any_code_) refuse("is empty");
        if (placeholders_ != command_.parameters.size()) {
            fail(Code::invalid_argument, "the statement has {} parameters, {} were given: {}", placeholders_,
                 command_.parameters.size(), sql_.substr(0, 200));
        }
        return std::move(out_);
    }

  private:
    void step() {
        const char c = sql_[at_];
        if (c == '\'' || c == '"' || c == '`') return copy_quoted(c);
        if (c == '#' || begins_dash_comment()) return copy_line();
        if (sql_.substr(at_, 2) == "/*") return copy_comment();
        ++at_;
        if (c == ';') {
            // Without the ';', which is not copied, they would begin a comment.
            if (out_.ends_with("--")) refuse("ends in two dashes");
            ended_ = true;
            return;
        }
        refuse_zero({&c, 1});
        if (!is_space(c)) mark_code();
        if (c == '?') {
            append_literal();
        } else {
            out_ += c;
        }
    }

    static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
    // Two dashes begin a comment only before a space, a control character or the end.
    bool begins_dash_comment() const {
        if (sql_.substr(at_, 2) != "--") return false;
        return at_ + 2 == sql_.size() || static_cast<unsigned char>(sql_[at_ + 2]) <= ' ' || sql_[at_ + 2] == '\x7f';
    }
    // The server takes one for the end of a comment, or for a space.
    void refuse_zero(std::string_view part) const {
        if (part.find('\0') != std::string_view::npos) refuse("contains a zero byte");
    }
    void mark_code() {
        if (ended_) refuse("has a second statement after ';'");
        any_code_ = true;
    }
    [[noreturn]] void refuse(std::string_view why) const {
        fail(Code::invalid_argument, "the command {}: {}", why, sql_.substr(0, 200));
    }
    void copy_quoted(char quote) {
        mark_code();
        const size_t begin = at_++;
        for (; at_ < sql_.size(); ++at_) {
            if (sql_[at_] == '\\' && quote == '"') {
                refuse("has a backslash in double quotes, which servers read in two ways; use single quotes");
            } else if (sql_[at_] == '\\' && quote == '\'' && backslash_escapes_) {
                ++at_;
            } else if (sql_[at_] == quote) {
                ++at_;  // a doubled quote reads as one string after another, which ends in the same place
                out_ += sql_.substr(begin, at_ - begin);
                return;
            }
        }
        refuse("has a quote that is not closed");
    }
    // Comments are copied as they are: taking one out could make a new one of what stood around it.
    void copy_line() {
        const size_t end = std::min(sql_.find('\n', at_), sql_.size());
        refuse_zero(sql_.substr(at_, end - at_));
        out_ += sql_.substr(at_, end - at_);
        if (end == sql_.size()) out_ += '\n';  // or it would swallow the command after this one
        at_ = end;
    }
    void copy_comment() {
        const std::string_view rest = sql_.substr(at_);
        if (rest.starts_with("/*!") || rest.starts_with("/*M!")) refuse("has an executable comment");
        const size_t end = sql_.find("*/", at_ + 2);
        if (end == std::string_view::npos) refuse("has a comment that is not closed");
        refuse_zero(sql_.substr(at_, end - at_));
        out_ += sql_.substr(at_, end + 2 - at_);
        at_ = end + 2;
    }

    void append_literal() {
        const size_t index = placeholders_++;
        if (index >= command_.parameters.size()) return;  // write() counts them all, then complains
        std::visit([this](const auto& value) { append(value); }, command_.parameters[index].data());
    }
    void append(std::monostate) { out_ += " NULL"; }
    void append(int64_t value) { fmt::format_to(std::back_inserter(out_), " {}", value); }
    void append(uint64_t value) { fmt::format_to(std::back_inserter(out_), " {}", value); }
    void append(double value) {
        if (!std::isfinite(value)) {
            fail(Code::invalid_argument, "parameter {}: {} has no place in a column", placeholders_, value);
        }
        fmt::format_to(std::back_inserter(out_), " {:.17e}", value);
    }
    void append(const Blob& value) {
        static constexpr char digits[] = "0123456789ABCDEF";
        out_ += " X'";
        for (const std::byte byte : value) {
            out_ += digits[std::to_integer<unsigned>(byte) >> 4];
            out_ += digits[std::to_integer<unsigned>(byte) & 15];
        }
        out_ += '\'';
    }
    void append(const std::string& value) {
        out_ += " '";  // two strings without a space between them would be one
        for (const char c : value) {
            if (c == '\'') out_ += '\'';
            if (c == '\\' && backslash_escapes_) out_ += '\\';
            out_ += c;
        }
        out_ += '\'';
    }

    const Command& command_;
    const std::string_view sql_;
    const bool backslash_escapes_;
    std::string out_;
    size_t at_ = 0;
    size_t placeholders_ = 0;
    bool any_code_ = false;
    bool ended_ = false;
};

void append_hex(std::string& out, std::string_view bytes) {
    out += "X'";
    for (const char c : bytes) fmt::format_to(std::back_inserter(out), "{:02X}", static_cast<unsigned char>(c));
    out += '\'';
}

}  // namespace

std::string MysqlAddress::name() const {
    if (!socket.empty()) return fmt::format("{}/{}", socket, schema);
    return fmt::format("{}:{}/{}", host, port, schema);
}

MysqlAddress parse_mysql_url(std::string_view url) {
    static constexpr std::string_view scheme = "mysql://";
    if (!url.starts_with(scheme)) fail(Code::invalid_argument, "this is no mysql URL; {}", expected);
    std::string_view rest = url.substr(scheme.size());
    MysqlAddress address;
    std::string_view query;
    // A password may hold any character percent-encoded, so the first '?' and '/' are structure.
    if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
        query = rest.substr(mark + 1);
        rest = rest.substr(0, mark);
    }
    const size_t slash = rest.find('/');
    if (slash != std::string_view::npos) {
        address.schema = percent_decoded(rest.substr(slash + 1), "schema");
        if (rest.find('/', slash + 1) != std::string_view::npos) {
            fail(Code::invalid_argument,
                 "the database URL has more than one '/' after its host (write %2F inside a "
                 "password or a name); {}",
                 expected);
        }
    }
    read_authority(rest.substr(0, slash), address);
    if (!query.empty()) {
        if (!query.starts_with("socket=")) {
            fail(Code::invalid_argument, "the database URL's only option is socket=PATH; {}", expected);
        }
        address.socket = percent_decoded(query.substr(7), "socket");
        if (address.socket.empty()) fail(Code::invalid_argument, "the database URL's socket= names no path");
    }
    if (address.host.empty() && address.socket.empty()) {
        fail(Code::invalid_argument, "the database URL names no host; {}", expected);
    }
    return address;
}

std::string with_literals(const Command& command, bool backslash_escapes) {
    return LiteralWriter(command, backslash_escapes).write();
}

bool begins_with_word(std::string_view command, std::string_view word) {
    for (;;) {
        command.remove_prefix(std::min(command.find_first_not_of(" \t\r\n\v\f("), command.size()));
        size_t end = 0;
        if (command.starts_with("/*")) {
            end = command.find("*/", 2);
        } else if (command.starts_with("--") || command.starts_with('#')) {
            end = command.find('\n');
            if (end != std::string_view::npos) --end;
        } else {
            break;
        }
        if (end == std::string_view::npos) return false;
        command.remove_prefix(std::min(end + 2, command.size()));
    }
    const auto capital = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
    if (!std::ranges::equal(command.substr(0, word.size()), word, {}, capital)) return false;
    return command.size() == word.size() || !std::isalnum(static_cast<unsigned char>(command[word.size()]));
}

std::string xid_literal(const Xid& xid) {
    if (xid.global_id.empty() || xid.global_id.size() > 64 || xid.branch_id.size() > 64) {
        fail(Code::invalid_argument,
             "an XA name has 1 to 64 bytes of global id and at most 64 of branch id, not {} and {}",
             xid.global_id.size(), xid.branch_id.size());
    }
    if (xid.format_id < 0) fail(Code::invalid_argument, "an XA format id is not negative: {}", xid.format_id);
    std::string out;
    append_hex(out, xid.global_id);
    out += ',';
    append_hex(out, xid.branch_id);
    return fmt::format("{},{}", out, xid.format_id);
}

bool is_connection_lost(unsigned number) {
    switch (number) {
        case 1053:  // server shutdown in progress
        case 1077:  // normal shutdown
        case 1079:  // shutdown complete
        case 1080:  // forcing close of thread
        case 1152:  // aborted connection
        case 1158:  // network read error
        case 1159:  // network read time-out
        case 1160:  // network write error
        case 1161:  // network write time-out
        case 1184:  // aborted connection
        case 1927:  // connection was killed
        case 2000:  // unknown client error
        case 2001:
        case 2002:  // no connection through the socket
        case 2003:  // no connection to the host
        case 2005:
        case 2006:  // server has gone away
        case 2012:
        case 2013:  // lost connection during the query
        case 2014:  // commands out of sync
        case 2020:  // packet too large for the client's buffer: the stream is out of step
        case 2026:
        case 2027:  // malformed packet
        case 2055:
        case 4031:  // disconnected for inactivity
            return true;
        default:
            return false;
    }
}

// Long because it is a table.
Code code_of_mysql_error(unsigned number) {
    if (is_connection_lost(number)) return Code::unavailable;
    switch (number) {
        case 1062:  // duplicate key
        case 1169:  // unique constraint
        case 1586:
        case 1440:  // XAER_DUPID
            return Code::already_exists;
        case 1048:  // column cannot be null
        case 1216:
        case 1217:
        case 1451:  // foreign key: parent
        case 1452:  // foreign key: child
        case 3819:  // check (MySQL)
        case 4025:  // check (MariaDB)
        case 1568:  // isolation cannot change in a transaction
        case 1399:  // XAER_RMFAIL
        case 1400:  // XAER_OUTSIDE
            return Code::conflict;
        case 1205:  // lock wait time-out
        case 1213:  // deadlock
        case 1020:  // record has changed since last read
        case 1402:  // XA_RBROLLBACK
        case 1613:  // XA_RBTIMEOUT
        case 1614:  // XA_RBDEADLOCK
        case 1615:  // statement needs to be prepared again
        case 3572:  // NOWAIT
            return Code::aborted;
        case 1397:  // XAER_NOTA
        case 1049:  // unknown database
            return Code::not_found;
        case 1044:
        case 1045:
        case 1130:
        case 1142:
        case 1143:
        case 1227:
        case 1290:  // read-only server
        case 1370:
        case 1698:
        case 1836:
            return Code::permission_denied;
        case 1969:  // max_statement_time
        case 3024:  // max_execution_time
            return Code::deadline_exceeded;
        case 1317:  // query was interrupted
            return Code::cancelled;
        case 1040:  // too many connections
        case 1203:
        case 1226:
            return Code::unavailable;
        case 1021:  // disk full
        case 1037:
        case 1038:
        case 1041:
        case 1114:  // table full
        case 1153:  // max_allowed_packet
        case 1206:  // lock table full
        case 1461:  // max_prepared_stmt_count
        case 2008:  // client out of memory
            return Code::resource_exhausted;
        case 1034:
        case 1194:
        case 1712:
            return Code::corrupted;
        case 1026:
        case 1030:
        case 1401:  // XAER_RMERR
            return Code::io;
        case 1235:  // not supported yet
        case 1295:  // not in the prepared protocol
            return Code::unsupported;
        default:
            return Code::invalid_argument;
    }
}

}  // namespace tandem::db::detail
