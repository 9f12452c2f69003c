// The readers of what people write for MySQL: URLs, and the commands of a batch.
#include "tandem/base/assert.h"
#include "tandem/base/error.h"
#include "tandem/db/database.h"
#include "tandem/db/detail/mysql_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tandem;
    if (size == 0) return 0;
    const bool escapes = (data[0] & 1) != 0;
    const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
    (void)db::redact(text);
    try {
        (void)db::detail::parse_mysql_url("mysql://" + text);
    } catch (const Error& error) {
        TANDEM_ASSERT(error.code() == Code::invalid_argument, "a bad URL is the caller's fault");
    }
    try {
        // What was taken must still be one whole statement, with nothing left to fill in.
        const std::string once = db::detail::with_literals({text, {}}, escapes);
        TANDEM_ASSERT(db::detail::with_literals({once, {}}, escapes).size() <= once.size(), "taken once, taken twice");
    } catch (const Error& error) {
        TANDEM_ASSERT(error.code() == Code::invalid_argument, "a bad command is the caller's fault");
    }
    try {
        // Whatever the parameter holds, it stays inside its literal.
        const std::string command = db::detail::with_literals({"SELECT ?, 'x'", {db::Value(text)}}, escapes);
        const std::string again = db::detail::with_literals({command, {}}, escapes);
        TANDEM_ASSERT(again == command, "a literal has no placeholder, comment or end in it");
    } catch (const Error&) {
        TANDEM_ASSERT(false, "text of any kind can be a parameter");
    }
    return 0;
}
