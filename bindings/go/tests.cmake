# The Go binding's tests: against the library of this build, offline, where there is a go. Not under a sanitizer, whose runtime
# would have to be the test program's.
if(TARGET ds_recorder AND TARGET deepseam_embedded)
  foreach(group all race cycles)
    ds_python_test(go_${group} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/run.py LABELS bindings plain
      ARGS ${group} --build ${CMAKE_BINARY_DIR} --out ${CMAKE_BINARY_DIR}/bindings/go)
  endforeach()
  foreach(group all race)
    ds_python_test(go_newest_${group} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/run.py LABELS bindings plain slow
      ARGS ${group} --newest --build ${CMAKE_BINARY_DIR} --out ${CMAKE_BINARY_DIR}/bindings/go_newest)
  endforeach()
  set_tests_properties(go_cycles PROPERTIES TIMEOUT 3600)
endif()
