#include "typing.h"

#include <cstdint>
#include <random>

namespace ds_cli {
namespace {

// A file of about 300 lines to type in.
std::string file_text() {
  std::string file = "#include <stdint.h>\n#include <stddef.h>\n\n";
  for (int i = 0; i < 60; ++i) {
    const std::string n = std::to_string(i);
    file += "static uint32_t mix_" + n + "(const uint8_t *bytes, size_t size) {\n  uint32_t state = " + n +
            "u;\n  for (size_t i = 0; i < size; ++i) state = state * 31 + bytes[i];\n  return state;\n}\n\n";
  }
  return file;
}

}  // namespace

std::vector<Keystroke> typing_trace(size_t n) {
  const std::string words = "  if (state == 0) return size; state ^= bytes[0]; uint32_t next = mix_1(bytes, size);";
  std::mt19937 random(7);  // the raw generator is the same everywhere; distributions are not
  std::string text = file_text();
  size_t cursor = text.size() / 2, word = 0;
  std::vector<Keystroke> trace;
  while (trace.size() < n) {
    const uint32_t draw = random() % 100;
    const char *kind = "insert";
    if (draw < 4) {
      kind = "enter";
      text.insert(cursor++, "\n");
    } else if (draw < 8) {
      kind = "bracket";
      text.insert(cursor++, "()");
    } else if (draw < 16) {
      kind = "backspace";
      const size_t count = draw == 15 ? 40 : 1;  // now and then back past the anchor
      const size_t from = cursor > count ? cursor - count : 0;
      text.erase(from, cursor - from);
      cursor = from;
    } else if (draw < 18) {
      kind = "jump";
      cursor = random() % text.size();
    } else {
      text.insert(cursor++, 1, words[word++ % words.size()]);
    }
    trace.push_back({kind, text.substr(0, cursor), text.substr(cursor)});
  }
  return trace;
}

}  // namespace ds_cli
