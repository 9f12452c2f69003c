#include "tandem/base/config.h"

#include <algorithm>

#include <unistd.h>

#include <toml++/toml.h>

#include <fmt/format.h>

#include "tandem/base/assert.h"
#include "tandem/base/error.h"
#include "tandem/base/file_system.h"
#include "tandem/base/utf8.h"

namespace tandem::base {

namespace {

constexpr size_t shown_size_max = 60;

// What was given, for a report: one line, bounded.
std::string shown(std::string_view text) {
    const std::string_view cut = truncate_utf8(text, shown_size_max);
    return detail::to_toml(repair_utf8(cut) + (cut.size() < text.size() ? "..." : ""));
}

std::string shown(const toml::node& node) {
    if (const auto* text = node.as_string()) return "the text " + shown(text->get());
    if (const auto* number = node.as_integer()) return fmt::format("the integer {}", number->get());
    if (const auto* number = node.as_floating_point()) return "the number " + detail::to_toml(number->get());
    if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
    if (node.is_array()) return "a list";
    if (node.is_table()) return "a section";
    return "a date or time";
}

// The node as a value of the type of `type`.
std::optional<SettingValue> value_from_node(const toml::node& node, const SettingValue& type) {
    if (std::holds_alternative<bool>(type)) {
        if (const auto* held = node.as_boolean()) return held->get();
    } else if (std::holds_alternative<int64_t>(type)) {
        if (const auto* held = node.as_integer()) return held->get();
    } else if (std::holds_alternative<double>(type)) {
        if (const auto* held = node.as_floating_point()) return held->get();
        if (const auto* held = node.as_integer()) return static_cast<double>(held->get());
    } else if (std::holds_alternative<std::string>(type)) {
        if (const auto* held = node.as_string()) return held->get();
    } else if (std::holds_alternative<Duration>(type)) {
        if (const auto* held = node.as_string()) return detail::duration_from_text(held->get());
    } else if (std::holds_alternative<ByteSize>(type)) {
        if (const auto* held = node.as_string()) return detail::byte_size_from_text(held->get());
        if (const auto* held = node.as_integer(); held != nullptr && held->get() >= 0) return ByteSize{held->get()};
    } else if (const auto* array = node.as_array()) {
        TextList list;
        for (const toml::node& element : *array) {
            const auto* text = element.as_string();
            if (text == nullptr) return std::nullopt;
            list.push_back(text->get());
        }
        return list;
    }
    return std::nullopt;
}

}  // namespace

class ConfigLoader {
  public:
    explicit ConfigLoader(const Schema& schema) : schema_(schema), config_(schema) {}

    void read_file(const std::string& path, std::string_view text) {
        file_ = path;
        if (const size_t valid = valid_utf8_prefix(text); valid != text.size()) {
            const auto line = 1 + std::ranges::count(text.substr(0, valid), '\n');
            return add_error(fmt::format("{}:{}: not UTF-8 at byte {} of the file", file_, line, valid));
        }
        try {
            const toml::table table = toml::parse(text, std::string_view(file_));
            read_table(table, "");
        } catch (const toml::parse_error& error) {
            add_error(fmt::format("{}:{}: {}", file_, error.source().begin.line, error.description()));
        }
    }

    void read_environment(const std::vector<std::pair<std::string, std::string>>& environment) {
        for (const auto& [variable, text] : environment) {
            const auto found = schema_.by_variable_.find(variable);
            if (found != schema_.by_variable_.end()) {
                read_text(schema_.settings_[found->second], text, "environment " + variable);
            } else {
                check_unknown_variable(variable);
            }
        }
    }

    void read_command_line(const std::vector<std::string>& overrides) {
        for (const std::string& given : overrides) {
            const size_t equals = given.find('=');
            const std::string name = given.substr(0, equals);
            const Setting* setting = schema_.find(name);
            if (setting == nullptr) {
                unknown("command line", name);
            } else if (equals == std::string::npos) {
                add_error(fmt::format("command line: {0} needs a value: {0}=...", name));
            } else {
                read_text(*setting, std::string_view(given).substr(equals + 1), "command line");
            }
        }
    }

    void read_text(const Setting& setting, std::string_view text, const std::string& origin) {
        if (!valid_utf8(text)) {
            return add_error(fmt::format("{}: {} is not UTF-8", origin, setting.name));
        }
        keep(setting, detail::value_from_text(text, setting.default_value), shown(text), origin);
    }

    Config finish() {
        if (errors_.empty()) return std::move(config_);
        std::string report =
            fmt::format("{} mistake{} in the configuration:", error_count_, error_count_ == 1 ? "" : "s");
        for (const std::string& error : errors_) report += "\n  " + error;
        if (error_count_ > errors_.size()) report += fmt::format("\n  and {} more", error_count_ - errors_.size());
        throw Error(Code::invalid_argument, report);
    }

    static ConfigLoader continuing(const Schema& schema, Config config) {
        ConfigLoader loader(schema);
        loader.config_ = std::move(config);
        return loader;
    }

  private:
    void read_table(const toml::table& table, const std::string& prefix) {
        // In the order of the file, not of the names: a person fixes a file from top to bottom.
        std::vector<std::pair<std::string, const toml::node*>> nodes;
        for (const auto& [key, node] : table) nodes.emplace_back(std::string(key.str()), &node);
        std::ranges::sort(nodes, {}, [](const auto& entry) {
            const toml::source_position begin = entry.second->source().begin;
            return std::pair(begin.line, begin.column);
        });
        for (const auto& [key, node] : nodes) {
            const std::string name = prefix.empty() ? key : prefix + "." + key;
            const std::string place = fmt::format("{}:{}", file_, node->source().begin.line);
            if (const Setting* setting = schema_.find(name)) {
                keep(*setting, value_from_node(*node, setting->default_value), shown(*node), place);
            } else if (!is_section(name)) {
                unknown(place, name, node->is_table());
            } else if (const toml::table* section = node->as_table()) {
                read_table(*section, name);
            } else {
                add_error(fmt::format("{}: {} must be a section, not {}", place, name, shown(*node)));
            }
        }
    }

    bool is_section(std::string_view name) const {
        const std::string prefix = std::string(name) + ".";
        const auto found = schema_.by_name_.lower_bound(prefix);
        return found != schema_.by_name_.end() && found->first.starts_with(prefix);
    }

    void keep(const Setting& setting, std::optional<SettingValue> value, std::string_view given,
              const std::string& origin) {
        if (setting.secret) given = "what was given";
        if (!value) {
            return add_error(fmt::format("{}: {} must be {}, not {}", origin, setting.name,
                                         detail::expected(setting.default_value), given));
        }
        if (const auto allowed = detail::out_of_range(setting, *value)) {
            return add_error(fmt::format("{}: {} {}, not {}", origin, setting.name, *allowed, given));
        }
        Config::Held& held = config_.held_[config_.by_name_.find(setting.name)->second];
        held.value = std::move(*value);
        held.origin = origin;
    }

    void unknown(std::string_view place, std::string_view name, bool section = false) {
        const std::string_view kind = section ? "section" : "setting";
        const auto meant = section ? nearest_section(name) : schema_.nearest(name);
        const std::string cut = repair_utf8(truncate_utf8(name, shown_size_max));
        add_error(fmt::format("{}: unknown {} {}{}", place, kind, printable(cut),
                              meant ? fmt::format("; did you mean {}?", *meant) : ""));
    }

    std::optional<std::string> nearest_section(std::string_view name) const {
        Schema sections;
        for (const Setting& setting : schema_.settings_) {
            // A schema of one setting per section, all with the same key: what differs is the section's name.
            const std::string stand_in = setting.name.substr(0, setting.name.rfind('.')) + ".x";
            if (!sections.find(stand_in)) sections.add({.name = stand_in, .default_value = true, .help = "-"});
        }
        auto meant = sections.nearest(std::string(name) + ".y");
        if (meant) meant->resize(meant->size() - 2);
        return meant;
    }

    // Container platforms put TANDEM_SERVICE_HOST and the like into the environment, so an unknown variable is a
    // mistake only if it names one of our sections.
    void check_unknown_variable(std::string_view variable) {
        for (const auto& [known, index] : schema_.by_variable_) {
            const std::string& name = schema_.settings_[index].name;
            const std::string section = environment_variable(name.substr(0, name.rfind('.'))) + "_";
            if (!variable.starts_with(section)) continue;
            std::string as_name = name.substr(0, name.rfind('.') + 1);
            for (const char c : variable.substr(section.size())) {
                as_name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            }
            const auto meant = schema_.nearest(as_name);
            return add_error(fmt::format("environment: unknown variable {}{}", printable(variable),
                                         meant ? fmt::format("; did you mean {}?", environment_variable(*meant)) : ""));
        }
    }

    // A name as it is if a person can read it, else quoted and escaped.
    static std::string printable(std::string_view name) {
        const bool plain = std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7F; });
        return plain ? std::string(name) : shown(name);
    }

    void add_error(std::string error) {
        ++error_count_;
        if (errors_.size() < Config::errors_max) errors_.push_back(std::move(error));
    }

    const Schema& schema_;
    Config config_;
    std::string file_;
    std::vector<std::string> errors_;
    size_t error_count_ = 0;
};

std::vector<std::pair<std::string, std::string>> process_environment() {
    std::vector<std::pair<std::string, std::string>> variables;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const size_t equals = text.find('=');
        if (text.starts_with("TANDEM_") && equals != std::string_view::npos) {
            variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return variables;
}

Config::Config(const Schema& schema) {
    for (const Setting& setting : schema.settings()) {
        by_name_.emplace(setting.name, held_.size());
        held_.push_back({setting, setting.default_value, "default"});
    }
}

Config Config::load(const Schema& schema, const ConfigSources& sources) {
    ConfigLoader loader(schema);
    if (sources.file_text) {
        loader.read_file(sources.file, *sources.file_text);
    } else if (!sources.file.empty()) {
        loader.read_file(sources.file, read_whole(FileSystem::real(), sources.file, file_size_max));
    }
    loader.read_environment(sources.environment);
    loader.read_command_line(sources.command_line);
    return loader.finish();
}

const Config::Held& Config::held(std::string_view name) const {
    const auto found = by_name_.find(name);
    TANDEM_ASSERT(found != by_name_.end(), name);
    return held_[found->second];
}

const SettingValue& Config::value(std::string_view name, size_t type) const {
    const SettingValue& value = held(name).value;
    TANDEM_ASSERT(value.index() == type, name);
    return value;
}

const std::string& Config::origin(std::string_view name) const {
    return held(name).origin;
}

void Config::set(std::string_view name, std::string_view text, std::string origin) {
    Schema schema;
    schema.add(held(name).setting);
    ConfigLoader loader = ConfigLoader::continuing(schema, *this);
    loader.read_text(schema.settings()[0], text, origin);
    *this = loader.finish();
}

std::string Config::effective() const {
    std::string text;
    for (const Held& held : held_) {
        const std::string value = held.setting.secret && held.value != held.setting.default_value
                                      ? "\"(hidden)\""
                                      : detail::to_toml(held.value);
        text += fmt::format("{:<60} # {}\n", held.setting.name + " = " + value, held.origin);
    }
    return text;
}

}  // namespace tandem::base
