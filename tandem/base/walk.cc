#include "tandem/base/walk.h"

#include <algorithm>
#include <optional>

#include "tandem/base/error.h"

namespace tandem::base {

namespace {

std::vector<std::string_view> split_path(std::string_view path) {
    std::vector<std::string_view> names;
    while (!path.empty()) {
        const size_t slash = std::min(path.find('/'), path.size());
        if (slash > 0) names.push_back(path.substr(0, slash));
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return names;
}

// The set that begins at pattern[at] == '[': its size, and whether `c` is in it. Nullopt: no closing bracket, so that
// the bracket stands for itself.
struct SetMatch {
    size_t size;
    bool matches;
};
std::optional<SetMatch> match_set(std::string_view pattern, size_t at, char c) {
    size_t i = at + 1;
    const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
    if (negated) ++i;
    bool found = false;
    for (bool first = true; i < pattern.size(); first = false) {
        if (pattern[i] == ']' && !first) return SetMatch{i + 1 - at, found != negated};
        const auto low = static_cast<unsigned char>(pattern[i]);
        auto high = low;
        if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
            high = static_cast<unsigned char>(pattern[i + 2]);
            i += 2;
        }
        const auto byte = static_cast<unsigned char>(c);
        found = found || (low <= byte && byte <= high);
        ++i;
    }
    return std::nullopt;
}

size_t character_size(std::string_view text, size_t at) {
    size_t size = 1;
    while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xC0) == 0x80) ++size;
    return size;
}

// One name against one part of the pattern. Only the last star is ever tried again, so the time is at most the product
// of the sizes.
bool name_matches(std::string_view pattern, std::string_view name) {
    if (name.starts_with('.') && !pattern.starts_with('.')) return false;
    size_t p = 0;
    size_t n = 0;
    size_t star = std::string_view::npos;  // where the pattern goes on after the last star
    size_t star_name = 0;                  // how much of the name that star has not taken yet
    while (n < name.size()) {
        if (p < pattern.size()) {
            if (pattern[p] == '*') {
                star = ++p;
                star_name = n;
                continue;
            }
            if (pattern[p] == '?') {
                ++p;
                n += character_size(name, n);
                continue;
            }
            const auto set = pattern[p] == '[' ? match_set(pattern, p, name[n]) : std::nullopt;
            if (set ? set->matches : pattern[p] == name[n]) {
                p += set ? set->size : 1;
                ++n;
                continue;
            }
        }
        if (star == std::string_view::npos) return false;
        p = star;
        n = ++star_name;
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// A pattern's parts, run as a nondeterministic automaton over the names of a path: state i means that parts before i
// have matched.
class Pattern {
  public:
    using States = std::vector<bool>;

    explicit Pattern(std::string_view pattern) : parts_(split_path(pattern)) {}

    States start() const {
        States states(parts_.size() + 1);
        enter(states, 0);
        return states;
    }
    States step(const States& states, std::string_view name) const {
        States next(parts_.size() + 1);
        for (size_t i = 0; i < parts_.size(); ++i) {
            if (!states[i]) continue;
            if (parts_[i] == "**") {
                if (name.starts_with('.')) continue;
                enter(next, i);
                if (i + 1 == parts_.size()) next[i + 1] = true;
            } else if (name_matches(parts_[i], name)) {
                enter(next, i + 1);
            }
        }
        return next;
    }
    bool matched(const States& states) const { return states.back(); }
    bool can_go_on(const States& states) const {
        return std::find(states.begin(), states.end() - 1, true) != states.end() - 1;
    }

  private:
    // `**` may stand for no directory at all, so its state brings the next one along; not so the last part, which must
    // take a name: "a/**" does not match "a".
    void enter(States& states, size_t state) const {
        states[state] = true;
        while (state + 1 < parts_.size() && parts_[state] == "**") states[++state] = true;
    }

    std::vector<std::string_view> parts_;
};

struct OpenDirectory {
    std::string path;  // relative to the root, "" for the root
    std::vector<DirectoryEntry> entries;
    size_t next = 0;
};

std::vector<DirectoryEntry> sorted_list(FileSystem& files, const std::string& path) {
    auto entries = files.list(path);
    std::ranges::sort(entries, {}, &DirectoryEntry::name);
    return entries;
}

}  // namespace

void walk(FileSystem& files, const std::string& root,
          const std::function<WalkStep(const std::string& path, EntryType type)>& visit) {
    std::vector<OpenDirectory> stack;
    stack.push_back({"", sorted_list(files, root)});
    while (!stack.empty()) {
        OpenDirectory& top = stack.back();
        if (top.next == top.entries.size()) {
            stack.pop_back();
            continue;
        }
        const DirectoryEntry& entry = top.entries[top.next++];
        const std::string path = join_path(top.path, entry.name);
        const WalkStep step = visit(path, entry.type);
        if (step == WalkStep::stop) return;
        if (entry.type != EntryType::directory || step == WalkStep::skip) continue;
        if (stack.size() == walk_depth_max) {
            fail(Code::resource_exhausted, "{} is more than {} directories deep", join_path(root, path),
                 walk_depth_max);
        }
        try {
            stack.push_back({path, sorted_list(files, join_path(root, path))});
        } catch (const Error& error) {
            if (error.code() != Code::not_found) throw;  // removed since it was listed
        }
    }
}

std::vector<std::string> glob(FileSystem& files, const std::string& root, std::string_view pattern) {
    if (pattern.empty() || pattern.starts_with('/')) {
        fail(Code::invalid_argument, "the pattern \"{}\" is not a relative path", pattern);
    }
    const Pattern automaton(pattern);
    // states[d] is where the automaton stands in the directory of depth d that the walk is in.
    std::vector<Pattern::States> states{automaton.start()};
    std::vector<std::string> found;
    walk(files, root, [&](const std::string& path, EntryType type) {
        const size_t depth = static_cast<size_t>(std::ranges::count(path, '/'));
        states.resize(depth + 1);
        Pattern::States next = automaton.step(states.back(), std::string_view(path).substr(path.rfind('/') + 1));
        if (automaton.matched(next)) found.push_back(path);
        if (type != EntryType::directory || !automaton.can_go_on(next)) return WalkStep::skip;
        states.push_back(std::move(next));
        return WalkStep::go_on;
    });
    return found;
}

bool glob_matches(std::string_view pattern, std::string_view path) {
    const Pattern automaton(pattern);
    Pattern::States states = automaton.start();
    for (const std::string_view name : split_path(path)) states = automaton.step(states, name);
    return automaton.matched(states) && !path.empty();
}

}  // namespace tandem::base
