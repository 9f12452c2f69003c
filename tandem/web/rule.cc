#include "tandem/web/rule.h"

#include "tandem/base/error.h"

namespace tandem::web {

void malformed_rule(std::string_view rule, std::string_view why) {
    fail(Code::invalid_argument, "route \"{}\": {}", rule, why);
}

}  // namespace tandem::web
