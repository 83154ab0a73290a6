// Packing and exporting from a command line, for tests in other languages. The `ds` command offers the first through
// the public API; the second is for judging quantised weights alone.
//   model_tool pack SOURCE TYPE OUT.dsm      model_tool export SOURCE FOLDER
#include <cstdio>
#include <string>

#include "model/pack.h"

using namespace deepseam;

namespace {

Status run(const std::string &command, const std::string &source, const std::string &third, const std::string &fourth) {
  DS_TRY_VALUE(const ModelFiles files, open_model_files(source, MapMode::kAuto));
  if (command == "export") return model::export_hf(files, third, {});
  model::PackOptions options;
  DS_TRY_VALUE(options.type, model::pack_type_from_name(third));
  return model::pack_model(files, fourth, options);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (!(command == "pack" && argc == 5) && !(command == "export" && argc == 4)) {
    std::fprintf(stderr, "usage: model_tool pack SOURCE TYPE OUT | export SOURCE FOLDER\n");
    return 2;
  }
  const Status status = run(command, argv[2], argv[3], argc > 4 ? argv[4] : "");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message());
  return status.ok() ? 0 : 1;
}
