#include "tandem/tx/node_initiator.h"

#include "tandem/async/time.h"
#include "tandem/base/log.h"
#include "tandem/http/url.h"
#include "tandem/tx/branch_caller.h"

namespace tandem::tx {

using async::Task;

namespace {
constexpr size_t reason_max = 500;  // of an abort
}  // namespace

Task<RemoteTransaction> Initiator::decide_by(Task<void> body) {
    NewTransaction transaction;
    transaction.mode = mode_;
    transaction.gid = gid_;
    transaction.options = options_;
    (void)co_await node_.create(std::move(transaction));

    std::exception_ptr error;
    try {
        TransactionScope scope({{mode_, gid_, {}, {}}, node_.url()});
        co_await async::with_context(scope.context(), std::move(body));
        if (failure_) throw Error(failure_->within("a call of a branch failed, so the transaction is aborted"));
        async::Context::current()->check();
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) co_return co_await async::shielded(node_.submit(gid_, options_.wait_result));
    try {
        std::string reason = Error::from(error).what();
        (void)co_await async::shielded(node_.abort(gid_, reason.substr(0, reason_max)));
    } catch (const Error& failed) {
        log::warn("the abort did not reach the coordinator, which will abort by its time-out",
                  {{"gid", gid_}, {"error", failed.what()}});
    }
    std::rethrow_exception(error);
}

std::string Initiator::next_branch_id() {
    return fmt::format("{:02}", ++branches_);
}

Task<std::string> Initiator::call_branch(std::string url, std::string branch_id, std::string operation,
                                         std::string payload) {
    const BranchCall call{.url = url,
                          .gid = gid_,
                          .mode = mode_,
                          .branch_id = branch_id,
                          .operation = operation,
                          .payload = {},
                          .headers = {}};
    http::ClientRequest request = http::ClientRequest::post(branch_url(call), "application/json", std::move(payload));
    // What participants written with DTM's clients look for.
    request.url += "&dtm=" + http::percent_encode(node_.url() + std::string(dtm_api_path));
    if (mode_ == Mode::xa) request.url += "&phase2_url=" + http::percent_encode(url);
    if (options_.request_timeout_ms > 0) request.timeout = std::chrono::milliseconds(options_.request_timeout_ms);
    for (const auto& [name, value] : options_.branch_headers) request.headers.set(name, value);
    add_headers(request, {{mode_, gid_, branch_id, operation}, node_.url()});

    http::ClientResponse response = co_await node_.client().send(std::move(request));
    const Answer answer = judge(response.status, response.body);
    switch (answer.verdict) {
        case Verdict::success:
            co_return std::move(response.body);
        case Verdict::refused:
            fail(Code::conflict, "branch {} refused at {}: {}", branch_id, url, answer.detail);
        case Verdict::ongoing:
        case Verdict::error:
            break;
    }
    fail(Code::unavailable, "branch {} did not succeed at {}: {}", branch_id, url, answer.detail);
}

Task<std::string> Initiator::noting_failure(Task<std::string> call) {
    std::exception_ptr error;
    try {
        co_return co_await std::move(call);
    } catch (...) {
        error = std::current_exception();
    }
    if (!failure_) failure_ = Error::from(error);
    std::rethrow_exception(error);
}

}  // namespace tandem::tx
