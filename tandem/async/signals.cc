#include "tandem/async/signals.h"

#include <boost/asio/signal_set.hpp>

#include "tandem/async/asio.h"

namespace tandem::async {

namespace {

class SignalWait final : CancelHook {
  public:
    explicit SignalWait(boost::asio::signal_set& signals) : signals_(signals) {}
    bool await_ready() const {
        Context::current()->check();
        return false;
    }
    void await_suspend(std::coroutine_handle<> handle) {
        continuation_.capture(handle);
        continuation_.context().add(*this);
        signals_.async_wait([this](boost::system::error_code error, int number) {
            unhook();
            number_ = error ? 0 : number;
            continuation_.resume();
        });
    }
    int await_resume() const {
        if (number_ == 0) Context::current()->check();
        return number_;
    }

  private:
    void on_cancel(const Error&) override { signals_.cancel(); }
    boost::asio::signal_set& signals_;
    int number_ = 0;
    Continuation continuation_;
};

}  // namespace

Task<int> wait_for_signal(std::vector<int> signals) {
    boost::asio::signal_set set(AsioPoller::of_current_loop());
    for (int number : signals) set.add(number);
    co_return co_await SignalWait(set);
}

}  // namespace tandem::async
