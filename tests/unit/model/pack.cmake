# Packing, exporting, synthesising and verifying, on the oracle's tiny checkpoints and on synthetic ones.
foreach(name pack synth verify)
  ds_golden_test(model_${name}_test SOURCES ${name}_test.cpp DEPS ds_model LABELS unit)
endforeach()
set_tests_properties(model_pack_test model_synth_test PROPERTIES LABELS "unit;tsan")
