#include "tandem/http/trace.h"

namespace tandem::http {

base::TraceContext receive_trace(const Headers& headers, base::Random& random) {
    std::optional<std::string_view> parent = headers.get("traceparent");
    if (!parent) return base::TraceContext::start(random);
    std::string state;
    for (std::string_view value : headers.get_all("tracestate")) {
        if (!state.empty()) state.push_back(',');
        state.append(value);
    }
    auto trace = base::TraceContext::parse(*parent, state);
    return trace ? trace->child(random) : base::TraceContext::start(random);
}

void send_trace(Headers& headers, base::Random& random) {
    const async::Context* context = async::Context::current();
    const base::TraceContext* trace = context ? context->find(trace_key) : nullptr;
    if (!trace) return;
    base::TraceContext step = trace->child(random);
    headers.set("traceparent", step.traceparent());
    if (!step.state.empty()) headers.set("tracestate", step.state.format());
}

}  // namespace tandem::http
