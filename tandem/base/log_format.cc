// How a line looks. Log text comes from requests, peers and databases: every control character is escaped, so that
// nobody can forge a line or drive a terminal, and ill-formed UTF-8 is repaired.
#include <algorithm>
#include <cmath>
#include <ctime>

#include "tandem/base/log.h"
#include "tandem/base/utf8.h"

namespace tandem::log {

namespace {

using base::truncate_utf8;

// Bounded and valid; `scratch` keeps what had to be changed.
std::string_view presentable(std::string_view text, size_t size_max, std::string& scratch) {
    const std::string_view cut = truncate_utf8(text, size_max);
    const bool valid = base::valid_utf8(cut);
    if (valid && cut.size() == text.size()) return cut;
    scratch = valid ? std::string(cut) : base::repair_utf8(cut);
    if (cut.size() != text.size()) scratch += "...";
    return scratch;
}

// C0 controls, DEL, and the two bytes of a C1 control or a Unicode line separator, which terminals and log readers act
// on. Returns the size of the escaped sequence at `at`, or 0; `code_point` is what to write as \u.
size_t control_at(std::string_view text, size_t at, unsigned& code_point) {
    const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
    code_point = byte(0);
    if (code_point < 0x20 || code_point == 0x7F) return 1;
    if (byte(0) == 0xC2 && byte(1) < 0xA0) {
        code_point = byte(1);
        return 2;
    }
    if (byte(0) == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) {
        code_point = 0x2028 + (byte(2) - 0xA8);
        return 3;
    }
    return 0;
}

// Escapes as JSON does, which serves both formats.
void append_escaped(std::string& to, std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        unsigned code_point;
        const size_t control = control_at(text, i, code_point);
        if (control != 0) {
            if (code_point == '\n') {
                to += "\\n";
            } else if (code_point == '\t') {
                to += "\\t";
            } else if (code_point == '\r') {
                to += "\\r";
            } else {
                fmt::format_to(std::back_inserter(to), "\\u{:04x}", code_point);
            }
            i += control;
            continue;
        }
        if (text[i] == '"' || text[i] == '\\') to += '\\';
        to += text[i++];
    }
}

void append_quoted(std::string& to, std::string_view text) {
    to += '"';
    append_escaped(to, text);
    to += '"';
}

bool plain_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte > 0x20 && byte < 0x7F && c != '"' && c != '\\' && c != '=';
    });
}

void append_time(std::string& to, base::WallTime time) {
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count();
    const auto seconds = static_cast<std::time_t>(milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0));
    std::tm date;
    ::gmtime_r(&seconds, &date);
    fmt::format_to(std::back_inserter(to), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", date.tm_year + 1900,
                   date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec,
                   milliseconds - static_cast<int64_t>(seconds) * 1000);
}

void append_value(std::string& to, const Value& value, bool json) {
    std::visit(
        [&]<typename T>(const T& held) {
            if constexpr (std::is_same_v<T, std::string_view>) {
                std::string scratch;
                const std::string_view text = presentable(held, field_size_max, scratch);
                if (!json && plain_word(text)) {
                    to += text;
                } else {
                    append_quoted(to, text);
                }
            } else if constexpr (std::is_same_v<T, double>) {
                if (json && !std::isfinite(held)) {  // JSON has no such number
                    append_quoted(to, fmt::format("{}", held));
                } else {
                    fmt::format_to(std::back_inserter(to), "{}", held);
                }
            } else {
                fmt::format_to(std::back_inserter(to), "{}", held);
            }
        },
        value.get());
}

std::string_view colour_of(Level level) {
    switch (level) {
        case Level::trace:
        case Level::debug:
            return "\x1b[2m";
        case Level::info:
            return "\x1b[32m";
        case Level::warn:
            return "\x1b[33m";
        case Level::error:
        case Level::off:
            return "\x1b[31m";
    }
    return "";
}

}  // namespace

std::string format_text(base::WallTime time, Level level, std::string_view message, std::span<const Field> fields,
                        bool colour) {
    std::string line;
    std::string scratch;
    append_time(line, time);
    line += ' ';
    if (colour) line += colour_of(level);
    fmt::format_to(std::back_inserter(line), "{:<5}", to_string(level));
    if (colour) line += "\x1b[0m";
    line += ' ';
    // Quotes and backslashes stay readable in the message: it is free text, only its control characters are escaped.
    const std::string_view text = presentable(message, message_size_max, scratch);
    for (size_t i = 0; i < text.size();) {
        unsigned code_point;
        const size_t control = control_at(text, i, code_point);
        if (control != 0) {
            append_escaped(line, text.substr(i, control));
            i += control;
        } else {
            line += text[i++];
        }
    }
    for (const Field& field : fields.first(std::min(fields.size(), fields_max))) {
        line += ' ';
        const std::string_view key = presentable(field.key, field_size_max, scratch);
        if (plain_word(key)) {
            line += key;
        } else {
            append_quoted(line, key);
        }
        line += '=';
        append_value(line, field.value, false);
    }
    return line;
}

std::string format_json(base::WallTime time, Level level, std::string_view message, std::span<const Field> fields) {
    std::string line = "{\"time\":\"";
    std::string scratch;
    append_time(line, time);
    fmt::format_to(std::back_inserter(line), "\",\"level\":\"{}\",\"message\":", to_string(level));
    append_quoted(line, presentable(message, message_size_max, scratch));
    for (const Field& field : fields.first(std::min(fields.size(), fields_max))) {
        line += ',';
        append_quoted(line, presentable(field.key, field_size_max, scratch));
        line += ':';
        append_value(line, field.value, true);
    }
    line += '}';
    return line;
}

}  // namespace tandem::log
