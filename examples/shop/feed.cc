#include "examples/shop/feed.h"

#include <boost/json/parse.hpp>

#include "examples/shop/page.h"
#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/http/status_error.h"

namespace shop {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr size_t cards_max = 300;
constexpr size_t steps_max = 40;
constexpr size_t listeners_max = 64;
constexpr size_t event_bytes_max = 1024 * 1024;
constexpr base::Duration gather_for = 40ms;  // many changes of one order become one event
constexpr base::Duration come_back_after = 50ms;
constexpr base::Duration follow_at_most = 10min;

std::string text(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// How a branch's status reads in each mode; empty for what is no news.
std::string_view in_words(std::string_view mode, std::string_view status) {
    const bool tcc = mode == "tcc", xa = mode == "xa";
    if (status == "pending") return tcc ? "try" : xa ? "prepare" : "";
    if (status == "done") return tcc ? "confirmed" : xa ? "committed" : "done";
    if (status == "undone") return tcc ? "cancelled" : xa ? "rolled back" : "compensated";
    if (status == "refused") return "refused";
    if (status == "skipped") return "not needed";
    return "";
}

std::string_view decision_in_words(std::string_view mode, std::string_view status) {
    if (status == "submitted") return mode == "saga" ? "begun" : mode == "xa" ? "decided: commit" : "decided: confirm";
    if (status == "aborting") return mode == "saga" ? "turned back" : "decided: undo";
    if (status == "succeed") return "succeeded";
    if (status == "failed") return "undone";
    return "begun";
}

// Splits a stream of server-sent events and hands over each one's data.
class EventReader {
  public:
    explicit EventReader(Feed& feed) : feed_(feed) {}

    Task<void> read(std::span<const std::byte> bytes) {
        buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (buffer_.size() > event_bytes_max) fail(Code::resource_exhausted, "an event is too large");
        for (size_t end = 0; (end = buffer_.find("\n\n")) != std::string::npos; buffer_.erase(0, end + 2)) {
            const std::string_view event = std::string_view(buffer_).substr(0, end);
            const size_t data = event.find("data: {");
            if (data == std::string_view::npos) continue;
            boost::system::error_code malformed;
            const json::value value = json::parse(event.substr(data + 6), malformed);
            if (!malformed && value.is_object()) feed_.see_transaction(value.get_object());
        }
        co_return;
    }

  private:
    Feed& feed_;
    std::string buffer_;
};

}  // namespace

struct Feed::Listener {
    std::set<std::string> changed;
    async::Event news;
    bool ended = false;
};

Feed::Feed(std::string stock_url, std::string wallet_url)
    : stock_(std::move(stock_url)), wallet_(std::move(wallet_url)) {}

void Feed::changed(const std::string& id) {
    for (const auto& listener : listeners_) {
        listener->changed.insert(id);
        listener->news.set();
    }
}

void Feed::set_panel(const std::string& id, std::string html) {
    std::string& panel = panels_[id];
    if (panel == html) return;
    panel = std::move(html);
    changed(id);
}

void Feed::see_order(const Order& order) {
    const auto [found, is_new] = cards_.try_emplace(order.id);
    found->second.order = order;
    if (is_new) {
        order_of_cards_.push_back(order.id);
        if (order_of_cards_.size() > cards_max) {
            cards_.erase(order_of_cards_.front());
            order_of_cards_.pop_front();
        }
    }
    changed(order.id);
}

std::vector<const Card*> Feed::cards() const {
    std::vector<const Card*> newest_first;
    for (auto id = order_of_cards_.rbegin(); id != order_of_cards_.rend(); ++id) {
        newest_first.push_back(&cards_.at(*id));
    }
    return newest_first;
}

std::string_view Feed::who(std::string_view branch_url) const {
    return branch_url.starts_with(stock_) ? "stock" : branch_url.starts_with(wallet_) ? "wallet" : "branch";
}

void Feed::add_step(Card& card, std::string_view who, std::string what, bool bad) {
    if (card.steps.size() >= steps_max) return;
    const int64_t at = std::max<int64_t>(0, base::Clock::real().wall_ms() - card.order.created_ms);
    card.steps.push_back({at, std::string(who), std::move(what), bad});
}

void Feed::see_branch(Card& card, const json::object& branch, std::string_view mode) {
    std::string url = text(branch, "confirm");
    for (const char* name : {"action", "url"}) url += url.empty() ? text(branch, name) : "";
    const std::string status = text(branch, "status");
    const std::string error = text(branch, "last_error");
    std::string& seen = card.branches[text(branch, "branch_id")];
    const std::string now = status + error;
    if (seen == now) return;
    seen = now;
    if (!error.empty()) {
        const bool refused = status == "refused";
        add_step(card, who(url), refused ? "refused" : "no answer, asked again", true);
    } else if (const std::string_view words = in_words(mode, status); !words.empty()) {
        add_step(card, who(url), std::string(words));
    }
}

void Feed::see_transaction(const json::object& transaction) {
    const auto found = cards_.find(text(transaction, "gid"));
    if (found == cards_.end()) return;
    Card& card = found->second;
    const std::string mode = text(transaction, "mode");
    const std::string status = text(transaction, "status");
    const size_t steps_before = card.steps.size();
    const bool ended = status == "succeed" || status == "failed";
    const bool new_status = std::exchange(card.status, status) != status;
    if (new_status && !ended)
        add_step(card, "node", std::string(decision_in_words(mode, status)), status == "aborting");
    if (const json::value* branches = transaction.if_contains("branches"); branches && branches->is_array()) {
        for (const json::value& branch : branches->get_array()) {
            if (branch.is_object()) see_branch(card, branch.get_object(), mode);
        }
    }
    if (new_status && ended) add_step(card, "node", std::string(decision_in_words(mode, status)), status == "failed");
    if (card.steps.size() != steps_before) changed(card.order.id);
}

http::Response Feed::listen() {
    if (closed_ || listeners_.size() >= listeners_max) {
        throw http::StatusError(http::Status::service_unavailable, "too many pages are open");
    }
    auto listener = std::make_shared<Listener>();
    return web::event_stream([this, listener](web::EventStream& events) { return send_changes(listener, events); },
                             {.retry = 500ms});
}

Task<void> Feed::send_changes(std::shared_ptr<Listener> listener, web::EventStream& events) {
    struct Registration {
        Feed& feed;
        std::shared_ptr<Listener> listener;
        ~Registration() { feed.listeners_.erase(listener); }
    } registration{*this, listener};
    listeners_.insert(listener);
    // Whatever a page that connects, or connects again, may have missed.
    for (const auto& [id, html] : panels_) listener->changed.insert(id);
    for (const Card* card : cards()) listener->changed.insert(card->order.id);
    listener->news.set();
    while (!closed_) {
        co_await listener->news.wait();
        co_await async::sleep(gather_for);
        listener->news.reset();
        const std::set<std::string> ids = std::exchange(listener->changed, {});
        for (const std::string& id : ids) {
            const auto panel = panels_.find(id);
            if (panel == panels_.end()) continue;
            const std::string html = panel->second;
            co_await events.send({.event = "panel", .data = html});
        }
        const std::deque<std::string> oldest_first = order_of_cards_;
        for (const std::string& id : oldest_first) {
            const auto card = cards_.find(id);
            if (card == cards_.end() || !ids.contains(id)) continue;
            const std::string html = card_html(card->second);
            co_await events.send({.event = "order", .data = html});
        }
    }
}

void Feed::close() {
    closed_ = true;
    for (const auto& listener : listeners_) listener->news.set();
}

Task<void> Feed::follow(http::Client& client, std::string node_url) {
    for (;;) {
        EventReader reader(*this);
        http::ClientRequest request = http::ClientRequest::get(node_url + "/v1/events");
        request.timeout = follow_at_most;
        request.on_body = [&reader](std::span<const std::byte> bytes) { return reader.read(bytes); };
        try {
            (void)co_await client.send(std::move(request));
        } catch (const Error& error) {
            log::debug("the node's events ended", {{"error", error.what()}});
        }
        co_await async::sleep(come_back_after);
    }
}

}  // namespace shop
