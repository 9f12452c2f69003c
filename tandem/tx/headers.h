// The running global transaction as it travels: in the Context within a service, in header fields between services.
//
// Thread rules: a TransactionScope belongs to the coroutine that made it. current_transaction() is found by everything
// that runs under that coroutine's Context.
#pragma once

#include <string>

#include "tandem/async/context.h"
#include "tandem/http/client.h"
#include "tandem/http/headers.h"
#include "tandem/tx/barrier.h"

namespace tandem::tx {

// The fields, as DTM's gRPC metadata names them.
inline constexpr std::string_view gid_header = "dtm-gid";
inline constexpr std::string_view mode_header = "dtm-trans_type";
inline constexpr std::string_view branch_id_header = "dtm-branch_id";
inline constexpr std::string_view operation_header = "dtm-op";
inline constexpr std::string_view node_header = "dtm-dtm";  // where the coordinator is

// Where clients of DTM's API find the coordinator below its URL; the query parameter dtm names it with this.
inline constexpr std::string_view dtm_api_path = "/api/dtmsvr";

struct CurrentTransaction {
    BranchContext branch;  // branch_id and operation are empty in the one who began the transaction
    std::string node_url;  // empty when unknown
};

inline constexpr async::ContextKey<const CurrentTransaction> transaction_key{"transaction"};

// The transaction this coroutine works for, or nullptr. It lives as long as the scope that set it.
const CurrentTransaction* current_transaction() noexcept;

// Makes a transaction the current one for the tasks that are run under context():
//     tx::TransactionScope scope({branch, node_url});
//     co_await async::with_context(scope.context(), handle(request));
class TransactionScope {
  public:
    explicit TransactionScope(CurrentTransaction transaction)
        : transaction_(std::move(transaction)), context_(async::Context::current()) {
        context_.set(transaction_key, static_cast<const CurrentTransaction*>(&transaction_));
    }
    TransactionScope(const TransactionScope&) = delete;
    TransactionScope& operator=(const TransactionScope&) = delete;
    async::Context& context() noexcept { return context_; }
    CurrentTransaction& transaction() noexcept { return transaction_; }

  private:
    CurrentTransaction transaction_;
    async::Context context_;
};

// Adds the fields of `transaction`, and traceparent and tracestate of the current trace, to a request.
void add_headers(http::ClientRequest& request, const CurrentTransaction& transaction);
// The same of the current transaction; without one only the trace.
void add_current_headers(http::ClientRequest& request);

// The transaction a request came with, if its fields or its query name one. Throws invalid_argument when they do so
// incompletely.
std::optional<CurrentTransaction> received_transaction(const http::Headers& headers, std::string_view query);

}  // namespace tandem::tx
