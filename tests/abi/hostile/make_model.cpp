// Writes the model that the tests of this folder open. usage: make_model OUT
#include <cstdio>

#include "hostile/host.h"

int main(int, char **argv) {
  using namespace hostile;
  ds_error error = fresh_error();
  const ds_runtime_options options = runtime_options();
  ds_runtime *runtime = nullptr;
  ds_synth_options synth{};
  synth.struct_size = sizeof synth;
  synth.shape = {"tiny", DS_STRLEN};
  synth.weight_type = {"f32", DS_STRLEN};
  synth.path = {argv[1], DS_STRLEN};
  synth.seed = 1;
  ds_status status = ds_runtime_create(&options, &runtime, &error);
  if (status == DS_OK) status = ds_model_synth(runtime, &synth, &error);
  if (status != DS_OK) std::fprintf(stderr, "%s\n", error.message);
  ds_runtime_shutdown(runtime, 0, nullptr);
  ds_runtime_release(runtime);
  return status == DS_OK ? 0 : 1;
}
