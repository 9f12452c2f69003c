// libFuzzer target: requests, responses and chunked bodies from arbitrary bytes, whole and in two pieces, which must
// come to the same end.
#include <cstdint>

#include "tandem/base/assert.h"
#include "tandem/http/parser.h"

using namespace tandem::http;

namespace {

struct Outcome {
    Progress progress;
    size_t consumed;
    size_t fields;
    bool operator==(const Outcome&) const = default;
};

Outcome parse_request(std::string_view input, size_t split) {
    RequestParser parser{Limits{}};
    Request request;
    request.clear();
    Parsed first = parser.parse(input.substr(0, split), request);
    if (first.progress != Progress::need_more) return {first.progress, first.consumed, request.headers.size()};
    Parsed rest = parser.parse(input.substr(first.consumed), request);
    if (rest.progress == Progress::done) {
        bool path = request.path.empty() || request.path == "*" || request.path.front() == '/';
        TANDEM_ASSERT(path && !request.path.contains('\0') && !request.path.contains("/../"), "a path is normalised");
        TANDEM_ASSERT(request.version == 10 || !request.authority.empty(), "HTTP/1.1 names its host");
    }
    return {rest.progress, first.consumed + rest.consumed, request.headers.size()};
}

void decode_chunks(std::string_view input) {
    ChunkedDecoder decoder{Limits{}};
    while (true) {
        ChunkedDecoder::Step step = decoder.next(input, 7);
        TANDEM_ASSERT(step.consumed <= input.size() && step.data.size() <= step.consumed, "chunks stay in the input");
        input.remove_prefix(step.consumed);
        if (step.progress != Progress::need_more || step.data.empty()) return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    size_t split = data[0] % (input.size() + 1);
    Outcome whole = parse_request(input, input.size());
    if (whole.progress == Progress::done) {
        TANDEM_ASSERT(parse_request(input, split) == whole, "two pieces give the same request");
    }
    ResponseParser parser{Limits{}};
    ResponseHead head;
    (void)parser.parse(input, Method::get, head);
    decode_chunks(input);
    return 0;
}
