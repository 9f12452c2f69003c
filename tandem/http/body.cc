#include "tandem/http/body.h"

#include <algorithm>
#include <cstring>

#include "tandem/http/status_error.h"

namespace tandem::http {

namespace {

const Headers no_trailers;

class MemorySource final : public BodySource {
  public:
    explicit MemorySource(std::string content) : content_(std::move(content)) {}
    async::Task<size_t> read(std::span<std::byte> buffer) override {
        size_t size = std::min(buffer.size(), content_.size() - read_);
        std::memcpy(buffer.data(), content_.data() + read_, size);
        read_ += size;
        co_return size;
    }
    std::optional<uint64_t> length() const noexcept override { return content_.size(); }
    const Headers& trailers() const noexcept override { return no_trailers; }

  private:
    std::string content_;
    size_t read_ = 0;
};

}  // namespace

BodyReader::BodyReader(std::string content) : owned_(std::make_unique<MemorySource>(std::move(content))) {
    source_ = owned_.get();
}

const Headers& BodyReader::trailers() const noexcept {
    return source_ ? source_->trailers() : no_trailers;
}

async::Task<size_t> BodyReader::read(std::span<std::byte> buffer) {
    if (!source_ || buffer.empty()) co_return 0;
    co_return co_await source_->read(buffer);
}

async::Task<std::string> BodyReader::read_all(size_t limit) {
    std::string content;
    if (!source_) co_return content;
    std::optional<uint64_t> announced = source_->length();
    if (announced && *announced > limit)
        throw StatusError(Status::content_too_large, fmt::format("the body is larger than {} bytes", limit));
    // One byte more than is expected, so that the end shows without another read or a larger buffer.
    size_t room = announced ? static_cast<size_t>(*announced) + 1 : 4096;
    size_t size = 0;
    while (true) {
        if (size == content.size()) content.resize(size == 0 ? room : size * 2);
        std::span<char> free(content.data() + size, content.size() - size);
        size_t got = co_await source_->read(std::as_writable_bytes(free));
        if (got == 0) break;
        size += got;
        if (size > limit)
            throw StatusError(Status::content_too_large, fmt::format("the body is larger than {} bytes", limit));
    }
    content.resize(size);
    co_return content;
}

}  // namespace tandem::http
