#include "tandem/web/conditional.h"

#include <algorithm>
#include <limits>

namespace tandem::web {

namespace {

bool is_weak(std::string_view etag) noexcept {
    return etag.starts_with("W/");
}

// The opaque tags are equal, and with `strong` neither is weak (section 8.8.3.2).
bool same_etag(std::string_view a, std::string_view b, bool strong) noexcept {
    if (strong && (is_weak(a) || is_weak(b))) return false;
    return a.substr(is_weak(a) ? 2 : 0) == b.substr(is_weak(b) ? 2 : 0);
}

bool any_etag_matches(const http::Headers& headers, std::string_view name, std::string_view etag, bool strong) {
    for (std::string_view value : headers.get_all(name))
        for (std::string_view listed : parse_etags(value))
            if (listed == "*" || (!etag.empty() && same_etag(listed, etag, strong))) return true;
    return false;
}

std::optional<http::Seconds> date_of(const http::Headers& headers, std::string_view name, http::Seconds now) {
    auto value = headers.get(name);
    return value ? http::parse_date(*value, now) : std::nullopt;
}

}  // namespace

std::vector<std::string_view> parse_etags(std::string_view list) {
    std::vector<std::string_view> etags;
    while (true) {
        size_t start = list.find_first_not_of(" \t,");
        if (start == std::string_view::npos) return etags;
        list.remove_prefix(start);
        size_t end = 1;
        if (!list.starts_with('*')) {
            size_t quote = is_weak(list) ? 2 : 0;
            if (quote >= list.size() || list[quote] != '"') return etags;
            end = list.find('"', quote + 1);
            if (end == std::string_view::npos) return etags;
            ++end;
        }
        etags.push_back(list.substr(0, end));
        list.remove_prefix(end);
        size_t next = list.find_first_not_of(" \t");
        if (next != std::string_view::npos && list[next] != ',') return etags;
    }
}

Precondition check_preconditions(http::Method method, const http::Headers& headers, const Validators& validators,
                                 http::Seconds now) {
    bool reads = method == http::Method::get || method == http::Method::head;
    if (headers.contains("If-Match")) {
        if (!any_etag_matches(headers, "If-Match", validators.etag, true)) return Precondition::failed;
    } else if (auto since = date_of(headers, "If-Unmodified-Since", now); since && validators.last_modified) {
        if (*validators.last_modified > *since) return Precondition::failed;
    }
    if (headers.contains("If-None-Match")) {
        if (any_etag_matches(headers, "If-None-Match", validators.etag, false))
            return reads ? Precondition::not_modified : Precondition::failed;
    } else if (auto since = date_of(headers, "If-Modified-Since", now); reads && since && validators.last_modified) {
        if (*validators.last_modified <= *since) return Precondition::not_modified;
    }
    return Precondition::holds;
}

bool range_applies(http::Method method, const http::Headers& headers, const Validators& validators, http::Seconds now) {
    if (method != http::Method::get || !headers.contains("Range")) return false;
    auto condition = headers.get("If-Range");
    if (!condition) return true;
    if (condition->starts_with('"') || is_weak(*condition))
        return !validators.etag.empty() && same_etag(*condition, validators.etag, true);
    auto date = http::parse_date(*condition, now);
    // A date is a strong validator only when nothing can have changed within its second any more (section 8.8.2.2).
    return date && validators.last_modified && *date == *validators.last_modified &&
           *date + std::chrono::seconds(1) < now;
}

namespace {

// Digits as a number, the largest one when it does not fit; nullopt when there are none or something else.
std::optional<uint64_t> parse_position(std::string_view text) noexcept {
    if (text.empty()) return std::nullopt;
    constexpr uint64_t most = std::numeric_limits<uint64_t>::max();
    uint64_t value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        uint64_t digit = static_cast<uint64_t>(c - '0');
        value = value > (most - digit) / 10 ? most : value * 10 + digit;
    }
    return value;
}

enum class Spec : unsigned char { good, beyond_the_end, malformed };

// int-range or suffix-range (section 14.1.1).
Spec parse_spec(std::string_view spec, uint64_t size, ByteRange& range) noexcept {
    size_t dash = spec.find('-');
    if (dash == std::string_view::npos) return Spec::malformed;
    std::string_view first_text = spec.substr(0, dash);
    std::string_view last_text = spec.substr(dash + 1);
    auto last = parse_position(last_text);
    if (!last && !last_text.empty()) return Spec::malformed;
    if (first_text.empty()) {
        if (!last) return Spec::malformed;
        if (*last == 0 || size == 0) return Spec::beyond_the_end;
        range = {size - std::min(*last, size), size - 1};
        return Spec::good;
    }
    auto first = parse_position(first_text);
    if (!first || (last && *last < *first)) return Spec::malformed;
    if (*first >= size) return Spec::beyond_the_end;
    range = {*first, last ? std::min(*last, size - 1) : size - 1};
    return Spec::good;
}

}  // namespace

RangeRequest parse_range(std::string_view value, uint64_t size, size_t max_ranges) {
    RangeRequest request;
    size_t equals = value.find('=');
    if (equals == std::string_view::npos) return request;
    if (!http::equals_ignoring_case(http::trim_whitespace(value.substr(0, equals)), "bytes")) return request;
    std::string_view rest = value.substr(equals + 1);
    size_t specs = 0;
    uint64_t wanted = 0;
    while (!rest.empty()) {
        size_t comma = std::min(rest.find(','), rest.size());
        std::string_view spec = http::trim_whitespace(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        if (spec.empty()) continue;
        ByteRange range{};
        Spec kind = parse_spec(spec, size, range);
        if (kind == Spec::malformed || ++specs > max_ranges) return {};
        if (kind == Spec::beyond_the_end) continue;
        wanted += range.size();
        if (wanted > size) return {};  // they overlap: the whole is less
        request.ranges.push_back(range);
    }
    if (specs == 0) return {};
    request.kind = request.ranges.empty() ? RangeRequest::Kind::unsatisfiable : RangeRequest::Kind::partial;
    return request;
}

}  // namespace tandem::web
