# The evaluation script, its parts, and the shipped model by them. `plain`: a library under a sanitizer cannot be loaded
# into a plain interpreter.
foreach(part parts sandbox syntax)
  ds_python_test(eval_${part} SCRIPT ${CMAKE_CURRENT_LIST_DIR}/eval_${part}_test.py LABELS e2e plain)
endforeach()
if(TARGET deepseam)
  ds_python_test(eval_embedded SCRIPT ${CMAKE_CURRENT_LIST_DIR}/eval_embedded_test.py LABELS e2e plain
                 ARGS $<TARGET_FILE:deepseam> ${CMAKE_SOURCE_DIR}/models/embedded.dsm)
  ds_python_test(eval SCRIPT ${CMAKE_CURRENT_LIST_DIR}/eval_test.py LABELS e2e plain TINY
                 ARGS $<TARGET_FILE:deepseam> ${CMAKE_CURRENT_BINARY_DIR}/eval_test)
endif()
