// The program `stock`: how many of each item there are, how many are reserved and how many were sold.
#include "examples/shop/catalogue.h"
#include "examples/shop/participant.h"

namespace {

constexpr shop::Resource items{
    .table = "stock_items", .free = "quantity", .held = "reserved", .gone = "sold", .refusal = "out of stock"};

shop::Task<void> run_stock(shop::Arguments arguments) {
    std::vector<shop::Row> rows;
    for (const shop::Good& good : shop::goods()) rows.push_back({good.id, good.quantity});
    shop::Participant stock("stock", items, std::move(arguments));
    co_await stock.run(std::move(rows));
}

}  // namespace

int main(int argc, char** argv) {
    shop::Arguments arguments{.listen = "127.0.0.1:7081"};
    CLI::App command_line("The stock of the example shop: a participant in global transactions.");
    shop::add_options(command_line, arguments);
    CLI11_PARSE(command_line, argc, argv);
    return shop::run("stock", run_stock(std::move(arguments)));
}
