#include "tandem/http/headers.h"

#include <algorithm>
#include <array>
#include <limits>

#include "tandem/base/error.h"
#include "tandem/http/line_scan.h"

namespace tandem::http {

namespace {

constexpr std::array<bool, 256> make_token_table() {
    std::array<bool, 256> table{};
    for (int c = '0'; c <= '9'; ++c) table[c] = true;
    for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
    for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
    return table;
}
constexpr auto token_table = make_token_table();

constexpr unsigned char fold(char c) noexcept {
    auto byte = static_cast<unsigned char>(c);
    return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    if (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0) return true;  // the usual spelling
    for (size_t i = 0; i < a.size(); ++i) {
        if (fold(a[i]) != fold(b[i])) return false;
    }
    return true;
}

bool list_contains(std::string_view list, std::string_view token) noexcept {
    while (!list.empty()) {
        size_t comma = std::min(list.find(','), list.size());
        if (equals_ignoring_case(trim_whitespace(list.substr(0, comma)), token)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

bool is_token(std::string_view text) noexcept {
    for (char c : text) {
        if (!token_table[static_cast<unsigned char>(c)]) return false;
    }
    return !text.empty();
}

bool is_field_value(std::string_view text) noexcept {
    return detail::find_control(text.data(), text.data() + text.size()) == text.data() + text.size();
}

std::string_view trim_whitespace(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

Headers::Headers(std::initializer_list<Field> fields) {
    for (const Field& field : fields) add(field.name, field.value);
}

Headers::Headers(const Headers& other) {
    if (other.empty()) return;
    block_.reset(new std::byte[other.capacity_]);
    capacity_ = other.capacity_;
    text_size_ = other.text_size_;
    count_ = other.count_;
    std::memcpy(block_.get(), other.block_.get(), text_size_);
    std::memcpy(entry_place(count_ - 1), other.entry_place(count_ - 1), count_ * sizeof(Entry));
}

std::optional<std::string_view> Headers::get(std::string_view name) const noexcept {
    for (Field field : *this) {
        if (equals_ignoring_case(field.name, name)) return field.value;
    }
    return std::nullopt;
}

std::string_view Headers::get_or(std::string_view name, std::string_view otherwise) const noexcept {
    return get(name).value_or(otherwise);
}

std::vector<std::string_view> Headers::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (Field field : *this) {
        if (equals_ignoring_case(field.name, name)) values.push_back(field.value);
    }
    return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const noexcept {
    for (Field field : *this) {
        if (equals_ignoring_case(field.name, name) && list_contains(field.value, token)) return true;
    }
    return false;
}

void Headers::set(std::string_view name, std::string_view value) {
    // The new field is added first: `value` may point into this very object, and a refused one changes nothing.
    add(name, value);
    remove_among(count_ - 1, (*this)[count_ - 1].name);
}

void Headers::add(std::string_view name, std::string_view value) {
    if (!is_token(name)) fail(Code::invalid_argument, "\"{}\" is not a header field name", name);
    if (!is_field_value(value))
        fail(Code::invalid_argument, "the value of header field {} has a control character in it", name);
    add_trusted(name, value);
}

void Headers::add_trusted(std::string_view name, std::string_view value) {
    size_t line_size = name.size() + separator.size() + value.size() + line_end.size();
    size_t needed = text_size_ + line_size + (count_ + 1) * sizeof(Entry);
    std::unique_ptr<std::byte[]> outgrown;  // name or value may point into it
    if (needed > capacity_) {
        if (needed > std::numeric_limits<uint32_t>::max() / 2)
            fail(Code::resource_exhausted, "header fields of more than 2 GiB");
        size_t larger = std::max<size_t>(256, needed * 2);
        std::unique_ptr<std::byte[]> block(new std::byte[larger]);
        size_t entry_bytes = count_ * sizeof(Entry);
        if (count_ > 0) {
            std::memcpy(block.get(), block_.get(), text_size_);
            std::memcpy(block.get() + larger - entry_bytes, entry_place(count_ - 1), entry_bytes);
        }
        outgrown = std::exchange(block_, std::move(block));
        capacity_ = static_cast<uint32_t>(larger);
    }
    char* out = text() + text_size_;
    out = std::copy(name.begin(), name.end(), out);
    out = std::copy(separator.begin(), separator.end(), out);
    out = std::copy(value.begin(), value.end(), out);
    std::copy(line_end.begin(), line_end.end(), out);
    set_entry(count_++, {text_size_, static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
    text_size_ += static_cast<uint32_t>(line_size);
}

size_t Headers::remove(std::string_view name) noexcept {
    return remove_among(count_, name);
}

size_t Headers::remove_among(size_t count, std::string_view name) noexcept {
    // First all are found, and marked by an empty name; moving lines might move `name` too.
    size_t removed = 0;
    for (size_t i = 0; i < count; ++i) {
        if (!equals_ignoring_case((*this)[i].name, name)) continue;
        Entry entry = this->entry(i);
        entry.value_size += entry.name_size;  // the line keeps its size
        entry.name_size = 0;
        set_entry(i, entry);
        ++removed;
    }
    if (removed == 0) return 0;
    uint32_t kept = 0;
    uint32_t kept_bytes = 0;
    for (size_t i = 0; i < count_; ++i) {
        Entry entry = this->entry(i);
        if (entry.name_size == 0) continue;
        std::memmove(text() + kept_bytes, text() + entry.start, entry.line_size());
        entry.start = kept_bytes;
        kept_bytes += entry.line_size();
        set_entry(kept++, entry);
    }
    count_ = kept;
    text_size_ = kept_bytes;
    return removed;
}

}  // namespace tandem::http
