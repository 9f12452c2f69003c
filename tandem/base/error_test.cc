#include "tandem/base/error.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(Error, what_joins_the_chain_and_within_keeps_the_code) {
    const Error disk(Code::io, "write: No space left on device");
    const Error store = disk.within("cannot store transaction 01ABC");
    EXPECT_EQ(store.code(), Code::io);
    EXPECT_STREQ(store.what(), "cannot store transaction 01ABC: write: No space left on device");
    ASSERT_NE(store.cause(), nullptr);
    EXPECT_EQ(store.cause()->message(), "write: No space left on device");
}

TEST(Error, from_turns_any_exception_into_an_error) {
    EXPECT_EQ(Error::from(std::make_exception_ptr(std::bad_alloc())).code(), Code::resource_exhausted);
    EXPECT_EQ(Error::from(std::make_exception_ptr(std::runtime_error("boom"))).code(), Code::internal);
    EXPECT_EQ(Error::from(std::make_exception_ptr(42)).code(), Code::internal);
    try {
        fail(Code::not_found, "no branch {}", 7);
    } catch (...) {
        EXPECT_STREQ(Error::current().what(), "no branch 7");
    }
}

}  // namespace
}  // namespace tandem
