// Walks a directory tree and finds paths by pattern, with one listing for each directory and no stat for its entries.
//
// Links are reported, not followed. Order: the entries of a directory by name, a directory before what is in it.
// Thread-safe; blocks. Throws what FileSystem::list throws for the root; a directory that vanishes meanwhile is passed
// over.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/file_system.h"

namespace tandem::base {

enum class WalkStep : unsigned char {
    go_on,  // into it, if it is a directory
    skip,   // not into this directory
    stop,   // end the walk
};

// Deeper trees give resource_exhausted.
inline constexpr size_t walk_depth_max = 128;

// `visit` gets each path relative to `root`.
void walk(FileSystem& files, const std::string& root,
          const std::function<WalkStep(const std::string& path, EntryType type)>& visit);

// The paths below `root`, relative to it, that match: `*` any characters within a name, `?` one character, `[a-z]` and
// `[!a-z]` one byte of a set, `**` as a whole name any number of directories. A leading dot must be written out, as in
// a shell. Directories where nothing can match are not read. Throws invalid_argument for an empty or absolute pattern.
std::vector<std::string> glob(FileSystem& files, const std::string& root, std::string_view pattern);

// Whether a relative path matches such a pattern.
bool glob_matches(std::string_view pattern, std::string_view path);

}  // namespace tandem::base
