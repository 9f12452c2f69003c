#include "tandem/tx/xa.h"

namespace tandem::tx {

using async::Task;

Task<RemoteTransaction> Xa::run(Node& node, Options options, Body body, std::string gid) {
    Xa xa(node, std::move(options), std::move(gid));
    co_return co_await xa.decide_by(body(xa));
}

Task<std::string> Xa::call(std::string url, Payload payload) {
    return noting_failure(call_branch(std::move(url), next_branch_id(), "action", std::move(payload.text)));
}

}  // namespace tandem::tx
