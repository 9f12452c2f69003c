// JSON from outside (RFC 8259): parse_json() bounds it, `JsonFields` reads an object field by field and names the one
// that is wrong.
//
//     auto document = co_await web::request.json();
//     JsonFields fields(document);
//     auto gid = fields.required<std::string>("gid");
//     auto retries = fields.optional<int64_t>("retries", 3);
//     fields.each("steps", [](JsonFields step) { … step.required<std::string>("action") … step.finish(); });
//     fields.finish();              // 400 "unknown field" for what nobody asked for
//
// Errors: ProblemError 400 whose problem has the member "field": "steps[2].action", or for malformed JSON the members
// "line", "column" and "offset" (bytes from 0; lines and columns from 1); 413 for a text that is too large.
// Thread rules: values; a JsonFields refers to the value it was made from, which must outlive it.
#pragma once

#include <concepts>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "tandem/web/problem.h"

namespace tandem::web {

struct JsonLimits {
    size_t max_bytes = 1024 * 1024;
    size_t max_depth = 32;
};

boost::json::value parse_json(std::string_view text, const JsonLimits& limits = {});

// What JsonFields reads: text, booleans, numbers within T's range, and JSON as it is.
template <typename T>
concept JsonReadable =
    std::same_as<T, std::string> || std::integral<T> || std::floating_point<T> || std::same_as<T, boost::json::value> ||
    std::same_as<T, boost::json::object> || std::same_as<T, boost::json::array>;

class JsonFields {
  public:
    // The document itself; 400 when it is not an object.
    explicit JsonFields(const boost::json::value& document) : JsonFields(document, std::string()) {}
    explicit JsonFields(const boost::json::object& object) : object_(&object) {}
    // A temporary would be gone before it is read.
    explicit JsonFields(boost::json::value&&) = delete;
    explicit JsonFields(boost::json::object&&) = delete;

    bool contains(std::string_view name) const { return object_->contains(name); }

    template <JsonReadable T>
    T required(std::string_view name) {
        const boost::json::value* value = take(name);
        if (!value) missing(name);
        return read<T>(*value, path_of(name));
    }
    // A null counts as absent.
    template <JsonReadable T>
    T optional(std::string_view name, T otherwise) {
        const boost::json::value* value = take(name);
        return value && !value->is_null() ? read<T>(*value, path_of(name)) : std::move(otherwise);
    }
    template <JsonReadable T>
    std::optional<T> optional(std::string_view name) {
        const boost::json::value* value = take(name);
        if (!value || value->is_null()) return std::nullopt;
        return read<T>(*value, path_of(name));
    }
    // The members of a required array of scalars.
    template <JsonReadable T>
    std::vector<T> list(std::string_view name) {
        std::vector<T> values;
        const boost::json::array& items = array(name);
        for (size_t i = 0; i < items.size(); ++i) values.push_back(read<T>(items[i], element_path(name, i)));
        return values;
    }
    // The required object under `name`.
    JsonFields object(std::string_view name);
    // Calls `read` with each object of the required array under `name`.
    void each(std::string_view name, const std::function<void(JsonFields)>& read);

    // 400 for a field that was never asked for.
    void finish() const;
    // 400 about a field that has the right type and a wrong value: `fields.refuse("mode", "must be saga or tcc")`.
    [[noreturn]] void refuse(std::string_view name, std::string_view why) const;
    // "steps[2].action".
    std::string path_of(std::string_view name) const;

  private:
    JsonFields(const boost::json::value& value, std::string path);
    const boost::json::value* take(std::string_view name);
    const boost::json::array& array(std::string_view name);
    std::string element_path(std::string_view name, size_t index) const;
    [[noreturn]] void missing(std::string_view name) const;
    [[noreturn]] static void wrong(const std::string& path, std::string_view expected);

    template <JsonReadable T>
    static T read(const boost::json::value& value, const std::string& path);

    const boost::json::object* object_;
    std::string path_;
    std::set<std::string, std::less<>> taken_;
};

template <JsonReadable T>
T JsonFields::read(const boost::json::value& value, const std::string& path) {
    if constexpr (std::same_as<T, boost::json::value>) {
        return value;
    } else if constexpr (std::same_as<T, boost::json::object>) {
        if (!value.is_object()) wrong(path, "an object");
        return value.get_object();
    } else if constexpr (std::same_as<T, boost::json::array>) {
        if (!value.is_array()) wrong(path, "an array");
        return value.get_array();
    } else if constexpr (std::same_as<T, std::string>) {
        if (!value.is_string()) wrong(path, "a string");
        return std::string(value.get_string());
    } else if constexpr (std::same_as<T, bool>) {
        if (!value.is_bool()) wrong(path, "true or false");
        return value.get_bool();
    } else if constexpr (std::floating_point<T>) {
        if (!value.is_number()) wrong(path, "a number");
        return value.to_number<T>();
    } else {
        if (!value.is_int64() && !value.is_uint64()) wrong(path, "an integer");
        boost::system::error_code error;
        T number = value.to_number<T>(error);
        if (error)
            wrong(path, fmt::format("an integer from {} to {}", std::numeric_limits<T>::min(),
                                    std::numeric_limits<T>::max()));
        return number;
    }
}

}  // namespace tandem::web
