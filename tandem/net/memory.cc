#include "tandem/net/memory.h"

#include <deque>

#include "tandem/async/sync.h"
#include "tandem/base/error.h"

namespace tandem::net {

namespace {

// One direction. Its two ends share it; it outlives whichever goes first.
struct Pipe {
    explicit Pipe(size_t capacity) : capacity(capacity) {}
    const size_t capacity;
    std::deque<std::byte> bytes;
    bool write_ended = false;  // the reader sees the end once drained
    bool broken = false;       // either end closed: nothing more arrives or is accepted
    async::Event changed;
    void notify() {
        changed.set();
        changed.reset();
    }
};

class MemoryStream final : public Stream {
  public:
    MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) : in_(std::move(in)), out_(std::move(out)) {}
    ~MemoryStream() override { close(); }

    async::Task<size_t> read(std::span<std::byte> buffer) override {
        if (buffer.empty()) co_return 0;
        while (in_->bytes.empty()) {
            if (closed_) fail(Code::unavailable, "the stream is closed");
            if (in_->write_ended) co_return 0;
            co_await in_->changed.wait();
        }
        const size_t size = std::min(buffer.size(), in_->bytes.size());
        std::copy_n(in_->bytes.begin(), size, buffer.begin());
        in_->bytes.erase(in_->bytes.begin(), in_->bytes.begin() + static_cast<std::ptrdiff_t>(size));
        in_->notify();
        co_return size;
    }

    async::Task<void> write(std::span<const std::span<const std::byte>> parts) override {
        for (std::span<const std::byte> part : parts) {
            while (!part.empty()) {
                if (out_->broken || out_->write_ended) fail(Code::unavailable, "the peer closed the stream");
                const size_t size = std::min(part.size(), out_->capacity - out_->bytes.size());
                if (size == 0) {
                    co_await out_->changed.wait();
                    continue;
                }
                out_->bytes.insert(out_->bytes.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size));
                part = part.subspan(size);
                out_->notify();
            }
        }
    }

    void shutdown_write() noexcept override {
        out_->write_ended = true;
        out_->notify();
    }
    void close() noexcept override {
        if (std::exchange(closed_, true)) return;
        in_->broken = true;
        in_->bytes.clear();
        in_->notify();
        shutdown_write();
    }
    bool peer_closed() noexcept override { return out_->broken || (in_->write_ended && in_->bytes.empty()); }
    const Address& peer() const noexcept override { return address_; }
    const Address& local() const noexcept override { return address_; }

  private:
    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
    bool closed_ = false;
    Address address_ = Address::memory("pair");
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> memory_pair(size_t capacity) {
    auto there = std::make_shared<Pipe>(capacity);
    auto back = std::make_shared<Pipe>(capacity);
    return {std::make_unique<MemoryStream>(back, there), std::make_unique<MemoryStream>(there, back)};
}

}  // namespace tandem::net
