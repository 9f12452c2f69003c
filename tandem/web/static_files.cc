#include "tandem/web/static_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "tandem/async/blocking.h"
#include "tandem/base/crc32c.h"
#include "tandem/http/status_error.h"
#include "tandem/web/problem.h"

namespace tandem::web {

namespace {

class OpenFile {
  public:
    explicit OpenFile(int descriptor) noexcept : descriptor_(descriptor) {}
    ~OpenFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    int get() const noexcept { return descriptor_; }

  private:
    int descriptor_;
};

struct Opened {
    std::shared_ptr<OpenFile> file;
    uint64_t size = 0;
    Validators validators;
    std::string content;  // when small
};

[[noreturn]] void not_found() {
    throw http::StatusError(Status::not_found);
}

std::string read_range(const OpenFile& file, uint64_t offset, uint64_t size) {
    std::string bytes(size, '\0');
    size_t done = 0;
    while (done < size) {
        ssize_t got = ::pread(file.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) fail(Code::io, "a static file could not be read to its end: {}", got < 0 ? strerror(errno) : "");
        done += static_cast<size_t>(got);
    }
    return bytes;
}

// Segment by segment, so that no link leads out and no segment is special. Blocks.
std::shared_ptr<OpenFile> open_below(const std::string& directory, std::string_view name) {
    auto at = std::make_unique<OpenFile>(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (at->get() < 0) fail(Code::io, "the static directory {} cannot be opened: {}", directory, strerror(errno));
    while (true) {
        size_t slash = name.find('/');
        std::string segment(name.substr(0, slash));
        if (segment.empty() || segment.starts_with('.') || segment.contains('\0')) not_found();
        bool last = slash == std::string_view::npos;
        // Without O_NONBLOCK a FIFO would hold the thread.
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
        int next = ::openat(at->get(), segment.c_str(), flags);
        if (next < 0 && (errno == EMFILE || errno == ENFILE || errno == EIO))
            fail(Code::io, "a static file cannot be opened: {}", strerror(errno));
        if (next < 0) not_found();
        at = std::make_unique<OpenFile>(next);
        if (last) return at;
        name.remove_prefix(slash + 1);
    }
}

Opened open_file(const std::string& directory, std::string_view name, size_t stream_from_bytes) {
    Opened opened;
    opened.file = open_below(directory, name);
    struct stat status{};
    if (::fstat(opened.file->get(), &status) != 0 || !S_ISREG(status.st_mode)) not_found();
    opened.size = static_cast<uint64_t>(status.st_size);
    // A file that is replaced or written to has another inode, time or size.
    opened.validators.etag = fmt::format("\"{:x}-{:x}-{:x}.{:x}\"", status.st_ino, opened.size, status.st_mtim.tv_sec,
                                         status.st_mtim.tv_nsec);
    opened.validators.last_modified = http::Seconds(std::chrono::seconds(status.st_mtim.tv_sec));
    if (opened.size < stream_from_bytes) opened.content = read_range(*opened.file, 0, opened.size);
    return opened;
}

struct FileStream {
    std::shared_ptr<OpenFile> file;
    ByteRange range;
    size_t chunk_bytes;

    static Task<void> run(std::shared_ptr<FileStream> self, http::BodyWriter* out) {
        uint64_t at = self->range.first;
        while (at <= self->range.last) {
            uint64_t size = std::min<uint64_t>(self->chunk_bytes, self->range.last - at + 1);
            std::string chunk = co_await async::run_blocking([&] { return read_range(*self->file, at, size); });
            co_await out->write(chunk);
            at += size;
        }
    }
};

// ---- the answer ----

struct Content {
    std::string_view type;
    uint64_t size;
    Validators validators;
    std::string_view bytes;            // all of it, or
    std::shared_ptr<OpenFile> file{};  // where it is read from
};

http::Seconds wall_seconds() {
    return std::chrono::floor<std::chrono::seconds>(async::Loop::current().clock().wall_now());
}

std::string content_range(ByteRange range, uint64_t size) {
    return fmt::format("bytes {}-{}/{}", range.first, range.last, size);
}

void put_body(Response& response, const Content& content, ByteRange range, const StaticOptions& options) {
    if (!content.file) {
        response.body = content.bytes.substr(range.first, range.size());
        return;
    }
    auto stream = std::make_shared<FileStream>(content.file, range, options.chunk_bytes);
    response.stream = [stream](http::BodyWriter& out) { return FileStream::run(stream, &out); };
    response.stream_length = range.size();
}

// multipart/byteranges (RFC 9110 section 14.6), with a boundary that occurs nowhere inside.
void put_parts(Response& response, const Content& content, const std::vector<ByteRange>& ranges) {
    std::string boundary;
    auto occurs = [&](const ByteRange& range) {
        return content.bytes.substr(range.first, range.size()).contains(boundary);
    };
    for (int attempt = 0; boundary.empty() || std::ranges::any_of(ranges, occurs); ++attempt)
        boundary = fmt::format("part-of-{:x}-{}", content.size, attempt);
    for (const ByteRange& range : ranges) {
        response.body += fmt::format("--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n", boundary, content.type,
                                     content_range(range, content.size));
        response.body.append(content.bytes.substr(range.first, range.size())).append("\r\n");
    }
    response.body += fmt::format("--{}--\r\n", boundary);
    response.headers.set("Content-Type", "multipart/byteranges; boundary=" + boundary);
}

Response partial(const Content& content, const RangeRequest& wanted, const StaticOptions& options) {
    uint64_t total = 0;
    for (const ByteRange& range : wanted.ranges) total += range.size();
    Response response;
    bool one = wanted.ranges.size() == 1;
    if (!one && (content.file || total > options.max_multipart_bytes)) {
        put_body(response, content, {0, content.size - 1}, options);
        return response;
    }
    response.status = Status::partial_content;
    if (one) {
        response.headers.set("Content-Range", content_range(wanted.ranges.front(), content.size));
        put_body(response, content, wanted.ranges.front(), options);
    } else {
        put_parts(response, content, wanted.ranges);
    }
    return response;
}

Response answer(Request& request, const Content& content, const StaticOptions& options) {
    http::Seconds now = wall_seconds();
    Precondition precondition = check_preconditions(request.method(), request.headers(), content.validators, now);
    if (precondition == Precondition::failed) throw http::StatusError(Status::precondition_failed);
    Response response;
    if (precondition == Precondition::not_modified) {
        response.status = Status::not_modified;
    } else {
        RangeRequest wanted;
        if (range_applies(request.method(), request.headers(), content.validators, now))
            wanted = parse_range(request.header("Range"), content.size, options.max_ranges);
        if (wanted.kind == RangeRequest::Kind::unsatisfiable)
            throw http::StatusError(Status::range_not_satisfiable, {},
                                    {{"Content-Range", fmt::format("bytes */{}", content.size)}});
        if (wanted.kind == RangeRequest::Kind::partial) {
            response = partial(content, wanted, options);
        } else if (content.size > 0) {
            put_body(response, content, {0, content.size - 1}, options);
        }
        if (!response.headers.contains("Content-Type")) response.headers.set("Content-Type", content.type);
        response.headers.set("X-Content-Type-Options", "nosniff");
        response.headers.set("Accept-Ranges", "bytes");
    }
    response.headers.set("ETag", content.validators.etag);
    if (content.validators.last_modified)
        response.headers.set("Last-Modified", http::format_date(*content.validators.last_modified));
    if (!options.cache_control.empty()) response.headers.set("Cache-Control", options.cache_control);
    return response;
}

std::string rule_below(std::string_view prefix) {
    return fmt::format("{}/<path:name>", prefix);
}

constexpr std::pair<std::string_view, std::string_view> content_types[] = {
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff2", "font/woff2"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
};

}  // namespace

std::string_view content_type_of(std::string_view path) noexcept {
    size_t dot = path.rfind('.');
    if (dot != std::string_view::npos)
        for (auto [extension, type] : content_types)
            if (http::equals_ignoring_case(path.substr(dot + 1), extension)) return type;
    return "application/octet-stream";
}

std::string etag_of(std::string_view bytes) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, beside a check sum of another kind
    for (unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
    return fmt::format("\"{:x}-{:08x}{:016x}\"", bytes.size(), base::crc32c(base::as_bytes(bytes)), hash);
}

Task<Response> send_file(Request& request, std::string directory, std::string name, StaticOptions options) {
    Opened opened = co_await async::run_blocking([&] { return open_file(directory, name, options.stream_from_bytes); });
    Content content{content_type_of(name), opened.size, std::move(opened.validators), opened.content};
    if (opened.size >= options.stream_from_bytes) content.file = std::move(opened.file);
    co_return answer(request, content, options);
}

Response send_bytes(Request& request, const EmbeddedFile& file, const StaticOptions& options) {
    std::string_view type = file.content_type.empty() ? content_type_of(file.path) : file.content_type;
    return answer(request, {type, file.bytes.size(), {etag_of(file.bytes), file.last_modified}, file.bytes}, options);
}

void serve_directory(Scaffold& scaffold, std::string_view prefix, std::string directory, StaticOptions options) {
    std::string endpoint = options.endpoint;
    scaffold.route_text(
        {http::Method::get}, rule_below(prefix),
        [directory = std::move(directory), options = std::move(options)](Request& request,
                                                                         std::span<const std::string_view> values) {
            return send_file(request, directory, std::string(values[0]), options);
        },
        std::move(endpoint));
}

namespace {

struct MemoryFiles {
    struct Entry {
        EmbeddedFile file;
        std::string etag;
    };
    std::map<std::string_view, Entry> entries;
    StaticOptions options;

    static Task<Response> send(const MemoryFiles& files, Request& request, std::string_view name) {
        auto found = files.entries.find(name);
        if (found == files.entries.end()) not_found();
        const EmbeddedFile& file = found->second.file;
        co_return answer(request,
                         {file.content_type, file.bytes.size(), {found->second.etag, file.last_modified}, file.bytes},
                         files.options);
    }
};

}  // namespace

void serve_memory(Scaffold& scaffold, std::string_view prefix, std::vector<EmbeddedFile> files, StaticOptions options) {
    std::string endpoint = options.endpoint;
    auto shared = std::make_shared<MemoryFiles>();
    shared->options = std::move(options);
    for (EmbeddedFile& file : files) {
        if (file.content_type.empty()) file.content_type = content_type_of(file.path);
        shared->entries.emplace(file.path, MemoryFiles::Entry{file, etag_of(file.bytes)});
    }
    scaffold.route_text(
        {http::Method::get}, rule_below(prefix),
        [shared](Request& request, std::span<const std::string_view> values) {
            return MemoryFiles::send(*shared, request, values[0]);
        },
        std::move(endpoint));
}

}  // namespace tandem::web
