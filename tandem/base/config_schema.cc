#include <algorithm>

#include <fmt/format.h>

#include "tandem/base/assert.h"
#include "tandem/base/config.h"

namespace tandem::base {

namespace {

constexpr size_t name_size_max = 100;

bool well_formed(std::string_view name) {
    bool part_begins = true;
    size_t dots = 0;
    for (const char c : name) {
        const bool letter = c >= 'a' && c <= 'z';
        if (c == '.' && !part_begins) {
            part_begins = true;
            ++dots;
        } else if (letter || (!part_begins && ((c >= '0' && c <= '9') || c == '_'))) {
            part_begins = false;
        } else {
            return false;
        }
    }
    return dots > 0 && !part_begins && name.size() <= name_size_max;
}

// How many insertions, removals, replacements and swaps of neighbours lead from one text to the other (optimal string
// alignment).
size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<std::vector<size_t>> cost(left.size() + 1, std::vector<size_t>(right.size() + 1));
    for (size_t i = 0; i <= left.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= right.size(); ++j) cost[0][j] = j;
    for (size_t i = 1; i <= left.size(); ++i) {
        for (size_t j = 1; j <= right.size(); ++j) {
            const size_t replaced = cost[i - 1][j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
            cost[i][j] = std::min({replaced, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[left.size()][right.size()];
}

std::string_view last_part(std::string_view name) {
    return name.substr(name.rfind('.') + 1);
}

// A default or choice may hold the character that ends a table's cell.
std::string table_cell(std::string_view text) {
    std::string cell;
    for (const char c : text) {
        if (c == '|') cell += '\\';
        cell += c;
    }
    return cell;
}

std::string allowed_text(const Setting& setting) {
    std::string text;
    for (const std::string& choice : setting.choices) text += (text.empty() ? "" : ", ") + choice;
    if (setting.least) text = fmt::format("at least {}", detail::to_toml(*setting.least));
    if (setting.most) {
        text += fmt::format("{}at most {}", text.empty() ? "" : ", ", detail::to_toml(*setting.most));
    }
    return text;
}

}  // namespace

std::string environment_variable(std::string_view name) {
    std::string variable = "TANDEM_";
    for (const char c : name) {
        variable += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return variable;
}

Schema& Schema::add(Setting setting) {
    TANDEM_ASSERT(well_formed(setting.name), "a setting is named section.key in lower_snake_case");
    TANDEM_ASSERT(!setting.help.empty(), "a setting has a line of help");
    TANDEM_ASSERT(!setting.least || setting.least->index() == setting.default_value.index(), "bounds have the type");
    TANDEM_ASSERT(!setting.most || setting.most->index() == setting.default_value.index(), "bounds have the type");
    TANDEM_ASSERT(!detail::out_of_range(setting, setting.default_value), "a default is allowed");
    const size_t index = settings_.size();
    const bool new_name = by_name_.emplace(setting.name, index).second;
    const bool new_variable = by_variable_.emplace(environment_variable(setting.name), index).second;
    TANDEM_ASSERT(new_name && new_variable, "a setting's name and environment variable are its own");
    settings_.push_back(std::move(setting));
    return *this;
}

const Setting* Schema::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &settings_[found->second];
}

std::optional<std::string> Schema::nearest(std::string_view unknown) const {
    if (unknown.size() > 2 * name_size_max) return std::nullopt;
    std::optional<std::string> best;
    size_t best_distance = std::max<size_t>(2, unknown.size() / 4) + 1;
    for (const Setting& setting : settings_) {
        const size_t distance = edit_distance(unknown, setting.name);
        if (distance < best_distance) {
            best = setting.name;
            best_distance = distance;
        }
    }
    if (best) return best;
    // The right key in the wrong section.
    for (const Setting& setting : settings_) {
        if (last_part(setting.name) == last_part(unknown)) return setting.name;
    }
    return std::nullopt;
}

std::string Schema::default_file() const {
    std::string text =
        "# Every setting at its default. Stronger than this file: the environment (server.listen is\n"
        "# TANDEM_SERVER_LISTEN), and strongest the command line.\n";
    std::map<std::string, std::string> sections;
    std::vector<std::string> order;
    for (const Setting& setting : settings_) {
        const size_t dot = setting.name.rfind('.');
        const std::string section = setting.name.substr(0, dot);
        const auto [found, made] = sections.try_emplace(section, fmt::format("\n[{}]\n", section));
        if (made) order.push_back(section);
        const std::string allowed = allowed_text(setting);
        found->second += fmt::format("# {}{}\n# {} = {}\n", setting.help, allowed.empty() ? "" : " (" + allowed + ")",
                                     setting.name.substr(dot + 1), detail::to_toml(setting.default_value));
    }
    for (const std::string& section : order) text += sections[section];
    return text;
}

std::string Schema::markdown_table() const {
    std::string text = "| setting | type | default | meaning |\n|---|---|---|---|\n";
    for (const Setting& setting : settings_) {
        const std::string allowed = allowed_text(setting);
        text += fmt::format("| `{}` | {} | `{}` | {}{} |\n", setting.name, detail::type_name(setting.default_value),
                            table_cell(detail::to_toml(setting.default_value)), table_cell(setting.help),
                            allowed.empty() ? "" : table_cell(" (" + allowed + ")"));
    }
    return text;
}

}  // namespace tandem::base
