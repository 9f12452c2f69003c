// Dates of HTTP (RFC 9110 section 5.6.7): written as IMF-fixdate, read in all three forms.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "tandem/base/clock.h"

namespace tandem::http {

using Seconds = std::chrono::sys_seconds;

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string format_date(Seconds time);
// IMF-fixdate, RFC 850 ("Sunday, 06-Nov-94 08:49:37 GMT") and asctime ("Sun Nov  6 08:49:37 1994"); nullopt for
// anything else. `now` decides the century of RFC 850's two digits: never more than 50 years ahead.
std::optional<Seconds> parse_date(std::string_view text, Seconds now);

// "Date: …\r\n", made again only when the clock's second has changed. Belongs to one loop.
class DateLine {
  public:
    explicit DateLine(const base::Clock& clock) : clock_(clock) {}
    std::string_view get();

  private:
    const base::Clock& clock_;
    std::optional<Seconds> second_;
    std::string line_;
};

}  // namespace tandem::http
