"""The function finder that the length rule stands on, over the shapes that mislead a counter of braces."""

from support.functions import functions

SAMPLE = """
namespace tandem::http {
namespace {
constexpr int kTable[] = {1, 2, 3};
auto later = [](int a) {
    return a;
};
}
struct Plain { int a{1}; std::vector<int> b = {1, 2}; };
template <typename T>
class alignas(64) Holder : public Base<T> {
  public:
    explicit Holder(int a, std::vector<T> b = {})
        : a_{a}, b_{std::move(b)}, c_(a) {
        if (a) { use(); }
    }
    bool operator==(const Holder& other) const { return a_ == other.a_; }
    int get() const noexcept override {
        return a_;
    }
  private:
    int a_{0};
};
enum class Kind { one, two };
Task<int> serve(Stream stream, Options options = {}) {
    auto inner = [&](int x) { return x; };
    co_return inner(1);
}
auto trailing(int a) -> std::vector<int> {
    return {a};
}
}
TEST(Parser, reads) {
    EXPECT_TRUE(true);
}
"""


def test_every_function_is_found_and_nothing_else():
    found = [(header.split("(")[0].split()[-1], last - first + 1) for first, last, header in functions(SAMPLE)]
    assert found == [("Holder", 4), ("operator==", 1), ("get", 3), ("serve", 4), ("trailing", 3), ("TEST", 3)]
