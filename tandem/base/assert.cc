#include "tandem/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace tandem {

void assertion_failed(const char* condition, const char* file, int line, std::string_view message) noexcept {
    std::fprintf(stderr, "tandem: assertion failed: %s (%.*s) at %s:%d\n", condition, static_cast<int>(message.size()),
                 message.data(), file, line);
    std::fflush(stderr);
    std::abort();
}

}  // namespace tandem
