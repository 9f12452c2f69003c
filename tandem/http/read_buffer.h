// Bytes that were read from a stream and not yet understood: one contiguous block that parsers look at. Inside http
// only.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace tandem::http::detail {

class ReadBuffer {
  public:
    explicit ReadBuffer(size_t capacity) : bytes_(new std::byte[capacity]), capacity_(capacity) {}

    std::string_view unread() const noexcept {
        return {reinterpret_cast<const char*>(bytes_.get()) + begin_, end_ - begin_};
    }
    bool empty() const noexcept { return begin_ == end_; }
    void consume(size_t size) noexcept {
        begin_ += size;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    // Free space behind the unread bytes, at least one byte: they are moved to the front, and the block doubles when
    // they fill it. The parsers' limits on a line bound its size.
    std::span<std::byte> space() {
        if (end_ == capacity_ && begin_ > 0) {
            std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        if (end_ == capacity_) {
            std::unique_ptr<std::byte[]> larger(new std::byte[capacity_ * 2]);
            std::memcpy(larger.get(), bytes_.get(), end_);
            bytes_ = std::move(larger);
            capacity_ *= 2;
        }
        return {bytes_.get() + end_, capacity_ - end_};
    }
    void added(size_t size) noexcept { end_ += size; }

  private:
    std::unique_ptr<std::byte[]> bytes_;
    size_t capacity_;
    size_t begin_ = 0;
    size_t end_ = 0;
};

}  // namespace tandem::http::detail
