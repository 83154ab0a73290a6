# The training of the embedded model, as far as it can be tried without a GPU; most cases need torch and are skipped without.
ds_python_test(train_parts SCRIPT ${CMAKE_CURRENT_LIST_DIR}/train_parts_test.py LABELS e2e plain)
ds_python_test(train_loops SCRIPT ${CMAKE_CURRENT_LIST_DIR}/train_loops_test.py LABELS e2e plain)
