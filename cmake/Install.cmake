# `cmake --install` gives the headers, libtandem.a, a CMake package (find_package(tandem)) and the program.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(modules GLOBAL PROPERTY TANDEM_MODULES)
add_library(tandem STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
foreach(module ${modules})
  target_sources(tandem PRIVATE $<TARGET_OBJECTS:${module}>)
endforeach()
target_include_directories(tandem INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(tandem INTERFACE cxx_std_23)
target_link_libraries(tandem INTERFACE Threads::Threads fmt::fmt spdlog::spdlog Boost::json ZLIB::ZLIB tomlplusplus sqlite3 mariadb)

install(TARGETS tandem EXPORT tandemTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY tandem DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT tandemTargets NAMESPACE tandem:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tandem)
configure_package_config_file(cmake/tandemConfig.cmake.in ${CMAKE_BINARY_DIR}/tandemConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tandem)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tandemConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tandemConfig.cmake ${CMAKE_BINARY_DIR}/tandemConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tandem)
