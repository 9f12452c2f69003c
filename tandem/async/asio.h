// Asio's reactor as a loop's poller. Only this module and `net` include it, so that nothing else compiles Asio.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "tandem/async/loop.h"

namespace tandem::async {

class AsioPoller final : public Poller {
  public:
    AsioPoller();
    ~AsioPoller() override;
    void poll(std::optional<base::Duration> timeout) override;
    void wake() override;

    boost::asio::io_context& io_context() noexcept { return io_context_; }
    // The io_context of the loop that runs on this thread; an error when that loop is not a real one (the simulator's).
    static boost::asio::io_context& of_current_loop();

  private:
    boost::asio::io_context io_context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
};

}  // namespace tandem::async
