// What is for sale and who buys: the data that the three programs begin with.
//
// Thread rules: constants. Money is in cents.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace shop {

struct Good {
    std::string_view id;
    std::string_view name;
    std::string_view description;
    int64_t price;
    int64_t quantity;
};

struct Account {
    std::string_view id;
    std::string_view name;
    int64_t balance;
};

std::span<const Good> goods() noexcept;
std::span<const Account> accounts() noexcept;
// nullptr when there is none.
const Good* find_good(std::string_view id) noexcept;
const Account* find_account(std::string_view id) noexcept;

// "1,200".
std::string grouped(int64_t number);
// "1,212.50".
std::string money(int64_t cents);

}  // namespace shop
