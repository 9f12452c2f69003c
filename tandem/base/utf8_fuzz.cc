// Whatever the bytes: repair gives valid text, leaves valid text alone, and truncation keeps it valid.
#include "tandem/base/assert.h"
#include "tandem/base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tandem::base;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t prefix = valid_utf8_prefix(text);
    TANDEM_ASSERT(prefix <= size && valid_utf8(text.substr(0, prefix)), "the prefix before the first error is valid");
    const std::string repaired = repair_utf8(text);
    TANDEM_ASSERT(valid_utf8(repaired), "repaired text is valid");
    TANDEM_ASSERT(prefix != size || repaired == text, "valid text is left alone");
    for (size_t cut = 0; cut <= 8 && cut <= repaired.size(); ++cut) {
        TANDEM_ASSERT(valid_utf8(truncate_utf8(repaired, repaired.size() - cut)), "truncated text is valid");
    }
    return 0;
}
