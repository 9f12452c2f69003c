// What goes into and comes out of a database: one value, and rows of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/base/error.h"

namespace tandem::db {

using Blob = std::vector<std::byte>;

// NULL, a signed or unsigned 64-bit integer, a double, text (UTF-8) or bytes.
class Value {
  public:
    Value() = default;
    Value(std::nullptr_t) {}
    template <std::integral T>
    Value(T value) {
        if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) {
            if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
                data_ = static_cast<uint64_t>(value);
                return;
            }
        }
        data_ = static_cast<int64_t>(value);
    }
    Value(double value) : data_(value) {}
    Value(std::string value) : data_(std::move(value)) {}
    Value(std::string_view value) : data_(std::string(value)) {}
    Value(const char* value) : data_(std::string(value)) {}
    Value(Blob value) : data_(std::move(value)) {}
    template <typename T>
    Value(std::optional<T> value) {
        if (value) *this = Value(std::move(*value));
    }

    bool is_null() const noexcept { return std::holds_alternative<std::monostate>(data_); }
    const std::variant<std::monostate, int64_t, uint64_t, double, std::string, Blob>& data() const noexcept {
        return data_;
    }
    bool operator==(const Value&) const = default;

    // bool, any integer type (range-checked), double, std::string, Blob, std::string_view (while the Value lives), or
    // std::optional of those for what may be NULL. Text converts to numbers when all of it is one. Throws
    // invalid_argument that names `what` (a column) otherwise.
    template <typename T>
    T as(std::string_view what = "value") const;

  private:
    int64_t as_int64(std::string_view what) const;
    uint64_t as_uint64(std::string_view what) const;
    double as_double(std::string_view what) const;
    std::string as_string(std::string_view what) const;
    std::string_view as_string_view(std::string_view what) const;
    Blob as_blob(std::string_view what) const;
    [[noreturn]] static void out_of_range(std::string_view what, const std::string& value);

    std::variant<std::monostate, int64_t, uint64_t, double, std::string, Blob> data_;
};

// One row of a Rows, which must outlive it.
class Row {
  public:
    Row(const std::vector<std::string>& columns, const Value* values) : columns_(&columns), values_(values) {}
    size_t size() const noexcept { return columns_->size(); }
    const Value& operator[](size_t column) const;
    // By name, case-sensitive; throws not_found that lists the columns there are.
    const Value& operator[](std::string_view column) const;
    template <typename T>
    T get(size_t column) const {
        return (*this)[column].template as<T>((*columns_)[column]);
    }
    template <typename T>
    T get(std::string_view column) const {
        return (*this)[column].template as<T>(column);
    }

  private:
    const std::vector<std::string>* columns_;
    const Value* values_;
};

// The rows of a result, kept as one flat array.
class Rows {
  public:
    Rows() = default;
    explicit Rows(std::vector<std::string> columns) : columns_(std::move(columns)) {}
    // Called once for each value, row by row.
    void append(Value value) { values_.push_back(std::move(value)); }

    size_t size() const noexcept { return columns_.empty() ? 0 : values_.size() / columns_.size(); }
    bool empty() const noexcept { return values_.empty(); }
    const std::vector<std::string>& columns() const noexcept { return columns_; }
    Row operator[](size_t row) const;

    class Iterator {
      public:
        Iterator(const Rows& rows, size_t index) : rows_(&rows), index_(index) {}
        Row operator*() const { return (*rows_)[index_]; }
        Iterator& operator++() {
            ++index_;
            return *this;
        }
        bool operator==(const Iterator&) const = default;

      private:
        const Rows* rows_;
        size_t index_;
    };
    Iterator begin() const { return {*this, 0}; }
    Iterator end() const { return {*this, size()}; }

  private:
    std::vector<std::string> columns_;
    std::vector<Value> values_;
};

namespace detail {
template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;
}  // namespace detail

template <typename T>
T Value::as(std::string_view what) const {
    if constexpr (detail::is_optional<T>) {
        if (is_null()) return std::nullopt;
        return as<typename T::value_type>(what);
    } else if constexpr (std::is_same_v<T, bool>) {
        return as_int64(what) != 0;
    } else if constexpr (std::is_same_v<T, uint64_t>) {
        return as_uint64(what);
    } else if constexpr (std::is_integral_v<T>) {
        const int64_t value = as_int64(what);
        if (!std::in_range<T>(value)) out_of_range(what, std::to_string(value));
        return static_cast<T>(value);
    } else if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(as_double(what));
    } else if constexpr (std::is_same_v<T, std::string>) {
        return as_string(what);
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        return as_string_view(what);
    } else {
        static_assert(std::is_same_v<T, Blob>, "no conversion to this type");
        return as_blob(what);
    }
}

}  // namespace tandem::db
