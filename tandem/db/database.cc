// Invariants of the pool:
// 1. Whoever connects or holds a session has a permit, and connects only when no session is idle; so at most
//    sessions_max sessions are open.
// 2. open_ counts the sessions on loan, the idle ones, and those being checked before they are handed out.
// 3. A session that is unhealthy, or inside a transaction, is never handed out.
#include "tandem/db/database.h"

#include "tandem/base/assert.h"
#include "tandem/base/error.h"
#include "tandem/db/detail/drivers.h"

namespace tandem::db {

namespace {

std::unique_ptr<Driver> driver_for(std::string_view url, const PoolOptions& options) {
    if (url.starts_with("sqlite:")) return detail::sqlite_driver(url.substr(7), options);
    if (url.starts_with("mysql:")) return detail::mysql_driver(url);
    fail(Code::invalid_argument,
         "'{}' is no database URL; expected sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/SCHEMA", redact(url));
}

// Counts while it lives.
class Counted {
  public:
    explicit Counted(size_t& count) : count_(count) { ++count_; }
    ~Counted() { --count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

  private:
    size_t& count_;
};

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
    database_->give_back(std::move(session_));
    permit_.release();
}

Database::Database(std::string_view url, PoolOptions options) : Database(driver_for(url, options), options) {}

Database::Database(std::unique_ptr<Driver> driver, PoolOptions options)
    : driver_(std::move(driver)),
      options_(options),
      permits_(driver_->lives_in_session() ? 1 : std::max<size_t>(options.sessions_max, 1)) {}

Database::~Database() {
    TANDEM_ASSERT(open_ == idle_.size(), "a session is still on loan");
}

void Database::give_back(std::unique_ptr<Session> session) noexcept {
    if (session->healthy() && !session->in_transaction() && async::Loop::current_or_null()) {
        idle_.push_back({std::move(session), async::Loop::current().now()});
    } else {
        session.reset();
        --open_;
    }
}

void Database::close_idle() noexcept {
    open_ -= idle_.size();
    idle_.clear();
}

void Database::close_expired() noexcept {
    if (driver_->lives_in_session()) return;
    const base::TimePoint now = async::Loop::current().now();
    while (!idle_.empty() && now - idle_.front().since > options_.idle_max) {
        idle_.pop_front();
        --open_;
    }
}

async::Task<async::Permit> Database::permit() {
    if (async::Permit now = permits_.try_acquire()) co_return now;
    if (waiting_ >= options_.waiting_max) {
        fail(Code::resource_exhausted, "{} callers wait for one of {} database sessions already (pool.waiting_max)",
             waiting_, options_.sessions_max);
    }
    ++waits_total_;
    const Counted counted(waiting_);
    co_return co_await permits_.acquire();
}

// A living idle session, or nullptr when there is none.
async::Task<std::unique_ptr<Session>> Database::idle_session() {
    close_expired();
    while (!idle_.empty()) {
        Idle idle = std::move(idle_.back());
        idle_.pop_back();
        bool alive = idle.session->healthy();
        if (alive && async::Loop::current().now() - idle.since >= options_.ping_after) {
            try {
                co_await async::with_deadline(options_.connect_timeout, idle.session->ping());
            } catch (...) {
                alive = false;
            }
        }
        if (alive) co_return std::move(idle.session);
        idle.session.reset();
        --open_;
        async::Context::current()->check();
    }
    co_return nullptr;
}

async::Task<Lease> Database::session() {
    async::Permit permit = co_await this->permit();
    if (std::unique_ptr<Session> idle = co_await idle_session()) {
        co_return Lease(*this, std::move(idle), std::move(permit));
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
    const size_t scheme = url.find(':');
    const size_t at = url.rfind('@');
    if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme) return std::string(url);
    const size_t user = url.find_first_not_of('/', scheme + 1);
    const size_t colon = url.find(':', user);
    if (colon == std::string_view::npos || colon > at) return std::string(url);
    return fmt::format("{}:***{}", url.substr(0, colon), url.substr(at));
}

}  // namespace tandem::db
