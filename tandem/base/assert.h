// Assertions that stay on in release builds: a broken invariant stops the process before it can damage data.
#pragma once

#include <string_view>

namespace tandem {

// Prints the failed condition with its place and message to stderr, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line,
                                   std::string_view message) noexcept;

}  // namespace tandem

#define TANDEM_ASSERT(condition, message)                                        \
    do {                                                                         \
        if (!(condition)) [[unlikely]]                                           \
            ::tandem::assertion_failed(#condition, __FILE__, __LINE__, message); \
    } while (false)
