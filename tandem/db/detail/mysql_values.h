// Values between db::Value and libmariadb's buffers, in both of its protocols.
//
// Integers, BIT and YEAR become integers; FLOAT and DOUBLE doubles; binary strings, BLOB and GEOMETRY bytes; all else
// (DECIMAL, dates and times, JSON, ENUM, SET) text as the server writes it.
//
// Thread rules: plain data, used by one connection at a time.
#pragma once

#include <mysql.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/db/value.h"

namespace tandem::db::detail {

std::vector<std::string> column_names(const MYSQL_FIELD* fields, unsigned count);

Value value_from_text(const MYSQL_FIELD& field, std::string_view text);

// Points at `parameters`, which must outlive it.
class ParameterBinds {
  public:
    explicit ParameterBinds(std::vector<Value>& parameters);
    MYSQL_BIND* data() noexcept { return binds_.data(); }

  private:
    std::vector<MYSQL_BIND> binds_;
};

// Where mysql_stmt_fetch() puts a row.
class ResultBinds {
  public:
    ResultBinds(const MYSQL_FIELD* fields, unsigned count);
    ResultBinds(const ResultBinds&) = delete;
    ResultBinds& operator=(const ResultBinds&) = delete;
    MYSQL_BIND* data() noexcept { return binds_.data(); }
    // Of the row fetched last.
    Value value(MYSQL_STMT* statement, unsigned column);

  private:
    static constexpr size_t inline_bytes = 256;  // longer values are fetched by themselves
    struct Column {
        int64_t integer = 0;
        double number = 0;
        std::array<char, inline_bytes> bytes;
        unsigned long length = 0;
        my_bool is_null = 0;
        my_bool truncated = 0;
    };
    std::span<const MYSQL_FIELD> fields_;
    std::vector<Column> columns_;
    std::vector<MYSQL_BIND> binds_;
};

}  // namespace tandem::db::detail
