#include <cstdio>

#include "tandem/base/error.h"

int main() {
    std::puts(tandem::Error(tandem::Code::not_found, "no such order").what());
}
