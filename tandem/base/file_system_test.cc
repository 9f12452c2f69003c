#include "tandem/base/file_system.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

class FileSystemTest : public ::testing::Test {
  protected:
    FileSystemTest() {
        std::string pattern = ::testing::TempDir() + "tandem-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }
    ~FileSystemTest() override { std::filesystem::remove_all(directory_); }
    std::string at(std::string_view name) const { return join_path(directory_, name); }

    FileSystem& files_ = FileSystem::real();
    std::string directory_;
};

template <typename Work>
Error error_of(Work work) {
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    return Error(Code::internal, "nothing was thrown");
}

TEST_F(FileSystemTest, reads_back_what_was_written_and_stops_at_the_end) {
    const auto file = files_.open(at("a"), OpenMode::create_new);
    file->write_at(3, as_bytes("defg"));
    file->append(as_bytes("hi"));
    EXPECT_EQ(file->size(), 9u);
    ByteBuffer into(20);
    EXPECT_EQ(file->read_at(0, into), 9u);
    EXPECT_EQ(as_text(Bytes(into).first(9)), std::string_view("\0\0\0defghi", 9));
    EXPECT_EQ(file->read_at(100, into), 0u);
    file->truncate(4);
    file->sync();
    EXPECT_EQ(read_whole(files_, at("a")), std::string_view("\0\0\0d", 4));
    EXPECT_EQ(file->path(), at("a"));
}

TEST_F(FileSystemTest, errors_name_the_path_and_the_reason) {
    const Error missing = error_of([&] { files_.open(at("none"), OpenMode::read_write); });
    EXPECT_EQ(missing.code(), Code::not_found);
    EXPECT_EQ(missing.message(), "cannot open " + at("none") + ": No such file or directory");
    files_.open(at("a"), OpenMode::create);
    EXPECT_EQ(error_of([&] { files_.open(at("a"), OpenMode::create_new); }).code(), Code::already_exists);
    const auto read_only = files_.open(at("a"), OpenMode::read);
    EXPECT_EQ(error_of([&] { read_only->write_at(0, as_bytes("x")); }).code(), Code::io);
    EXPECT_EQ(error_of([&] { files_.create_directories(at("a")); }).code(), Code::already_exists);
    EXPECT_EQ(error_of([&] { files_.list(at("none")); }).code(), Code::not_found);
    files_.open(at("a"), OpenMode::read_write)->write_at(0, as_bytes("12345"));
    EXPECT_EQ(error_of([&] { read_whole(files_, at("a"), 4); }).code(), Code::resource_exhausted);
}

TEST_F(FileSystemTest, locks_hold_between_two_opens_in_one_process) {
    const auto one = files_.open(at("a"), OpenMode::create);
    auto two = files_.open(at("a"), OpenMode::read_write);
    EXPECT_TRUE(one->try_lock(LockKind::shared));
    EXPECT_TRUE(two->try_lock(LockKind::shared));
    EXPECT_FALSE(one->try_lock(LockKind::exclusive));
    EXPECT_TRUE(one->locked_by_another(0, 0));
    EXPECT_TRUE(two->try_lock(LockKind::none));
    EXPECT_FALSE(one->locked_by_another(0, 0));
    EXPECT_TRUE(one->try_lock(LockKind::exclusive));
    EXPECT_FALSE(two->try_lock(LockKind::shared));
    EXPECT_TRUE(one->try_lock(LockKind::none));
    EXPECT_TRUE(one->try_lock(LockKind::exclusive, 10, 1));
    EXPECT_TRUE(two->try_lock(LockKind::exclusive, 11, 1));
    EXPECT_FALSE(one->try_lock(LockKind::shared, 10, 2));
    two.reset();
    EXPECT_TRUE(one->try_lock(LockKind::shared, 10, 2));
}

TEST_F(FileSystemTest, directories_are_made_with_parents_listed_with_types_and_removed) {
    files_.create_directories(at("x/y/z"));
    files_.create_directories(at("x/y/z/"));
    files_.open(at("x/file"), OpenMode::create);
    std::filesystem::create_symlink("file", at("x/link"));
    auto entries = files_.list(at("x"));
    std::ranges::sort(entries, {}, &DirectoryEntry::name);
    EXPECT_EQ(entries,
              (std::vector<DirectoryEntry>{
                  {"file", EntryType::file}, {"link", EntryType::symbolic_link}, {"y", EntryType::directory}}));
    EXPECT_EQ(files_.type(at("x/link")), EntryType::symbolic_link);
    EXPECT_EQ(files_.absolute(at("x/y/../link")), files_.absolute(at("x/file")));
    EXPECT_EQ(files_.absolute(at("x/new")), join_path(files_.absolute(at("x")), "new"));
    EXPECT_EQ(error_of([&] { files_.remove(at("x")); }).code(), Code::io);
    EXPECT_TRUE(files_.remove(at("x/y/z")));
    EXPECT_FALSE(files_.remove(at("x/y/z")));
    EXPECT_FALSE(files_.exists(at("x/y/z")));
    EXPECT_TRUE(files_.exists(at("x/y")));
}

TEST_F(FileSystemTest, replace_whole_leaves_only_the_new_content) {
    replace_whole(files_, at("a"), as_bytes("a long first version"));
    replace_whole(files_, at("a"), as_bytes("second"));
    EXPECT_EQ(read_whole(files_, at("a")), "second");
    EXPECT_EQ(files_.list(directory_).size(), 1u);
}

TEST(Path, joins_and_finds_parents) {
    EXPECT_EQ(join_path("a/b", "c"), "a/b/c");
    EXPECT_EQ(join_path("/", "c"), "/c");
    EXPECT_EQ(join_path("", "c"), "c");
    EXPECT_EQ(parent_path("a/b/c"), "a/b");
    EXPECT_EQ(parent_path("a/b/"), "a");
    EXPECT_EQ(parent_path("c"), ".");
    EXPECT_EQ(parent_path("/c"), "/");
    EXPECT_EQ(parent_path("/"), "/");
}

}  // namespace
}  // namespace tandem::base
