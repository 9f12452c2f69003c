// Transactions as JSON: what the API takes and shows.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "tandem/tx/model.h"

namespace tandem::tx {
class AllowedUrls;
}

namespace tandem::node {

// As /v1 shows it.
boost::json::object transaction_to_json(const tx::Transaction& transaction);

// The body of POST /v1/transactions. Throws web::ProblemError naming the field; the gid stays empty when none is given.
tx::Transaction transaction_from_json(const boost::json::value& body, const tx::AllowedUrls& allowed);
// The body of POST /v1/transactions/{gid}/branches, for a transaction of that mode.
tx::Branch branch_from_json(const boost::json::value& body, tx::Mode mode, const tx::AllowedUrls& allowed);

// The body of DTM's prepare and submit (fields that DTM's clients send and nobody needs are passed over).
tx::Transaction transaction_from_dtm(const boost::json::value& body, const tx::AllowedUrls& allowed);
tx::Branch branch_from_dtm(const boost::json::value& body, const tx::AllowedUrls& allowed);
// As DTM's query and all show them: the transaction, and a row for each branch and operation.
boost::json::object transaction_to_dtm(const tx::Transaction& transaction);
boost::json::array branches_to_dtm(const tx::Transaction& transaction);

// Milliseconds since 1970 as "2026-01-31T12:00:00.000Z".
std::string iso_time(int64_t ms);

}  // namespace tandem::node
