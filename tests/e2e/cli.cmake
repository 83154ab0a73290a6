if(TARGET ds)
  ds_python_test(cli_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/cli_test.py LABELS e2e TINY
                 ARGS $<TARGET_FILE:ds> ${CMAKE_CURRENT_BINARY_DIR}/cli_test)
endif()
