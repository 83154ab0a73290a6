# Low-rank adapters beside models and merged into them, judged by the oracle.
if(TARGET ds AND TARGET ds_backend_onednn)
  ds_python_test(adapter_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/adapter_test.py LABELS e2e TINY ARGS $<TARGET_FILE:ds>)
endif()
