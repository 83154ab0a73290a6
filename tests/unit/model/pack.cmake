# Packing, exporting, synthesising and verifying, on the oracle's tiny checkpoints and on synthetic ones.
foreach(name pack calibrate synth verify)
  ds_golden_test(model_${name}_test SOURCES ${name}_test.cpp DEPS ds_model LABELS unit)
endforeach()
set_tests_properties(model_pack_test model_synth_test PROPERTIES LABELS "unit;tsan")

add_executable(model_tool ${CMAKE_CURRENT_LIST_DIR}/model_tool.cpp)
target_link_libraries(model_tool PRIVATE ds_warnings ds_model)
ds_python_test(packed_oracle_test SCRIPT ${CMAKE_CURRENT_LIST_DIR}/packed_oracle_test.py ARGS $<TARGET_FILE:model_tool>
  LABELS golden TINY)
