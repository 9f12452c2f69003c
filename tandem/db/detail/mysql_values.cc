#include "tandem/db/detail/mysql_values.h"

#include <charconv>

#include "tandem/base/error.h"

namespace tandem::db::detail {

namespace {

constexpr unsigned binary_charset = 63;

enum class Kind : unsigned char { integer, bits, real, bytes, text };

Kind kind_of(const MYSQL_FIELD& field) {
    switch (field.type) {
        case MYSQL_TYPE_TINY:
        case MYSQL_TYPE_SHORT:
        case MYSQL_TYPE_LONG:
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONGLONG:
        case MYSQL_TYPE_YEAR:
            return Kind::integer;
        case MYSQL_TYPE_BIT:
            return Kind::bits;
        case MYSQL_TYPE_FLOAT:
        case MYSQL_TYPE_DOUBLE:
            return Kind::real;
        case MYSQL_TYPE_GEOMETRY:
            return Kind::bytes;
        case MYSQL_TYPE_TINY_BLOB:
        case MYSQL_TYPE_MEDIUM_BLOB:
        case MYSQL_TYPE_LONG_BLOB:
        case MYSQL_TYPE_BLOB:
        case MYSQL_TYPE_VAR_STRING:
        case MYSQL_TYPE_VARCHAR:
        case MYSQL_TYPE_STRING:
            return field.charsetnr == binary_charset ? Kind::bytes : Kind::text;
        default:
            return Kind::text;
    }
}

template <typename T>
T number_from(const MYSQL_FIELD& field, std::string_view text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        fail(Code::corrupted, "the server sent '{}' for the number {}", text.substr(0, 100), field.name);
    }
    return number;
}

Value integer_from_bits(std::string_view bytes) {
    uint64_t number = 0;
    for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
    return number;
}

Value from_bytes(Kind kind, std::string_view bytes) {
    if (kind == Kind::bits) return integer_from_bits(bytes);
    if (kind == Kind::text) return Value(bytes);
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return Blob(begin, begin + bytes.size());
}

}  // namespace

std::vector<std::string> column_names(const MYSQL_FIELD* fields, unsigned count) {
    std::vector<std::string> names;
    names.reserve(count);
    for (unsigned i = 0; i < count; ++i) names.emplace_back(fields[i].name, fields[i].name_length);
    return names;
}

Value value_from_text(const MYSQL_FIELD& field, std::string_view text) {
    switch (const Kind kind = kind_of(field)) {
        case Kind::integer:
            if (field.flags & UNSIGNED_FLAG) return number_from<uint64_t>(field, text);
            return number_from<int64_t>(field, text);
        case Kind::real:
            if (field.type == MYSQL_TYPE_FLOAT) return static_cast<double>(number_from<float>(field, text));
            return number_from<double>(field, text);
        default:
            return from_bytes(kind, text);
    }
}

ParameterBinds::ParameterBinds(std::vector<Value>& parameters) : binds_(parameters.size()) {
    struct Visitor {
        MYSQL_BIND& bind;
        // libmariadb asks for writable memory, and only reads it.
        void set(enum_field_types type, const void* data, size_t size) const {
            bind.buffer_type = type;
            bind.buffer = const_cast<void*>(data);
            bind.buffer_length = size;
            bind.length = &bind.buffer_length;
        }
        void operator()(std::monostate) const { bind.buffer_type = MYSQL_TYPE_NULL; }
        void operator()(const int64_t& v) const { set(MYSQL_TYPE_LONGLONG, &v, sizeof v); }
        void operator()(const uint64_t& v) const {
            set(MYSQL_TYPE_LONGLONG, &v, sizeof v);
            bind.is_unsigned = 1;
        }
        void operator()(const double& v) const { set(MYSQL_TYPE_DOUBLE, &v, sizeof v); }
        void operator()(const std::string& v) const { set(MYSQL_TYPE_STRING, v.data(), v.size()); }
        void operator()(const Blob& v) const {
            set(MYSQL_TYPE_BLOB, v.empty() ? this : static_cast<const void*>(v.data()), v.size());
        }
    };
    for (size_t i = 0; i < parameters.size(); ++i) std::visit(Visitor{binds_[i]}, parameters[i].data());
}

ResultBinds::ResultBinds(const MYSQL_FIELD* fields, unsigned count)
    : fields_(fields, count), columns_(count), binds_(count) {
    for (unsigned i = 0; i < count; ++i) {
        Column& column = columns_[i];
        MYSQL_BIND& bind = binds_[i];
        bind.length = &column.length;
        bind.is_null = &column.is_null;
        bind.error = &column.truncated;
        switch (const Kind kind = kind_of(fields[i])) {
            case Kind::integer:
                bind.buffer_type = MYSQL_TYPE_LONGLONG;
                bind.is_unsigned = (fields[i].flags & UNSIGNED_FLAG) != 0;
                bind.buffer = &column.integer;
                bind.buffer_length = sizeof column.integer;
                break;
            case Kind::real:
                bind.buffer_type = MYSQL_TYPE_DOUBLE;
                bind.buffer = &column.number;
                bind.buffer_length = sizeof column.number;
                break;
            default:
                bind.buffer_type = kind == Kind::text ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
                bind.buffer = column.bytes.data();
                bind.buffer_length = inline_bytes;
        }
    }
}

Value ResultBinds::value(MYSQL_STMT* statement, unsigned index) {
    const Column& column = columns_[index];
    const MYSQL_FIELD& field = fields_[index];
    if (column.is_null) return {};
    const Kind kind = kind_of(field);
    if (kind == Kind::integer) {
        if (field.flags & UNSIGNED_FLAG) return static_cast<uint64_t>(column.integer);
        return column.integer;
    }
    if (kind == Kind::real) return column.number;
    if (column.length <= inline_bytes) return from_bytes(kind, {column.bytes.data(), column.length});
    std::string whole(column.length, '\0');
    MYSQL_BIND bind{};
    unsigned long length = 0;
    my_bool is_null = 0;
    my_bool truncated = 0;
    bind.buffer_type = binds_[index].buffer_type;
    bind.buffer = whole.data();
    bind.buffer_length = whole.size();
    bind.length = &length;
    bind.is_null = &is_null;
    bind.error = &truncated;
    if (mysql_stmt_fetch_column(statement, &bind, index, 0) || length != whole.size()) {
        fail(Code::internal, "libmariadb gave {} of {} bytes of {}", length, whole.size(), field.name);
    }
    if (kind == Kind::text) return Value(std::move(whole));
    return from_bytes(kind, whole);
}

}  // namespace tandem::db::detail
