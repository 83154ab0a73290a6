// shared_library.h on Windows. A file cannot be replaced while it is open there without sharing, so `fd` has no use.
#include <utility>

#include "base/shared_library.h"
#include "base/utf16_win.h"

namespace deepseam {
namespace {

bool is_absolute(const std::string &path) {
  return path.size() > 2 &&
         ((path[1] == ':' && (path[2] == '\\' || path[2] == '/')) || (path[0] == '\\' && path[1] == '\\'));
}

}  // namespace

Result<SharedLibrary> SharedLibrary::open(const std::string &path, int) {
  if (!is_absolute(path) || path.find('\0') != std::string::npos)
    return fail(DS_E_ARGUMENT, "library", "\"%s\" is not an absolute path", path.c_str()).at(path);
  SharedLibrary library;
  std::wstring wide = to_path(path);
  for (wchar_t &unit : wide)
    if (unit == L'/') unit = L'\\';
  library.handle_ =
      LoadLibraryExW(wide.c_str(), nullptr, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
  if (!library.handle_) {
    const int32_t code = static_cast<int32_t>(GetLastError());
    return fail(DS_E_PLUGIN, "library", "cannot load %s (system error %d)", path.c_str(), code).at(path).os(code);
  }
  return library;
}

SharedLibrary::~SharedLibrary() {
  if (handle_) FreeLibrary(static_cast<HMODULE>(handle_));
}

SharedLibrary::SharedLibrary(SharedLibrary &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

SharedLibrary &SharedLibrary::operator=(SharedLibrary &&other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void *SharedLibrary::symbol(const char *name) const noexcept {
  if (!handle_) return nullptr;
  return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(handle_), name));
}

std::string own_folder() {
  HMODULE module = nullptr;
  constexpr DWORD kByAddress = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (!GetModuleHandleExW(kByAddress, reinterpret_cast<LPCWSTR>(&own_folder), &module)) return {};
  std::wstring path(32768, L'\0');
  const DWORD units = GetModuleFileNameW(module, path.data(), static_cast<DWORD>(path.size()));
  const size_t slash = path.substr(0, units).find_last_of(L"\\/");
  return slash == std::wstring::npos ? std::string() : to_utf8(std::wstring_view(path).substr(0, slash));
}

}  // namespace deepseam
