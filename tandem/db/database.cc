#include "tandem/db/database.h"

#include "tandem/base/error.h"
#include "tandem/db/detail/drivers.h"

namespace tandem::db {

namespace {

std::unique_ptr<Driver> driver_for(std::string_view url, const PoolOptions& options) {
    if (url.starts_with("sqlite:")) return detail::sqlite_driver(url.substr(7), options);
    fail(Code::invalid_argument,
         "'{}' is no database URL; expected sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/SCHEMA", redact(url));
}

}  // namespace

Lease& Lease::operator=(Lease&& other) noexcept {
    if (this != &other) {
        give_back();
        database_ = other.database_;
        session_ = std::move(other.session_);
        permit_ = std::move(other.permit_);
    }
    return *this;
}

void Lease::give_back() noexcept {
    if (!session_) return;
    if (session_->healthy() && !session_->in_transaction()) {
        database_->idle_.push_back({std::move(session_), async::Loop::current().now()});
    } else {
        session_.reset();
        --database_->open_;
    }
    permit_.release();
}

Database::Database(std::string_view url, PoolOptions options) : Database(driver_for(url, options), options) {}

Database::Database(std::unique_ptr<Driver> driver, PoolOptions options)
    : driver_(std::move(driver)), options_(options), permits_(options.sessions_max) {}

Database::~Database() = default;

void Database::close_idle() noexcept {
    open_ -= idle_.size();
    idle_.clear();
}

async::Task<Lease> Database::session() {
    if (waiting_ >= options_.waiting_max) {
        fail(Code::resource_exhausted, "{} callers wait for one of {} database sessions already (pool.waiting_max)",
             waiting_, options_.sessions_max);
    }
    async::Permit permit;
    {
        struct Waiting {
            size_t& count;
            explicit Waiting(size_t& c) : count(c) { ++count; }
            ~Waiting() { --count; }
        } waiting(waiting_);
        permit = co_await permits_.acquire();
    }
    const base::TimePoint now = async::Loop::current().now();
    while (!idle_.empty() && now - idle_.front().since > options_.idle_max) {
        idle_.pop_front();
        --open_;
    }
    while (!idle_.empty()) {
        Idle idle = std::move(idle_.back());
        idle_.pop_back();
        if (now - idle.since < options_.ping_after) co_return Lease(*this, std::move(idle.session), std::move(permit));
        bool alive = true;
        try {
            co_await idle.session->ping();
        } catch (const Error&) {
            alive = false;
        }
        if (alive) co_return Lease(*this, std::move(idle.session), std::move(permit));
        idle.session.reset();
        --open_;
        async::Context::current()->check();
    }
    std::unique_ptr<Session> session = co_await async::with_deadline(options_.connect_timeout, driver_->connect());
    ++open_;
    co_return Lease(*this, std::move(session), std::move(permit));
}

async::Task<void> Database::check_health() {
    Lease lease = co_await session();
    co_await lease->ping();
}

std::string redact(std::string_view url) {
    const size_t scheme = url.find("://");
    const size_t at = url.rfind('@');
    if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme) return std::string(url);
    const size_t colon = url.find(':', scheme + 3);
    if (colon == std::string_view::npos || colon > at) return std::string(url);
    return fmt::format("{}:***{}", url.substr(0, colon), url.substr(at));
}

}  // namespace tandem::db
