#include "tandem/http/date.h"

#include <array>

#include <fmt/format.h>

namespace tandem::http {

namespace {

using namespace std::chrono;

constexpr std::array<std::string_view, 7> weekdays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads a date from left to right; every step leaves `good` false once something did not fit.
struct Reader {
    std::string_view rest;
    bool good = true;

    void expect(std::string_view text) {
        good = good && rest.starts_with(text);
        if (good) rest.remove_prefix(text.size());
    }
    int number(size_t digits, bool may_begin_with_space = false) {
        if (!good || rest.size() < digits) {
            good = false;
            return 0;
        }
        int value = 0;
        for (size_t i = 0; i < digits; ++i) {
            char c = rest[i] == ' ' && i == 0 && may_begin_with_space ? '0' : rest[i];
            good = good && c >= '0' && c <= '9';
            value = value * 10 + (c - '0');
        }
        rest.remove_prefix(digits);
        return value;
    }
    unsigned month() {
        for (unsigned i = 0; good && i < months.size(); ++i) {
            if (rest.starts_with(months[i])) {
                rest.remove_prefix(3);
                return i + 1;
            }
        }
        good = false;
        return 1;
    }
};

struct Parts {
    int year = 0;
    unsigned month = 1;
    int day = 0, hour = 0, minute = 0, second = 0;
};

void read_time(Reader& reader, Parts& parts) {
    parts.hour = reader.number(2);
    reader.expect(":");
    parts.minute = reader.number(2);
    reader.expect(":");
    parts.second = reader.number(2);
}

std::optional<Seconds> to_time(const Reader& reader, const Parts& parts) {
    year_month_day date(year(parts.year), month(parts.month), day(static_cast<unsigned>(parts.day)));
    // 60 is a leap second, which the system clock does not know.
    bool good =
        reader.good && reader.rest.empty() && date.ok() && parts.hour < 24 && parts.minute < 60 && parts.second <= 60;
    if (!good) return std::nullopt;
    return sys_days(date) + hours(parts.hour) + minutes(parts.minute) + seconds(parts.second);
}

// After "Sun, ": "06 Nov 1994 08:49:37 GMT".
std::optional<Seconds> parse_fixdate(Reader reader) {
    Parts parts;
    parts.day = reader.number(2);
    reader.expect(" ");
    parts.month = reader.month();
    reader.expect(" ");
    parts.year = reader.number(4);
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" GMT");
    return to_time(reader, parts);
}

// After "Sunday, ": "06-Nov-94 08:49:37 GMT".
std::optional<Seconds> parse_rfc850(Reader reader, Seconds now) {
    Parts parts;
    parts.day = reader.number(2);
    reader.expect("-");
    parts.month = reader.month();
    reader.expect("-");
    int this_year = static_cast<int>(year_month_day(floor<days>(now)).year());
    parts.year = this_year / 100 * 100 + reader.number(2);
    if (parts.year > this_year + 50) parts.year -= 100;
    if (parts.year < this_year - 50) parts.year += 100;
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" GMT");
    return to_time(reader, parts);
}

// After "Sun ": "Nov  6 08:49:37 1994".
std::optional<Seconds> parse_asctime(Reader reader) {
    Parts parts;
    parts.month = reader.month();
    reader.expect(" ");
    parts.day = reader.number(2, true);
    reader.expect(" ");
    read_time(reader, parts);
    reader.expect(" ");
    parts.year = reader.number(4);
    return to_time(reader, parts);
}

}  // namespace

std::string format_date(Seconds time) {
    auto date_part = floor<days>(time);
    year_month_day date(date_part);
    hh_mm_ss clock(time - date_part);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[weekday(date_part).c_encoding()],
                       static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                       static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                       clock.seconds().count());
}

std::optional<Seconds> parse_date(std::string_view text, Seconds now) {
    size_t name = text.find_first_of(", ");
    if (name == std::string_view::npos || name < 3) return std::nullopt;
    bool known = false;
    for (std::string_view weekday : weekdays) known = known || text.starts_with(weekday);
    if (!known) return std::nullopt;
    Reader reader{text.substr(name)};
    if (text[name] == ' ') {
        reader.expect(" ");
        return name == 3 ? parse_asctime(reader) : std::nullopt;
    }
    reader.expect(", ");
    return name == 3 ? parse_fixdate(reader) : parse_rfc850(reader, now);
}

std::string_view DateLine::get() {
    auto second = floor<seconds>(clock_.wall_now());
    if (second_ != second) {
        second_ = second;
        line_ = "Date: " + format_date(second) + "\r\n";
    }
    return line_;
}

}  // namespace tandem::http
