// Fill-in-the-middle prompts: the two layouts, windows that hold still, budgets, token healing.
#include "text/prompt.h"
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

namespace {

FimPrompt prompt_of(const Tokenizer &tokenizer, const FimRequest &request) {
  auto made = fim_prompt(tokenizer, request);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return *made;
}

std::string lines(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "line " + std::to_string(i) + " = foo(bar);\n";
  return text;
}

// The ids before the hole mark: what typing must not change.
std::vector<uint32_t> head_of(const Tokenizer &tokenizer, const FimPrompt &prompt) {
  auto end = std::find(prompt.ids.begin(), prompt.ids.end(), tokenizer.role(Role::kFimEnd));
  return {prompt.ids.begin(), end};
}

const std::string kBos = "<｜begin▁of▁sentence｜>", kBegin = "<｜fim▁begin｜>", kHole = "<｜fim▁hole｜>",
                  kEnd = "<｜fim▁end｜>";

}  // namespace

TEST_CASE("fim: the plain layout is prefix, suffix, middle with BOS") {
  auto tokenizer = test::small_tokenizer();
  FimRequest request;
  request.prefix = "def f():\n    re";
  request.typed = "turn ";
  request.suffix = "\nprint(<｜fim▁end｜>)\n";
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(tokenizer->decode(prompt.ids, true) ==
        kBos + kBegin + "def f():\n    return " + kHole + "\nprint(<｜fim▁end｜>)\n" + kEnd);
  CHECK(std::count(prompt.ids.begin(), prompt.ids.end(), tokenizer->role(Role::kFimEnd)) == 1);
  CHECK(prompt.healing.empty());
  CHECK(prompt.anchor == request.prefix.size() + 5);
  CHECK(prompt.prefix_ids + prompt.suffix_ids + prompt.typed_ids + 4 == prompt.ids.size());
}

TEST_CASE("fim: anchored starts at the group of 16 lines and keeps everything before the typed text while typing") {
  auto tokenizer = test::small_tokenizer();
  const std::string before = lines(40) + "    ret";
  FimRequest request;
  request.layout = FimLayout::kAnchored;
  request.suffix = "\n}\n";
  request.prefix = before;
  FimPrompt first = prompt_of(*tokenizer, request);
  CHECK(first.anchor == lines(32).size());
  CHECK(tokenizer->decode(first.ids, true) + first.healing ==
        kBos + kBegin + lines(32) + kHole + "\n}\n" + kEnd + before.substr(first.anchor));
  std::string typed = before;
  for (char c : std::string("urn x[1];\n  y")) {
    typed += c;
    request.prefix = typed;
    FimPrompt next = prompt_of(*tokenizer, request);
    CHECK(head_of(*tokenizer, next) == head_of(*tokenizer, first));
    CHECK(tokenizer->decode(next.ids, true) + next.healing ==
          kBos + kBegin + lines(32) + kHole + "\n}\n" + kEnd + typed.substr(first.anchor));
  }
}

TEST_CASE("fim: the host may choose the anchor, also with nothing typed") {
  auto tokenizer = test::small_tokenizer();
  FimRequest request;
  request.layout = FimLayout::kAnchored;
  request.prefix = "int a;\nint b";
  request.typed = "";
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(prompt.anchor == request.prefix.size());
  CHECK(prompt.typed_ids == 0);
  CHECK(prompt.healing.empty());
  CHECK(prompt.ids.back() == tokenizer->role(Role::kFimEnd));
}

TEST_CASE("fim: healing takes back a word that a longer token may spell") {
  auto tokenizer = test::small_tokenizer();
  uint32_t longer = tokenizer->find(" return");
  REQUIRE(longer != kNoToken);
  FimRequest request;
  request.layout = FimLayout::kAnchored;
  request.prefix = "x; retu";
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(prompt.healing == " retu");
  CHECK(tokenizer->decode(prompt.ids, true) == kBos + kBegin + kHole + kEnd + "x;");
  std::vector<uint32_t> mask((tokenizer->vocab_size() + 31) / 32 + 1);
  healing_mask(*tokenizer, prompt.healing, mask);
  auto allowed = [&](uint32_t id) { return ((mask[id / 32] >> (id % 32)) & 1) != 0; };
  CHECK(allowed(longer));
  CHECK(allowed(tokenizer->find(" ")));
  CHECK_FALSE(allowed(tokenizer->find("x")));
  CHECK_FALSE(allowed(tokenizer->role(Role::kEos)));
  CHECK(healing_step(prompt.healing, " return") == 5);
  CHECK(healing_step(prompt.healing, " r") == 2);
  healing_mask(*tokenizer, "", mask);
  for (uint32_t id = 0; id < tokenizer->vocab_size(); ++id) CHECK(allowed(id) == tokenizer->has_token(id));
  request.heal = false;
  CHECK(prompt_of(*tokenizer, request).healing.empty());
}

TEST_CASE("fim: nothing is healed where no token reaches further") {
  auto tokenizer = test::byte_tokenizer();
  FimRequest request;
  request.layout = FimLayout::kAnchored;
  request.prefix = "retu";
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(prompt.healing.empty());
  CHECK(prompt.typed_ids == 4);
}

TEST_CASE("fim: names and snippets become comment lines before the prefix") {
  auto tokenizer = test::small_tokenizer();
  Snippet snippets[] = {{"a/util.py", "def u(): pass"}, {"b.lua", "x = 1\n"}};
  FimRequest request;
  request.prefix = "u(";
  request.file_name = "main\n.cpp";
  request.snippets = snippets;
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(tokenizer->decode(prompt.ids, true) ==
        kBos + kBegin + "# a/util.py\ndef u(): pass\n-- b.lua\nx = 1\n// main .cpp\nu(" + kHole + kEnd);
}

TEST_CASE("fim: budgets hold, the window begins at a group of lines, the suffix keeps its head") {
  auto tokenizer = test::small_tokenizer();
  const std::string before = lines(3000), after = lines(400);
  for (FimLayout layout : {FimLayout::kPlain, FimLayout::kAnchored}) {
    for (uint32_t budget : {64u, 300u, 2000u, 20000u}) {
      FimRequest request;
      request.layout = layout;
      request.prefix = before;
      request.suffix = after;
      request.budget = budget;
      FimPrompt prompt = prompt_of(*tokenizer, request);
      CAPTURE(budget);
      CHECK(prompt.ids.size() <= budget);
      CHECK(prompt.ids.size() > budget / 3);
      std::string text = tokenizer->decode(prompt.ids, true);
      CHECK(text.starts_with(kBos + kBegin + before.substr(prompt.window_start, prompt.anchor - prompt.window_start) +
                             kHole));
      std::string suffix = text.substr(text.find(kHole) + kHole.size());
      CHECK(after.starts_with(suffix.substr(0, suffix.find(kEnd))));
      auto line = std::count(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(prompt.window_start), '\n');
      if (budget == 20000) CHECK(line % 256 == 0);
      if (budget == 2000) CHECK(line % 16 == 0);
    }
  }
}

TEST_CASE("fim: a window that slid stays while lines are added below") {
  auto tokenizer = test::small_tokenizer();
  FimRequest request;
  request.layout = FimLayout::kAnchored;
  request.budget = 12000;
  size_t moved = 0, last = SIZE_MAX;
  for (size_t count = 2400; count < 2480; ++count) {
    const std::string before = lines(count);
    request.prefix = before;
    size_t start = prompt_of(*tokenizer, request).window_start;
    if (start != last) ++moved;
    last = start;
  }
  CHECK(last > 0);
  CHECK(moved <= 2);
}

TEST_CASE("fim: a line longer than the budget keeps its tail, in whole characters") {
  auto tokenizer = test::small_tokenizer();
  std::string before;
  for (int i = 0; i < 5000; ++i) before += "\xE4\xBD\xA0";
  FimRequest request;
  request.prefix = before;
  request.budget = 100;
  FimPrompt prompt = prompt_of(*tokenizer, request);
  CHECK(prompt.ids.size() <= 100);
  CHECK(prompt.prefix_ids > 40);  // ids of this vocabulary rarely begin with a character here
  CHECK(prompt.window_start % 3 == 0);
  request.layout = FimLayout::kAnchored;
  CHECK(fim_prompt(*tokenizer, request).status().code() == DS_E_CONTEXT_FULL);
  request.budget = 3;
  CHECK(fim_prompt(*tokenizer, request).status().code() == DS_E_CONTEXT_FULL);
}

TEST_CASE("fim: the same request gives the same prompt; empty requests work") {
  auto tokenizer = test::small_tokenizer();
  FimRequest request;
  for (FimLayout layout : {FimLayout::kPlain, FimLayout::kAnchored}) {
    request.layout = layout;
    FimPrompt one = prompt_of(*tokenizer, request), two = prompt_of(*tokenizer, request);
    CHECK(one.ids == two.ids);
    CHECK(one.ids.size() == 4);
  }
}
