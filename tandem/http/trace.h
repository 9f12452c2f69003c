// The trace a request belongs to (base/trace.h) on its way through a service: taken from a request's fields by the
// server, kept in the Context while the handler runs, and sent on by the client.
#pragma once

#include "tandem/async/context.h"
#include "tandem/base/random.h"
#include "tandem/base/trace.h"
#include "tandem/http/headers.h"

namespace tandem::http {

inline constexpr async::ContextKey<const base::TraceContext> trace_key{"trace"};

// A step within the trace that traceparent and tracestate name, or the first of a new one.
base::TraceContext receive_trace(const Headers& headers, base::Random& random);
// Sets traceparent and tracestate to a step within the current Context's trace; nothing when it has none.
void send_trace(Headers& headers, base::Random& random);

}  // namespace tandem::http
