// Static files, from a directory or from memory, with strong ETags, conditional requests and ranges (RFC 9110).
//
//     serve_directory(app, "/static", "/srv/shop/static");
//     serve_memory(app, "/assets", {{"app.js", "text/javascript", app_js}});
//
// A name with an empty segment or one that begins with a dot is not found, and links below the directory are not
// followed, so nothing outside it can be asked for. Files are read on the blocking pool; a large one is streamed.
//
// Thread rules: like views. Errors: StatusError 404 for what is not there or not readable.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/web/conditional.h"
#include "tandem/web/request.h"
#include "tandem/web/scaffold.h"

namespace tandem::web {

struct StaticOptions {
    // By default clients ask each time whether it changed, which costs a 304.
    std::string cache_control = "no-cache";
    size_t stream_from_bytes = 256 * 1024;     // files from this size on are streamed
    size_t chunk_bytes = 64 * 1024;            // read at once when streaming
    size_t max_ranges = 16;                    // more than these get the whole
    size_t max_multipart_bytes = 1024 * 1024;  // several ranges of more bytes in all get the whole
    std::string endpoint = "static";           // url_for("static", {{"name", "app.js"}})
};

// Built into the program. The views must live as long as the app.
struct EmbeddedFile {
    std::string_view path;          // "css/shop.css"
    std::string_view content_type;  // by the path's extension when empty
    std::string_view bytes;
    std::optional<http::Seconds> last_modified = std::nullopt;
};

void serve_directory(Scaffold& scaffold, std::string_view prefix, std::string directory, StaticOptions options = {});
void serve_memory(Scaffold& scaffold, std::string_view prefix, std::vector<EmbeddedFile> files,
                  StaticOptions options = {});

// One file as the answer to `request`. `name` is relative to `directory` and may come from outside.
Task<Response> send_file(Request& request, std::string directory, std::string name, StaticOptions options = {});
Response send_bytes(Request& request, const EmbeddedFile& file, const StaticOptions& options = {});

// "text/css; charset=utf-8" for "shop.css"; application/octet-stream for what is not known.
std::string_view content_type_of(std::string_view path) noexcept;
// A strong ETag of content in memory.
std::string etag_of(std::string_view bytes);

}  // namespace tandem::web
