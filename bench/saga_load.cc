// Load for scripts/bench.py: a number of clients that each submit sagas of two branches one after the other, and wait
// for their end unless told otherwise.
// Prints one line of JSON: {"sagas":…,"seconds":…,"per_s":…,"p50_us":…,"p99_us":…}.
#include <CLI/CLI.hpp>

#include <algorithm>

#include "tandem/async/scope.h"
#include "tandem/http/client.h"

namespace {

using namespace tandem;
using async::Task;

struct Load {
    std::string url;
    std::string action;  // of both branches
    bool wait = true;
    std::string body;
    int clients = 1;
    int sagas = 1000;
    int left = 0;
    std::vector<double> latencies_us;
};

Task<void> client(Load* load, http::Client* http) {
    while (load->left > 0) {
        --load->left;
        const auto start = async::Loop::current().now();
        const http::ClientResponse response = co_await http->send(
            http::ClientRequest::post(load->url + "/v1/transactions", "application/json", load->body));
        const char* wanted = load->wait ? "\"status\":\"succeed\"" : "\"status\":\"submitted\"";
        if (response.status != 201 || response.body.find(wanted) == std::string::npos) {
            fail(Code::internal, "the node answered {}: {}", response.status, response.body);
        }
        load->latencies_us.push_back(
            std::chrono::duration<double, std::micro>(async::Loop::current().now() - start).count());
    }
}

Task<void> run(Load* load) {
    http::ClientOptions options;
    options.max_connections_per_origin = options.max_idle_per_origin = static_cast<size_t>(load->clients);
    http::Client http(net::Network::real(), options);
    load->left = load->sagas;
    const auto start = async::Loop::current().now();
    async::Scope scope;
    for (int i = 0; i < load->clients; ++i) scope.spawn(client(load, &http));
    co_await scope.join();
    const double seconds = std::chrono::duration<double>(async::Loop::current().now() - start).count();
    std::ranges::sort(load->latencies_us);
    const auto percentile = [&](double p) {
        return load->latencies_us[static_cast<size_t>(p * static_cast<double>(load->latencies_us.size() - 1))];
    };
    fmt::print("{{\"sagas\":{},\"seconds\":{:.3f},\"per_s\":{:.1f},\"p50_us\":{:.0f},\"p99_us\":{:.0f}}}\n",
               load->sagas, seconds, load->sagas / seconds, percentile(0.5), percentile(0.99));
}

}  // namespace

int main(int argc, char** argv) {
    Load load;
    CLI::App app("Submits sagas of two branches");
    app.add_option("--url", load.url)->required();
    app.add_option("--action", load.action, "URL of both branches' actions; empty: nothing is called");
    bool no_wait = false;
    app.add_flag("--no-wait", no_wait, "Do not wait for the end, only for the acknowledgement");
    app.add_option("--clients", load.clients)->check(CLI::Range(1, 10'000));
    app.add_option("--sagas", load.sagas)->check(CLI::Range(1, 10'000'000));
    CLI11_PARSE(app, argc, argv);
    load.wait = !no_wait;
    const std::string step = fmt::format(R"({{"action":"{}","compensate":""}})", load.action);
    load.body = fmt::format(R"({{"mode":"saga","steps":[{0},{0}],"options":{{"wait":{1}}}}})", step, load.wait);
    try {
        async::run(run(&load));
    } catch (const Error& error) {
        fmt::print(stderr, "saga_load: {}\n", error.what());
        return 1;
    }
    return 0;
}
