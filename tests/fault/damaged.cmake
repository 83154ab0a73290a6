ds_golden_test(damaged_files_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/damaged_files_test.cpp DEPS ds_model LABELS fault)
