// Invariants
// 1. A line passes from the caller to the writing thread through a queue of queue_lines_max; the caller never waits.
// 2. The logger outlives every user: it is never destroyed, and what is queued at exit is flushed by an atexit handler.
#include "tandem/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>

#include "tandem/base/assert.h"
#include "tandem/base/error.h"
#include "tandem/base/metrics.h"
#include "tandem/base/utf8.h"

namespace tandem::log {

std::atomic<Level> detail::level{Level::info};

namespace {

constexpr size_t queue_lines_max = 8192;
constexpr auto flush_time_max = std::chrono::seconds(1);

// Writes each line with one write(2), so that lines of several processes on one stderr do not mix.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    void wait_for_flush(uint64_t number) {
        std::unique_lock lock(flush_mutex_);
        flushed_changed_.wait_for(lock, flush_time_max, [&] { return flushed_ >= number; });
    }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        write_all({message.payload.data(), message.payload.size()});
    }
    void flush_() override {
        const std::lock_guard lock(flush_mutex_);
        ++flushed_;
        flushed_changed_.notify_all();
    }

  private:
    static void write_all(std::string_view text) {
        while (!text.empty()) {
            const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return;  // nobody to tell
            text.remove_prefix(static_cast<size_t>(written));
        }
    }

    std::mutex flush_mutex_;
    std::condition_variable flushed_changed_;
    uint64_t flushed_ = 0;
};

class Logger {
  public:
    // Never destroyed (invariant 2).
    static Logger& instance() {
        static Logger& logger = *new Logger;
        return logger;
    }

    void write(std::string line) {
        line += '\n';
        const size_t dropped = pool_->overrun_counter();
        if (const size_t reported = reported_.exchange(dropped); dropped > reported) {
            dropped_lines_.add(dropped - reported);
            const Field fields[] = {{"lines", dropped - reported}};
            hand_over(format(Level::warn, "log lines dropped: stderr is slower than the log", fields) + '\n');
        }
        hand_over(line);
    }

    std::string format(Level level, std::string_view message, std::span<const Field> fields) const {
        const base::WallTime now = clock_.load()->wall_now();
        return format_.load() == Format::json ? format_json(now, level, message, fields)
                                              : format_text(now, level, message, fields, colour_);
    }

    void configure(const Options& options) {
        format_ = options.format;
        clock_ = options.clock;
    }

    void flush() {
        const uint64_t number = ++flushes_;
        logger_->flush();
        sink_->wait_for_flush(number);
    }

  private:
    Logger()
        : pool_(std::make_shared<spdlog::details::thread_pool>(queue_lines_max, 1)),
          sink_(std::make_shared<StderrSink>()),
          logger_(std::make_shared<spdlog::async_logger>("tandem", sink_, pool_,
                                                         spdlog::async_overflow_policy::overrun_oldest)),
          colour_(::isatty(STDERR_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr) {
        std::atexit([] { log::flush(); });
    }

    void hand_over(std::string_view line) {
        logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
    }

    std::shared_ptr<spdlog::details::thread_pool> pool_;
    std::shared_ptr<StderrSink> sink_;
    std::shared_ptr<spdlog::async_logger> logger_;
    const bool colour_;
    std::atomic<Format> format_{Format::text};
    std::atomic<const base::Clock*> clock_{&base::Clock::real()};
    std::atomic<size_t> reported_{0};
    metrics::Counter& dropped_lines_ = metrics::Registry::global().counter(
        "tandem_log_dropped_lines_total", "Log lines dropped because stderr was slower than the log");
    std::atomic<uint64_t> flushes_{0};
};

std::mutex capture_mutex;
Capture* capture = nullptr;
std::vector<Capture::Line> captured;

bool kept_by_capture(Level level, std::string_view message, std::span<const Field> fields) {
    const std::lock_guard lock(capture_mutex);
    if (capture == nullptr) return false;
    constexpr size_t time_size = sizeof("2026-01-01T00:00:00.000Z ") - 1;
    std::string text = format_text({}, level, message, fields, false).substr(time_size);
    captured.push_back({level, std::string(message), std::move(text), format_json({}, level, message, fields)});
    return true;
}

}  // namespace

std::string_view to_string(Level level) noexcept {
    switch (level) {
        case Level::trace:
            return "trace";
        case Level::debug:
            return "debug";
        case Level::info:
            return "info";
        case Level::warn:
            return "warn";
        case Level::error:
            return "error";
        case Level::off:
            return "off";
    }
    return "unknown";
}

Level level_from(std::string_view name) {
    for (const Level level : {Level::trace, Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
        if (name == to_string(level)) return level;
    }
    fail(Code::invalid_argument, "\"{}\" is not a log level: use trace, debug, info, warn, error or off", name);
}

Format format_from(std::string_view name) {
    if (name == "text") return Format::text;
    if (name == "json") return Format::json;
    fail(Code::invalid_argument, "\"{}\" is not a log format: use text or json", name);
}

void configure(const Options& options) {
    TANDEM_ASSERT(options.clock != nullptr, "a log line has a time");
    Logger::instance().configure(options);
    detail::level = options.level;
}

void write(Level level, std::string_view message, std::span<const Field> fields) noexcept {
    if (!enabled(level)) return;
    try {
        if (kept_by_capture(level, message, fields)) return;
        Logger& logger = Logger::instance();
        logger.write(logger.format(level, message, fields));
    } catch (...) {
        // Out of memory or threads: the program's work goes first.
    }
}

void flush() noexcept {
    try {
        Logger::instance().flush();
    } catch (...) {
        // As above.
    }
}

Capture::Capture() : level_before_(detail::level.exchange(Level::trace)) {
    const std::lock_guard lock(capture_mutex);
    TANDEM_ASSERT(capture == nullptr, "one log::Capture at a time");
    capture = this;
    captured.clear();
}

Capture::~Capture() {
    const std::lock_guard lock(capture_mutex);
    capture = nullptr;
    detail::level = level_before_;
}

std::vector<Capture::Line> Capture::lines() const {
    const std::lock_guard lock(capture_mutex);
    return captured;
}

bool Capture::contains(std::string_view part) const {
    const std::lock_guard lock(capture_mutex);
    return std::ranges::any_of(captured, [&](const Line& line) { return line.text.find(part) != std::string::npos; });
}

}  // namespace tandem::log
