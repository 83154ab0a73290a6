// ds: the command line of deepseam. Parses, runs one command, turns a Failure into one line on stderr and status 1.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "commands.h"
#include "console.h"

int main(int argc, char **argv) {
  const ds_cli::Console console;
  ds_cli::Options options;
  if (const int status = ds_cli::parse(ds_cli::arguments(argc, argv), &options); status >= 0) return status;
  try {
    for (const ds_cli::Command &command : ds_cli::kCommands)
      if (options.command == command.name) return command.run(options);
  } catch (const std::bad_alloc &) {
    ds_cli::end_progress();
    std::fprintf(stderr, "ds %s: out of memory\n", options.command.c_str());
    return 1;
  } catch (const std::exception &error) {
    ds_cli::end_progress();
    std::string line = error.what();
    for (char &c : line)  // names of files and bytes of input are quoted in it
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    std::fprintf(stderr, "ds %s: %s\n", options.command.c_str(), line.c_str());
    return 1;
  }
  return 2;
}
