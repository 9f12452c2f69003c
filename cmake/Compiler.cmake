# Compiler choice and flags. clang 19 is the default; g++ 13 and newer work; g++ 12 is refused because it silently
# miscompiles coroutines (GCC PR 106188: a co_await inside a condition may never run).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "g++ ${CMAKE_CXX_COMPILER_VERSION} silently miscompiles coroutines (GCC PR 106188: a co_await inside an if, while or "
    "for condition may never run). Use clang 19 (apt install clang-19; cmake --preset release picks it) or g++ 13 or newer.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

find_program(TANDEM_CCACHE ccache)
if(TANDEM_CCACHE)
  # The sloppiness settings are what ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${TANDEM_CCACHE})
endif()

# One interface target carries the flags, so that the installed package does not force them on users.
add_library(tandem_flags INTERFACE)
target_compile_options(tandem_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers -fno-omit-frame-pointer -msse4.2 -mpclmul)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(tandem_flags INTERFACE -Wthread-safety-analysis -Xclang -fno-pch-timestamp)
  find_program(TANDEM_LLD NAMES ld.lld-19 ld.lld)
  if(TANDEM_LLD)
    add_link_options(--ld-path=${TANDEM_LLD})
  endif()
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(tandem_flags INTERFACE -ffunction-sections -fdata-sections)
  add_link_options(-Wl,--gc-sections)
endif()
if(TANDEM_SANITIZE)
  target_compile_options(tandem_flags INTERFACE -fsanitize=${TANDEM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TANDEM_SANITIZE})
endif()
if(TANDEM_FUZZ)
  target_compile_options(tandem_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(TANDEM_CRASH_POINTS)
  target_compile_definitions(tandem_flags INTERFACE TANDEM_CRASH_POINTS=1)
endif()
