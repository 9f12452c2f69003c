// `Headers`: header or trailer fields in the order they came, names compared without regard to case (RFC 9110
// section 5). All of it lies in one block that clear() keeps, so a connection that reuses one allocates nothing: field
// lines from the front, as they are written on the wire, so that a message head takes them with one copy; where each
// begins and ends from the back.
//
// Thread rules: none of its own. A string_view from here lives until the next change.
// Errors: set() and add() throw invalid_argument for a name that is not a token or a value with CR, LF, NUL or
// another control character but the tab, so that no caller's text can begin a field or a message of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
    Headers(const Headers& other);
    Headers(Headers&& other) noexcept
        : block_(std::move(other.block_)),
          capacity_(std::exchange(other.capacity_, 0)),
          text_size_(std::exchange(other.text_size_, 0)),
          count_(std::exchange(other.count_, 0)) {}
    Headers& operator=(const Headers& other) { return *this = Headers(other); }
    Headers& operator=(Headers&& other) noexcept {
        block_ = std::move(other.block_);
        capacity_ = std::exchange(other.capacity_, 0);
        text_size_ = std::exchange(other.text_size_, 0);
        count_ = std::exchange(other.count_, 0);
        return *this;
    }
    ~Headers() = default;

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
    // For text that was validated already (the parser's, a constant of ours). The name is not empty.
    void add_trusted(std::string_view name, std::string_view value);
    // How many were removed.
    size_t remove(std::string_view name) noexcept;
    void clear() noexcept { text_size_ = count_ = 0; }

    size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    Field operator[](size_t index) const noexcept {
        Entry entry = this->entry(index);
        const char* name = text() + entry.start;
        return {{name, entry.name_size}, {name + entry.name_size + separator.size(), entry.value_size}};
    }
    // All fields, each as "name: value\r\n".
    std::string_view lines() const noexcept { return {text(), text_size_}; }

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
    Iterator end() const noexcept { return {*this, count_}; }

  private:
    static constexpr std::string_view separator = ": ";
    static constexpr std::string_view line_end = "\r\n";
    struct Entry {
        uint32_t start;  // of the field's line
        uint32_t name_size;
        uint32_t value_size;
        uint32_t line_size() const noexcept {
            return static_cast<uint32_t>(name_size + separator.size() + value_size + line_end.size());
        }
    };
    char* text() noexcept { return reinterpret_cast<char*>(block_.get()); }
    const char* text() const noexcept { return reinterpret_cast<const char*>(block_.get()); }
    // Entries are copied in and out: the block has no objects of their type.
    std::byte* entry_place(size_t index) const noexcept {
        return block_.get() + capacity_ - (index + 1) * sizeof(Entry);
    }
    Entry entry(size_t index) const noexcept {
        Entry entry;
        std::memcpy(&entry, entry_place(index), sizeof entry);
        return entry;
    }
    void set_entry(size_t index, const Entry& entry) noexcept { std::memcpy(entry_place(index), &entry, sizeof entry); }
    // Of the first `count` fields, drops those under `name`, which may lie in this object.
    size_t remove_among(size_t count, std::string_view name) noexcept;

    std::unique_ptr<std::byte[]> block_;
    uint32_t capacity_ = 0;
    uint32_t text_size_ = 0;
    uint32_t count_ = 0;
};

}  // namespace tandem::http
