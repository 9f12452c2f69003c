// The program `wallet`: how much money each account has, how much is frozen and how much was spent.
#include "examples/shop/catalogue.h"
#include "examples/shop/participant.h"

namespace {

constexpr shop::Resource wallets{.table = "wallet_accounts",
                                 .free = "balance",
                                 .held = "frozen",
                                 .gone = "spent",
                                 .refusal = "not enough money in this account"};

shop::Task<void> run_wallet(shop::Arguments arguments) {
    std::vector<shop::Row> rows;
    for (const shop::Account& account : shop::accounts()) rows.push_back({account.id, account.balance});
    shop::Participant wallet("wallet", wallets, std::move(arguments));
    co_await wallet.run(std::move(rows));
}

}  // namespace

int main(int argc, char** argv) {
    shop::Arguments arguments{.listen = "127.0.0.1:7082"};
    CLI::App command_line("The wallet of the example shop: a participant in global transactions.");
    shop::add_options(command_line, arguments);
    CLI11_PARSE(command_line, argc, argv);
    return shop::run("wallet", run_wallet(std::move(arguments)));
}
