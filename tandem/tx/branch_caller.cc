#include "tandem/tx/branch_caller.h"

namespace tandem::tx {

namespace {
// What of an answer is kept for people.
constexpr size_t detail_max = 500;
}  // namespace

Answer judge(int status, std::string_view body) {
    const auto says = [&](std::string_view word) { return body.find(word) != std::string_view::npos; };
    if (status == 425 || says("ONGOING")) return {Verdict::ongoing, "ongoing"};
    if (status == 409 || says("FAILURE")) {
        return {Verdict::refused, fmt::format("{} {}", status, body.substr(0, detail_max))};
    }
    if (status == 200) return {Verdict::success, {}};
    return {Verdict::error, fmt::format("answered {}: {}", status, body.substr(0, detail_max))};
}

std::string branch_url(const BranchCall& call) {
    const char separator = call.url.find('?') == std::string::npos ? '?' : '&';
    return fmt::format("{}{}gid={}&trans_type={}&branch_id={}&op={}", call.url, separator, call.gid,
                       to_string(call.mode), call.branch_id, call.operation);
}

}  // namespace tandem::tx
