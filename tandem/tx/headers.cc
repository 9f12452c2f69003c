#include "tandem/tx/headers.h"

#include <algorithm>

#include "tandem/http/trace.h"
#include "tandem/http/url.h"

namespace tandem::tx {

const CurrentTransaction* current_transaction() noexcept {
    const async::Context* context = async::Context::current();
    return context ? context->find(transaction_key) : nullptr;
}

void add_headers(http::ClientRequest& request, const CurrentTransaction& transaction) {
    const auto set = [&](std::string_view name, std::string_view value) {
        if (!value.empty()) request.headers.set(name, value);
    };
    set(gid_header, transaction.branch.gid);
    set(mode_header, to_string(transaction.branch.mode));
    set(branch_id_header, transaction.branch.branch_id);
    set(operation_header, transaction.branch.operation);
    set(node_header, transaction.node_url);
    http::send_trace(request.headers, base::Random::real());
}

void add_current_headers(http::ClientRequest& request) {
    if (const CurrentTransaction* transaction = current_transaction()) {
        add_headers(request, *transaction);
    } else {
        http::send_trace(request.headers, base::Random::real());
    }
}

std::optional<CurrentTransaction> received_transaction(const http::Headers& headers, std::string_view query) {
    if (headers.contains(gid_header)) {
        return CurrentTransaction{BranchContext::from_headers(headers),
                                  std::string(headers.get_or(node_header, std::string_view()))};
    }
    const http::QueryPairs pairs = http::parse_query(query);
    const auto value = [&](std::string_view name) {
        const auto found =
            std::ranges::find(pairs, name, [](const auto& pair) { return std::string_view(pair.first); });
        return found == pairs.end() ? std::string() : found->second;
    };
    // Anybody may have a parameter called gid; only together with trans_type it is ours.
    if (value("gid").empty() || value("trans_type").empty()) return std::nullopt;
    std::string node_url = value("dtm");
    if (node_url.ends_with(dtm_api_path)) node_url.resize(node_url.size() - dtm_api_path.size());
    return CurrentTransaction{BranchContext::from_query(query), std::move(node_url)};
}

}  // namespace tandem::tx
