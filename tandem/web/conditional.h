// Conditional requests and ranges (RFC 9110 sections 13 and 14): whether a request may go on, and which bytes it wants.
//
// Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/http/date.h"
#include "tandem/http/headers.h"
#include "tandem/http/method.h"

namespace tandem::web {

// What is known of the resource as it is now.
struct Validators {
    std::string etag;  // with its quotes, and W/ when weak; empty without one
    std::optional<http::Seconds> last_modified;
};

enum class Precondition : unsigned char {
    holds,
    not_modified,  // answer 304
    failed,        // answer 412
};

// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of section 13.2.2, for a resource
// that exists. `now` tells the century of two-digit years.
Precondition check_preconditions(http::Method method, const http::Headers& headers, const Validators& validators,
                                 http::Seconds now);
// Whether Range counts: GET alone, and If-Range, if there, names the current representation by a strong validator.
bool range_applies(http::Method method, const http::Headers& headers, const Validators& validators, http::Seconds now);

// Entity tags listed in an If-Match or If-None-Match value; "*" is listed as itself, a broken rest is left out.
std::vector<std::string_view> parse_etags(std::string_view list);

struct ByteRange {
    uint64_t first;
    uint64_t last;  // inclusive, less than the size
    uint64_t size() const noexcept { return last - first + 1; }
    bool operator==(const ByteRange&) const = default;
};

struct RangeRequest {
    enum class Kind : unsigned char {
        whole,          // no range, another unit, malformed, or so many or overlapping that the whole is cheaper
        partial,        // `ranges`, at least one, in the order asked for
        unsatisfiable,  // answer 416
    };
    Kind kind = Kind::whole;
    std::vector<ByteRange> ranges;
};

// A Range value against content of `size` bytes.
RangeRequest parse_range(std::string_view value, uint64_t size, size_t max_ranges = 16);

}  // namespace tandem::web
