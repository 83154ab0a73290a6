# Faults under a session: memory, reads, cancels, many cycles.
ds_golden_test(fault_session_test SOURCES memory_test.cpp read_test.cpp cancel_test.cpp cycles_test.cpp
               DEPS ds_session ds_backend_ref LABELS fault)
# The C API over a heap that fails; as archives, so that operator new is the program's for all of it.
ds_golden_test(fault_heap_test SOURCES heap_test.cpp DEPS ds_capi ds_backend_ref LABELS fault DEFINITIONS DS_STATIC)
set_tests_properties(fault_heap_test PROPERTIES TIMEOUT 1800)  # every n of `./check full`, twice
if(TARGET ds_backend_onednn)
  ds_golden_test(fault_heap_onednn_test SOURCES heap_test.cpp DEPS ds_capi ds_backend_onednn LABELS fault
                 DEFINITIONS DS_STATIC DS_GOLDEN_ONEDNN)
  set_tests_properties(fault_heap_onednn_test PROPERTIES TIMEOUT 1800)
endif()
