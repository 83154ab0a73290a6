#include "format/block_decode.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "format/blocks.h"
#include "format/repack.h"

using namespace deepseam;

namespace {

// Pseudo-random bytes, the same on every machine (SplitMix64).
std::vector<uint8_t> noise(uint64_t seed, size_t n) {
  std::vector<uint8_t> bytes;
  while (bytes.size() < n) {
    uint64_t x = seed += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(x >> 8 * i));
  }
  bytes.resize(n);
  return bytes;
}

void put_half(std::vector<uint8_t> *block, size_t at, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(block->data() + at, &bits, 2);
}

std::vector<float> decode(DType dtype, const std::vector<uint8_t> &block) {
  std::vector<float> values(dtype_info(dtype).block_elements);
  decode_rows(dtype, block.data(), 1, values.size(), values.data());
  return values;
}

constexpr DType kStored[] = {
#define DS_DTYPE(name, id, text, elements, bytes)
#define DS_STORED_DTYPE(name, id, text, elements, bytes, compute) DType::name,
#include "base/dtype.def"
#undef DS_DTYPE
};

// Those, and what backends know too but whose blocks are as intricate.
std::vector<DType> intricate() {
  std::vector<DType> all(std::begin(kStored), std::end(kStored));
  all.insert(all.end(), {DType::kQ4_1, DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K});
  return all;
}

}  // namespace

TEST_CASE("a block of zeros is zero or what its fixed levels say") {
  for (const DType dtype : intricate()) {
    CAPTURE(dtype_info(dtype).name);
    REQUIRE(static_cast<bool>(stored_block_decoder(dtype)));
    for (const float value : decode(dtype, std::vector<uint8_t>(dtype_info(dtype).block_bytes))) CHECK(value == 0.0f);
  }
}

TEST_CASE("numbers worked out by hand") {
  std::vector<uint8_t> q4_1(20, 0x31);
  put_half(&q4_1, 0, 0.5f);
  put_half(&q4_1, 2, -1.0f);
  CHECK(decode(DType::kQ4_1, q4_1)[0] == -0.5f);
  CHECK(decode(DType::kQ4_1, q4_1)[16] == 0.5f);

  std::vector<uint8_t> q5_0(22, 0);
  put_half(&q5_0, 0, 2.0f);
  q5_0[2] = 1;     // the fifth bit of element 0
  q5_0[4] = 1;     // of element 16
  q5_0[6] = 0x2f;  // element 0: 15, element 16: 2
  CHECK(decode(DType::kQ5_0, q5_0)[0] == 30.0f);
  CHECK(decode(DType::kQ5_0, q5_0)[16] == 4.0f);
  CHECK(decode(DType::kQ5_0, q5_0)[1] == -32.0f);

  std::vector<uint8_t> q4_k(144, 0);
  put_half(&q4_k, 0, 1.0f);
  put_half(&q4_k, 2, 0.5f);
  q4_k[4] = 3;         // scale of group 0
  q4_k[4 + 4] = 0x84;  // minimum of group 0: 4; its top bits: minimum of group 4 from 32
  q4_k[4 + 8] = 0x21;  // group 4: scale 1, minimum 2 + 32
  q4_k[16] = 0x05;     // element 0: 5
  CHECK(decode(DType::kQ4_K, q4_k)[0] == 13.0f);
  CHECK(decode(DType::kQ4_K, q4_k)[1] == -2.0f);
  CHECK(decode(DType::kQ4_K, q4_k)[128] == -17.0f);

  std::vector<uint8_t> q6_k(210, 0);
  put_half(&q6_k, 208, 1.0f);
  q6_k[192] = 2;
  q6_k[0] = 7;
  q6_k[128] = 2;  // bits 4 and 5 of element 0
  CHECK(decode(DType::kQ6_K, q6_k)[0] == 14.0f);
  CHECK(decode(DType::kQ6_K, q6_k)[1] == -64.0f);

  std::vector<uint8_t> q8_k(292, 0);
  const float d = 0.25f;
  std::memcpy(q8_k.data(), &d, 4);
  q8_k[4] = 0x80;
  CHECK(decode(DType::kQ8_K, q8_k)[0] == -32.0f);

  std::vector<uint8_t> mxfp4(17, 0);
  mxfp4[0] = 128;
  mxfp4[1] = 0xf7;
  CHECK(decode(DType::kMXFP4, mxfp4)[0] == 12.0f);
  CHECK(decode(DType::kMXFP4, mxfp4)[16] == -12.0f);
  mxfp4[0] = 0;
  CHECK(decode(DType::kMXFP4, mxfp4)[0] == 12 * 0x1p-128f);

  std::vector<uint8_t> iq4_nl(18, 0xf0);
  put_half(&iq4_nl, 0, 1.0f);
  CHECK(decode(DType::kIQ4_NL, iq4_nl)[0] == -127.0f);
  CHECK(decode(DType::kIQ4_NL, iq4_nl)[16] == 113.0f);

  std::vector<uint8_t> iq2(66, 0);
  put_half(&iq2, 0, 8.0f);
  iq2[6] = 1;  // the first sign; the eighth follows
  CHECK(decode(DType::kIQ2_XXS, iq2)[0] == -8.0f);
  CHECK(decode(DType::kIQ2_XXS, iq2)[7] == -8.0f);
  CHECK(decode(DType::kIQ2_XXS, iq2)[1] == 8.0f);
}

TEST_CASE("a partial last block fills only its columns") {
  for (const DType dtype : intricate()) {
    CAPTURE(dtype_info(dtype).name);
    const DTypeInfo info = dtype_info(dtype);
    const auto bytes = noise(7, info.block_bytes * 2);
    std::vector<float> whole(info.block_elements * 2), some(info.block_elements * 2, 77.0f);
    decode_rows(dtype, bytes.data(), 1, whole.size(), whole.data());
    const size_t cols = info.block_elements + 5;
    decode_rows(dtype, bytes.data(), 1, cols, some.data());
    CHECK(std::memcmp(whole.data(), some.data(), cols * sizeof(float)) == 0);
    CHECK(some[cols] == 77.0f);
  }
}

TEST_CASE("what any backend can get is close, and finite or refused") {
  for (const DType dtype : intricate()) {
    const DType to = basic_dtype(dtype);
    if (to == dtype) continue;
    CAPTURE(dtype_info(dtype).name);
    const DTypeInfo info = dtype_info(dtype);
    CHECK((to == DType::kQ8_0 || to == DType::kQ4_0 || to == DType::kQ4_1));
    const auto bytes = noise(11, info.block_bytes * 200);
    std::vector<float> before(info.block_elements), after(info.block_elements);
    std::vector<uint8_t> packed(row_bytes(to, info.block_elements));
    int refused = 0;
    for (size_t block = 0; block < 200; ++block) {  // random scales, so that some are infinite
      const uint8_t *at = bytes.data() + block * info.block_bytes;
      decode_rows(dtype, at, 1, info.block_elements, before.data());
      const Status status = repack_rows(dtype, to, at, 1, info.block_elements, packed.data(), {"w", 5});
      if (!status.ok()) {
        ++refused;
        CHECK(status.code() == DS_E_FORMAT);
        CHECK(std::string(status.message()).find("tensor 'w', row 5") != std::string::npos);
        continue;
      }
      decode_rows(to, packed.data(), 1, info.block_elements, after.data());
      for (size_t group = 0; group < before.size(); group += 32) {
        float largest = 0;
        for (size_t i = group; i < group + 32; ++i) largest = std::fmax(largest, std::fabs(before[i]));
        for (size_t i = group; i < group + 32; ++i)
          REQUIRE(std::fabs(before[i] - after[i]) <= largest / 127 * 0.505f + 0x1p-24f);
      }
    }
    CHECK(refused < 200);
  }
}
