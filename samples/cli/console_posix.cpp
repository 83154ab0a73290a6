// console.h on POSIX systems.
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "console.h"

namespace ds_cli {
namespace {

void (*interrupt_action)() = nullptr;  // this program's, not the library's: a signal handler has no other way

void handle_interrupt(int number) {
  interrupt_action();
  std::signal(number, SIG_DFL);
}

}  // namespace

Console::Console() = default;
Console::~Console() = default;

std::vector<std::string> arguments(int argc, char **argv) { return {argv, argv + argc}; }

void on_interrupt(void (*act)()) {
  if (act) interrupt_action = act;
  std::signal(SIGINT, act ? handle_interrupt : SIG_DFL);
}

bool is_terminal(std::FILE *file) { return ::isatty(::fileno(file)) != 0; }

std::FILE *open_file(const std::string &path, const char *mode) { return std::fopen(path.c_str(), mode); }

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

const char *const kHomeVariable = "HOME";

}  // namespace ds_cli
