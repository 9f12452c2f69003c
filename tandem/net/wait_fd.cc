#include "tandem/net/wait_fd.h"

#include <boost/asio/posix/stream_descriptor.hpp>

#include "tandem/async/asio.h"
#include "tandem/async/loop.h"
#include "tandem/base/error.h"

namespace tandem::net {

namespace asio = boost::asio;

struct FdWatch::State {
    explicit State(int fd) : descriptor(async::AsioPoller::of_current_loop(), fd) {}
    asio::posix::stream_descriptor descriptor;
};

namespace {

// Waits for either direction; when one is ready the other wait is withdrawn, and both have ended before we go on.
class WaitEither final : async::CancelHook {
  public:
    WaitEither(asio::posix::stream_descriptor& descriptor, Readiness interest)
        : descriptor_(descriptor), interest_(interest) {}

    bool await_ready() const {
        async::Context::current()->check();
        return false;
    }
    void await_suspend(std::coroutine_handle<> handle) {
        continuation_.capture(handle);
        continuation_.context().add(*this);
        pending_ = interest_.readable + interest_.writable;
        if (interest_.readable) begin(asio::posix::stream_descriptor::wait_read, &result_.readable);
        if (interest_.writable) begin(asio::posix::stream_descriptor::wait_write, &result_.writable);
    }
    Readiness await_resume() const {
        if (!result_.readable && !result_.writable) {
            async::Context::current()->check();
            fail(Code::io, "waiting for a file descriptor failed: {}", error_.message());
        }
        return result_;
    }

  private:
    void begin(asio::posix::stream_descriptor::wait_type direction, bool* ready) {
        descriptor_.async_wait(direction, [this, ready](boost::system::error_code error) {
            *ready = !error;
            if (error) error_ = error;
            if (--pending_ > 0) {
                descriptor_.cancel();
                return;
            }
            unhook();
            continuation_.resume();
        });
    }
    void on_cancel(const Error&) override { descriptor_.cancel(); }

    asio::posix::stream_descriptor& descriptor_;
    Readiness interest_;
    Readiness result_;
    int pending_ = 0;
    boost::system::error_code error_;
    async::Continuation continuation_;
};

}  // namespace

FdWatch::FdWatch(int fd) : state_(std::make_unique<State>(fd)) {}
FdWatch::~FdWatch() {
    state_->descriptor.release();
}

async::Task<Readiness> FdWatch::wait(Readiness interest) {
    if (!interest.readable && !interest.writable) fail(Code::invalid_argument, "waiting for nothing would never end");
    co_return co_await WaitEither(state_->descriptor, interest);
}

}  // namespace tandem::net
