// What ds asks of its operating system: arguments and file names as UTF-8, Ctrl-C, terminals. console_posix.cpp and
// console_win.cpp.
#pragma once

#include <cstdio>
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

// The folder of this user's own files; "" if the system does not tell.
std::string home_folder();

}  // namespace ds_cli
