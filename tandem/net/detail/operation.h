// One Asio operation awaited by a coroutine, cancelled with its context.
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/error_code.hpp>
#include <coroutine>
#include <string_view>
#include <utility>

#include "tandem/async/loop.h"
#include "tandem/base/error.h"

namespace tandem::net::detail {

// What a failed socket call means to a caller. `what` is the operation and its address.
Error to_error(const boost::system::error_code& error, std::string_view what);

// `start` is called with a completion handler (error_code, size_t) and begins the operation. The signal is the
// caller's, one for each direction of a socket, so that its memory is reused from operation to operation.
template <typename Start>
class Operation final : async::CancelHook {
  public:
    Operation(Start start, boost::asio::cancellation_signal& signal) : start_(std::move(start)), signal_(signal) {}

    bool await_ready() const {
        async::Context::current()->check();
        return false;
    }
    void await_suspend(std::coroutine_handle<> handle) {
        continuation_.capture(handle);
        continuation_.context().add(*this);
        start_(Handler{this});
    }
    // The error code and the bytes moved; throws the context's reason when it was cancelled.
    std::pair<boost::system::error_code, size_t> await_resume() {
        if (error_ == boost::asio::error::operation_aborted) async::Context::current()->check();
        return {error_, size_};
    }

  private:
    struct Handler {
        Operation* operation;
        using cancellation_slot_type = boost::asio::cancellation_slot;
        cancellation_slot_type get_cancellation_slot() const noexcept { return operation->signal_.slot(); }
        void operator()(boost::system::error_code error, size_t size = 0) const {
            operation->unhook();
            operation->error_ = error;
            operation->size_ = size;
            operation->continuation_.resume();
        }
    };
    void on_cancel(const Error&) override { signal_.emit(boost::asio::cancellation_type::terminal); }

    Start start_;
    boost::asio::cancellation_signal& signal_;
    async::Continuation continuation_;
    boost::system::error_code error_;
    size_t size_ = 0;
};

}  // namespace tandem::net::detail
