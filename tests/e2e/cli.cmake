if(TARGET ds)
  foreach(name cli_test headers_test)
    ds_python_test(${name} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/${name}.py LABELS e2e TINY
                   ARGS $<TARGET_FILE:ds> ${CMAKE_CURRENT_BINARY_DIR}/${name})
  endforeach()
endif()
