#include "tandem/async/time.h"

namespace tandem::async::detail {

DeadlineTimer::DeadlineTimer(Context& context, base::TimePoint when)
    : Timer(&DeadlineTimer::fire), context_(context), loop_(Loop::current()) {
    loop_.arm(*this, when);
}

void DeadlineTimer::fire(Timer& timer) {
    static_cast<DeadlineTimer&>(timer).context_.cancel(Error(Code::deadline_exceeded, "the deadline has passed"));
}

}  // namespace tandem::async::detail
