// The struct_size rule, for every size from 0 to beyond 64 KiB, in both directions; text and buffer arguments.
#include "capi/structs.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace deepseam;
using namespace deepseam::capi;

namespace {

// A host's struct of `size` bytes: the first `known` bytes are 0x5a, the rest is `tail`.
std::vector<uint8_t> host_struct(uint32_t size, uint32_t known, uint8_t tail) {
  std::vector<uint8_t> bytes(std::max<uint32_t>(size, 8), tail);
  for (uint32_t i = 4; i < std::min(size, known); ++i) bytes[i] = 0x5a;
  std::memcpy(bytes.data(), &size, 4);
  return bytes;
}

template <typename Type>
ds_status read_size(uint32_t size, uint8_t tail, Type *into) {
  const auto bytes = host_struct(size, sizeof(Type), tail);
  return copy_struct_in(bytes.data(), "struct", StructTraits<Type>::kFirstSize, sizeof(Type), into).code();
}

template <typename Type>
void check_every_size() {
  constexpr uint32_t kFirst = StructTraits<Type>::kFirstSize;
  for (uint32_t size = 0; size <= kLargestStruct + 64; ++size) {
    if (size > sizeof(Type) + 64 && size < kLargestStruct - 16 && size % 4099) continue;
    Type into;
    const bool size_is_good = size >= kFirst && size <= kLargestStruct;
    const ds_status expected = size_is_good ? DS_OK : DS_E_STRUCT;
    REQUIRE(read_size(size, 0, &into) == expected);
    if (!size_is_good) continue;
    const auto *bytes = reinterpret_cast<const uint8_t *>(&into);
    uint32_t read_as;
    std::memcpy(&read_as, bytes, 4);
    REQUIRE(read_as == sizeof(Type));
    for (uint32_t i = 4; i < sizeof(Type); ++i) REQUIRE(bytes[i] == (i < size ? 0x5a : 0));
    REQUIRE(read_size(size, 1, &into) == (size > sizeof(Type) ? DS_E_UNKNOWN_FIELD : DS_OK));
  }
}

template <typename Type>
void check_every_output_size() {
  for (uint32_t size = 0; size <= kLargestStruct + 64; ++size) {
    if (size > sizeof(Type) + 64 && size < kLargestStruct - 16 && size % 4099) continue;
    auto bytes = host_struct(size, 0, 0xcc);
    bytes.push_back(0xcc);  // a guard behind the struct
    const bool good = size >= StructTraits<Type>::kFirstSize && size <= kLargestStruct;
    REQUIRE(check_struct_out(bytes.data(), "struct", StructTraits<Type>::kFirstSize).code() ==
            (good ? DS_OK : DS_E_STRUCT));
    if (!good) continue;
    Type from;
    std::memset(static_cast<void *>(&from), 0x5a, sizeof from);
    copy_struct_out(bytes.data(), sizeof from, &from);
    uint32_t written;
    std::memcpy(&written, bytes.data(), 4);
    REQUIRE(written == size);
    for (uint32_t i = 4; i < size; ++i) REQUIRE(bytes[i] == (i < sizeof from ? 0x5a : 0));
    REQUIRE(bytes[size] == 0xcc);
  }
}

}  // namespace

TEST_CASE("every input struct follows the size rule") {
#define DS_STRUCT(type, first_size) check_every_size<type>();
#include "capi/structs.def"
#undef DS_STRUCT
}

TEST_CASE("every output struct follows the size rule") {
  check_every_output_size<ds_progress>();
  check_every_output_size<ds_eval_output>();
  check_every_output_size<ds_cache_event>();
  check_every_output_size<ds_error>();
  check_every_output_size<ds_api>();
}

TEST_CASE("a struct that grew reads older callers with zeros") {
  struct Grown {
    uint32_t struct_size, old_field;
    uint64_t new_field;
  } into;
  struct {
    uint32_t struct_size = 8, old_field = 7;
  } old;
  REQUIRE(copy_struct_in(&old, "grown", 8, sizeof into, &into).ok());
  CHECK(into.old_field == 7);
  CHECK(into.new_field == 0);
}

TEST_CASE("NULL structs are an argument error, optional ones are zero") {
  ds_params params;
  CHECK(read_struct<ds_params>(nullptr, &params).code() == DS_E_ARGUMENT);
  std::memset(static_cast<void *>(&params), 1, sizeof params);
  REQUIRE(read_optional<ds_params>(nullptr, &params).ok());
  CHECK(params.struct_size == sizeof params);
  CHECK(params.flags == 0);
}

TEST_CASE("text arguments") {
  std::string_view view;
  CHECK(read_text("abc", DS_STRLEN, "x", &view).ok());
  CHECK(view == "abc");
  CHECK(read_text("a\0b", 3, "x", &view).ok());
  CHECK(view.size() == 3);
  CHECK(read_text(nullptr, 0, "x", &view).ok());
  CHECK(view.empty());
  CHECK(read_text(nullptr, 1, "x", &view).code() == DS_E_ARGUMENT);
  CHECK(read_text(nullptr, DS_STRLEN, "x", &view).code() == DS_E_ARGUMENT);
  CHECK(read_text("abc", uint64_t{1} << 41, "x", &view).code() == DS_E_ARGUMENT);
}

TEST_CASE("arrays whose size overflows are refused") {
  const int some = 0;
  CHECK(check_array(&some, 1, 4, "x").ok());
  CHECK(check_array(nullptr, 0, 4, "x").ok());
  CHECK(check_array(nullptr, 1, 4, "x").code() == DS_E_ARGUMENT);
  CHECK(check_array(&some, UINT64_MAX, 4, "x").code() == DS_E_ARGUMENT);
  CHECK(check_array(&some, UINT64_MAX / 4 + 2, 4, "x").code() == DS_E_ARGUMENT);
}

TEST_CASE("two-call sizing of texts") {
  char buffer[8];
  uint64_t size = 99;
  CHECK(fill_text("hello", nullptr, 0, &size).ok());
  CHECK(size == 5);
  std::memset(buffer, 'x', sizeof buffer);
  CHECK(fill_text("hello", buffer, 4, &size).code() == DS_E_BUFFER);
  CHECK(buffer[0] == 'x');
  CHECK(fill_text("hello", buffer, 5, &size).ok());
  CHECK(std::string(buffer, 6) == "hellox");  // no room for a NUL
  CHECK(fill_text("hello", buffer, 6, &size).ok());
  CHECK(std::string(buffer) == "hello");
  CHECK(fill_text("hello", nullptr, 9, &size).code() == DS_E_ARGUMENT);
  CHECK(fill_text("hello", buffer, 9, nullptr).code() == DS_E_ARGUMENT);
}

TEST_CASE("two-call sizing of ids") {
  const uint32_t from[] = {1, 2, 3};
  uint32_t ids[3] = {};
  uint64_t n = 0;
  CHECK(fill_ids(from, 3, ids, 2, &n).code() == DS_E_BUFFER);
  CHECK(n == 3);
  CHECK(ids[0] == 0);
  CHECK(fill_ids(from, 3, ids, 3, &n).ok());
  CHECK(ids[2] == 3);
}

TEST_CASE("reports fill records of any allowed size and leave the rest alone") {
  std::vector<uint8_t> bytes(sizeof(ds_error) + 17, 0xcc);
  auto *error = reinterpret_cast<ds_error *>(bytes.data());
  error->struct_size = sizeof(ds_error) + 16;
  CHECK(report(fail(DS_E_FORMAT, "test", "a sentence"), error) == DS_E_FORMAT);
  CHECK(error->struct_size == sizeof(ds_error) + 16);
  CHECK(std::string(error->message) == "a sentence");
  CHECK(bytes[sizeof(ds_error) + 15] == 0);
  CHECK(bytes[sizeof(ds_error) + 16] == 0xcc);
  error->struct_size = 8;  // too small: not touched
  error->code = 1234;
  CHECK(report(fail(DS_E_FORMAT, "test", "a sentence"), error) == DS_E_FORMAT);
  CHECK(error->code == 1234);
}

TEST_CASE("a success leaves the record alone") {
  ds_error error{};
  error.struct_size = sizeof error;
  error.code = 77;
  CHECK(report(Status(), &error) == DS_OK);
  CHECK(error.code == 77);
}
