#include "tandem/tx/tcc.h"

namespace tandem::tx {

using async::Task;

Task<RemoteTransaction> Tcc::run(Node& node, Options options, Body body, std::string gid) {
    Tcc tcc(node, std::move(options), std::move(gid));
    co_return co_await tcc.decide_by(body(tcc));
}

Task<std::string> Tcc::call(std::string try_url, std::string confirm_url, std::string cancel_url, Payload payload) {
    return noting_failure(
        register_and_try(std::move(try_url), std::move(confirm_url), std::move(cancel_url), std::move(payload.text)));
}

Task<std::string> Tcc::register_and_try(std::string try_url, std::string confirm_url, std::string cancel_url,
                                        std::string payload) {
    const std::string id = next_branch_id();
    co_await node_.add_branch(
        gid(),
        {.id = id, .confirm = std::move(confirm_url), .cancel = std::move(cancel_url), .url = {}, .payload = payload});
    co_return co_await call_branch(std::move(try_url), id, "try", std::move(payload));
}

}  // namespace tandem::tx
