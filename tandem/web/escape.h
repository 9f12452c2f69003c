// Text made safe to stand in HTML.
//
// Thread rules: pure.
#pragma once

#include <string>
#include <string_view>

namespace tandem::web {

// For text between tags and for attribute values in quotes of either kind: & < > " ' become references. Not enough
// inside <script> or <style>, in attributes without quotes, or for URLs that come from outside.
std::string escape_html(std::string_view text);

}  // namespace tandem::web
