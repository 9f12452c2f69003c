#include "examples/shop/resource.h"

#include "tandem/db/migrate.h"

namespace shop {

namespace {

struct Columns {
    std::string_view from;
    std::string_view to;
};

Columns columns_of(const Resource& resource, Movement movement) noexcept {
    switch (movement) {
        case Movement::hold:
            return {resource.free, resource.held};
        case Movement::take:
            return {resource.held, resource.gone};
        case Movement::release:
            return {resource.held, resource.free};
        case Movement::spend:
            return {resource.free, resource.gone};
        case Movement::give_back:
            break;
    }
    return {resource.gone, resource.free};
}

}  // namespace

std::string_view to_string(Movement movement) noexcept {
    static constexpr std::string_view names[] = {"hold", "take", "release", "spend", "give_back"};
    return names[static_cast<size_t>(movement)];
}

Task<void> move_amount(db::Session& session, const Resource& resource, Movement movement, Demand demand) {
    const auto [from, to] = columns_of(resource, movement);
    const db::Result moved = co_await session.execute(
        fmt::format("UPDATE {0} SET {1} = {1} - ?, {2} = {2} + ? WHERE id = ? AND {1} >= ?", resource.table, from, to),
        demand.amount, demand.amount, demand.id, demand.amount);
    if (moved.affected == 0) {
        const bool may_refuse = movement == Movement::hold || movement == Movement::spend;
        if (may_refuse) fail(Code::conflict, "{}", resource.refusal);
        fail(Code::internal, "{} has less than {} of {} {}", resource.table, demand.amount, demand.id, from);
    }
    co_await session.execute(
        fmt::format("INSERT INTO {}_ledger (order_id, movement, subject, amount) VALUES (?, ?, ?, ?)", resource.table),
        demand.order, to_string(movement), demand.id, demand.amount);
}

Task<void> create(db::Session& session, const Resource& resource, std::vector<Row> rows) {
    const bool mysql = session.dialect() == db::Dialect::mysql;
    std::vector<std::string> steps;
    steps.push_back(fmt::format(R"(
CREATE TABLE IF NOT EXISTS {0} (
    id VARCHAR(64) PRIMARY KEY,
    {1} BIGINT NOT NULL,
    {2} BIGINT NOT NULL DEFAULT 0,
    {3} BIGINT NOT NULL DEFAULT 0,
    initial BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS {0}_ledger (
    id INTEGER PRIMARY KEY {4},
    order_id VARCHAR(64) NOT NULL,
    movement VARCHAR(16) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    amount BIGINT NOT NULL
);)",
                                resource.table, resource.free, resource.held, resource.gone,
                                mysql ? "AUTO_INCREMENT" : "AUTOINCREMENT"));
    co_await db::migrate(session, std::string(resource.table), std::move(steps));
    if (!(co_await session.execute(fmt::format("SELECT id FROM {} LIMIT 1", resource.table))).rows.empty()) co_return;
    std::vector<db::Command> inserts;
    for (const Row& row : rows) {
        inserts.push_back(
            {fmt::format("INSERT INTO {} (id, {}, initial) VALUES (?, ?, ?)", resource.table, resource.free),
             {row.id, row.amount, row.amount}});
    }
    co_await session.execute_batch(std::move(inserts));
}

}  // namespace shop
