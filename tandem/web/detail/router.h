// `Router`: finds the route of a path and method, segment by segment, in a tree of the rules. Static text outweighs
// converters at every segment; a variable that does not parse, or whose int is too large for the view, makes the search
// go on with the next candidate. A search visits a node of the tree at most once for each segment of the path.
//
// Thread rules: filled by one thread, then read by any. Errors: already_exists for a rule and method added twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/http/method.h"
#include "tandem/web/rule.h"

namespace tandem::web::detail {

class MethodSet {
  public:
    constexpr MethodSet() = default;
    constexpr void add(http::Method method) noexcept { bits_ |= bit(method); }
    constexpr void add(MethodSet others) noexcept { bits_ |= others.bits_; }
    constexpr bool contains(http::Method method) const noexcept { return bits_ & bit(method); }
    constexpr bool overlaps(MethodSet others) const noexcept { return bits_ & others.bits_; }
    constexpr bool empty() const noexcept { return bits_ == 0; }
    // "GET, HEAD, OPTIONS", as Allow lists them.
    std::string to_string() const;

  private:
    static constexpr uint16_t bit(http::Method method) noexcept {
        return static_cast<uint16_t>(1U << static_cast<unsigned>(method));
    }
    uint16_t bits_ = 0;
};

// The text between the slashes for each variable of a rule, in order; views into the path.
struct PathValues {
    std::array<std::string_view, rule_segments_max> values;
    size_t size = 0;

    std::span<const std::string_view> span() const noexcept { return {values.data(), size}; }
};

struct Match {
    enum class Outcome : unsigned char { found, not_found, other_method, needs_slash };
    Outcome outcome = Outcome::not_found;
    size_t route = 0;  // as given to add(); for other_method the first that has the path
    PathValues values;
    MethodSet allowed;  // for other_method
};

class Router {
  public:
    Router();
    ~Router();
    Router(Router&&) noexcept;

    // `rule` must live as long as the Router; `parameters` says what the route's view takes.
    void add(std::string_view rule, MethodSet methods, size_t route, std::span<const Parameter> parameters);
    // `path` is decoded and begins with '/'.
    Match match(std::string_view path, http::Method method) const;

  private:
    struct Node;
    struct Search;
    std::unique_ptr<Node> root_;
};

// Whether one converter takes `text`, which has no slash unless it is a path.
bool converts(const RulePart& part, std::string_view text, int64_t integer_max) noexcept;

}  // namespace tandem::web::detail
