// For tests: a MariaDB server of the test program's own, Debian's mariadbd on a temporary directory and a free loopback
// port. It is started on first use and killed when the program ends, or with it. A missing server fails the test.
//
// Thread rules: shared() from the main thread, outside of any loop.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tandem/async/loop.h"
#include "tandem/async/time.h"
#include "tandem/base/error.h"
#include "tandem/db/database.h"

namespace tandem::db::testing {

class MariadbServer {
  public:
    static constexpr const char* user = "tandem";
    static constexpr const char* password = "s3cr%et/@:";

    static MariadbServer& shared() {
        static MariadbServer server;
        return server;
    }

    MariadbServer(const MariadbServer&) = delete;
    MariadbServer& operator=(const MariadbServer&) = delete;
    ~MariadbServer() { remove(); }

    // An empty schema's URL, over TCP.
    std::string new_schema() {
        const std::string name = fmt::format("test_{}", ++schemas_);
        async::run([&]() -> async::Task<void> {
            Database root(root_url());
            co_await root.execute(fmt::format("CREATE DATABASE {}", name));
        }());
        return url(name);
    }
    std::string url(const std::string& schema) const {
        return fmt::format("mysql://{}:s3cr%25et%2F%40%3A@127.0.0.1:{}/{}", user, port_, schema);
    }
    // Through the Unix socket, with all rights.
    std::string root_url() const { return fmt::format("mysql://root@localhost/?socket={}", socket()); }
    std::string socket() const { return (directory_ / "mariadb.sock").string(); }

  private:
    MariadbServer() {
        std::string pattern = "/tmp/tandem-mariadb-XXXXXX";
        if (!mkdtemp(pattern.data())) fail(Code::io, "cannot make a directory like {}", pattern);
        directory_ = pattern;
        try {
            start();
        } catch (const Error& error) {
            const std::string said = log();
            remove();
            throw error.within("MariaDB's log ends with: " + said.substr(said.size() > 3000 ? said.size() - 3000 : 0));
        }
    }

    void start() {
        port_ = free_port();
        const std::string data = "--datadir=" + (directory_ / "data").string();
        std::vector<std::string> install{"mariadb-install-db", "--no-defaults", data, "--skip-test-db",
                                         "--auth-root-authentication-method=normal"};
        std::vector<std::string> serve{"/usr/sbin/mariadbd",
                                       "--no-defaults",
                                       data,
                                       "--socket=" + socket(),
                                       "--pid-file=" + (directory_ / "mariadb.pid").string(),
                                       fmt::format("--port={}", port_),
                                       "--bind-address=127.0.0.1",
                                       "--innodb-buffer-pool-size=32M",
                                       "--innodb-log-file-size=16M",
                                       "--innodb-flush-log-at-trx-commit=1",
                                       "--skip-log-bin",
                                       "--innodb-lock-wait-timeout=2"};
        if (geteuid() == 0) {
            install.emplace_back("--user=root");
            serve.emplace_back("--user=root");
        }
        int status = 0;
        const pid_t installer = spawn(install);
        if (waitpid(installer, &status, 0) != installer || status != 0) {
            fail(Code::unavailable, "mariadb-install-db failed (status {}); Debian's mariadb-server has it", status);
        }
        pid_ = spawn(serve);
        async::run(make_user());
    }

    async::Task<void> make_user() {
        Database root(root_url());
        const base::TimePoint give_up = async::Loop::current().now() + std::chrono::seconds(60);
        for (;;) {
            try {
                co_await root.check_health();
                break;
            } catch (const Error& error) {
                int status = 0;
                if (waitpid(pid_, &status, WNOHANG) == pid_) {
                    pid_ = -1;
                    fail(Code::unavailable, "mariadbd ended with status {}", status);
                }
                if (async::Loop::current().now() > give_up) throw;
            }
            co_await async::sleep(std::chrono::milliseconds(20));
        }
        co_await root.execute(fmt::format("CREATE USER '{}'@'%' IDENTIFIED BY '{}'", user, password));
        co_await root.execute(fmt::format("GRANT ALL PRIVILEGES ON *.* TO '{}'@'%'", user));
    }

    pid_t spawn(const std::vector<std::string>& arguments) const {
        std::vector<char*> argv;
        for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        const std::string log = log_path();
        const pid_t child = fork();
        if (child != 0) return child;
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // the server goes when the test program does
        const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execvp(argv[0], argv.data());
        _exit(127);
    }

    void remove() noexcept {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }

    static uint16_t free_port() {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        bind(listener, reinterpret_cast<const sockaddr*>(&address), size);
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
        close(listener);
        return ntohs(address.sin_port);
    }

    std::string log_path() const { return (directory_ / "mariadb.log").string(); }
    std::string log() const {
        std::ifstream file(log_path());
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::filesystem::path directory_;
    uint16_t port_ = 0;
    pid_t pid_ = -1;
    int schemas_ = 0;
};

}  // namespace tandem::db::testing
