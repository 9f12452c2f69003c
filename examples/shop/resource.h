// Something that can be set aside, taken and given back: stock's items, wallet's accounts. Each row of its table has
// an amount that is free, one that is held for open orders and one that is gone. Every movement between the three is
// one UPDATE, and one row of the ledger, which tells afterwards what happened to which order.
//
// Thread rules: constants, and functions of one session.
// Errors: conflict when there is not enough, which refuses the order; whatever the database throws.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "examples/shop/service.h"

namespace shop {

struct Resource {
    std::string_view table;
    std::string_view free;  // the columns' names
    std::string_view held;
    std::string_view gone;
    std::string_view refusal;  // "out of stock"
};

enum class Movement : unsigned char {
    hold,       // free -> held
    take,       // held -> gone
    release,    // held -> free
    spend,      // free -> gone
    give_back,  // gone -> free
};
std::string_view to_string(Movement movement) noexcept;

// What an order wants of one row.
struct Demand {
    std::string order;
    std::string id;
    int64_t amount = 0;
};

// To be run inside a barrier, with the session it gives: that makes it happen exactly once.
Task<void> move_amount(db::Session& session, const Resource& resource, Movement movement, Demand demand);

struct Row {
    std::string_view id;
    int64_t amount;
};
// Makes the tables, and the rows when there are none yet.
Task<void> create(db::Session& session, const Resource& resource, std::vector<Row> rows);

}  // namespace shop
