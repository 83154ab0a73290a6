# The Rust binding's tests: against the library of this build, offline, where there is a cargo. Not under a sanitizer,
# whose runtime would have to be the test program's.
if(TARGET ds_recorder AND TARGET deepseam_embedded)
  foreach(group layout all lint msrv package cycles)
    set(name rust_${group})
    ds_python_test(${name} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/run.py LABELS bindings plain
      ARGS ${group} --build ${CMAKE_BINARY_DIR} --out ${CMAKE_BINARY_DIR}/bindings/rust)
  endforeach()
  set_tests_properties(rust_cycles PROPERTIES TIMEOUT 3600)
endif()
