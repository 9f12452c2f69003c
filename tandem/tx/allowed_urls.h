// Which URLs the coordinator may call: it sits inside, so that a caller from outside must not be able to point it at
// any service it likes (server-side request forgery). Loopback alone unless configured.
//
// A pattern is "scheme://host", "scheme://host:port", either with a path prefix, or "*" for everything. Without a port
// any port fits; "*.example.com" fits every name below example.com. Compared part by part, never as text, so that
// "http://127.0.0.1" does not fit "http://127.0.0.1.example.com".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::tx {

class AllowedUrls {
  public:
    // Throws invalid_argument naming the pattern.
    explicit AllowedUrls(const std::vector<std::string>& patterns);

    // Why `url` may not be called (not a URL, not allowed); nullopt when it may.
    std::optional<std::string> refusal(std::string_view url) const;

    static std::vector<std::string> loopback();

  private:
    struct Pattern {
        std::string scheme;
        std::string host;  // ".example.com" for "*.example.com"
        std::optional<int> port;
        std::string path;
    };
    bool everything_ = false;
    std::vector<Pattern> patterns_;
};

}  // namespace tandem::tx
