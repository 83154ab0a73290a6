// Text in, text out: prompts of every kind on a model with a tokenizer, healing, stop strings.
#include "text/utf8.h"
#include "text/utf8_stream.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const text::Utf8Char character = text::decode_utf8(text, at);
    if (!character.valid) return false;
    at += character.size;
  }
  return true;
}

}  // namespace

TEST_CASE("a healed prompt gives text that begins with what was typed, which is not shown again") {
  Rig rig;
  const auto model = open_synth(rig);
  text::FimRequest request;
  request.prefix = "int main() {\n  ";
  request.typed = "";
  request.suffix = "\n}\n";
  request.layout = text::FimLayout::kAnchored;
  Prompt prompt = must(fim_prompt(*model, request, 16));
  prompt.healing = "retür";  // a byte vocabulary has no longer spellings, so nothing is taken back by itself
  const auto result = finish(must(session::session(model)->start(prompt, greedy(32))));
  const std::string all = model->tokenizer()->decode(result->choices[0].ids, false);
  CHECK(all.compare(0, prompt.healing.size(), prompt.healing) == 0);
  CHECK(text::to_valid_utf8(all.substr(prompt.healing.size())) == result->choices[0].text);
}

TEST_CASE("plain fill-in-the-middle and text give valid UTF-8, whatever the model writes") {
  Rig rig;
  const auto model = open_synth(rig);
  text::FimRequest request;
  request.prefix = "def f(x):\n    ";
  request.suffix = "\n    return y\n";
  GenerateOptions how = greedy(60);
  how.sampling.temperature = 3;
  const auto fim = finish(must(session::session(model)->start(must(fim_prompt(*model, request, 60)), how)));
  CHECK(is_utf8(fim->choices[0].text));
  const auto text =
      finish(must(session::session(model)->start(must(text_prompt(*model, "für \xff x", {}, nullptr)), how)));
  CHECK(is_utf8(text->choices[0].text));
}

TEST_CASE("a stop string ends the text before it, also across tokens") {
  Rig rig;
  const auto model = open_synth(rig);
  GenerateOptions how = greedy(60);
  how.sampling.temperature = 1;
  const Prompt prompt = must(text_prompt(*model, "some text", {}, nullptr));
  const auto plain = finish(must(session::session(model)->start(prompt, how)));
  const std::string &text = plain->choices[0].text;
  REQUIRE(text.size() > 20);
  size_t begin = 8, end = 16;  // on character borders
  while ((text[begin] & 0xC0) == 0x80) ++begin;
  while ((text[end] & 0xC0) == 0x80) ++end;
  const std::string stop = text.substr(begin, end - begin);
  how.stops = {"never seen in this text", stop};
  const auto stopped = finish(must(session::session(model)->start(prompt, how)));
  CHECK(stopped->choices[0].finish == Finish::kStop);
  CHECK(stopped->choices[0].text == text.substr(0, text.find(stop)));
}

TEST_CASE("a conversation becomes a prompt, and a model without tokenizer says so") {
  Rig rig;
  const auto model = open_synth(rig);
  const text::ChatMessage messages[] = {{"user", "hello", {}}};
  text::ChatRequest request;
  request.messages = messages;
  request.family = text::ChatFamily::kV3;
  const auto result = finish(must(session::session(model)->start(must(chat_prompt(*model, request)), greedy(4))));
  CHECK(result->choices[0].ids.size() == 4);
  const auto bare = rig.open("lite");
  CHECK(chat_prompt(*bare, request).status().code() == DS_E_UNSUPPORTED);
  CHECK(text_prompt(*bare, "x", {}, nullptr).status().code() == DS_E_UNSUPPORTED);
}
