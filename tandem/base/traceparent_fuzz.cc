// Whatever the headers: what parses can be written, and what is written parses to the same.
#include "tandem/base/assert.h"
#include "tandem/base/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tandem::base;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t line = std::min(text.find('\n'), size);
    if (const auto context = TraceContext::parse(text.substr(0, line))) {
        const auto again = TraceContext::parse(context->traceparent());
        TANDEM_ASSERT(again && again->trace_id == context->trace_id && again->span_id == context->span_id &&
                          again->sampled == context->sampled,
                      "a traceparent round-trips");
    }
    if (const auto state = TraceState::parse(text.substr(std::min(line + 1, size)))) {
        const std::string written = state->format();
        TANDEM_ASSERT(written.size() <= TraceState::size_max, "a tracestate is bounded");
        const auto again = TraceState::parse(written);
        TANDEM_ASSERT(again && again->format() == written, "a tracestate round-trips");
    }
    return 0;
}
