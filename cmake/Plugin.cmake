# ds_add_backend(name MAIN plugin.cpp SOURCES ... DEPS ...): a CPU backend on backends/sdk, twice. ds_backend_<name> is a
# static library, for hosts that register it themselves and for tests. The plugin deepseam-<name>.so is that library and
# MAIN (which defines ds_backend_main, its only export), beside its manifest in DS_PLUGIN_DIR.
function(ds_add_backend name)
  cmake_parse_arguments(arg "" "MAIN" "SOURCES;DEPS" ${ARGN})
  add_library(ds_backend_${name} STATIC ${arg_SOURCES})
  target_link_libraries(ds_backend_${name} PUBLIC ds_backend_sdk PRIVATE ds_warnings ${arg_DEPS})

  set(plugin deepseam-${name})
  add_library(${plugin} MODULE ${arg_MAIN})
  target_link_libraries(${plugin} PRIVATE ds_warnings ds_backend_${name})
  set_target_properties(${plugin} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${DS_PLUGIN_DIR})
  ds_binary_policy(${plugin} backend.map.in)
  ds_unloadable(${plugin})
  set(sidecar ${DS_PLUGIN_DIR}/${plugin}.dsplugin)
  if(CMAKE_CROSSCOMPILING)  # it cannot be asked here, so it is told
    string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
    add_custom_command(TARGET ${plugin} POST_BUILD VERBATIM
      COMMAND ${DS_MANIFEST_TOOL} $<TARGET_FILE:${plugin}> ${sidecar} --name ${name} --plugin-version ${PROJECT_VERSION}
        --os ${system} --arch ${CMAKE_SYSTEM_PROCESSOR} --unloadable)
  else()
    add_custom_command(TARGET ${plugin} POST_BUILD VERBATIM
      COMMAND deepseam-manifest $<TARGET_FILE:${plugin}> ${sidecar})
    add_dependencies(${plugin} deepseam-manifest)
  endif()
  set_property(GLOBAL APPEND PROPERTY DS_BACKENDS ${name})
endfunction()
