// console.h on Windows, where arguments and names are UTF-16, and standard streams change line ends unless told
// otherwise.
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
// After it:
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>

#include <atomic>
#include <string_view>

#include "console.h"

namespace ds_cli {
namespace {

std::wstring to_utf16(std::string_view text) {
  const int size = static_cast<int>(text.size());
  std::wstring wide(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), 0);
  MultiByteToWideChar(CP_UTF8, 0, text.data(), size, wide.data(), static_cast<int>(wide.size()));
  return wide;
}

std::string to_utf8(std::wstring_view wide) {
  const int units = static_cast<int>(wide.size());
  const int size = WideCharToMultiByte(CP_UTF8, 0, wide.data(), units, nullptr, 0, nullptr, nullptr);
  std::string text(static_cast<size_t>(size), 0);
  WideCharToMultiByte(CP_UTF8, 0, wide.data(), units, text.data(), size, nullptr, nullptr);
  return text;
}

std::atomic<void (*)()> interrupt_action{nullptr};

// On a thread that the system makes for it.
BOOL WINAPI handle_event(DWORD event) {
  if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) return FALSE;
  void (*act)() = interrupt_action.exchange(nullptr);
  if (!act) return FALSE;
  act();
  return TRUE;
}

}  // namespace

Console::Console() {
  for (std::FILE *file : {stdin, stdout, stderr}) _setmode(_fileno(file), _O_BINARY);
  saved_code_page_ = GetConsoleOutputCP();
  if (saved_code_page_) SetConsoleOutputCP(CP_UTF8);
  const HANDLE terminal = GetStdHandle(STD_ERROR_HANDLE);
  DWORD mode = 0;
  if (GetConsoleMode(terminal, &mode)) SetConsoleMode(terminal, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

Console::~Console() {
  if (saved_code_page_) SetConsoleOutputCP(saved_code_page_);
}

std::vector<std::string> arguments(int argc, char **argv) {
  int count = 0;
  LPWSTR *wide = CommandLineToArgvW(GetCommandLineW(), &count);
  if (!wide) return {argv, argv + argc};
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(to_utf8(wide[i]));
  LocalFree(wide);
  return texts;
}

void on_interrupt(void (*act)()) {
  interrupt_action = act;
  SetConsoleCtrlHandler(handle_event, act != nullptr);
}

bool is_terminal(std::FILE *file) { return _isatty(_fileno(file)) != 0; }

std::FILE *open_file(const std::string &path, const char *mode) {
  return _wfopen(to_utf16(path).c_str(), to_utf16(mode).c_str());
}

std::string environment(const char *name) {
  const wchar_t *value = _wgetenv(to_utf16(name).c_str());
  return value ? to_utf8(value) : "";
}

const char *const kHomeVariable = "USERPROFILE";

}  // namespace ds_cli
