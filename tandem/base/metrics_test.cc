#include "tandem/base/metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

namespace tandem::metrics {
namespace {

TEST(Metrics, text_has_help_type_and_escaped_labels) {
    Registry registry;
    registry.counter("tandem_requests_total", "Requests\nby \\ path", {{"path", "/a\"b\\c\nd"}, {"status", "200"}})
        .add(3);
    registry.gauge("tandem_load", "How busy").set(0.25);
    EXPECT_EQ(registry.text(),
              "# HELP tandem_load How busy\n"
              "# TYPE tandem_load gauge\n"
              "tandem_load 0.25\n"
              "# HELP tandem_requests_total Requests\\nby \\\\ path\n"
              "# TYPE tandem_requests_total counter\n"
              "tandem_requests_total{path=\"/a\\\"b\\\\c\\nd\",status=\"200\"} 3\n");
}

TEST(Metrics, histogram_buckets_are_cumulative_and_include_their_bound) {
    Registry registry;
    Histogram& histogram = registry.histogram("tandem_wait_seconds", "Wait", {0.5, 1}, {{"lock", "row"}});
    for (const double value : {0.25, 0.5, 0.75, 4.0}) histogram.observe(value);
    EXPECT_EQ(registry.text(),
              "# HELP tandem_wait_seconds Wait\n"
              "# TYPE tandem_wait_seconds histogram\n"
              "tandem_wait_seconds_bucket{lock=\"row\",le=\"0.5\"} 2\n"
              "tandem_wait_seconds_bucket{lock=\"row\",le=\"1\"} 3\n"
              "tandem_wait_seconds_bucket{lock=\"row\",le=\"+Inf\"} 4\n"
              "tandem_wait_seconds_sum{lock=\"row\"} 5.5\n"
              "tandem_wait_seconds_count{lock=\"row\"} 4\n");
}

TEST(Metrics, the_same_name_and_labels_are_the_same_metric) {
    Registry registry;
    Counter& one = registry.counter("tandem_a_total", "A", {{"x", "1"}});
    EXPECT_EQ(&registry.counter("tandem_a_total", "A", {{"x", "1"}}), &one);
    EXPECT_NE(&registry.counter("tandem_a_total", "A", {{"x", "2"}}), &one);
}

TEST(Metrics, a_family_with_too_many_series_counts_the_rest_together) {
    Registry registry(2);
    for (int i = 0; i < 10; ++i) registry.counter("tandem_a_total", "A", {{"x", std::to_string(i)}}).add();
    EXPECT_EQ(registry.text(),
              "# HELP tandem_a_total A\n# TYPE tandem_a_total counter\n"
              "tandem_a_total{x=\"0\"} 1\ntandem_a_total{x=\"1\"} 1\ntandem_a_total{x=\"other\"} 8\n");
}

TEST(Metrics, a_callback_is_read_at_scrape_time_until_its_handle_dies) {
    Registry registry;
    double depth = 1;
    {
        const Callback callback = registry.gauge_callback("tandem_queue_depth", "Depth", [&] { return depth; });
        depth = std::numeric_limits<double>::infinity();
        EXPECT_NE(registry.text().find("tandem_queue_depth +Inf\n"), std::string::npos);
    }
    EXPECT_EQ(registry.text(), "");
    Callback again;
    again = registry.gauge_callback("tandem_queue_depth", "Depth", [] { return 7.0; });
    EXPECT_NE(registry.text().find("tandem_queue_depth 7\n"), std::string::npos);
}

TEST(Metrics, a_callback_may_outlive_its_registry) {
    auto registry = std::make_unique<Registry>();
    const Callback callback = registry->gauge_callback("tandem_x", "X", [] { return 1.0; });
    registry.reset();
}

TEST(Registry, a_counter_counted_elsewhere_is_shown_as_a_counter) {
    Registry registry;
    double count = 3;
    const Callback callback = registry.counter_callback("tandem_calls_total", "Calls", [&] { return count; });
    EXPECT_NE(registry.text().find("# TYPE tandem_calls_total counter\ntandem_calls_total 3\n"), std::string::npos);
    count = 4;
    EXPECT_NE(registry.text().find("tandem_calls_total 4\n"), std::string::npos);
}

TEST(Metrics, nothing_is_lost_between_threads) {
    Registry registry;
    Counter& counter = registry.counter("tandem_a_total", "A");
    Gauge& gauge = registry.gauge("tandem_g", "G");
    Histogram& histogram = registry.histogram("tandem_h", "H", {1});
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 10'000; ++i) {
                    counter.add();
                    gauge.add(1);
                    histogram.observe(2);
                }
            });
        }
    }
    EXPECT_EQ(counter.value(), 40'000u);
    EXPECT_EQ(gauge.value(), 40'000);
    EXPECT_EQ(histogram.snapshot().count, 40'000u);
    EXPECT_EQ(histogram.snapshot().sum, 80'000);
}

TEST(MetricsDeathTest, a_wrong_name_or_a_second_type_is_a_bug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Registry registry;
    EXPECT_DEATH(registry.gauge("requests", "no prefix"), "starts with tandem_");
    EXPECT_DEATH(registry.gauge("tandem_Requests", "capital"), "starts with tandem_");
    registry.gauge("tandem_a", "A");
    EXPECT_DEATH(registry.histogram("tandem_a", "A"), "one type");
}

}  // namespace
}  // namespace tandem::metrics
