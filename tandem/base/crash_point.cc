#include "tandem/base/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace tandem::base {

void crash_if_asked(std::string_view name) noexcept {
    struct Wish {
        std::string_view name;
        std::atomic<long> passes_left{1};
        Wish() {
            const char* wish = std::getenv("TANDEM_CRASH_AT");
            if (!wish) return;
            name = wish;
            if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
                passes_left = std::strtol(wish + colon + 1, nullptr, 10);
                name = name.substr(0, colon);
            }
        }
    };
    static Wish wish;
    if (wish.name != name || wish.passes_left.fetch_sub(1) != 1) return;
    ::kill(::getpid(), SIGKILL);
}

}  // namespace tandem::base
