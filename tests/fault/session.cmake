# Faults under a session: memory, reads, cancels, many cycles.
ds_golden_test(fault_session_test SOURCES memory_test.cpp read_test.cpp cancel_test.cpp cycles_test.cpp
               DEPS ds_session ds_backend_ref LABELS fault)
