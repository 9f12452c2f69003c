// Whatever the query or the fields: a call that is accepted names itself by what the barrier's table can hold.
#include <cstdint>

#include "tandem/base/assert.h"
#include "tandem/base/id.h"
#include "tandem/tx/headers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tandem;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto accepted = [](const tx::BranchContext& branch) {
        TANDEM_ASSERT(branch.gid.size() <= 128 && base::valid_gid_characters(branch.gid), "a gid that fits");
        TANDEM_ASSERT(branch.branch_id.size() <= 128 && base::valid_gid_characters(branch.branch_id),
                      "a branch that fits");
        TANDEM_ASSERT(!branch.operation.empty() && branch.operation.size() <= 45, "an operation that fits");
    };
    try {
        accepted(tx::BranchContext::from_query(text));
    } catch (const Error& error) {
        TANDEM_ASSERT(error.code() == Code::invalid_argument, "refused with its reason");
    }
    try {
        http::Headers headers;
        size_t at = 0;
        for (std::string_view name : {tx::gid_header, tx::mode_header, tx::branch_id_header, tx::operation_header}) {
            const size_t end = std::min(text.find('\n', at), size);
            headers.set(name, text.substr(at, end - at));
            at = std::min(end + 1, size);
        }
        if (const auto received = tx::received_transaction(headers, text)) accepted(received->branch);
    } catch (const Error& error) {
        TANDEM_ASSERT(error.code() == Code::invalid_argument, "refused with its reason");
    }
    return 0;
}
