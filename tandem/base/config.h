// Configuration: a Schema says which settings there are; Config::load reads them from a TOML file, the environment
// (TANDEM_SECTION_KEY) and the command line, each stronger than the one before, and reports every mistake at once.
//
//     Schema schema;
//     schema.add({.name = "server.listen", .default_value = "127.0.0.1:7070", .help = "Address and port to serve on"});
//     schema.add({.name = "server.timeout", .default_value = 30s, .least = 1s, .most = 1h, .help = "..."});
//     const Config config = Config::load(schema, {.file = "tandem.toml", .environment = process_environment()});
//     config.get<Duration>("server.timeout");
//
// Thread rules: build the schema first; a loaded Config only changes by assignment. Asking for a name or a type that
// the schema does not have is a bug and asserts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tandem/base/clock.h"

namespace tandem::base {

// A number of bytes, written "4KiB", "1MiB".
struct ByteSize {
    int64_t bytes = 0;
    auto operator<=>(const ByteSize&) const = default;
};
inline namespace literals {
constexpr ByteSize operator""_KiB(unsigned long long count) {
    return {static_cast<int64_t>(count << 10)};
}
constexpr ByteSize operator""_MiB(unsigned long long count) {
    return {static_cast<int64_t>(count << 20)};
}
}  // namespace literals

using TextList = std::vector<std::string>;
using SettingValue = std::variant<bool, int64_t, double, std::string, Duration, ByteSize, TextList>;

struct Setting {
    std::string name;                        // section.key, lower_snake_case
    SettingValue default_value;              // its type is the setting's type
    std::optional<SettingValue> least = {};  // numbers, durations and sizes; inclusive, of the same type
    std::optional<SettingValue> most = {};
    std::vector<std::string> choices = {};  // texts: the only values allowed, if any are given
    bool secret = false;                    // never shown in reports
    std::string help;                       // one line
};

class Schema {
  public:
    // Asserts that the name is well-formed, new, and its environment variable unambiguous.
    Schema& add(Setting setting);

    const Setting* find(std::string_view name) const;
    // In order of adding.
    const std::vector<Setting>& settings() const noexcept { return settings_; }

    // The known name that was most likely meant, if one is near enough.
    std::optional<std::string> nearest(std::string_view unknown) const;

    // A TOML file of all settings, commented out at their defaults.
    std::string default_file() const;
    // | setting | type | default | meaning | for the documentation.
    std::string markdown_table() const;

  private:
    std::vector<Setting> settings_;
    std::map<std::string, size_t, std::less<>> by_name_;
    std::map<std::string, size_t, std::less<>> by_variable_;
    friend class ConfigLoader;
};

// "server.max_body" -> "TANDEM_SERVER_MAX_BODY"
std::string environment_variable(std::string_view name);

// The process's variables that begin with TANDEM_.
std::vector<std::pair<std::string, std::string>> process_environment();

struct ConfigSources {
    std::string file = {};                                              // path; empty: no file
    std::optional<std::string> file_text = {};                          // what is in it, if already read
    std::vector<std::pair<std::string, std::string>> environment = {};  // name and value
    std::vector<std::string> command_line = {};                         // "section.key=value"
};

class Config {
  public:
    static constexpr uint64_t file_size_max = 1 << 20;
    static constexpr size_t errors_max = 50;  // reported; more are counted

    // Throws not_found or io for a file that cannot be read, and invalid_argument with one line for each mistake:
    // "tandem.toml:3: unknown setting server.lisen; did you mean server.listen?".
    static Config load(const Schema& schema, const ConfigSources& sources);
    // Every setting at its default.
    explicit Config(const Schema& schema);

    // T is the setting's type: bool, int64_t, double, std::string, Duration, ByteSize or TextList.
    template <typename T>
    const T& get(std::string_view name) const {
        return std::get<T>(value(name, SettingValue(T()).index()));
    }
    // "default", "tandem.toml:12", "environment TANDEM_SERVER_LISTEN" or "command line".
    const std::string& origin(std::string_view name) const;

    // For tests and for defaults computed at start: as if it came from `origin`. Throws invalid_argument as load does.
    void set(std::string_view name, std::string_view text, std::string origin);

    // Every setting as a line of TOML with its origin behind it; secrets as "(hidden)".
    std::string effective() const;

  private:
    friend class ConfigLoader;
    struct Held {
        Setting setting;
        SettingValue value;
        std::string origin;
    };
    const SettingValue& value(std::string_view name, size_t type) const;
    const Held& held(std::string_view name) const;

    std::vector<Held> held_;
    std::map<std::string, size_t, std::less<>> by_name_;
};

namespace detail {
// "a duration such as \"500ms\", \"10s\", \"2m\" or \"1h\""
std::string_view expected(const SettingValue& type);
// The short name of the type, for tables.
std::string_view type_name(const SettingValue& type);
// As TOML.
std::string to_toml(const SettingValue& value);
// From an environment variable or the command line; nullopt if it is not of the type of `type`.
std::optional<SettingValue> value_from_text(std::string_view text, const SettingValue& type);
// "10s"; "4KiB", "17".
std::optional<Duration> duration_from_text(std::string_view text);
std::optional<ByteSize> byte_size_from_text(std::string_view text);
// Nullopt if the value is allowed, else what is: "must be from 1 to 64".
std::optional<std::string> out_of_range(const Setting& setting, const SettingValue& value);
}  // namespace detail

}  // namespace tandem::base
