#include "tandem/db/value.h"

#include <charconv>

namespace tandem::db {

namespace {

std::string_view type_name(const Value& value) {
    static constexpr std::string_view names[] = {"NULL", "an integer", "an integer", "a double", "text", "bytes"};
    return names[value.data().index()];
}

[[noreturn]] void wrong_type(std::string_view what, std::string_view wanted, const Value& value) {
    fail(Code::invalid_argument, "{}: expected {}, found {}", what, wanted, type_name(value));
}

template <typename T>
T number_from(const std::string& text, std::string_view what, std::string_view wanted) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        fail(Code::invalid_argument, "{}: '{}' is not {}", what, text, wanted);
    }
    return number;
}

}  // namespace

void Value::out_of_range(std::string_view what, const std::string& value) {
    fail(Code::invalid_argument, "{}: {} does not fit the type asked for", what, value);
}

int64_t Value::as_int64(std::string_view what) const {
    if (const auto* value = std::get_if<int64_t>(&data_)) return *value;
    if (const auto* value = std::get_if<uint64_t>(&data_)) out_of_range(what, std::to_string(*value));
    if (const auto* value = std::get_if<std::string>(&data_)) return number_from<int64_t>(*value, what, "an integer");
    wrong_type(what, "an integer", *this);
}

uint64_t Value::as_uint64(std::string_view what) const {
    if (const auto* value = std::get_if<uint64_t>(&data_)) return *value;
    if (const auto* value = std::get_if<std::string>(&data_)) return number_from<uint64_t>(*value, what, "an integer");
    const int64_t value = as_int64(what);
    if (value < 0) out_of_range(what, std::to_string(value));
    return static_cast<uint64_t>(value);
}

double Value::as_double(std::string_view what) const {
    if (const auto* value = std::get_if<double>(&data_)) return *value;
    if (const auto* value = std::get_if<int64_t>(&data_)) return static_cast<double>(*value);
    if (const auto* value = std::get_if<uint64_t>(&data_)) return static_cast<double>(*value);
    if (const auto* value = std::get_if<std::string>(&data_)) return number_from<double>(*value, what, "a number");
    wrong_type(what, "a number", *this);
}

std::string_view Value::as_string_view(std::string_view what) const {
    if (const auto* value = std::get_if<std::string>(&data_)) return *value;
    if (const auto* value = std::get_if<Blob>(&data_)) {
        return {reinterpret_cast<const char*>(value->data()), value->size()};
    }
    wrong_type(what, "text", *this);
}

std::string Value::as_string(std::string_view what) const {
    if (const auto* value = std::get_if<int64_t>(&data_)) return std::to_string(*value);
    if (const auto* value = std::get_if<uint64_t>(&data_)) return std::to_string(*value);
    if (const auto* value = std::get_if<double>(&data_)) return fmt::format("{}", *value);
    return std::string(as_string_view(what));
}

Blob Value::as_blob(std::string_view what) const {
    if (const auto* value = std::get_if<Blob>(&data_)) return *value;
    const std::string_view text = as_string_view(what);
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    return Blob(bytes, bytes + text.size());
}

const Value& Row::operator[](size_t column) const {
    if (column >= columns_->size()) {
        fail(Code::not_found, "column {} asked of a row that has {}", column, columns_->size());
    }
    return values_[column];
}

const Value& Row::operator[](std::string_view column) const {
    for (size_t i = 0; i < columns_->size(); ++i) {
        if ((*columns_)[i] == column) return values_[i];
    }
    fail(Code::not_found, "no column '{}' in the result; there are: {}", column, fmt::join(*columns_, ", "));
}

Row Rows::operator[](size_t row) const {
    if (row >= size()) fail(Code::not_found, "row {} asked of a result that has {}", row, size());
    return Row(columns_, values_.data() + row * columns_.size());
}

}  // namespace tandem::db
