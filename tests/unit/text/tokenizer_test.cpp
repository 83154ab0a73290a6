// Encoding: round trips of any bytes, control tokens, cancelling, time that does not explode, use from several threads.
#include "text/tokenizer.h"

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("tokenizer: random bytes round-trip and never fail") {
  auto tokenizer = test::small_tokenizer();
  std::mt19937_64 rng(11);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (size_t n = rng() % 200; n > 0; --n) bytes += static_cast<char>(rng() % (round % 2 ? 256 : 128));
    REQUIRE(tokenizer->decode(ids_of(*tokenizer, bytes), true) == bytes);
    REQUIRE(tokenizer->decode(ids_of(*tokenizer, bytes, ParseSpecial::kAll), true) == bytes);
  }
}

TEST_CASE("tokenizer: bad bytes become their own base tokens between the pieces around them") {
  auto tokenizer = test::small_tokenizer();
  std::vector<uint32_t> expected = ids_of(*tokenizer, "the");
  expected.push_back(tokenizer->find("\xFF"));
  expected.push_back(tokenizer->find("\xE4"));
  for (uint32_t id : ids_of(*tokenizer, " the")) expected.push_back(id);
  CHECK(ids_of(*tokenizer, "the\xFF\xE4 the") == expected);
}

TEST_CASE("tokenizer: control tokens in text are text unless asked for") {
  auto tokenizer = test::small_tokenizer();
  const std::string text = "a<｜User｜>b<|EOT|><｜end▁of▁sentence｜>";
  for (uint32_t id : ids_of(*tokenizer, text)) CHECK_FALSE(tokenizer->is_special(id));
  std::vector<uint32_t> ids = ids_of(*tokenizer, text, ParseSpecial::kAll);
  CHECK(std::count(ids.begin(), ids.end(), tokenizer->role(Role::kUser)) == 1);
  CHECK(std::count(ids.begin(), ids.end(), tokenizer->role(Role::kEot)) == 1);
  CHECK(ids.back() == tokenizer->role(Role::kEos));
  CHECK(tokenizer->decode(ids, false) == "ab");
  CHECK(tokenizer->decode(ids, true) == text);
}

TEST_CASE("tokenizer: bos once and first, appended ids stay") {
  auto tokenizer = test::small_tokenizer();
  EncodeOptions options;
  options.add_bos = true;
  std::vector<uint32_t> ids = {42};
  REQUIRE(tokenizer->encode("x", options, &ids).ok());
  REQUIRE(ids.size() == 3);
  CHECK(ids[0] == 42);
  CHECK(ids[1] == tokenizer->role(Role::kBos));
}

TEST_CASE("tokenizer: facts of the vocabulary") {
  auto tokenizer = test::small_tokenizer();
  CHECK(tokenizer->role(Role::kBos) == 0);
  CHECK(tokenizer->role(Role::kEos) == 1);
  CHECK(tokenizer->token_bytes(tokenizer->role(Role::kFimHole)) == "<｜fim▁hole｜>");
  CHECK(tokenizer->role(Role::kThinkBegin) == kNoToken);
  CHECK(tokenizer->add_bos_token());
  CHECK(tokenizer->chat_family() == ChatFamily::kV3);
  CHECK(tokenizer->token_bytes(tokenizer->vocab_size()) == "");
  CHECK_FALSE(tokenizer->has_token(kNoToken));
  CHECK(tokenizer->find("no such token") == kNoToken);
  CHECK(tokenizer->stop_ids().size() == 3);
  CHECK(tokenizer->fim_stop_ids().size() == 6);
  CHECK(tokenizer->last_pre_token("int main").value() == 3);
  CHECK(tokenizer->last_pre_token("").value() == 0);
}

TEST_CASE("tokenizer: the word cache does not change ids") {
  auto tokenizer = test::small_tokenizer();
  std::mt19937_64 rng(13);
  const std::vector<std::string> words = {"foo",     " bar", "\n", "    ", "x1", "(", ");", " \xE4\xBD\xA0\xE5\xA5\xBD",
                                          "return ", "\xFF"};
  std::string text = test::random_text(rng, words, 6000);
  std::vector<uint32_t> whole = ids_of(*tokenizer, text);
  // Cut at line ends followed by a word, where no pre-token crosses: short texts use no cache.
  std::vector<uint32_t> joined;
  size_t begin = 0;
  for (size_t at = text.find("\nfoo"); at != std::string::npos; at = text.find("\nfoo", at + 1)) {
    for (uint32_t id : ids_of(*tokenizer, std::string_view(text).substr(begin, at + 1 - begin))) joined.push_back(id);
    begin = at + 1;
  }
  for (uint32_t id : ids_of(*tokenizer, std::string_view(text).substr(begin))) joined.push_back(id);
  CHECK(whole == joined);
}

TEST_CASE("tokenizer: long runs take time in proportion") {
  auto tokenizer = test::small_tokenizer();
  for (const char *unit : {" ", "a", "7", "\n", "<", "\xFF", "\xE4\xBD\xA0"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    for (const char *end : {"", "1", " x"}) {
      auto start = std::chrono::steady_clock::now();
      std::vector<uint32_t> ids = ids_of(*tokenizer, text + end);
      CAPTURE(unit);
      CHECK(milliseconds_since(start) < 20'000);  // quadratic time would be minutes
      CHECK(tokenizer->decode(ids, true) == text + end);
    }
  }
}

TEST_CASE("tokenizer: cancelling 10 MB at any moment is prompt and leaves the output alone") {
  auto tokenizer = test::small_tokenizer();
  std::mt19937_64 rng(17);
  double worst = 0;
  for (const char *unit : {" ", "a", "int x = 42;\n"}) {
    std::string text;
    while (text.size() < 10'000'000) text += unit;
    for (int round = 0; round < 4; ++round) {
      CancelWord cancel;
      std::atomic<std::clock_t> set_at{0};  // processor time, so that other programs do not count
      std::chrono::milliseconds delay(round == 0 ? 0 : rng() % 150);
      std::thread canceller([&] {
        std::this_thread::sleep_for(delay);
        set_at = std::clock();
        cancel.set();
      });
      EncodeOptions options;
      options.cancel = &cancel;
      std::vector<uint32_t> ids = {5};
      Status status = tokenizer->encode(text, options, &ids);
      std::clock_t end = std::clock();
      canceller.join();
      CHECK(status.code() == DS_E_CANCELLED);
      CHECK(ids == std::vector<uint32_t>{5});
      worst = std::max(worst, static_cast<double>(end - set_at) * 1000 / CLOCKS_PER_SEC);
    }
  }
  MESSAGE("slowest answer to a cancel: " << worst << " ms of processor time");
  CHECK(worst < 500);  // the promise is measured in release builds; this only catches loops that do not poll
}

TEST_CASE("tokenizer: threads share one") {
  auto tokenizer = test::small_tokenizer();
  std::mt19937_64 rng(19);
  std::string text = test::random_text(rng, {"foo ", "bar(", "12", "\n", "\xE4\xBD\xA0"}, 3000);
  std::vector<uint32_t> expected = ids_of(*tokenizer, text);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        std::vector<uint32_t> ids;
        if (!tokenizer->encode(text, {}, &ids).ok() || ids != expected) ++wrong;
      }
    });
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
}
