// base/shared_library.h on Windows.
#include <doctest/doctest.h>

#include <string>

#include "base/shared_library.h"
#include "temporary_folder.h"

using namespace deepseam;

TEST_CASE("a library is found by a name in UTF-8") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(LOADABLE_ONE, std::filesystem::path(folder.path()) / u8"s\u00fc\u00df.dll");
  CHECK(SharedLibrary::open(folder / "s\xc3\xbc\xc3\x9f.dll").ok());
}

TEST_CASE("a path without a drive is not absolute") {
  CHECK(SharedLibrary::open("\\x.dll").status().code() == DS_E_ARGUMENT);
  CHECK(SharedLibrary::open("c:x.dll").status().code() == DS_E_ARGUMENT);
}

TEST_CASE("own_folder is where this program lies") {
  CHECK(std::filesystem::exists(own_folder() + "\\base_shared_library_test.exe"));
}
