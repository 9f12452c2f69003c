#include "tandem/async/asio.h"

#include <boost/asio/post.hpp>

namespace tandem::async {

// Concurrency hint 1: one thread runs it, others may still post.
AsioPoller::AsioPoller() : io_context_(1), work_(io_context_.get_executor()) {}
AsioPoller::~AsioPoller() = default;

void AsioPoller::poll(std::optional<base::Duration> timeout) {
    if (!timeout) {
        io_context_.run_one();
    } else if (*timeout <= base::Duration::zero()) {
        io_context_.poll_one();
    } else {
        io_context_.run_one_for(*timeout);
    }
}

void AsioPoller::wake() {
    boost::asio::post(io_context_, [] {});
}

boost::asio::io_context& AsioPoller::of_current_loop() {
    auto* poller = dynamic_cast<AsioPoller*>(&Loop::current().poller());
    if (!poller) fail(Code::unsupported, "real sockets need a loop on the real reactor, and this one is simulated");
    return poller->io_context();
}

}  // namespace tandem::async
