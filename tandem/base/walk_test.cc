#include "tandem/base/walk.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

// A tree in memory that counts what is asked of it.
class CountingTree final : public FileSystem {
  public:
    explicit CountingTree(std::initializer_list<std::string_view> files) {
        for (const std::string_view file : files) {
            std::string path = join_path("root", file);
            EntryType type = EntryType::file;
            while (path != "root") {
                const std::string parent = parent_path(path);
                directories_[parent].insert_or_assign(path.substr(parent.size() + 1), type);
                path = parent;
                type = EntryType::directory;
            }
        }
    }

    std::vector<DirectoryEntry> list(const std::string& path) override {
        listed.push_back(path);
        if (path == vanished) fail(Code::not_found, "cannot list {}", path);
        std::vector<DirectoryEntry> entries;
        for (const auto& [name, type] : directories_.at(path)) entries.insert(entries.begin(), {name, type});
        return entries;
    }
    EntryType type(const std::string& path) override { return counted(path), EntryType::other; }
    bool exists(const std::string& path) override { return counted(path), false; }
    std::unique_ptr<File> open(const std::string& path, OpenMode) override { return counted(path), nullptr; }
    void rename(const std::string& path, const std::string&) override { counted(path); }
    bool remove(const std::string& path) override { return counted(path), false; }
    void create_directories(const std::string& path) override { counted(path); }
    void sync_directory(const std::string& path) override { counted(path); }
    std::string absolute(const std::string& path) override { return counted(path), path; }

    std::vector<std::string> listed;
    std::string vanished;
    int other_calls = 0;

  private:
    void counted(const std::string&) { ++other_calls; }
    std::map<std::string, std::map<std::string, EntryType>> directories_;
};

using Paths = std::vector<std::string>;

TEST(Walk, visits_in_order_with_one_listing_a_directory_and_nothing_else) {
    CountingTree tree{"b/two", "b/one", "a", "c/d/deep"};
    Paths seen;
    walk(tree, "root", [&](const std::string& path, EntryType type) {
        seen.push_back(path + (type == EntryType::directory ? "/" : ""));
        return WalkStep::go_on;
    });
    EXPECT_EQ(seen, (Paths{"a", "b/", "b/one", "b/two", "c/", "c/d/", "c/d/deep"}));
    EXPECT_EQ(tree.listed, (Paths{"root", "root/b", "root/c", "root/c/d"}));
    EXPECT_EQ(tree.other_calls, 0);
}

TEST(Walk, skips_and_stops_when_told) {
    CountingTree tree{"b/two", "b/one", "a", "c/d/deep", "e"};
    Paths seen;
    walk(tree, "root", [&](const std::string& path, EntryType) {
        seen.push_back(path);
        return path == "b" ? WalkStep::skip : path == "c/d" ? WalkStep::stop : WalkStep::go_on;
    });
    EXPECT_EQ(seen, (Paths{"a", "b", "c", "c/d"}));
}

TEST(Walk, passes_over_a_directory_that_vanished) {
    CountingTree tree{"a/x", "b/y"};
    tree.vanished = "root/a";
    EXPECT_EQ(glob(tree, "root", "**"), (Paths{"a", "b", "b/y"}));
    tree.vanished = "root";
    EXPECT_THROW(glob(tree, "root", "**"), Error);
}

TEST(Walk, refuses_a_bottomless_tree) {
    std::string deep = "f";
    for (size_t i = 0; i < walk_depth_max; ++i) deep = "d/" + deep;
    CountingTree tree{deep};
    EXPECT_THROW(walk(tree, "root", [](const std::string&, EntryType) { return WalkStep::go_on; }), Error);
}

TEST(Glob, finds_by_pattern_and_reads_only_where_something_can_match) {
    CountingTree tree{"src/a.cc", "src/a.h", "src/sub/b.cc", "doc/a.cc", "doc/x/y/c.cc", ".git/z.cc", "top.cc"};
    EXPECT_EQ(glob(tree, "root", "src/*.cc"), (Paths{"src/a.cc"}));
    EXPECT_EQ(tree.listed, (Paths{"root", "root/src"}));
    EXPECT_EQ(glob(tree, "root", "**/*.cc"), (Paths{"doc/a.cc", "doc/x/y/c.cc", "src/a.cc", "src/sub/b.cc", "top.cc"}));
    EXPECT_EQ(glob(tree, "root", "doc/**/c.cc"), (Paths{"doc/x/y/c.cc"}));
    EXPECT_EQ(glob(tree, "root", ".git/*"), (Paths{".git/z.cc"}));
    EXPECT_EQ(glob(tree, "root", "*/?.[a-h]"), (Paths{"src/a.h"}));
    EXPECT_EQ(tree.other_calls, 0);
    EXPECT_THROW(glob(tree, "root", "/etc/*"), Error);
    EXPECT_THROW(glob(tree, "root", ""), Error);
}

TEST(Glob, matches_names_as_a_shell_does) {
    const auto matches = [](const char* pattern, const char* path) { return glob_matches(pattern, path); };
    EXPECT_TRUE(matches("*", "abc"));
    EXPECT_FALSE(matches("*", "a/b"));
    EXPECT_FALSE(matches("*", ".hidden"));
    EXPECT_TRUE(matches(".*", ".hidden"));
    EXPECT_TRUE(matches("a*b*c", "aXbYbZc"));
    EXPECT_FALSE(matches("a*b*c", "aXbYbZ"));
    EXPECT_TRUE(matches("?", "é"));
    EXPECT_FALSE(matches("?", "ab"));
    EXPECT_TRUE(matches("[a-c]x", "bx"));
    EXPECT_FALSE(matches("[!a-c]x", "bx"));
    EXPECT_TRUE(matches("[!a-c]x", "dx"));
    EXPECT_TRUE(matches("[]]", "]"));
    EXPECT_TRUE(matches("[a-]", "-"));
    EXPECT_TRUE(matches("[open", "[open"));
    EXPECT_TRUE(matches("**", "a/b/c"));
    EXPECT_TRUE(matches("a/**/b", "a/b"));
    EXPECT_TRUE(matches("a/**/b", "a/x/y/b"));
    EXPECT_FALSE(matches("a/**/b", "a/.x/b"));
    EXPECT_TRUE(matches("**/**/b", "b"));
    EXPECT_FALSE(matches("a/**", "a"));
    EXPECT_TRUE(matches("a/**", "a/b/c"));
    EXPECT_FALSE(matches("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

}  // namespace
}  // namespace tandem::base
