# What `cpack` makes of a build: four Debian packages and one archive, all from the components that Install.cmake names.
#
#   libdeepseam<abi>     the library, and the one with the embedded model inside
#   libdeepseam-dev      headers, static library, files for pkg-config and CMake
#   deepseam-plugins     what the library loads when it runs: backends, the embedded model
#   deepseam             the ds command
#
# Nothing is stripped: a plugin's manifest has the hash of the binary as it was built.
set(DS_PACKAGE_CONTACT "The deepseam authors <deepseam@example.invalid>" CACHE STRING "Who maintains the packages")

set(CPACK_PACKAGE_NAME deepseam)
set(CPACK_PACKAGE_VENDOR deepseam)
set(CPACK_PACKAGE_CONTACT "${DS_PACKAGE_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR "DEB;TZST")
set(CPACK_STRIP_FILES OFF)
set(CPACK_COMPONENTS_ALL lib dev plugins tools)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)

set(_library libdeepseam${DS_ABI_MAJOR})
set(_same "${_library} (= ${PROJECT_VERSION})")
set(_libc "libc6 (>= 2.36)")  # check_symbols.py holds the libraries to it
set(CPACK_DEBIAN_LIB_PACKAGE_NAME ${_library})
set(CPACK_DEBIAN_LIB_PACKAGE_DEPENDS "${_libc}")
set(CPACK_DEBIAN_LIB_PACKAGE_RECOMMENDS deepseam-plugins)
set(CPACK_COMPONENT_LIB_DESCRIPTION "DeepSeek MoE code models inside other programs: the library")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libdeepseam-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${_same}")
set(CPACK_COMPONENT_DEV_DESCRIPTION "DeepSeek MoE code models inside other programs: for compiling programs")
set(CPACK_DEBIAN_PLUGINS_PACKAGE_NAME deepseam-plugins)
set(CPACK_DEBIAN_PLUGINS_PACKAGE_DEPENDS "${_libc}")
set(CPACK_DEBIAN_PLUGINS_PACKAGE_SUGGESTS libdnnl2)
set(CPACK_COMPONENT_PLUGINS_DESCRIPTION "DeepSeek MoE code models inside other programs: backends and a small model")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME deepseam)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${_same}, deepseam-plugins (= ${PROJECT_VERSION}), libstdc++6 (>= 12)")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "DeepSeek MoE code models on the command line")

# The system's list of libraries is read anew when the library comes or goes.
file(WRITE ${CMAKE_BINARY_DIR}/package/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIB_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/package/triggers)
include(CPack)
