// The page's HTML. Everything that comes from outside (an account's name in an order, a service's words) goes through
// escape_html; scripts and styles are files of their own, so that the page works under `default-src 'self'`.
//
// Thread rules: pure.
#pragma once

#include <string>
#include <vector>

#include "examples/shop/audit.h"
#include "examples/shop/feed.h"
#include "examples/shop/supervisor.h"

namespace shop {

struct ChaosProgress {
    bool running = false;
    int64_t orders = 0;  // to be placed
    int64_t succeeded = 0;
    int64_t failed = 0;
    int64_t kills = 0;
    std::string last;     // what was just killed
    std::string verdict;  // at the end
    bool good = true;
};

struct PageOptions {
    bool xa = false;     // this database has it
    bool chaos = false;  // there are processes to kill
    int64_t chaos_orders = 200;
    int64_t chaos_kills = 12;
};

std::string page_html(Feed& feed, const PageOptions& options);
// Each of these is one element with an id, which replaces the one with the same id.
std::string card_html(const Card& card);
std::string totals_html(const Totals& totals);
std::string processes_html(const std::vector<ProcessState>& processes);
std::string chaos_html(const ChaosProgress& progress);

}  // namespace shop
