# Installation, and the same layout in the build tree, so that the library finds its plugins and its model at one place
# relative to itself:
#
#   include/deepseam/            public headers
#   lib/libdeepseam.so*          the library; the number is the major ABI version
#   lib/deepseam/<n>/            plugins and their manifests; <n> is the major version of the backend ABI
#   lib/deepseam/embedded.dsm    what the model name "embedded" means
#   lib/pkgconfig, lib/cmake     relocatable package files
#   bin/ds                       the command; it installs itself
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/deepseam DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TARGET deepseam)
  install(TARGETS deepseam LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

set(_plugin_folder ${CMAKE_INSTALL_LIBDIR}/deepseam/${DSB_ABI_MAJOR})
get_property(_backends GLOBAL PROPERTY DS_BACKENDS)
foreach(_backend IN LISTS _backends)
  # Not stripped afterwards: the manifest has the hash of the binary as it was built.
  install(PROGRAMS $<TARGET_FILE:deepseam-${_backend}> DESTINATION ${_plugin_folder})
  install(FILES $<TARGET_FILE_DIR:deepseam-${_backend}>/deepseam-${_backend}.dsplugin DESTINATION ${_plugin_folder})
endforeach()

# The embedded model. Without a trained one it is the tiny shape with random weights: its text is noise, all else real.
set(DS_EMBEDDED_MODEL ${CMAKE_BINARY_DIR}/lib/deepseam/embedded.dsm)
if(TARGET ds)
  # A leak in ds is for the tests to find, not for the build to fail on.
  set(_run ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0)
  add_custom_command(OUTPUT ${DS_EMBEDDED_MODEL} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/lib/deepseam
    COMMAND ${_run} $<TARGET_FILE:ds> synth --shape tiny --type q8 --seed 1 --out ${DS_EMBEDDED_MODEL} --quiet
    DEPENDS ds)
  add_custom_target(embedded_model ALL DEPENDS ${DS_EMBEDDED_MODEL})
  install(FILES ${DS_EMBEDDED_MODEL} DESTINATION ${CMAKE_INSTALL_LIBDIR}/deepseam)
endif()

# Package files know no absolute path: a prefix may be moved.
file(RELATIVE_PATH DS_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" DS_PC_TO_PREFIX "${DS_PC_TO_PREFIX}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/deepseam.pc.in ${CMAKE_BINARY_DIR}/package/deepseam.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/deepseam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/deepseam)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/deepseamConfig.cmake.in
  ${CMAKE_BINARY_DIR}/package/deepseamConfig.cmake INSTALL_DESTINATION ${_package_folder}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/deepseamConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)  # until the ABI is frozen
install(FILES ${CMAKE_BINARY_DIR}/package/deepseamConfig.cmake ${CMAKE_BINARY_DIR}/package/deepseamConfigVersion.cmake
  DESTINATION ${_package_folder})
