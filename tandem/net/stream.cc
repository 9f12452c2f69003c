#include "tandem/net/stream.h"

#include "tandem/base/error.h"

namespace tandem::net {

async::Task<void> Stream::write(std::string_view text) {
    const std::span<const std::byte> part = std::as_bytes(std::span(text));
    co_await write(std::span(&part, 1));
}

async::Task<void> Stream::read_exactly(std::span<std::byte> buffer) {
    const size_t wanted = buffer.size();
    while (!buffer.empty()) {
        const size_t got = co_await read(buffer);
        if (got == 0) {
            fail(Code::unavailable, "{} closed the connection after {} of {} bytes", peer().to_string(),
                 wanted - buffer.size(), wanted);
        }
        buffer = buffer.subspan(got);
    }
}

}  // namespace tandem::net
