#include "tandem/http/headers.h"

#include <array>
#include <limits>

#include "tandem/base/error.h"

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
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
    }
    return true;
}

std::string_view trim_whitespace(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

Headers::Headers(std::initializer_list<Field> fields) {
    for (const Field& field : fields) add(field.name, field.value);
}

Field Headers::operator[](size_t index) const noexcept {
    const Entry& entry = entries_[index];
    const char* start = text_.data() + entry.start;
    return {{start, entry.name_size}, {start + entry.name_size, entry.value_size}};
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
    Field added = (*this)[size() - 1];
    size_t kept = 0;
    for (size_t i = 0; i + 1 < entries_.size(); ++i) {
        if (!equals_ignoring_case((*this)[i].name, added.name)) entries_[kept++] = entries_[i];
    }
    entries_[kept++] = entries_.back();
    entries_.resize(kept);
}

void Headers::add(std::string_view name, std::string_view value) {
    if (!is_token(name)) fail(Code::invalid_argument, "\"{}\" is not a header field name", name);
    if (!is_field_value(value))
        fail(Code::invalid_argument, "the value of header field {} has a control character in it", name);
    add_trusted(name, value);
}

void Headers::add_trusted(std::string_view name, std::string_view value) {
    size_t start = text_.size();
    if (start + name.size() + value.size() > std::numeric_limits<uint32_t>::max())
        fail(Code::resource_exhausted, "header fields of more than 4 GiB");
    if (start + name.size() + value.size() > text_.capacity()) {
        // name or value may point into text_, which is about to move.
        std::string grown;
        grown.reserve(std::max<size_t>(256, (start + name.size() + value.size()) * 2));
        grown.append(text_).append(name).append(value);
        text_.swap(grown);
    } else {
        text_.append(name).append(value);
    }
    if (entries_.capacity() == 0) entries_.reserve(8);
    entries_.push_back(
        {static_cast<uint32_t>(start), static_cast<uint32_t>(name.size()), static_cast<uint32_t>(value.size())});
}

size_t Headers::remove(std::string_view name) noexcept {
    return std::erase_if(entries_, [&](const Entry& entry) {
        return equals_ignoring_case(std::string_view(text_).substr(entry.start, entry.name_size), name);
    });
}

void Headers::clear() noexcept {
    text_.clear();
    entries_.clear();
}

}  // namespace tandem::http
