// How the coordinator reaches branches: a parameter, so that tests and the simulator answer without a network.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "tandem/async/task.h"
#include "tandem/base/clock.h"
#include "tandem/tx/state_machine.h"

namespace tandem::tx {

struct BranchCall {
    std::string url;
    std::string gid;
    Mode mode = Mode::saga;
    std::string branch_id;
    std::string operation;  // "action", "compensate", …; for a message's check-back "msg"
    std::string payload;    // POST when there is one, and for XA; else GET
    std::map<std::string, std::string> headers;
    base::Duration timeout = std::chrono::seconds(3);
};

class BranchCaller {
  public:
    virtual ~BranchCaller() = default;
    // Never throws but for the caller's cancellation: what goes wrong is Verdict::error with its text.
    virtual async::Task<Answer> call(BranchCall call) = 0;
};

// How an HTTP answer of a branch is read (DTM's order): 425 or "ONGOING" in the body: ongoing; 409 or "FAILURE":
// refused; 200: success; everything else: error.
Answer judge(int status, std::string_view body);

// `url` with gid, trans_type, branch_id and op added to its query.
std::string branch_url(const BranchCall& call);

}  // namespace tandem::tx
