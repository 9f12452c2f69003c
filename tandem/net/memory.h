// Streams without a network: a connected pair in memory, with bounded buffers; for tests and the test client.
#pragma once

#include <memory>
#include <utility>

#include "tandem/net/stream.h"

namespace tandem::net {

// What is written to one end is read from the other. write() waits while `capacity` bytes are unread.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> memory_pair(size_t capacity = 64 * 1024);

}  // namespace tandem::net
