// Named places where a test build can be killed: TANDEM_CRASH_AT=name ends the process there with SIGKILL, as a power
// cut would; TANDEM_CRASH_AT=name:3 at the third time. In other builds they cost nothing.
#pragma once

#include <string_view>

namespace tandem::base {
void crash_if_asked(std::string_view name) noexcept;
}

#ifdef TANDEM_CRASH_POINTS
#define TANDEM_CRASH_POINT(name) ::tandem::base::crash_if_asked(name)
#else
#define TANDEM_CRASH_POINT(name) static_cast<void>(0)
#endif
