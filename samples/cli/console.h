// What ds asks of its operating system: arguments and file names as UTF-8, Ctrl-C, terminals. console_posix.cpp and
// console_win.cpp.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace ds_cli {

// For as long as main() runs: bytes pass standard input and output unchanged, and a terminal shows UTF-8.
class Console {
 public:
  Console();
  ~Console();
  Console(const Console &) = delete;
  Console &operator=(const Console &) = delete;

 private:
  unsigned saved_code_page_ = 0;
};

// The program's arguments, its name among them, as UTF-8.
std::vector<std::string> arguments(int argc, char **argv);

// `act` is called on the first interrupt, on a thread or in a signal handler: it may do what is safe in both. A second
// interrupt ends the program as if nobody listened. NULL: the system's way again.
void on_interrupt(void (*act)());

bool is_terminal(std::FILE *file);

// fopen with a name in UTF-8.
std::FILE *open_file(const std::string &path, const char *mode);

// A variable of the environment; "" if it is not set.
std::string environment(const char *name);
extern const char *const kHomeVariable;  // the one that holds the folder of this user's own files

// A name in UTF-8 as the standard library's path: made from plain chars it would depend on the system's settings.
inline std::filesystem::path file_path(const std::string &name) {
  return std::filesystem::path(std::u8string(name.begin(), name.end()));
}

}  // namespace ds_cli
