# The same GGUF files in llama.cpp, where a Python package with its library is installed. Minutes: only in full.
if(TARGET ds AND TARGET model_tool AND TARGET deepseam AND TARGET ds_backend_onednn)
  ds_python_test(llama_compare SCRIPT ${CMAKE_CURRENT_LIST_DIR}/llama_compare.py LABELS e2e plain slow
                 ARGS --tool $<TARGET_FILE:model_tool> --library $<TARGET_FILE:deepseam>)
  set_tests_properties(llama_compare PROPERTIES TIMEOUT 3600)
endif()
