// A person typing into an editor, as a fixed list of events: what anchored fill-in-the-middle is measured with.
#pragma once

#include <string>
#include <vector>

namespace ds_cli {

struct Keystroke {
  const char *kind;  // "insert", "enter", "bracket", "backspace", "jump"
  std::string prefix, suffix;
};

// `n` events from a fixed seed: mostly letters, then line ends, auto-closed brackets, backspaces and cursor jumps.
std::vector<Keystroke> typing_trace(size_t n);

}  // namespace ds_cli
