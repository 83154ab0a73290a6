// Paths between our UTF-8 and what Windows calls take. Windows only.
#pragma once

#include <string>
#include <string_view>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

namespace deepseam {

// Empty if `text` is not UTF-8.
inline std::wstring to_utf16(std::string_view text) {
  const int size = static_cast<int>(text.size());
  const int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
  std::wstring wide(units > 0 ? static_cast<size_t>(units) : 0, L'\0');
  if (units > 0) MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, wide.data(), units);
  return wide;
}

// Unpaired surrogates become U+FFFD.
inline std::string to_utf8(std::wstring_view wide) {
  const int units = static_cast<int>(wide.size());
  const int size = WideCharToMultiByte(CP_UTF8, 0, wide.data(), units, nullptr, 0, nullptr, nullptr);
  std::string text(size > 0 ? static_cast<size_t>(size) : 0, '\0');
  if (size > 0) WideCharToMultiByte(CP_UTF8, 0, wide.data(), units, text.data(), size, nullptr, nullptr);
  return text;
}

// A path as calls for files take it. One that is longer than they take by itself becomes an absolute one with the
// prefix that lifts the limit. Empty if `path` is not UTF-8: no file has that name.
inline std::wstring to_path(std::string_view path) {
  constexpr size_t kLongest = 240;  // of 260, less what callers and the system append
  std::wstring wide = to_utf16(path);
  if (wide.starts_with(L"\\\\?\\")) {  // taken as it stands, so it may have no '/'
    for (wchar_t &unit : wide)
      if (unit == L'/') unit = L'\\';
    return wide;
  }
  if (wide.size() < kLongest) return wide;
  const DWORD units = GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
  std::wstring full(units, L'\0');
  full.resize(GetFullPathNameW(wide.c_str(), units, full.data(), nullptr));
  if (full.starts_with(L"\\\\")) return L"\\\\?\\UNC" + full.substr(1);
  return L"\\\\?\\" + full;
}

}  // namespace deepseam
