#include "base/dtype.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace deepseam;

TEST_CASE("names and ids of the formats are stable") {
  // Written out rather than taken from dtype.def: these numbers stand in files.
  CHECK(static_cast<uint32_t>(dtype_from_name("f32")) == 1);
  CHECK(static_cast<uint32_t>(dtype_from_name("f16")) == 2);
  CHECK(static_cast<uint32_t>(dtype_from_name("bf16")) == 3);
  CHECK(static_cast<uint32_t>(dtype_from_name("f8_e4m3")) == 4);
  CHECK(static_cast<uint32_t>(dtype_from_name("i32")) == 5);
  CHECK(static_cast<uint32_t>(dtype_from_name("q8_0")) == 16);
  CHECK(static_cast<uint32_t>(dtype_from_name("q4_0")) == 17);
}

TEST_CASE("formats that only files hold have the ids of GGUF behind 64, and a format that backends get") {
  CHECK(static_cast<uint32_t>(dtype_from_name("q4_k")) == 64 + 12);
  CHECK(static_cast<uint32_t>(dtype_from_name("iq1_m")) == 64 + 29);
  CHECK(static_cast<uint32_t>(dtype_from_name("mxfp4")) == 64 + 39);
  CHECK(row_bytes(DType::kQ4_K, 512) == 288);
  CHECK(compute_dtype(DType::kQ4_K) == DType::kQ4_K);
  CHECK(compute_dtype(DType::kQ4_1) == DType::kQ4_1);
  CHECK(compute_dtype(DType::kQ6_K) == DType::kQ6_K);
  CHECK(compute_dtype(DType::kQ5_1) == DType::kQ8_0);
  CHECK(compute_dtype(DType::kTQ2_0) == DType::kQ4_0);
  CHECK(compute_dtype(DType::kBF16) == DType::kBF16);
  CHECK(compute_dtype(static_cast<DType>(99999)) == DType::kNone);
}

TEST_CASE("what a backend may refuse has another format to be turned into, and the rest has the same") {
  for (const DType dtype : {DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    CHECK(basic_dtype(dtype) != dtype);
    CHECK(basic_dtype(basic_dtype(dtype)) == basic_dtype(dtype));
  }
  CHECK(basic_dtype(DType::kQ4_K) == DType::kQ4_1);
  CHECK(basic_dtype(DType::kQ4_1) == DType::kQ4_1);
  CHECK(basic_dtype(DType::kQ3_K) == DType::kQ8_0);
  CHECK(basic_dtype(DType::kBF16) == DType::kBF16);
}

TEST_CASE("unknown names and ids are kNone and have no size") {
  CHECK(dtype_from_name("f64") == DType::kNone);
  CHECK(dtype_from_name("") == DType::kNone);
  CHECK(dtype_info(static_cast<DType>(999)).dtype == DType::kNone);
  CHECK(row_bytes(static_cast<DType>(999), 100) == 0);
}

TEST_CASE("a row of a block format ends with a whole block") {
  CHECK(row_bytes(DType::kF32, 3) == 12);
  CHECK(row_bytes(DType::kQ8_0, 0) == 0);
  CHECK(row_bytes(DType::kQ8_0, 1) == 34);
  CHECK(row_bytes(DType::kQ8_0, 32) == 34);
  CHECK(row_bytes(DType::kQ8_0, 33) == 68);
  CHECK(row_bytes(DType::kQ4_0, 64) == 36);
}
