// Infos: values by key, lists, JSON; the log that waits to be read.
#include "capi/info.h"

#include <doctest/doctest.h>

#include <string>

#include "capi/log_ring.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

session::Facts sample() {
  session::Facts facts;
  facts.add("name", std::string("a \"model\""));
  facts.add("bytes.total", uint64_t{1} << 63);
  facts.add("rate", 2.5);
  facts.add("devices.0.name", std::string("cpu"));
  facts.add("devices.1.name", std::string("gpu"));
  facts.add("findings", uint64_t{0});
  return facts;
}

}  // namespace

TEST_CASE("values are read by key and kind") {
  const Info info(sample());
  uint64_t count = 0;
  double number = 0;
  std::string_view text;
  CHECK(info.get_u64("bytes.total", &count).ok());
  CHECK(count == uint64_t{1} << 63);
  CHECK(info.get_f64("rate", &number).ok());
  CHECK(number == 2.5);
  CHECK(info.get_f64("findings", &number).ok());
  CHECK(info.get_text("devices.1.name", &text).ok());
  CHECK(text == "gpu");
}

TEST_CASE("a list without a count reads as its length") {
  uint64_t count = 0;
  CHECK(Info(sample()).get_u64("devices", &count).ok());
  CHECK(count == 2);
}

TEST_CASE("missing keys and other kinds are told apart") {
  const Info info(sample());
  uint64_t count = 0;
  double number = 0;
  std::string_view text;
  CHECK(info.get_u64("nothing", &count).code() == DS_E_NOT_FOUND);
  CHECK(info.get_u64("bytes", &count).code() == DS_E_NOT_FOUND);
  CHECK(info.get_u64("rate", &count).code() == DS_E_ARGUMENT);
  CHECK(info.get_f64("name", &number).code() == DS_E_ARGUMENT);
  CHECK(info.get_text("rate", &text).code() == DS_E_ARGUMENT);
  CHECK(info.get_text(nullptr, &text).code() == DS_E_ARGUMENT);
  CHECK(info.get_u64("rate", nullptr).code() == DS_E_ARGUMENT);
}

TEST_CASE("JSON nests by dots, numbered members make arrays") {
  CHECK(facts_to_json(sample()) == R"({"name":"a \"model\"","bytes":{"total":9223372036854775808},"rate":2.5,)"
                                   R"("devices":[{"name":"cpu"},{"name":"gpu"}],"findings":[]})");
  CHECK(facts_to_json({}) == "{}");
}

TEST_CASE("messages without a callback wait in order") {
  Log log(DS_LOG_INFO, nullptr, nullptr);
  log_message(log.sink(), LogLevel::kInfo, "here", "one");
  log_message(log.sink(), LogLevel::kError, "there", "two");
  log_message(log.sink(), LogLevel::kDebug, "here", "not kept");
  uint32_t level = 0;
  char text[64];
  uint64_t size = 0;
  CHECK(log.read(&level, nullptr, 0, &size).ok());
  CHECK(size == 9);
  CHECK(log.read(&level, text, 4, &size).code() == DS_E_BUFFER);
  CHECK(log.read(&level, text, sizeof text, &size).ok());
  CHECK(std::string(text) == "here: one");
  CHECK(level == DS_LOG_INFO);
  CHECK(log.read(&level, text, sizeof text, &size).ok());
  CHECK(std::string(text) == "there: two");
  CHECK(log.read(&level, text, sizeof text, &size).code() == DS_E_PENDING);
}

TEST_CASE("an unread log drops its oldest messages and says so") {
  Log log(DS_LOG_INFO, nullptr, nullptr);
  const std::string long_text(900, 'x');
  for (int i = 0; i < 1000; ++i) log_message(log.sink(), LogLevel::kInfo, "test", "%d %s", i, long_text.c_str());
  uint32_t level = 0;
  char text[2048];
  uint64_t size = 0;
  REQUIRE(log.read(&level, text, sizeof text, &size).ok());
  CHECK(std::string(text).find("older messages were dropped") != std::string::npos);
  int messages = 0;
  std::string last;
  while (log.read(&level, text, sizeof text, &size).ok()) ++messages, last = text;
  CHECK(messages > 100);
  CHECK(messages < 300);
  CHECK(last.rfind("test: 999 ", 0) == 0);
}

TEST_CASE("a callback gets the message, and nothing is kept") {
  std::string seen;
  const ds_log_fn callback = [](void *user, const ds_log_message *message) {
    *static_cast<std::string *>(user) =
        std::string(message->domain) + "/" + std::string(message->text.data, message->text.size);
  };
  Log log(0, callback, &seen);
  log_message(log.sink(), LogLevel::kWarning, "here", "look");
  CHECK(seen == "here/look");
  uint32_t level;
  uint64_t size;
  CHECK(log.read(&level, nullptr, 0, &size).code() == DS_E_PENDING);
}
