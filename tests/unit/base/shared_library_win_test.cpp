// base/shared_library.h on Windows.
#include <doctest/doctest.h>

#include <string>

#include "base/shared_library.h"
#include "temporary_folder.h"

using namespace deepseam;

TEST_CASE("a library is found by a name in UTF-8") {
  const TemporaryFolder folder;
  const std::string path = folder / "s\xc3\xbc\xc3\x9f.dll";
  std::filesystem::copy_file(LOADABLE_ONE, path);
  CHECK(SharedLibrary::open(path).ok());
}

TEST_CASE("a path without a drive is not absolute") {
  CHECK(SharedLibrary::open("\\x.dll").status().code() == DS_E_ARGUMENT);
  CHECK(SharedLibrary::open("c:x.dll").status().code() == DS_E_ARGUMENT);
}

TEST_CASE("own_folder is where this program lies") {
  CHECK(std::filesystem::exists(own_folder() + "\\base_shared_library_test.exe"));
}
