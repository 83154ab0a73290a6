#include "base/status.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace deepseam;

namespace {

ds_error empty_record() {
  ds_error record;
  std::memset(&record, 0x5a, sizeof record);
  record.struct_size = sizeof record;
  return record;
}

Result<int> half_of(int value) {
  if (value % 2) return fail(DS_E_ARGUMENT, "test", "%d is odd", value);
  return value / 2;
}

Result<int> quarter_of(int value) {
  DS_TRY_VALUE(const int half, half_of(value));
  return half_of(half);
}

Status check_even(int value) {
  DS_TRY(half_of(value).status());
  return {};
}

}  // namespace

TEST_CASE("a failure carries code, sentence, place and sizes into the caller's record") {
  ds_error record = empty_record();
  const Status status = fail(DS_E_FORMAT, "safetensors", "tensor %s: %d", "a.b", 7).at("/m/x", 42).os(5).bytes(10, 3);
  CHECK(status.report(&record) == DS_E_FORMAT);
  CHECK(record.struct_size == sizeof record);
  CHECK(record.code == DS_E_FORMAT);
  CHECK(record.os_code == 5);
  CHECK(record.flags == 0);
  CHECK(record.byte_offset == 42);
  CHECK(record.bytes_needed == 10);
  CHECK(record.bytes_available == 3);
  CHECK(std::string(record.domain) == "safetensors");
  CHECK(std::string(record.path) == "/m/x");
  CHECK(std::string(record.message) == "tensor a.b: 7");
}

TEST_CASE("success leaves the record alone") {
  ds_error record = empty_record();
  const ds_error before = record;
  CHECK(Status().report(&record) == DS_OK);
  CHECK(std::memcmp(&record, &before, sizeof record) == 0);
}

TEST_CASE("a record that is too small is not written to") {
  ds_error record = empty_record();
  record.struct_size = 8;
  const ds_error before = record;
  CHECK(fail(DS_E_IO, "t", "x").report(&record) == DS_E_IO);
  CHECK(std::memcmp(&record, &before, sizeof record) == 0);
  CHECK(fail(DS_E_IO, "t", "x").report(nullptr) == DS_E_IO);
}

TEST_CASE("a code without a sentence reports its own name") {
  ds_error record = empty_record();
  CHECK(Status(DS_E_MEMORY).report(&record) == DS_E_MEMORY);
  CHECK(std::string(record.message) == "DS_E_MEMORY");
  CHECK(record.byte_offset == UINT64_MAX);
}

TEST_CASE("long texts are cut at a character border: messages at the end, paths at the front") {
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    while (text.size() < 600) text += "\xe2\x82\xac";  // the euro sign, three bytes
    ds_error record = empty_record();
    (void)fail(DS_E_IO, "a domain that is long", "%s", text.c_str()).at(text + "end").report(&record);
    const std::string message = record.message, path = record.path;
    CHECK(message.size() >= sizeof record.message - 4);
    CHECK((message.size() - shift) % 3 == 0);
    CHECK(path.size() % 3 == 0);
    CHECK(path.size() >= sizeof record.path - 4);
    CHECK(path.substr(path.size() - 3) == "end");
    CHECK(std::string(record.domain) == "a domain that i");
  }
}

TEST_CASE("copies are deep, moves empty nothing that matters") {
  Status first = fail(DS_E_MODEL, "t", "one");
  const Status copy = first;
  first = fail(DS_E_IO, "t", "two");
  CHECK(copy.code() == DS_E_MODEL);
  CHECK(std::string(copy.message()) == "one");
  CHECK(std::string(first.message()) == "two");
}

TEST_CASE("DS_TRY and DS_TRY_VALUE return the inner failure") {
  CHECK(quarter_of(12).value() == 3);
  CHECK(std::string(quarter_of(6).status().message()) == "3 is odd");
  CHECK(std::string(quarter_of(5).status().message()) == "5 is odd");
  CHECK(check_even(2).ok());
  CHECK(check_even(3).code() == DS_E_ARGUMENT);
}

TEST_CASE("every code has its name, an unknown number has a neutral one") {
  CHECK(std::string(status_name(DS_OK)) == "DS_OK");
  CHECK(std::string(status_name(DS_E_INTERNAL)) == "DS_E_INTERNAL");
  CHECK(std::string(status_name(12345)) == "DS_E_?");
}
