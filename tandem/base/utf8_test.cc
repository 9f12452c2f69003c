#include "tandem/base/utf8.h"

#include <gtest/gtest.h>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

TEST(Utf8, every_code_point_is_valid_and_every_surrogate_is_not) {
    for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
        std::string text;
        append_utf8(text, code_point);
        ASSERT_TRUE(valid_utf8(text)) << static_cast<uint32_t>(code_point);
    }
    EXPECT_EQ(valid_utf8_prefix("ab\xED\xA0\x80"), 2u);  // U+D800 encoded as if it were a character
    EXPECT_FALSE(valid_utf8("\xED\xBF\xBF"));
}

TEST(Utf8, overlong_forms_truncated_sequences_and_values_beyond_unicode_are_refused) {
    for (const std::string_view wrong :
         {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\x80", "\xC2", "\xE2\x82", "\xF0\x9F\x98", "\xC2\x41"}) {
        EXPECT_EQ(valid_utf8_prefix(wrong), 0u) << hex_encode(as_bytes(wrong));
    }
}

TEST(Utf8, the_offset_is_exact_at_every_place_in_a_block) {
    for (size_t place = 0; place < 70; ++place) {
        std::string text(70, 'a');
        text[place] = '\xFF';
        EXPECT_EQ(valid_utf8_prefix(text), place);
    }
    EXPECT_TRUE(valid_utf8(std::string_view("nul \0 is a character", 20)));
    EXPECT_TRUE(valid_utf8(""));
}

TEST(Utf8, check_names_what_was_wrong_and_where) {
    EXPECT_EQ(check_utf8("naïve", "the name"), "naïve");
    try {
        check_utf8(as_bytes("na\xEFve"), "the name");
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        EXPECT_STREQ(error.what(), "the name is not UTF-8 at byte 2");
    }
}

TEST(Utf8, repair_replaces_maximal_parts) {
    // The example of Unicode 15, table 3-11.
    EXPECT_EQ(repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFDA");
    // Table 3-8: none of these can begin a character, so each byte is replaced.
    EXPECT_EQ(repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
    EXPECT_EQ(repair_utf8("already ✓"), "already ✓");
}

TEST(Utf8, truncation_never_cuts_a_character) {
    EXPECT_EQ(truncate_utf8("a✓b", 5), "a✓b");
    EXPECT_EQ(truncate_utf8("a✓b", 4), "a✓");
    EXPECT_EQ(truncate_utf8("a✓b", 3), "a");
    EXPECT_EQ(truncate_utf8("a✓b", 2), "a");
    EXPECT_EQ(truncate_utf8("a✓b", 1), "a");
    EXPECT_EQ(truncate_utf8("a✓b", 0), "");
}

}  // namespace
}  // namespace tandem::base
