#include "tandem/node/events.h"

#include <deque>

#include <boost/json.hpp>

#include "tandem/async/sync.h"
#include "tandem/node/transaction_json.h"
#include "tandem/web/context.h"

namespace tandem::node {

using async::Task;
using http::Response;
using http::Status;

struct Events::Subscriber {
    std::string gid;  // empty: all
    std::mutex mutex;
    std::deque<std::string> waiting;
    size_t lost = 0;
    bool ended = false;
    async::Event changed;
};

namespace {

constexpr auto keep_alive = std::chrono::seconds(15);

}  // namespace

void Events::add_to(web::App& app, const ApiContext&) {
    app.get("/v1/events", [this] { return subscribe(); }, "v1.events");
}

void Events::publish(const tx::Transaction& transaction) {
    std::lock_guard lock(mutex_);
    std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
    if (subscribers_.empty()) return;
    const std::string event =
        fmt::format("event: transaction\ndata: {}\n\n", boost::json::serialize(transaction_to_json(transaction)));
    for (const auto& weak : subscribers_) {
        const std::shared_ptr<Subscriber> subscriber = weak.lock();
        if (!subscriber || (!subscriber->gid.empty() && subscriber->gid != transaction.gid)) continue;
        std::lock_guard inner(subscriber->mutex);
        if (subscriber->waiting.size() >= waiting_max) {
            subscriber->waiting.pop_front();
            ++subscriber->lost;
        }
        subscriber->waiting.push_back(event);
        subscriber->changed.set();
    }
}

void Events::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& weak : subscribers_) {
        if (const std::shared_ptr<Subscriber> subscriber = weak.lock()) {
            std::lock_guard inner(subscriber->mutex);
            subscriber->ended = true;
            subscriber->changed.set();
        }
    }
}

Task<Response> Events::subscribe() {
    auto subscriber = std::make_shared<Subscriber>();
    subscriber->gid = web::request.arg("gid", "");
    {
        std::lock_guard lock(mutex_);
        std::erase_if(subscribers_, [](const auto& other) { return other.expired(); });
        if (closed_ || subscribers_.size() >= subscribers_max) {
            throw http::StatusError(Status::service_unavailable,
                                    fmt::format("{} subscribers are the most there may be", subscribers_max));
        }
        subscribers_.push_back(subscriber);
    }
    Response response =
        Response::streaming("text/event-stream", [subscriber](http::BodyWriter& out) { return send(subscriber, out); });
    response.headers.set("Cache-Control", "no-store");
    co_return response;
}

Task<void> Events::send(std::shared_ptr<Subscriber> subscriber, http::BodyWriter& out) {
    co_await out.write(": hello\n\n");
    for (;;) {
        std::string batch;
        bool ended = false;
        {
            std::lock_guard lock(subscriber->mutex);
            if (const size_t lost = std::exchange(subscriber->lost, 0)) {
                batch += fmt::format("event: lost\ndata: {}\n\n", lost);
            }
            for (const std::string& event : subscriber->waiting) batch += event;
            subscriber->waiting.clear();
            subscriber->changed.reset();
            ended = subscriber->ended;
        }
        if (!batch.empty()) co_await out.write(batch);
        if (ended) co_return;
        if (!batch.empty()) continue;
        if (!co_await async::wait_for(subscriber->changed, keep_alive)) co_await out.write(": still here\n\n");
    }
}

}  // namespace tandem::node
