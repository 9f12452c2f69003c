#include "examples/shop/page.h"

#include "examples/shop/catalogue.h"
#include "tandem/web/escape.h"

namespace shop {

using web::escape_html;

namespace {

std::string good_html(const Good& good) {
    return fmt::format(R"(<label class="item"><input type="radio" name="item" value="{0}"{4}>
<span class="picture {0}" aria-hidden="true"></span><span class="name">{1}</span><span class="about">{2}</span>
<span class="price">{3}</span></label>)",
                       escape_html(good.id), escape_html(good.name), escape_html(good.description), money(good.price),
                       &good == goods().data() ? " checked" : "");
}

std::string mode_html(std::string_view mode, std::string_view name, std::string_view hint, bool enabled) {
    return fmt::format(R"(<label class="mode" title="{2}"><input type="radio" name="mode" value="{0}"{3}>{1}</label>)",
                       mode, name, hint,
                       mode == "tcc" ? " checked"
                       : enabled     ? ""
                                     : " disabled");
}

std::string account_options() {
    std::string options;
    for (const Account& account : accounts()) {
        options += fmt::format("<option value=\"{}\">{}</option>", escape_html(account.id), escape_html(account.name));
    }
    return options;
}

std::string order_form(bool xa) {
    std::string html = "<form id=\"order\"><div class=\"goods\">";
    for (const Good& good : goods()) html += good_html(good);
    html += fmt::format(
        R"(</div><div class="choices"><label>Pieces <input type="number" name="quantity" min="1" max="100" value="1"></label>
<label>Paid by <select name="account">{}</select></label>
<fieldset><legend>As one transaction by</legend>{}{}{}</fieldset>
<button type="submit" class="main">Order</button></div><p id="told" role="status"></p></form>)",
        account_options(), mode_html("tcc", "TCC", "try, then confirm or cancel", true),
        mode_html("saga", "Saga", "act, and compensate when something refuses", true),
        mode_html("xa", "XA", xa ? "prepared in MariaDB" : "needs --database mysql://…", xa));
    return html;
}

std::string chaos_form(const PageOptions& options) {
    if (!options.chaos) return "";
    return fmt::format(R"(<form id="chaos-form"><button type="submit" class="danger"
 data-orders="{0}" data-kills="{1}">Place {0} orders and kill things</button>
<p class="hint">kill -9 for the node, stock and wallet, {1} times, while the orders come in.</p></form>)",
                       options.chaos_orders, options.chaos_kills);
}

std::string holdings_html(std::string_view title, const Holdings& have, std::string_view free, std::string_view held,
                          std::string_view gone, int64_t ordered, std::string (*show)(int64_t)) {
    if (!have.known) {
        return fmt::format(R"(<div class="sum away"><h3>{}</h3><p>no answer just now</p></div>)", title);
    }
    const bool settled = have.gone == ordered;
    const bool moving = have.adds_up && !settled;
    return fmt::format(R"(<div class="sum {0}"><h3>{1}</h3><dl><dt>{2}</dt><dd>{3}</dd><dt>{4}</dt><dd>{5}</dd>
<dt>{6}</dt><dd>{7}</dd><dt>in orders</dt><dd>{8}</dd></dl><p>{9}</p></div>)",
                       have.adds_up && settled ? "good"
                       : moving                ? "moving"
                                               : "bad",
                       title, free, show(have.free), held, show(have.held), gone, show(have.gone), show(ordered),
                       have.adds_up && settled ? "adds up"
                       : moving                ? "orders are under way"
                                               : "does not add up");
}

std::string pieces(int64_t count) {
    return grouped(count);
}

// What the node wrote about a refusal, down to its last words.
std::string short_reason(const std::string& reason) {
    for (const std::string_view words : {"out of stock", "not enough money in this account"}) {
        if (reason.find(words) != std::string::npos) return std::string(words);
    }
    return reason;
}

}  // namespace

std::string card_html(const Card& card) {
    const Order& order = card.order;
    const Good* good = find_good(order.item);
    const Account* account = find_account(order.account);
    std::string steps;
    for (const Step& step : card.steps) {
        steps += fmt::format(R"(<li class="{}{}"><b>{}</b> {} <time>{} ms</time></li>)", step.who,
                             step.bad ? " bad" : "", escape_html(step.who), escape_html(step.what), step.at_ms);
    }
    return fmt::format(
        R"(<article class="card {0}" id="order-{1}"><header><span class="what">{2} × {3}</span>
<span class="status">{0}</span></header><p class="who">{4} pays {5} · {6} · <code>{1}</code></p>
<ol class="steps">{7}</ol>{8}</article>)",
        order.status, escape_html(order.id), order.quantity, escape_html(good ? good->name : order.item),
        escape_html(account ? account->name : order.account), money(order.amount), tx::to_string(order.mode), steps,
        order.reason.empty() ? ""
                             : fmt::format(R"(<p class="reason">{}</p>)", escape_html(short_reason(order.reason))));
}

std::string totals_html(const Totals& totals) {
    return fmt::format(
        R"(<section id="totals"><div class="counts"><span><b>{}</b> succeeded</span><span><b>{}</b> refused or undone</span>
<span><b>{}</b> open</span></div><div class="sums">{}{}</div></section>)",
        totals.orders.succeeded, totals.orders.failed, totals.orders.open,
        holdings_html("Stock, pieces", totals.stock, "in stock", "reserved", "sold", totals.orders.sold, &pieces),
        holdings_html("Money", totals.wallet, "balance", "frozen", "spent", totals.orders.spent, &money));
}

std::string processes_html(const std::vector<ProcessState>& processes) {
    std::string html = R"(<section id="processes">)";
    for (const ProcessState& process : processes) {
        html += fmt::format(R"(<div class="process {}"><b>{}</b><span>{}</span><span>{} restarts</span></div>)",
                            process.pid ? "up" : "down", escape_html(process.name),
                            process.pid ? fmt::format("pid {}", process.pid) : "starting", process.restarts);
    }
    return html + "</section>";
}

std::string chaos_html(const ChaosProgress& progress) {
    if (progress.orders == 0) return R"(<section id="chaos" hidden></section>)";
    const int64_t answered = progress.succeeded + progress.failed;
    std::string line = fmt::format("{} of {} orders answered: {} succeeded, {} refused or undone · {} kills", answered,
                                   progress.orders, progress.succeeded, progress.failed, progress.kills);
    if (progress.running && !progress.last.empty()) line += " · just killed: " + progress.last;
    return fmt::format(
        R"(<section id="chaos" class="{}"><progress max="{}" value="{}"></progress><p>{}</p>{}</section>)",
        progress.running ? "running"
        : progress.good  ? "good"
                         : "bad",
        progress.orders, answered, escape_html(line),
        progress.verdict.empty() ? "" : fmt::format(R"(<p class="verdict">{}</p>)", escape_html(progress.verdict)));
}

std::string page_html(Feed& feed, const PageOptions& options) {
    std::string cards;
    for (const Card* card : feed.cards()) cards += card_html(*card);
    return fmt::format(R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>The Tandem shop</title><link rel="icon" href="/static/shop.svg"><link rel="stylesheet" href="/static/shop.css">
<script src="/static/shop.js" defer></script></head>
<body><header class="top"><h1>The Tandem shop</h1><p>Every order is one transaction over two services and their two
databases: both happen, or neither does.</p><span id="live" class="off">connecting</span></header>
<main><div class="left-side"><section><h2>Order</h2>{}</section>
<section><h2>Does it add up?</h2>{}<h2>Processes</h2>{}{}{}</section></div>
<section class="right-side"><h2>Orders, live</h2><div id="orders">{}</div></section></main></body></html>
)",
                       order_form(options.xa), feed.panel("totals"), feed.panel("processes"), chaos_form(options),
                       feed.panel("chaos"), cards);
}

}  // namespace shop
