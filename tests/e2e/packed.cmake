# Engines on packed weights, judged by the oracle. Those of many files, each opened by four commands, want a plain build: the
# readers that they reach run under sanitizers in the tests of lib/format and in the replays of the fuzz seeds.
if(TARGET ds AND TARGET model_tool AND TARGET ds_backend_onednn)
  ds_python_test(packed_engine_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/packed_engine_test.py LABELS e2e TINY
                 ARGS $<TARGET_FILE:ds> $<TARGET_FILE:model_tool>)
endif()
if(TARGET ds AND TARGET model_tool AND TARGET ds_backend_onednn)
  ds_python_test(gguf_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/gguf_test.py LABELS e2e plain TINY
                 ARGS $<TARGET_FILE:ds> $<TARGET_FILE:model_tool> ${CMAKE_SOURCE_DIR}/models/embedded.dsm)
  set_tests_properties(gguf_test PROPERTIES TIMEOUT 1800)
endif()
if(TARGET ds AND NOT WIN32)
  ds_python_test(pack_killed_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/pack_killed_test.py LABELS e2e plain
                 ARGS $<TARGET_FILE:ds> ${CMAKE_SOURCE_DIR}/models/embedded.dsm)
endif()
if(TARGET ds)
  ds_python_test(gguf_vocab_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/gguf_vocab_test.py LABELS e2e ARGS $<TARGET_FILE:ds>)
endif()
if(TARGET ds AND TARGET model_tool AND TARGET ds_backend_onednn)
  ds_python_test(hf_quant_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/hf_quant_test.py LABELS e2e plain TINY
                 ARGS $<TARGET_FILE:ds> $<TARGET_FILE:model_tool>)
  set_tests_properties(hf_quant_test PROPERTIES TIMEOUT 1800)
endif()
