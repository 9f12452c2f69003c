#include "examples/shop/catalogue.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

namespace shop {

namespace {

// Enough for many orders; the golden cups, and carla's and dora's money, run out, so that refusals can be seen.
constexpr std::array all_goods = {
    Good{"darjeeling", "Darjeeling", "First flush, 100 g", 650, 100'000},
    Good{"espresso", "Espresso", "Whole beans, 250 g", 980, 100'000},
    Good{"teapot", "Teapot", "Cast iron, 1.2 l", 3'900, 100'000},
    Good{"gold-cup", "Golden cup", "The last three of their kind", 48'000, 3},
};
constexpr std::array all_accounts = {
    Account{"anna", "Anna", 100'000'000},
    Account{"ben", "Ben", 100'000'000},
    Account{"carla", "Carla", 60'000},
    Account{"dora", "Dora", 500},
};

template <typename Entries>
auto find_in(const Entries& entries, std::string_view id) noexcept -> decltype(entries.data()) {
    const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return entry.id == id; });
    return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Good> goods() noexcept {
    return all_goods;
}
std::span<const Account> accounts() noexcept {
    return all_accounts;
}
const Good* find_good(std::string_view id) noexcept {
    return find_in(all_goods, id);
}
const Account* find_account(std::string_view id) noexcept {
    return find_in(all_accounts, id);
}

std::string grouped(int64_t number) {
    std::string digits = std::to_string(std::abs(number));
    for (int64_t at = std::ssize(digits) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
    return (number < 0 ? "-" : "") + digits;
}

std::string money(int64_t cents) {
    const int64_t absolute = std::abs(cents);
    return fmt::format("{}{}.{:02}", cents < 0 ? "-" : "", grouped(absolute / 100), absolute % 100);
}

}  // namespace shop
