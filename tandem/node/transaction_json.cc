#include "tandem/node/transaction_json.h"

#include <boost/json.hpp>
#include <charconv>

#include "tandem/base/id.h"
#include "tandem/tx/allowed_urls.h"
#include "tandem/web/json.h"

namespace tandem::node {

namespace json = boost::json;
using tx::Branch;
using tx::Mode;
using tx::Transaction;
using web::JsonFields;

std::string iso_time(int64_t ms) {
    const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(ms)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

namespace {

// What a mode calls its two directions.
struct Words {
    const char* forward;
    const char* backward;
};
Words words(Mode mode) {
    switch (mode) {
        case Mode::tcc:
            return {"confirm", "cancel"};
        case Mode::xa:
            return {"url", nullptr};
        case Mode::message:
            return {"action", nullptr};
        case Mode::saga:
            break;
    }
    return {"action", "compensate"};
}

std::string branch_id(size_t index) {
    return fmt::format("{:02}", index + 1);
}

// A payload is sent as it is when it is text, else as the JSON it is.
std::string payload_text(const json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : value.is_null() ? "" : json::serialize(value);
}

void check_url(const JsonFields& fields, std::string_view name, const std::string& url,
               const tx::AllowedUrls& allowed) {
    if (url.empty()) return;
    if (const auto refusal = allowed.refusal(url)) fields.refuse(name, *refusal);
}

Mode required_mode(JsonFields& fields, std::string_view name) {
    const std::string text = fields.required<std::string>(name);
    if (text == "workflow") {
        fields.refuse(name, "workflow transactions are not offered yet; there are saga, tcc, msg and xa");
    }
    const std::optional<Mode> mode = tx::mode_from(text);
    if (!mode) fields.refuse(name, fmt::format("'{}' is unknown; there are saga, tcc, message (msg) and xa", text));
    return *mode;
}

int64_t not_negative(JsonFields& fields, std::string_view name, int64_t most) {
    const int64_t value = fields.optional<int64_t>(name, 0);
    if (value < 0 || value > most) fields.refuse(name, fmt::format("must be from 0 to {}", most));
    return value;
}

constexpr int64_t ms_most = int64_t{365} * 24 * 3600 * 1000;
constexpr int64_t seconds_most = ms_most / 1000;

void read_orders(JsonFields& fields, std::string_view name, const json::object& object, tx::Options& options) {
    for (const auto& [branch, waits_for] : object) {
        int index = 0;
        const auto [end, error] = std::from_chars(branch.data(), branch.data() + branch.size(), index);
        if (error != std::errc() || end != branch.data() + branch.size() || !waits_for.is_array()) {
            fields.refuse(name, "must be an object from a step's index to the array of indexes it waits for");
        }
        for (const json::value& other : waits_for.get_array()) {
            if (!other.is_int64()) fields.refuse(name, "step indexes must be integers");
            options.orders[index].push_back(static_cast<int>(other.get_int64()));
        }
    }
}

void read_headers(JsonFields& fields, std::string_view name, tx::Options& options) {
    const auto headers = fields.optional<json::object>(name);
    if (!headers) return;
    for (const auto& [header, value] : *headers) {
        if (!value.is_string()) fields.refuse(name, "header values must be strings");
        try {
            http::Headers check;
            check.set(header, value.get_string());
        } catch (const Error& error) {
            fields.refuse(name, error.message());
        }
        options.branch_headers[std::string(header)] = value.get_string();
    }
}

tx::Options read_options(JsonFields fields) {
    tx::Options options;
    options.wait_result = fields.optional<bool>("wait", false);
    options.concurrent = fields.optional<bool>("concurrent", false);
    options.timeout_to_fail_ms = not_negative(fields, "timeout_ms", ms_most);
    options.request_timeout_ms = not_negative(fields, "request_timeout_ms", 3600 * 1000);
    options.retry_interval_ms = not_negative(fields, "retry_interval_ms", ms_most);
    options.retry_limit = not_negative(fields, "retry_limit", 1'000'000);
    options.delay_ms = not_negative(fields, "delay_ms", ms_most);
    if (const auto orders = fields.optional<json::object>("orders")) read_orders(fields, "orders", *orders, options);
    if (!options.orders.empty()) options.concurrent = true;
    read_headers(fields, "headers", options);
    fields.finish();
    return options;
}

void read_steps(JsonFields& fields, Transaction& transaction, const tx::AllowedUrls& allowed, bool strict) {
    if (!fields.contains("steps")) return;
    const Words word = words(transaction.mode);
    fields.each("steps", [&](JsonFields step) {
        Branch branch;
        branch.id = branch_id(transaction.branches.size());
        branch.forward = step.optional<std::string>("action", "");
        if (word.backward || !strict) branch.backward = step.optional<std::string>("compensate", "");
        const bool topic = transaction.mode == Mode::message && branch.forward.starts_with("topic://");
        if (!topic) check_url(step, "action", branch.forward, allowed);
        check_url(step, "compensate", branch.backward, allowed);
        if (strict) step.finish();
        transaction.branches.push_back(std::move(branch));
    });
}

void read_payloads(JsonFields& fields, Transaction& transaction) {
    if (!fields.contains("payloads")) return;
    const std::vector<json::value> payloads = fields.list<json::value>("payloads");
    if (payloads.size() > transaction.branches.size()) {
        fields.refuse("payloads",
                      fmt::format("has {} elements for {} steps", payloads.size(), transaction.branches.size()));
    }
    for (size_t i = 0; i < payloads.size(); ++i) transaction.branches[i].payload = payload_text(payloads[i]);
}

void read_check_back(JsonFields& fields, std::string_view name, Transaction& transaction,
                     const tx::AllowedUrls& allowed) {
    transaction.check_back = fields.optional<std::string>(name, "");
    check_url(fields, name, transaction.check_back, allowed);
}

}  // namespace

Transaction transaction_from_json(const json::value& body, const tx::AllowedUrls& allowed) {
    JsonFields fields(body);
    Transaction transaction;
    transaction.mode = required_mode(fields, "mode");
    transaction.gid = fields.optional<std::string>("gid", "");
    const bool has_steps = transaction.mode == Mode::saga || transaction.mode == Mode::message;
    if (has_steps) {
        if (!fields.contains("steps")) fields.refuse("steps", "is missing");
        read_steps(fields, transaction, allowed, true);
        read_payloads(fields, transaction);
    }
    if (transaction.mode == Mode::message) read_check_back(fields, "check_back", transaction, allowed);
    transaction.custom_data = fields.optional<std::string>("custom_data", "");
    if (fields.contains("options")) transaction.options = read_options(fields.object("options"));
    fields.finish();
    return transaction;
}

Branch branch_from_json(const json::value& body, Mode mode, const tx::AllowedUrls& allowed) {
    JsonFields fields(body);
    Branch branch;
    branch.id = fields.required<std::string>("branch_id");
    if (!base::valid_gid_characters(branch.id)) fields.refuse("branch_id", "may have A-Z a-z 0-9 - _ . : ~");
    const Words word = words(mode);
    branch.forward = fields.required<std::string>(word.forward);
    branch.backward = word.backward ? fields.required<std::string>(word.backward) : branch.forward;
    check_url(fields, word.forward, branch.forward, allowed);
    if (word.backward) check_url(fields, word.backward, branch.backward, allowed);
    branch.payload = payload_text(fields.optional<json::value>("payload", json::value()));
    fields.finish();
    return branch;
}

json::object transaction_to_json(const Transaction& transaction) {
    const Words word = words(transaction.mode);
    json::object object;
    object["gid"] = transaction.gid;
    object["mode"] = transaction.mode == Mode::message ? "message" : tx::to_string(transaction.mode);
    object["status"] = tx::to_string(transaction.status);
    json::array branches;
    for (const Branch& branch : transaction.branches) {
        json::object shown;
        shown["branch_id"] = branch.id;
        shown["status"] = tx::to_string(branch.status);
        shown[word.forward] = branch.forward;
        if (word.backward) shown[word.backward] = branch.backward;
        shown["attempts"] = branch.attempts;
        if (!branch.last_error.empty()) shown["last_error"] = branch.last_error;
        if (branch.finished_ms) shown["finished_at"] = iso_time(branch.finished_ms);
        branches.push_back(std::move(shown));
    }
    object["branches"] = std::move(branches);
    if (!transaction.check_back.empty()) object["check_back"] = transaction.check_back;
    if (!transaction.custom_data.empty()) object["custom_data"] = transaction.custom_data;
    if (!transaction.reason.empty()) object["reason"] = transaction.reason;
    if (transaction.forced) object["forced"] = true;
    object["failures"] = transaction.failures;
    object["created_at"] = iso_time(transaction.created_ms);
    object["updated_at"] = iso_time(transaction.updated_ms);
    if (transaction.finished_ms) {
        object["finished_at"] = iso_time(transaction.finished_ms);
    } else {
        object["next_attempt_at"] = iso_time(transaction.next_attempt_ms);
    }
    object["version"] = transaction.version;
    return object;
}

// ---- DTM ----

namespace {

// custom_data is JSON in a string: {"orders":{"2":[0,1]},"concurrent":true} of a saga, {"delay":n} of a message.
void read_dtm_custom_data(JsonFields& fields, Transaction& transaction) {
    if (transaction.custom_data.empty()) return;
    boost::system::error_code error;
    const json::value custom = json::parse(transaction.custom_data, error);
    if (error || !custom.is_object()) return;  // a client's own text, not DTM's
    const json::object& object = custom.get_object();
    const json::value* concurrent = object.if_contains("concurrent");
    if (concurrent && concurrent->is_bool() && concurrent->get_bool()) transaction.options.concurrent = true;
    const json::value* orders = object.if_contains("orders");
    if (orders && orders->is_object() && !orders->get_object().empty()) {
        read_orders(fields, "custom_data", orders->get_object(), transaction.options);
    }
    const json::value* delay = object.if_contains("delay");
    if (transaction.mode == Mode::message && delay && delay->is_number()) {
        const int64_t seconds = delay->to_number<int64_t>(error);
        if (error || seconds < 0 || seconds > seconds_most) fields.refuse("custom_data", "its delay is out of range");
        transaction.options.delay_ms = seconds * 1000;
    }
}

}  // namespace

Transaction transaction_from_dtm(const json::value& body, const tx::AllowedUrls& allowed) {
    JsonFields fields(body);
    Transaction transaction;
    transaction.gid = fields.required<std::string>("gid");
    if (!base::valid_gid_characters(transaction.gid)) {
        fields.refuse("gid", fmt::format("must have 1 to {} of A-Z a-z 0-9 - _ . : ~", base::gid_size_max));
    }
    transaction.mode = required_mode(fields, "trans_type");
    const auto present = [&](std::string_view name) {
        const json::value* value = body.get_object().if_contains(name);
        return value && !value->is_null();
    };
    if (present("steps")) read_steps(fields, transaction, allowed, false);
    if (present("payloads")) read_payloads(fields, transaction);
    read_check_back(fields, "query_prepared", transaction, allowed);
    transaction.custom_data = fields.optional<std::string>("custom_data", "");
    transaction.reason = fields.optional<std::string>("rollback_reason", "");
    tx::Options& options = transaction.options;
    options.wait_result = fields.optional<bool>("wait_result", false);
    options.concurrent = fields.optional<bool>("concurrent", false);
    options.timeout_to_fail_ms = not_negative(fields, "timeout_to_fail", seconds_most) * 1000;
    options.request_timeout_ms = not_negative(fields, "request_timeout", 3600) * 1000;
    options.retry_interval_ms = not_negative(fields, "retry_interval", seconds_most) * 1000;
    options.retry_limit = not_negative(fields, "retry_limit", 1'000'000);
    read_headers(fields, "branch_headers", options);
    read_dtm_custom_data(fields, transaction);
    if (!options.orders.empty()) options.concurrent = true;
    return transaction;
}

Branch branch_from_dtm(const json::value& body, const tx::AllowedUrls& allowed) {
    JsonFields fields(body);
    Branch branch;
    branch.id = fields.required<std::string>("branch_id");
    if (!base::valid_gid_characters(branch.id)) fields.refuse("branch_id", "may have A-Z a-z 0-9 - _ . : ~");
    branch.payload = fields.optional<std::string>("data", "");
    const std::string type = fields.required<std::string>("trans_type");
    if (type == "xa") {
        branch.forward = branch.backward = fields.required<std::string>("url");
        check_url(fields, "url", branch.forward, allowed);
    } else if (type == "tcc") {
        branch.forward = fields.required<std::string>("confirm");
        branch.backward = fields.required<std::string>("cancel");
        check_url(fields, "confirm", branch.forward, allowed);
        check_url(fields, "cancel", branch.backward, allowed);
    } else {
        fields.refuse("trans_type", "branches are registered for tcc and xa only");
    }
    return branch;
}

json::object transaction_to_dtm(const Transaction& transaction) {
    json::object object;
    object["gid"] = transaction.gid;
    object["trans_type"] = tx::to_string(transaction.mode);
    object["status"] = tx::to_string(transaction.status);
    object["query_prepared"] = transaction.check_back;
    object["protocol"] = "http";
    object["create_time"] = iso_time(transaction.created_ms);
    object["update_time"] = iso_time(transaction.updated_ms);
    if (transaction.status == tx::Status::succeeded) object["finish_time"] = iso_time(transaction.finished_ms);
    if (transaction.status == tx::Status::failed) object["rollback_time"] = iso_time(transaction.finished_ms);
    object["rollback_reason"] = transaction.reason;
    object["custom_data"] = transaction.custom_data;
    object["owner"] = transaction.owner;
    object["next_cron_time"] = iso_time(transaction.next_attempt_ms);
    object["next_cron_interval"] = transaction.options.retry_interval_ms / 1000;
    object["retry_interval"] = transaction.options.retry_interval_ms / 1000;
    object["timeout_to_fail"] = transaction.options.timeout_to_fail_ms / 1000;
    object["request_timeout"] = transaction.options.request_timeout_ms / 1000;
    object["wait_result"] = transaction.options.wait_result;
    object["concurrent"] = transaction.options.concurrent;
    return object;
}

json::array branches_to_dtm(const Transaction& transaction) {
    static constexpr std::pair<const char*, const char*> operations[] = {
        {"action", "compensate"}, {"confirm", "cancel"}, {"action", nullptr}, {"commit", "rollback"}};
    const auto [forward, backward] = operations[static_cast<size_t>(transaction.mode)];
    json::array rows;
    const auto add = [&](const Branch& branch, const char* operation, const std::string& url, const char* status) {
        json::object row;
        row["gid"] = transaction.gid;
        row["branch_id"] = branch.id;
        row["op"] = operation;
        row["url"] = url;
        row["status"] = status;
        row["create_time"] = iso_time(transaction.created_ms);
        row["update_time"] = iso_time(transaction.updated_ms);
        if (branch.finished_ms) row["finish_time"] = iso_time(branch.finished_ms);
        row["error"] = branch.last_error;
        rows.push_back(std::move(row));
    };
    for (const Branch& branch : transaction.branches) {
        using tx::BranchStatus;
        const bool went_forward = branch.status == BranchStatus::done ||
                                  (branch.status == BranchStatus::undone && transaction.mode == Mode::saga);
        const bool undone = branch.status == BranchStatus::undone;
        if (backward) add(branch, backward, branch.backward, undone ? "succeed" : "prepared");
        add(branch, forward, branch.forward,
            went_forward                             ? "succeed"
            : branch.status == BranchStatus::refused ? "failed"
                                                     : "prepared");
    }
    return rows;
}

}  // namespace tandem::node
