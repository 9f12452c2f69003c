// The program `shop`: the page, and the service that turns each order into a global transaction. With --supervise it
// also runs the node, stock and wallet as its children, so that the page can kill them.
#include <boost/json.hpp>

#include "examples/shop/audit.h"
#include "examples/shop/catalogue.h"
#include "examples/shop/chaos.h"
#include "examples/shop/feed.h"
#include "examples/shop/orders.h"
#include "examples/shop/page.h"
#include "examples/shop/supervisor.h"
#include "tandem/async/time.h"
#include "tandem/base/id.h"
#include "tandem/http/url.h"
#include "tandem/web/context.h"
#include "tandem/web/json.h"
#include "tandem/web/problem.h"
#include "tandem/web/static_files.h"

namespace shop {
namespace {

namespace json = boost::json;
using http::Response;
using http::Status;
using namespace std::chrono_literals;

constexpr size_t order_id_max = 64;  // what an XA transaction's name may have
constexpr size_t account_max = 64;
constexpr int64_t quantity_max = 100;
constexpr int64_t chaos_orders_max = 10'000, chaos_customers_max = 64, chaos_kills_max = 1'000;
constexpr int64_t cards_at_start = 30;
constexpr base::Duration look_every = 500ms;

struct ShopArguments : Arguments {
    std::string stock = "http://127.0.0.1:7081";
    std::string wallet = "http://127.0.0.1:7082";
    bool supervise = false;
    PageOptions page;
};

// The page and everything behind it.
class Shop {
  public:
    explicit Shop(ShopArguments arguments)
        : arguments_(std::move(arguments)),
          database_(database_url(arguments_, "shop"), pool_options()),
          client_(net::Network::real()),
          node_(client_, arguments_.node),
          orders_(database_, node_, arguments_.stock, arguments_.wallet),
          audit_(orders_, client_, arguments_.stock, arguments_.wallet),
          feed_(arguments_.stock, arguments_.wallet),
          supervisor_(arguments_.data + "/logs"),
          chaos_(orders_, audit_, feed_, supervisor_, node_),
          app_("shop") {
        arguments_.page.xa = database_.dialect() == db::Dialect::mysql;
        arguments_.page.chaos = arguments_.supervise;
        orders_.on_order = [this](const Order& order) { feed_.see_order(order); };
        orders_.on_transaction = [this](const json::object& transaction) { feed_.see_transaction(transaction); };
        feed_.set_panel("chaos", chaos_html({}));
        feed_.set_panel("totals", totals_html({}));
        guard_views();
        add_views();
    }

    Task<void> run() {
        if (arguments_.supervise) start_children();
        std::optional<Error> error;
        try {
            co_await serve_page();
        } catch (const Error& failed) {
            error = failed;
        }
        co_await chaos_.stop();
        co_await supervisor_.stop();
        if (error) throw *error;
    }

  private:
    Task<void> serve_page() {
        co_await orders_.create_tables();
        std::vector<Order> known = co_await orders_.newest(cards_at_start);
        for (auto order = known.rbegin(); order != known.rend(); ++order) feed_.see_order(*order);
        async::Scope background(async::Scope::OnError::keep_going);
        background.spawn(orders_.keep_settling());
        background.spawn(feed_.follow(client_, arguments_.node));
        background.spawn(watch());
        std::optional<Error> error;
        try {
            co_await serve(app_, arguments_.listen, [this] { feed_.close(); });
        } catch (const Error& failed) {
            error = failed;
        }
        co_await background.cancel_and_join();
        client_.close_idle();
        database_.close_idle();
        if (error) throw *error;
    }

    void start_children() {
        const std::string bin = own_directory();
        const auto address = [](const std::string& url) { return http::Url::parse(url).authority(); };
        supervisor_.start({"node",
                           arguments_.node,
                           {bin + "/tandem", "serve", "--data", arguments_.data + "/node", "--listen",
                            address(arguments_.node), "--set", "branches.retry_interval_max=2s"}});
        for (const auto& [name, url] : {std::pair("stock", arguments_.stock), std::pair("wallet", arguments_.wallet)}) {
            std::vector<std::string> command{fmt::format("{}/{}", bin, name),
                                             "--listen",
                                             address(url),
                                             "--data",
                                             arguments_.data,
                                             "--node",
                                             arguments_.node};
            if (!arguments_.database.empty()) command.insert(command.end(), {"--database", arguments_.database});
            supervisor_.start({name, url, std::move(command)});
        }
    }

    // The page's totals and processes, twice a second while anybody looks.
    Task<void> watch() {
        for (;;) {
            if (feed_.listeners() > 0) {
                try {
                    feed_.set_panel("totals", totals_html(co_await audit_.totals()));
                } catch (const Error&) {
                    async::Context::current()->check();
                }
            }
            feed_.set_panel("processes", processes_html(supervisor_.states()));
            co_await async::sleep(look_every);
        }
    }

    void guard_views();
    void add_views();
    Task<Response> place_order();
    Task<Response> show_order(std::string id);
    Task<Response> begin_chaos();
    Task<Response> ready();
    tx::Mode mode_of(web::JsonFields& fields) const;

    ShopArguments arguments_;
    db::Database database_;
    http::Client client_;
    tx::Node node_;
    Orders orders_;
    Audit audit_;
    Feed feed_;
    Supervisor supervisor_;
    Chaos chaos_;
    web::App app_;
};

// Whether this URL or authority means this machine: another site may point its own name at 127.0.0.1.
bool names_loopback(std::string_view authority) {
    const std::string_view host = authority.substr(0, authority.rfind(':'));
    return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

// A page of another site must not order or kill here, and nothing but our own files may run in ours.
void Shop::guard_views() {
    app_.before_request([]() -> std::optional<Response> {
        const std::string& authority = web::request->raw().authority;
        if (!names_loopback(authority)) return Response::problem(Status::misdirected_request, "this is not that host");
        if (web::request.method() != http::Method::post) return std::nullopt;
        const std::string_view site = web::request.header("Sec-Fetch-Site");
        const std::string_view origin = web::request.header("Origin");
        const bool foreign = (!site.empty() && site != "same-origin" && site != "none") ||
                             (!origin.empty() && origin != "http://" + authority);
        if (foreign) return Response::problem(Status::forbidden, "asked by a page of another site");
        return std::nullopt;
    });
    app_.after_request([](Response& response) {
        response.headers.set("Content-Security-Policy",
                             "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
        response.headers.set("X-Content-Type-Options", "nosniff");
        response.headers.set("Referrer-Policy", "no-referrer");
    });
}

void Shop::add_views() {
    app_.get("/", [this] { return page_html(feed_, arguments_.page); });
    app_.get("/events", [this] { return feed_.listen(); });
    app_.post("/orders", [this] { return place_order(); });
    app_.get("/orders/<id>", [this](std::string id) { return show_order(std::move(id)); });
    app_.post("/chaos", [this] { return begin_chaos(); });
    app_.get("/healthz", [] { return Response::json(R"({"status":"ok"})"); });
    app_.get("/readyz", [this] { return ready(); });
    web::serve_directory(app_, "/static", SHOP_STATIC_DIRECTORY);
}

tx::Mode Shop::mode_of(web::JsonFields& fields) const {
    const std::string name = fields.optional<std::string>("mode", "tcc");
    const std::optional<tx::Mode> mode = tx::mode_from(name);
    if (!mode || *mode == tx::Mode::message) fields.refuse("mode", "must be tcc, saga or xa");
    if (*mode == tx::Mode::xa && !arguments_.page.xa) {
        fields.refuse("mode", "xa needs a database that has it: start the shop with --database mysql://…");
    }
    return *mode;
}

Task<Response> Shop::place_order() {
    const json::value body = co_await web::request.json();
    web::JsonFields fields(body);
    Order wish;
    wish.id = fields.optional<std::string>("id", node_.new_gid());
    wish.item = fields.required<std::string>("item");
    wish.quantity = fields.required<int64_t>("quantity");
    wish.account = fields.required<std::string>("account");
    wish.mode = mode_of(fields);
    fields.finish();
    const bool id_good = wish.id.size() <= order_id_max && base::valid_gid_characters(wish.id);
    if (!id_good) fields.refuse("id", "must have 1 to 64 of A-Z a-z 0-9 - _ . : ~");
    const Good* good = find_good(wish.item);
    if (!good) fields.refuse("item", "is not for sale here");
    if (wish.quantity < 1 || wish.quantity > quantity_max) fields.refuse("quantity", "must be from 1 to 100");
    // Whether there is such an account is the wallet's business: it refuses, and the order is undone.
    if (wish.account.empty() || wish.account.size() > account_max) fields.refuse("account", "must have 1 to 64 bytes");
    wish.amount = good->price * wish.quantity;

    const Orders::Placed placed = co_await orders_.place(std::move(wish));
    const Status status = placed.order.open() ? Status::accepted : placed.created ? Status::created : Status::ok;
    Response response = Response::json(json::serialize(to_json(placed.order)), status);
    response.headers.set("Location", "/orders/" + placed.order.id);
    co_return response;
}

Task<Response> Shop::show_order(std::string id) {
    const std::optional<Order> order = co_await orders_.find(id);
    if (!order) fail(Code::not_found, "there is no order {}", id);
    co_return Response::json(json::serialize(to_json(*order)));
}

Task<Response> Shop::begin_chaos() {
    const json::value body = co_await web::request.json();
    web::JsonFields fields(body);
    const auto number = [&](std::string_view name, int64_t otherwise, int64_t most) {
        const int64_t value = fields.optional<int64_t>(name, otherwise);
        if (value < 1 || value > most) fields.refuse(name, fmt::format("must be from 1 to {}", most));
        return value;
    };
    Chaos::Wish wish;
    wish.orders = number("orders", arguments_.page.chaos_orders, chaos_orders_max);
    wish.customers = number("customers", wish.customers, chaos_customers_max);
    wish.kills = number("kills", arguments_.page.chaos_kills, chaos_kills_max);
    wish.mode = mode_of(fields);
    fields.finish();
    if (!arguments_.supervise) fail(Code::conflict, "there is nothing to kill: start the shop with --supervise");
    chaos_.begin(wish);
    co_return Response::json(R"({"status":"begun"})", Status::accepted);
}

Task<Response> Shop::ready() {
    for (const std::string& url :
         {arguments_.node + "/readyz", arguments_.stock + "/healthz", arguments_.wallet + "/healthz"}) {
        http::ClientRequest request = http::ClientRequest::get(url);
        request.timeout = 2s;
        const http::ClientResponse response = co_await client_.send(std::move(request));
        if (!response.ok()) fail(Code::unavailable, "{} answers {}", url, response.status);
    }
    co_return Response::json(R"({"status":"ready"})");
}

Task<void> run_shop(ShopArguments arguments) {
    Shop shop(std::move(arguments));
    co_await shop.run();
}

}  // namespace
}  // namespace shop

int main(int argc, char** argv) {
    shop::ShopArguments arguments;
    arguments.listen = "127.0.0.1:7080";
    CLI::App command_line("The example shop: every order is one transaction over two services.");
    shop::add_options(command_line, arguments);
    command_line.add_option("--stock", arguments.stock, "URL of stock")->capture_default_str();
    command_line.add_option("--wallet", arguments.wallet, "URL of wallet")->capture_default_str();
    command_line.add_flag("--supervise", arguments.supervise,
                          "Run the node, stock and wallet too, and start them again when they are killed");
    command_line.add_option("--chaos-orders", arguments.page.chaos_orders, "Orders of the page's red button")
        ->capture_default_str();
    command_line.add_option("--chaos-kills", arguments.page.chaos_kills, "and how often it kills")
        ->capture_default_str();
    CLI11_PARSE(command_line, argc, argv);
    return shop::run("shop", shop::run_shop(std::move(arguments)));
}
