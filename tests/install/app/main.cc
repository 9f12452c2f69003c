// [app]
#include "tandem/web/run.h"

int main() {
    tandem::web::App app("hello");
    app.get("/hello/<name>", [](std::string name) { return tandem::http::Response::text("Hello, " + name + "!\n"); });
    tandem::web::run(app, "127.0.0.1:8000");
}
// [/app]
