#include "tandem/base/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "tandem/base/error.h"

namespace tandem::base {
namespace {

using namespace std::chrono_literals;

Schema schema() {
    Schema schema;
    schema.add({.name = "server.listen", .default_value = "127.0.0.1:7070", .help = "Address and port"})
        .add({.name = "server.token", .default_value = "", .secret = true, .help = "Token of clients"})
        .add({.name = "server.workers", .default_value = 2, .least = 1, .most = 64, .help = "Loops"})
        .add({.name = "server.body_max", .default_value = 1_MiB, .least = 1_KiB, .help = "Largest body"})
        .add({.name = "tx.timeout", .default_value = 30s, .least = 1s, .most = 1h, .help = "Time for one | all"})
        .add({.name = "tx.jitter", .default_value = 0.5, .least = 0.0, .most = 1.0, .help = "Share of jitter"})
        .add({.name = "branches.allow", .default_value = TextList{"http://127.0.0.1"}, .help = "Allowed branches"})
        .add({.name = "log.format", .default_value = "text", .choices = {"text", "json"}, .help = "Format"})
        .add({.name = "log.colour", .default_value = true, .help = "Colour"});
    return schema;
}

std::string report(const ConfigSources& sources) {
    try {
        Config::load(schema(), sources);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.what();
    }
    return "no mistakes";
}
std::string report_of_file(std::string text) {
    return report({.file = "t.toml", .file_text = std::move(text)});
}

TEST(Config, reads_every_type_from_a_file) {
    const Config config = Config::load(schema(), {.file = "t.toml", .file_text = R"(
[server]
listen = "0.0.0.0:80"
workers = 8
body_max = "4KiB"
[tx]
timeout = "1500ms"
jitter = 1
[branches]
allow = ["http://a", "http://b"]
[log]
colour = false
)"});
    EXPECT_EQ(config.get<std::string>("server.listen"), "0.0.0.0:80");
    EXPECT_EQ(config.get<int64_t>("server.workers"), 8);
    EXPECT_EQ(config.get<ByteSize>("server.body_max"), 4_KiB);
    EXPECT_EQ(config.get<Duration>("tx.timeout"), 1500ms);
    EXPECT_EQ(config.get<double>("tx.jitter"), 1.0);
    EXPECT_EQ(config.get<TextList>("branches.allow"), (TextList{"http://a", "http://b"}));
    EXPECT_FALSE(config.get<bool>("log.colour"));
    EXPECT_EQ(config.get<std::string>("log.format"), "text");
    EXPECT_EQ(config.origin("server.workers"), "t.toml:4");
    EXPECT_EQ(config.origin("log.format"), "default");
}

TEST(Config, the_command_line_beats_the_environment_beats_the_file) {
    const std::string file = "[server]\nworkers = 3\n[tx]\ntimeout = '2s'\njitter = 0.1";
    const Config config = Config::load(schema(), {.file = "t.toml",
                                                  .file_text = file,
                                                  .environment = {{"TANDEM_TX_TIMEOUT", "3s"},
                                                                  {"TANDEM_SERVER_WORKERS", "4"},
                                                                  {"TANDEM_BRANCHES_ALLOW", "a,b"},
                                                                  {"TANDEM_SERVICE_HOST", "from a container platform"}},
                                                  .command_line = {"server.workers=5"}});
    EXPECT_EQ(config.get<int64_t>("server.workers"), 5);
    EXPECT_EQ(config.origin("server.workers"), "command line");
    EXPECT_EQ(config.get<Duration>("tx.timeout"), 3s);
    EXPECT_EQ(config.origin("tx.timeout"), "environment TANDEM_TX_TIMEOUT");
    EXPECT_EQ(config.get<double>("tx.jitter"), 0.1);
    EXPECT_EQ(config.get<TextList>("branches.allow"), (TextList{"a", "b"}));
}

TEST(Config, all_mistakes_come_in_one_report_with_their_lines) {
    EXPECT_EQ(report({.file = "t.toml",
                      .file_text = R"([server]
lisen = "x"
workers = 100
body_max = "4KB"
[tx]
timeout = 10
jitter = "much"
[lgo]
format = "json"
[log]
format = "xml"
[branches]
allow = "http://a"
)",
                      .environment = {{"TANDEM_SERVER_WORKER", "3"}, {"TANDEM_LOG_COLOUR", "blue"}},
                      .command_line = {"tx.timeouts=3s", "server.workers", "tx.workers=3"}}),
              R"(13 mistakes in the configuration:
  t.toml:2: unknown setting server.lisen; did you mean server.listen?
  t.toml:3: server.workers must be from 1 to 64, not the integer 100
  t.toml:4: server.body_max must be a size in bytes such as 512, "4KiB" or "1MiB", not the text "4KB"
  t.toml:6: tx.timeout must be a duration such as "500ms", "10s", "2m" or "1h", not the integer 10
  t.toml:7: tx.jitter must be a number, not the text "much"
  t.toml:8: unknown section lgo; did you mean log?
  t.toml:11: log.format must be one of "text", "json", not the text "xml"
  t.toml:13: branches.allow must be a list of texts, not the text "http://a"
  environment: unknown variable TANDEM_SERVER_WORKER; did you mean TANDEM_SERVER_WORKERS?
  environment TANDEM_LOG_COLOUR: log.colour must be true or false, not "blue"
  command line: unknown setting tx.timeouts; did you mean tx.timeout?
  command line: server.workers needs a value: server.workers=...
  command line: unknown setting tx.workers; did you mean server.workers?)");
}

TEST(Config, broken_files_are_reported_with_their_line) {
    EXPECT_TRUE(report_of_file("[server]\nlisten = \n").starts_with("1 mistake in the configuration:\n  t.toml:2: "))
        << report_of_file("[server]\nlisten = \n");
    EXPECT_EQ(report_of_file("[server]\nlisten = \"\xFF\"\n"),
              "1 mistake in the configuration:\n  t.toml:2: not UTF-8 at byte 19 of the file");
    EXPECT_EQ(report_of_file("server = 3\n"),
              "1 mistake in the configuration:\n  t.toml:1: server must be a section, not the integer 3");
    EXPECT_EQ(report_of_file("\"x\\ny\" = 3\n"),
              "1 mistake in the configuration:\n  t.toml:1: unknown setting \"x\\u000Ay\"");
    EXPECT_THROW(Config::load(schema(), {.file = "/no/such/file.toml"}), Error);
}

TEST(Config, a_long_report_is_cut) {
    std::string file = "[server]\n";
    for (int i = 0; i < 60; ++i) file += fmt::format("unknown{} = 1\n", i);
    EXPECT_TRUE(report_of_file(file).ends_with("\n  and 10 more"));
}

TEST(Config, secrets_are_never_shown) {
    EXPECT_EQ(report_of_file("server.token = 12345"),
              "1 mistake in the configuration:\n  t.toml:1: server.token must be a text, not what was given");
    const Config config = Config::load(schema(), {.command_line = {"server.token=12345"}});
    EXPECT_EQ(config.get<std::string>("server.token"), "12345");
    EXPECT_EQ(config.effective().find("12345"), std::string::npos);
    EXPECT_NE(config.effective().find("server.token = \"(hidden)\""), std::string::npos);
}

TEST(Config, effective_shows_values_with_their_origin) {
    Config config(schema());
    config.set("tx.timeout", "90s", "a test");
    EXPECT_THROW(config.set("tx.timeout", "2h", "a test"), Error);
    EXPECT_NE(config.effective().find(fmt::format("{:<60} # a test\n", "tx.timeout = \"90s\"")), std::string::npos)
        << config.effective();
    EXPECT_NE(config.effective().find("server.body_max = \"1MiB\""), std::string::npos);
}

TEST(Config, the_default_file_documents_every_setting_and_loads_when_uncommented) {
    const std::string file = schema().default_file();
    EXPECT_NE(file.find("\n[tx]\n# Time for one | all (at least \"1s\", at most \"1h\")\n# timeout = \"30s\"\n"),
              std::string::npos)
        << file;
    std::string live;
    for (size_t at = 0; at < file.size();) {
        const size_t end = file.find('\n', at);
        std::string line = file.substr(at, end - at);
        at = end + 1;
        if (line.starts_with("# ") && line.find(" = ") != std::string::npos) line.erase(0, 2);
        live += line + "\n";
    }
    const Config config = Config::load(schema(), {.file = "default.toml", .file_text = live});
    const Config defaults{schema()};
    EXPECT_NE(config.origin("log.format"), "default");
    for (const Setting& setting : schema().settings()) {
        const auto value_of = [&](const Config& from) {
            const std::string text = from.effective();
            const size_t at = text.find(setting.name + " = ");
            return text.substr(at, text.find(" # ", at) - at);
        };
        EXPECT_EQ(value_of(config), value_of(defaults));
    }
}

TEST(Config, the_markdown_table_escapes_its_cells) {
    EXPECT_NE(schema().markdown_table().find(
                  "| `tx.timeout` | duration | `\"30s\"` | Time for one \\| all (at least \"1s\", at most \"1h\") |\n"),
              std::string::npos)
        << schema().markdown_table();
}

TEST(Config, durations_and_sizes_are_exact_and_overflow_is_refused) {
    EXPECT_EQ(detail::duration_from_text("2m"), 120s);
    EXPECT_EQ(detail::duration_from_text("3ns"), 3ns);
    for (const char* wrong : {"", "10", "s", "-1s", "1.5s", "10 s", "1h30m", "9999999999999h", "1S"}) {
        EXPECT_EQ(detail::duration_from_text(wrong), std::nullopt) << wrong;
    }
    EXPECT_EQ(detail::byte_size_from_text("17"), ByteSize{17});
    EXPECT_EQ(detail::byte_size_from_text("2GiB"), ByteSize{int64_t{2} << 30});
    for (const char* wrong : {"", "KiB", "4K", "4kb", "-4", "9999999999TiB"}) {
        EXPECT_EQ(detail::byte_size_from_text(wrong), std::nullopt) << wrong;
    }
}

TEST(Config, not_a_number_is_out_of_range) {
    EXPECT_NE(report_of_file("tx.jitter = nan"), "no mistakes");
}

TEST(Config, process_environment_holds_our_variables_only) {
    ::setenv("TANDEM_CONFIG_TEST", "yes", 1);
    ::setenv("OTHER_CONFIG_TEST", "no", 1);
    const auto environment = process_environment();
    EXPECT_EQ(std::ranges::count(environment, std::pair<std::string, std::string>("TANDEM_CONFIG_TEST", "yes")), 1);
    for (const auto& [name, value] : environment) EXPECT_TRUE(name.starts_with("TANDEM_")) << name;
    ::unsetenv("TANDEM_CONFIG_TEST");
    ::unsetenv("OTHER_CONFIG_TEST");
}

}  // namespace
}  // namespace tandem::base
