#include "tandem/web/escape.h"

namespace tandem::web {

std::string escape_html(std::string_view text) {
    std::string safe;
    safe.reserve(text.size());
    for (char c : text) {
        switch (c) {
            case '&':
                safe.append("&amp;");
                break;
            case '<':
                safe.append("&lt;");
                break;
            case '>':
                safe.append("&gt;");
                break;
            case '"':
                safe.append("&quot;");
                break;
            case '\'':
                safe.append("&#39;");
                break;
            default:
                safe.push_back(c);
        }
    }
    return safe;
}

}  // namespace tandem::web
