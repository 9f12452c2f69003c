#include "examples/shop/audit.h"

#include <boost/json/parse.hpp>
#include <boost/json/value_to.hpp>

#include "tandem/async/time.h"

namespace shop {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {
constexpr int64_t page_size = 1000;
constexpr base::Duration pause = 100ms;
constexpr base::Duration patience = 15s;
constexpr int sum_attempts = 20;
}  // namespace

Audit::Audit(Orders& orders, http::Client& client, std::string stock_url, std::string wallet_url)
    : orders_(orders), client_(client), stock_(std::move(stock_url)), wallet_(std::move(wallet_url)) {}

Task<json::object> Audit::get(std::string url) {
    http::ClientRequest request = http::ClientRequest::get(std::move(url));
    request.timeout = 2s;
    const http::ClientResponse response = co_await client_.send(std::move(request));
    boost::system::error_code malformed;
    json::value answer = json::parse(response.body, malformed);
    if (!response.ok() || malformed || !answer.is_object()) {
        fail(Code::unavailable, "a service answered {}", response.status);
    }
    co_return std::move(answer.get_object());
}

// The service may just be starting again.
Task<json::object> Audit::get_patiently(std::string url) {
    const base::TimePoint deadline = async::Loop::current().now() + patience;
    for (;;) {
        std::optional<Error> error;
        try {
            co_return co_await get(url);
        } catch (const Error& failed) {
            error = failed;
        }
        if (async::Loop::current().now() > deadline) throw *error;
        co_await async::sleep(pause);
    }
}

Task<Holdings> Audit::holdings(std::string service_url) {
    Holdings holdings;
    try {
        const json::object state = co_await get(service_url + "/state");
        const json::object& total = state.at("total").as_object();
        holdings.free = total.at("free").to_number<int64_t>();
        holdings.held = total.at("held").to_number<int64_t>();
        holdings.gone = total.at("gone").to_number<int64_t>();
        holdings.initial = total.at("initial").to_number<int64_t>();
        holdings.adds_up = state.at("adds_up").as_bool();
        for (const json::value& row : state.at("rows").as_array()) {
            holdings.left.emplace_back(row.at("id").as_string(), row.at("free").to_number<int64_t>());
        }
        holdings.known = true;
    } catch (const Error&) {
        async::Context::current()->check();
    }
    co_return holdings;
}

Task<Totals> Audit::totals() {
    Totals totals;
    totals.stock = co_await holdings(stock_);
    totals.wallet = co_await holdings(wallet_);
    totals.orders = co_await orders_.sums();
    co_return totals;
}

Task<Audit::Effects> Audit::effects(std::string service_url) {
    Effects effects;
    int64_t after = 0;
    for (;;) {
        const json::object page =
            co_await get_patiently(fmt::format("{}/ledger?after={}&limit={}", service_url, after, page_size));
        const json::array& rows = page.at("rows").as_array();
        for (const json::value& row : rows) {
            after = row.at("id").to_number<int64_t>();
            const int64_t amount = row.at("amount").to_number<int64_t>();
            const std::string_view movement = row.at("movement").as_string();
            Effect& effect = effects[std::string(row.at("order").as_string())];
            if (movement == "hold") effect.held += amount;
            if (movement == "take" || movement == "release") effect.held -= amount;
            if (movement == "take" || movement == "spend") effect.gone += amount;
            if (movement == "give_back") effect.gone -= amount;
        }
        if (rows.size() < static_cast<size_t>(page_size)) co_return effects;
    }
}

void Audit::judge(const Order& order, const Effects& effects, int64_t amount, Verdict& verdict) {
    const auto found = effects.find(order.id);
    const Effect effect = found == effects.end() ? Effect{} : found->second;
    const int64_t expected = order.status == "succeeded" ? amount : 0;
    if (effect.gone < expected) verdict.lost.push_back(order.id);
    if (effect.gone > expected || effect.held != 0) verdict.doubled.push_back(order.id);
}

Task<Verdict> Audit::verdict() {
    while ((co_await orders_.sums()).open > 0) co_await async::sleep(pause);
    // The orders first: what an ended order did is in the ledgers already.
    std::vector<Order> ended;
    std::string after;
    for (bool more = true; more;) {
        std::vector<Order> page = co_await orders_.page(after, page_size);
        more = page.size() == static_cast<size_t>(page_size);
        if (more) after = page.back().id;
        std::erase_if(page, [](const Order& order) { return order.open(); });
        std::ranges::move(page, std::back_inserter(ended));
    }
    const Effects stock = co_await effects(stock_);
    const Effects wallet = co_await effects(wallet_);
    Verdict verdict;
    verdict.orders = static_cast<int64_t>(ended.size());
    for (const Order& order : ended) {
        judge(order, stock, order.quantity, verdict);
        judge(order, wallet, order.amount, verdict);
    }
    // Somebody may be ordering meanwhile, so that the sums, which are asked for one after the other, differ for a
    // moment.
    for (int attempt = 0; attempt < sum_attempts && !verdict.adds_up; ++attempt) {
        if (attempt > 0) co_await async::sleep(pause);
        const Totals sums = co_await totals();
        verdict.adds_up = sums.stock.adds_up && sums.wallet.adds_up && sums.stock.gone == sums.orders.sold &&
                          sums.wallet.gone == sums.orders.spent;
    }
    co_return verdict;
}

}  // namespace shop
