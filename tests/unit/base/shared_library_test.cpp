#include "base/shared_library.h"

#include <doctest/doctest.h>

#include <string>

#include "temporary_folder.h"

using namespace deepseam;

namespace {

std::string which(const SharedLibrary &library) {
  using Function = const char *();
  Function *function = reinterpret_cast<Function *>(library.symbol("which"));
  return function ? function() : "";
}

}  // namespace

TEST_CASE("a library is loaded by absolute path and has its symbols") {
  Result<SharedLibrary> library = SharedLibrary::open(LOADABLE_ONE);
  REQUIRE(library.ok());
  CHECK(which(*library) == "one");
  CHECK(library->symbol("no_such_symbol") == nullptr);
}

TEST_CASE("a relative path is refused, whatever the current folder") {
  CHECK(SharedLibrary::open("libm.so.6").status().code() == DS_E_ARGUMENT);
  CHECK(SharedLibrary::open("./x.so").status().code() == DS_E_ARGUMENT);
  CHECK(SharedLibrary::open("").status().code() == DS_E_ARGUMENT);
}

TEST_CASE("what cannot be loaded is reported with its path") {
  const TemporaryFolder folder;
  const std::string path = folder.write("not_elf.so", "this is text");
  const Status status = SharedLibrary::open(path).status();
  CHECK(status.code() == DS_E_PLUGIN);
  CHECK(std::string(status.message()).find(path) != std::string::npos);
  CHECK(SharedLibrary::open(folder / "missing.so").status().code() == DS_E_PLUGIN);
}
