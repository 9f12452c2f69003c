// GET /v1/events: every transition of a transaction as it becomes durable, as server-sent events (WHATWG HTML, 9.2).
// A subscriber that reads too slowly loses the oldest of what waits for it, and is told so by an event "lost".
//
// Thread rules: publish() and close() on the coordinator's loop; subscribers on any loop.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "tandem/node/api.h"

namespace tandem::node {

class Events {
  public:
    static constexpr size_t subscribers_max = 256;
    static constexpr size_t waiting_max = 1024;  // events for one subscriber

    void add_to(web::App& app, const ApiContext& context);
    void publish(const tx::Transaction& transaction);
    // Ends every subscription.
    void close();

  private:
    struct Subscriber;
    async::Task<http::Response> subscribe();
    static async::Task<void> send(std::shared_ptr<Subscriber> subscriber, http::BodyWriter& out);

    std::mutex mutex_;
    std::list<std::weak_ptr<Subscriber>> subscribers_;
    bool closed_ = false;
};

}  // namespace tandem::node
