#include "tandem/tx/model.h"

#include <boost/json.hpp>

#include "tandem/base/error.h"

namespace tandem::tx {

namespace json = boost::json;

std::string_view to_string(Mode mode) noexcept {
    static constexpr std::string_view names[] = {"saga", "tcc", "msg", "xa"};
    return names[static_cast<size_t>(mode)];
}

std::string_view to_string(Status status) noexcept {
    // "succeed" is DTM's word, kept so that its clients read it.
    static constexpr std::string_view names[] = {"prepared", "submitted", "aborting", "succeed", "failed"};
    return names[static_cast<size_t>(status)];
}

std::string_view to_string(BranchStatus status) noexcept {
    static constexpr std::string_view names[] = {"pending", "done", "refused", "undone", "skipped"};
    return names[static_cast<size_t>(status)];
}

std::optional<Mode> mode_from(std::string_view name) noexcept {
    if (name == "message") return Mode::message;
    for (Mode mode : {Mode::saga, Mode::tcc, Mode::message, Mode::xa}) {
        if (name == to_string(mode)) return mode;
    }
    return std::nullopt;
}

std::optional<Status> status_from(std::string_view name) noexcept {
    for (Status status : {Status::prepared, Status::submitted, Status::aborting, Status::succeeded, Status::failed}) {
        if (name == to_string(status)) return status;
    }
    return std::nullopt;
}

namespace {

std::optional<BranchStatus> branch_status_from(std::string_view name) noexcept {
    for (auto status : {BranchStatus::pending, BranchStatus::done, BranchStatus::refused, BranchStatus::undone,
                        BranchStatus::skipped}) {
        if (name == to_string(status)) return status;
    }
    return std::nullopt;
}

// Fields at their defaults are left out: most are, and the document is written on every transition.
json::object branch_to_json(const Branch& branch) {
    json::object object;
    object["id"] = branch.id;
    object["forward"] = branch.forward;
    if (!branch.backward.empty()) object["backward"] = branch.backward;
    if (!branch.payload.empty()) object["payload"] = branch.payload;
    object["status"] = to_string(branch.status);
    if (branch.attempts) object["attempts"] = branch.attempts;
    if (!branch.last_error.empty()) object["last_error"] = branch.last_error;
    if (branch.finished_ms) object["finished_ms"] = branch.finished_ms;
    return object;
}

json::object options_to_json(const Options& options) {
    json::object object;
    if (options.wait_result) object["wait_result"] = true;
    if (options.concurrent) object["concurrent"] = true;
    if (!options.orders.empty()) {
        json::object orders;
        for (const auto& [branch, waits_for] : options.orders) {
            orders[std::to_string(branch)] = json::array(waits_for.begin(), waits_for.end());
        }
        object["orders"] = std::move(orders);
    }
    const auto number = [&](const char* name, int64_t value) {
        if (value) object[name] = value;
    };
    number("timeout_to_fail_ms", options.timeout_to_fail_ms);
    number("request_timeout_ms", options.request_timeout_ms);
    number("retry_interval_ms", options.retry_interval_ms);
    number("retry_limit", options.retry_limit);
    number("delay_ms", options.delay_ms);
    if (!options.branch_headers.empty()) {
        json::object headers;
        for (const auto& [name, value] : options.branch_headers) headers[name] = value;
        object["branch_headers"] = std::move(headers);
    }
    return object;
}

std::string text(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value ? std::string(value->as_string()) : std::string();
}
int64_t number(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value ? value->to_number<int64_t>() : 0;
}
bool flag(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value && value->as_bool();
}

Branch branch_from_json(const json::object& object) {
    Branch branch;
    branch.id = text(object, "id");
    branch.forward = text(object, "forward");
    branch.backward = text(object, "backward");
    branch.payload = text(object, "payload");
    branch.status = branch_status_from(text(object, "status")).value();
    branch.attempts = static_cast<int>(number(object, "attempts"));
    branch.last_error = text(object, "last_error");
    branch.finished_ms = number(object, "finished_ms");
    return branch;
}

Options options_from_json(const json::object& object) {
    Options options;
    options.wait_result = flag(object, "wait_result");
    options.concurrent = flag(object, "concurrent");
    if (const json::value* orders = object.if_contains("orders")) {
        for (const auto& [branch, waits_for] : orders->as_object()) {
            options.orders[std::stoi(std::string(branch))] = json::value_to<std::vector<int>>(waits_for);
        }
    }
    options.timeout_to_fail_ms = number(object, "timeout_to_fail_ms");
    options.request_timeout_ms = number(object, "request_timeout_ms");
    options.retry_interval_ms = number(object, "retry_interval_ms");
    options.retry_limit = number(object, "retry_limit");
    options.delay_ms = number(object, "delay_ms");
    if (const json::value* headers = object.if_contains("branch_headers")) {
        for (const auto& [name, value] : headers->as_object()) {
            options.branch_headers[std::string(name)] = value.as_string();
        }
    }
    return options;
}

}  // namespace

std::string to_document(const Transaction& transaction) {
    json::object object;
    json::array branches;
    branches.reserve(transaction.branches.size());
    for (const Branch& branch : transaction.branches) branches.push_back(branch_to_json(branch));
    object["branches"] = std::move(branches);
    if (json::object options = options_to_json(transaction.options); !options.empty()) {
        object["options"] = std::move(options);
    }
    if (!transaction.check_back.empty()) object["check_back"] = transaction.check_back;
    if (!transaction.custom_data.empty()) object["custom_data"] = transaction.custom_data;
    if (!transaction.reason.empty()) object["reason"] = transaction.reason;
    if (transaction.forced) object["forced"] = true;
    if (transaction.failures) object["failures"] = transaction.failures;
    return json::serialize(object);
}

void from_document(std::string_view document, Transaction& transaction) {
    try {
        const json::value value = json::parse(document);
        const json::object& object = value.as_object();
        transaction.branches.clear();
        for (const json::value& branch : object.at("branches").as_array()) {
            transaction.branches.push_back(branch_from_json(branch.as_object()));
        }
        const json::value* options = object.if_contains("options");
        transaction.options = options ? options_from_json(options->as_object()) : Options{};
        transaction.check_back = text(object, "check_back");
        transaction.custom_data = text(object, "custom_data");
        transaction.reason = text(object, "reason");
        transaction.forced = flag(object, "forced");
        transaction.failures = static_cast<int>(number(object, "failures"));
    } catch (const std::exception& error) {
        fail(Code::corrupted, "transaction {}: its stored document cannot be read: {}", transaction.gid, error.what());
    }
}

bool same_request(const Transaction& a, const Transaction& b) {
    if (a.mode != b.mode || a.options != b.options || a.check_back != b.check_back || a.custom_data != b.custom_data ||
        a.branches.size() != b.branches.size()) {
        return false;
    }
    for (size_t i = 0; i < a.branches.size(); ++i) {
        const Branch &x = a.branches[i], &y = b.branches[i];
        if (x.id != y.id || x.forward != y.forward || x.backward != y.backward || x.payload != y.payload) return false;
    }
    return true;
}

}  // namespace tandem::tx
