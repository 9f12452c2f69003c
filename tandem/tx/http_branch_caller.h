// Branches over HTTP, called as DTM calls them.
#pragma once

#include "tandem/tx/branch_caller.h"

namespace tandem::http {
class Client;
}

namespace tandem::tx {

class HttpBranchCaller final : public BranchCaller {
  public:
    // `client` belongs to the coordinator's loop and outlives this.
    explicit HttpBranchCaller(http::Client& client) : client_(client) {}
    async::Task<Answer> call(BranchCall call) override;

  private:
    http::Client& client_;
};

}  // namespace tandem::tx
