# Plugins that the tests of the loader load: one that lies in each way, and one built against the frozen header.
set(DS_LYING_DIR ${CMAKE_BINARY_DIR}/tests/lying_plugins)
add_custom_target(lying_plugins)
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/lying_plugins/lying.c lies REGEX "^#define [A-Z_]+ [0-9]+$")
foreach(line IN LISTS lies)
  string(REGEX MATCH "^#define ([A-Z_]+) ([0-9]+)$" _ "${line}")
  string(TOLOWER ${CMAKE_MATCH_1} lie)
  set(number ${CMAKE_MATCH_2})
  add_library(lying_${lie} MODULE ${CMAKE_CURRENT_LIST_DIR}/lying_plugins/lying.c)
  target_compile_definitions(lying_${lie} PRIVATE LIE=${number})
  list(APPEND DS_LYING_TARGETS lying_${lie})
endforeach()
add_library(lying_no_symbol MODULE ${CMAKE_CURRENT_LIST_DIR}/lying_plugins/lying.c)
target_compile_definitions(lying_no_symbol PRIVATE LIE=0 NO_SYMBOL)
list(APPEND DS_LYING_TARGETS lying_no_symbol)
foreach(target IN LISTS DS_LYING_TARGETS)
  set_target_properties(${target} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${DS_LYING_DIR})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${target} PRIVATE ds_warnings)
  # Unoptimised, so that they really call the libc functions whose version their manifest must name.
  target_compile_options(${target} PRIVATE -fno-sanitize=all -O0 -fno-builtin)
  add_dependencies(lying_plugins ${target})
endforeach()

# What the build tool says of the honest one, asked and told; a build for another machine can only be told.
set(tool deepseam-manifest)
set(about_honest)
if(CMAKE_CROSSCOMPILING)
  set(tool ${DS_MANIFEST_TOOL})
  string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
  set(about_honest --name liar --plugin-version 1.0 --os ${system} --arch ${CMAKE_SYSTEM_PROCESSOR} --unloadable)
endif()
add_custom_command(OUTPUT ${DS_LYING_DIR}/lying_honest.dsplugin ${DS_LYING_DIR}/told.dsplugin
  COMMAND ${tool} $<TARGET_FILE:lying_honest> ${DS_LYING_DIR}/lying_honest.dsplugin ${about_honest}
  COMMAND ${tool} $<TARGET_FILE:lying_honest> ${DS_LYING_DIR}/told.dsplugin --name told --plugin-version 3.4
    --os windows --arch aarch64 --gpu-arch sm_80 --gpu-arch sm_90 --ptx --min-driver nvidia:525.60.13
    --signature ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${tool} lying_honest VERBATIM)
add_custom_target(lying_sidecars DEPENDS ${DS_LYING_DIR}/lying_honest.dsplugin ${DS_LYING_DIR}/told.dsplugin)
add_dependencies(lying_plugins lying_sidecars)

# The frozen plugin sees the frozen headers and nothing else of ours.
set(frozen ${CMAKE_CURRENT_LIST_DIR}/plugin_v0_frozen)
add_library(frozen_v0 MODULE ${frozen}/plugin_v0.c ${frozen}/layout_frozen.c)
set_target_properties(frozen_v0 PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${DS_LYING_DIR})
target_include_directories(frozen_v0 PRIVATE ${frozen})
target_link_libraries(frozen_v0 PRIVATE ds_warnings)
add_dependencies(lying_plugins frozen_v0)

ds_test(abi_lying_plugins_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/lying_plugins/lying_test.cpp DEPS ds_runtime
  LABELS abi DEFINITIONS DS_LYING_DIR="${DS_LYING_DIR}")
ds_test(abi_plugin_v0_test SOURCES ${frozen}/plugin_v0_test.cpp ${frozen}/layout_now.c DEPS ds_runtime LABELS abi
  DEFINITIONS DS_LYING_DIR="${DS_LYING_DIR}")
add_dependencies(abi_lying_plugins_test lying_plugins)
add_dependencies(abi_plugin_v0_test lying_plugins)
