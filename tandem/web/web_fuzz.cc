// Whatever the bytes: routing ends and gives only values that its converters take; a query, a Range, entity tags and
// JSON are read or refused with an error for the client; a range lies within its content.
#include "tandem/base/assert.h"
#include "tandem/http/status_error.h"
#include "tandem/http/url.h"
#include "tandem/web/conditional.h"
#include "tandem/web/detail/router.h"
#include "tandem/web/json.h"

namespace {

using namespace tandem;

constexpr std::string_view rules[] = {
    "/",        "/<path:p>", "/a/<path:p>/e/<s>/", "/a/<s>/<float:f>", "/<any(x,y):a>/<uuid:u>", "/v<int:i>/",
    "/<s>.csv", "/a/b/"};

const web::detail::Router& router() {
    static const web::detail::Router* const made = [] {
        auto* router = new web::detail::Router();
        web::detail::MethodSet get;
        get.add(http::Method::get);
        const web::Parameter parameters[] = {{web::ParameterKind::integer, 1000}, {web::ParameterKind::text}};
        for (size_t i = 0; i < std::size(rules); ++i) router->add(rules[i], get, i, parameters);
        return router;
    }();
    return *made;
}

void route(std::string_view target) {
    std::string path;
    if (!http::normalize_path(target, path)) return;
    web::detail::Match match = router().match(path, http::Method::get);
    if (match.outcome != web::detail::Match::Outcome::found) return;
    web::ParsedRule rule = web::parse_rule(rules[match.route]);
    TANDEM_ASSERT(match.values.size == rule.variables, "a value for each variable");
    std::string again;
    size_t value = 0;
    for (size_t i = 0; i < rule.size; ++i) {
        const web::RulePart& part = rule.parts[i];
        again.append("/").append(part.before);
        if (!part.is_variable()) continue;
        TANDEM_ASSERT(web::detail::converts(part, match.values.values[value], 1000), "the converter takes its value");
        again.append(match.values.values[value++]).append(part.after);
    }
    if (rule.trailing_slash) again.push_back('/');
    TANDEM_ASSERT(again == path, "rule and values give the path again");
}

void read_range(std::string_view value, uint64_t size) {
    web::RangeRequest request = web::parse_range(value, size);
    TANDEM_ASSERT((request.kind == web::RangeRequest::Kind::partial) == !request.ranges.empty(), "ranges when partial");
    for (const web::ByteRange& range : request.ranges)
        TANDEM_ASSERT(range.first <= range.last && range.last < size, "a range lies within its content");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 6) {
        case 0:
            route(text);
            break;
        case 1:
            read_range(text, data[0]);
            break;
        case 2:
            for (std::string_view tag : web::parse_etags(text)) TANDEM_ASSERT(!tag.empty(), "a tag has characters");
            break;
        case 3:
            try {
                http::parse_query(text);
            } catch (const Error& error) {
                TANDEM_ASSERT(error.code() == Code::invalid_argument, "a query is refused as such");
            }
            break;
        case 4:
            try {
                web::parse_json(text);
            } catch (const http::StatusError&) {
            }
            break;
        default:
            try {
                web::parse_rule(text);
            } catch (const Error& error) {
                TANDEM_ASSERT(error.code() == Code::invalid_argument, "a rule is refused as such");
            }
    }
    return 0;
}
