// `Headers`: header or trailer fields in the order they came, names compared without regard to case (RFC 9110
// section 5). All text lies in one buffer that clear() keeps, so a connection that reuses one allocates nothing.
//
// Thread rules: none of its own. A string_view from here lives until the next change.
// Errors: set() and add() throw invalid_argument for a name that is not a token or a value with CR, LF, NUL or
// another control character but the tab, so that no caller's text can begin a field or a message of its own.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::http {

struct Field {
    std::string_view name;
    std::string_view value;
    bool operator==(const Field&) const = default;
};

// ASCII letters alone are folded, as HTTP wants.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
// Is `token` (any case) a member of the comma-separated list `list`?
bool list_contains(std::string_view list, std::string_view token) noexcept;
// tchar of RFC 9110 section 5.6.2, at least one.
bool is_token(std::string_view text) noexcept;
// A field value: no control characters but the tab.
bool is_field_value(std::string_view text) noexcept;
// Without spaces and tabs at both ends.
std::string_view trim_whitespace(std::string_view text) noexcept;

class Headers {
  public:
    Headers() = default;
    Headers(std::initializer_list<Field> fields);

    // The first value under `name`.
    std::optional<std::string_view> get(std::string_view name) const noexcept;
    std::string_view get_or(std::string_view name, std::string_view otherwise) const noexcept;
    std::vector<std::string_view> get_all(std::string_view name) const;
    bool contains(std::string_view name) const noexcept { return get(name).has_value(); }
    // Some field under `name` lists `token` between commas ("Connection: keep-alive, upgrade").
    bool has_token(std::string_view name, std::string_view token) const noexcept;

    // Replaces all fields of that name by one at the end.
    void set(std::string_view name, std::string_view value);
    void add(std::string_view name, std::string_view value);
    // For text that was validated already (the parser's).
    void add_trusted(std::string_view name, std::string_view value);
    // How many were removed.
    size_t remove(std::string_view name) noexcept;
    void clear() noexcept;

    size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    Field operator[](size_t index) const noexcept;

    class Iterator {
      public:
        using value_type = Field;
        using difference_type = std::ptrdiff_t;
        Iterator(const Headers& headers, size_t index) noexcept : headers_(&headers), index_(index) {}
        Field operator*() const noexcept { return (*headers_)[index_]; }
        Iterator& operator++() noexcept {
            ++index_;
            return *this;
        }
        bool operator==(const Iterator&) const = default;

      private:
        const Headers* headers_;
        size_t index_;
    };
    Iterator begin() const noexcept { return {*this, 0}; }
    Iterator end() const noexcept { return {*this, entries_.size()}; }

  private:
    struct Entry {
        uint32_t start;  // of the name in text_; the value follows it
        uint32_t name_size;
        uint32_t value_size;
    };
    std::string text_;
    std::vector<Entry> entries_;
};

}  // namespace tandem::http
