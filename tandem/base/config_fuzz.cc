// Whatever the file, the environment and the command line hold: a configuration, or one report that is valid UTF-8.
#include "tandem/base/assert.h"
#include "tandem/base/config.h"
#include "tandem/base/error.h"
#include "tandem/base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tandem::base;
    using namespace std::chrono_literals;
    static const Schema schema = [] {
        Schema made;
        made.add({.name = "a.text", .default_value = "x", .help = "-"})
            .add({.name = "a.number", .default_value = 1, .least = 0, .most = 9, .help = "-"})
            .add({.name = "b.time", .default_value = 1s, .help = "-"})
            .add({.name = "b.size", .default_value = 1_KiB, .help = "-"})
            .add({.name = "b.list", .default_value = TextList{}, .help = "-"});
        return made;
    }();
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const Config config = Config::load(schema, {.file = "fuzz.toml",
                                                    .file_text = text,
                                                    .environment = {{"TANDEM_B_TIME", text.substr(0, 8)}},
                                                    .command_line = {text.substr(0, 40)}});
        TANDEM_ASSERT(valid_utf8(config.effective()), "what is shown is text");
    } catch (const tandem::Error& error) {
        TANDEM_ASSERT(valid_utf8(error.what()), "a report is text");
    }
    return 0;
}
