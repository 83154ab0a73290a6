#include "base/log.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace deepseam;

namespace {

struct Record {
  LogLevel level;
  std::string domain, text;
};

LogSink sink_to(std::vector<Record> &records, LogLevel most) {
  return {[](void *user, LogLevel level, const char *domain, std::string_view text) {
            static_cast<std::vector<Record> *>(user)->push_back({level, domain, std::string(text)});
          },
          &records, most};
}

}  // namespace

TEST_CASE("messages up to the sink's level arrive, formatted") {
  std::vector<Record> records;
  const LogSink sink = sink_to(records, LogLevel::kWarning);
  log_message(sink, LogLevel::kError, "kv", "%d of %s", 3, "four");
  log_message(sink, LogLevel::kWarning, "kv", "second");
  log_message(sink, LogLevel::kInfo, "kv", "third");
  REQUIRE(records.size() == 2);
  CHECK(records[0].level == LogLevel::kError);
  CHECK(records[0].domain == "kv");
  CHECK(records[0].text == "3 of four");
}

TEST_CASE("a sink without a function takes nothing") { log_message(LogSink{}, LogLevel::kError, "t", "x"); }

TEST_CASE("a long message is cut at a character border") {
  std::vector<Record> records;
  const LogSink sink = sink_to(records, LogLevel::kDebug);
  for (size_t shift = 0; shift < 3; ++shift) {
    std::string text(shift, 'x');
    while (text.size() < 3000) text += "\xe2\x82\xac";
    log_message(sink, LogLevel::kInfo, "t", "%s", text.c_str());
    CHECK(records.back().text.size() > 1000);
    CHECK((records.back().text.size() - shift) % 3 == 0);
  }
}
