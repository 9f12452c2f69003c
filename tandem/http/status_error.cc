#include "tandem/http/status_error.h"

#include <fmt/format.h>

namespace tandem::http {

namespace {
// RFC 8259 section 7. Bytes that are not ASCII pass as they are.
void append_json_string(std::string& out, std::string_view text) {
    out.push_back('"');
    for (char c : text) {
        if (c == '"' || c == '\\') {
            out.append({'\\', c});
        } else if (static_cast<unsigned char>(c) < 0x20) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}
}  // namespace

std::string problem_json(Status status, std::string_view detail) {
    std::string out = R"({"type":"about:blank","title":)";
    append_json_string(out, reason_phrase(status));
    fmt::format_to(std::back_inserter(out), R"(,"status":{})", to_int(status));
    if (!detail.empty() && detail != reason_phrase(status)) {
        out.append(R"(,"detail":)");
        append_json_string(out, detail);
    }
    out.push_back('}');
    return out;
}

}  // namespace tandem::http
