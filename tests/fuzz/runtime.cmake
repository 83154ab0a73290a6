# The sidecar of a plugin, from the build's own tool.
ds_fuzz(manifest SOURCES ${CMAKE_CURRENT_LIST_DIR}/manifest_fuzz.cpp DEPS ds_manifest
  SEEDS ${CMAKE_BINARY_DIR}/tests/lying_plugins/lying_honest.dsplugin
        ${CMAKE_BINARY_DIR}/tests/lying_plugins/told.dsplugin
  DEPENDS lying_plugins)
