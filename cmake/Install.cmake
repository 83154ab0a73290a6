# Installation, and the same layout in the build tree, so that the library finds its plugins and its model at one place
# relative to itself:
#
#   include/deepseam/            public headers
#   lib/libdeepseam.so*          the library; the number is the major ABI version
#   lib/deepseam/<n>/            plugins and their manifests; <n> is the major version of the backend ABI
#   lib/deepseam/embedded.dsm    what the model name "embedded" means (models/)
#   lib/libdeepseam-embedded.so* the same bytes, for programs that want them inside
#   lib/pkgconfig, lib/cmake     relocatable package files
#   lib/libdeepseam.a            one object that shows ds_* only; lib/capi installs it
#   bin/ds                       the command; it installs itself
#   share/doc/deepseam/          the licence, and the notices of what is linked in
#
# On Windows bin/ holds deepseam.dll, deepseam-embedded.dll and the folder deepseam/ with plugins and model; lib/ holds the
# import libraries, deepseam.lib for Microsoft's compiler and libdeepseam.dll.a for mingw-w64's.
#
# Components, which are the packages that Packages.cmake makes: lib, dev, plugins (with the model), tools.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/deepseam DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
  FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT lib)
# As the distribution has them, whose packages were compiled in.
foreach(_package rapidjson libxxhash libpcre2 libflatbuffers libcli11)
  if(EXISTS /usr/share/doc/${_package}-dev/copyright)
    install(FILES /usr/share/doc/${_package}-dev/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR}/third-party
      RENAME ${_package}.txt COMPONENT lib)
  endif()
endforeach()

if(TARGET deepseam)
  install(TARGETS deepseam
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib NAMELINK_COMPONENT dev
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT lib
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
endif()

set(_plugin_folder ${DS_INSTALL_LIBRARY_DIR}/deepseam/${DSB_ABI_MAJOR})
get_property(_backends GLOBAL PROPERTY DS_BACKENDS)
foreach(_backend IN LISTS _backends)
  # Not stripped afterwards: the manifest has the hash of the binary as it was built.
  install(PROGRAMS $<TARGET_FILE:deepseam-${_backend}> DESTINATION ${_plugin_folder} COMPONENT plugins)
  install(FILES $<TARGET_FILE_DIR:deepseam-${_backend}>/deepseam-${_backend}.dsplugin
    DESTINATION ${_plugin_folder} COMPONENT plugins)
endforeach()

# Package files know no absolute path: a prefix may be moved.
file(RELATIVE_PATH DS_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" DS_PC_TO_PREFIX "${DS_PC_TO_PREFIX}")
set(_packages deepseam)
if(TARGET deepseam_embedded)
  list(APPEND _packages deepseam-embedded)
endif()
foreach(_package IN LISTS _packages)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/${_package}.pc.in ${CMAKE_BINARY_DIR}/package/${_package}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/package/${_package}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()

set(_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/deepseam)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/deepseamConfig.cmake.in
  ${CMAKE_BINARY_DIR}/package/deepseamConfig.cmake INSTALL_DESTINATION ${_package_folder}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR DS_INSTALL_LIBRARY_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/deepseamConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)  # until the ABI is frozen
install(FILES ${CMAKE_BINARY_DIR}/package/deepseamConfig.cmake ${CMAKE_BINARY_DIR}/package/deepseamConfigVersion.cmake
  DESTINATION ${_package_folder} COMPONENT dev)
