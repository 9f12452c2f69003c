#include "tandem/tx/http_branch_caller.h"

#include "tandem/http/client.h"

namespace tandem::tx {

async::Task<Answer> HttpBranchCaller::call(BranchCall call) {
    http::ClientRequest request;
    request.url = branch_url(call);
    const bool post = !call.payload.empty() || call.mode == Mode::xa;
    request.method = post ? http::Method::post : http::Method::get;
    request.timeout = call.timeout;
    std::optional<Error> error;
    try {
        if (post) request.headers.set("Content-Type", "application/json");
        for (const auto& [name, value] : call.headers) request.headers.set(name, value);
        request.body = std::move(call.payload);
        const http::ClientResponse response = co_await client_.send(std::move(request));
        co_return judge(response.status, response.body);
    } catch (const Error& failed) {
        error = failed;
    }
    async::Context::current()->check();  // our own cancellation is no answer of the branch
    co_return Answer{Verdict::error, error->what()};
}

}  // namespace tandem::tx
