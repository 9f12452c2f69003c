#include "tandem/tx/allowed_urls.h"

#include <gtest/gtest.h>

#include "tandem/base/error.h"

namespace tandem::tx {
namespace {

TEST(AllowedUrls, loopback_by_default_and_not_by_looks) {
    const AllowedUrls allowed(AllowedUrls::loopback());
    for (const char* url : {"http://127.0.0.1/x", "http://127.0.0.1:8080/", "http://localhost:1/a?b=c",
                            "http://[::1]:9/", "http+unix://%2Frun%2Fx.sock/a"}) {
        EXPECT_FALSE(allowed.refusal(url)) << url;
    }
    for (const char* url :
         {"http://127.0.0.1.example.com/", "http://example.com/?http://127.0.0.1", "https://127.0.0.1/",
          "http://10.0.0.1/", "http://169.254.169.254/latest", "file:///etc/passwd", "", "nonsense",
          "http://user@127.0.0.1/", "http://127.0.0.1:99999/"}) {
        EXPECT_TRUE(allowed.refusal(url)) << url;
    }
}

TEST(AllowedUrls, patterns_bind_host_port_and_path) {
    const AllowedUrls allowed({"http://stock:8080/api", "http://*.shop.internal"});
    EXPECT_FALSE(allowed.refusal("http://stock:8080/api"));
    EXPECT_FALSE(allowed.refusal("http://stock:8080/api/take"));
    EXPECT_TRUE(allowed.refusal("http://stock:8080/apiary"));
    EXPECT_TRUE(allowed.refusal("http://stock:8081/api"));
    EXPECT_FALSE(allowed.refusal("http://a.shop.internal:1234/x"));
    EXPECT_TRUE(allowed.refusal("http://shop.internal/x"));
    EXPECT_TRUE(allowed.refusal("http://evilshop.internal/x"));
    EXPECT_FALSE(AllowedUrls({"*"}).refusal("http://anything/"));
    EXPECT_TRUE(AllowedUrls({"*"}).refusal("not a url"));
    EXPECT_THROW(AllowedUrls({"stock"}), Error);
}

}  // namespace
}  // namespace tandem::tx
