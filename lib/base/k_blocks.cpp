// See k_blocks.h.
#include "base/k_blocks.h"

#include <cstring>

#include "base/half.h"

namespace deepseam {
namespace {

float half_at(const uint8_t *at) {
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return f16_to_f32(bits);
}

}  // namespace

void decode_q5_0(const uint8_t *in, float *out) {
  const float d = half_at(in);
  uint32_t high;
  std::memcpy(&high, in + 2, 4);
  const uint8_t *numbers = in + 6;
  for (int i = 0; i < 32; ++i) {
    const int low = i < 16 ? numbers[i] & 15 : numbers[i - 16] >> 4;
    out[i] = d * static_cast<float>((low | static_cast<int>(high >> i & 1) << 4) - 16);
  }
}

void decode_q4_k(const uint8_t *in, float *out) {
  const float d = half_at(in), dmin = half_at(in + 2);
  for (int group = 0; group < 8; ++group) {
    const GroupScale by = q4_k_group(in + 4, group);
    const float scale = d * static_cast<float>(by.scale), minimum = dmin * static_cast<float>(by.minimum);
    const uint8_t *numbers = in + 16 + group / 2 * 32;
    for (int i = 0; i < 32; ++i)
      out[group * 32 + i] = scale * static_cast<float>(group % 2 ? numbers[i] >> 4 : numbers[i] & 15) - minimum;
  }
}

void decode_q5_k(const uint8_t *in, float *out) {
  const float d = half_at(in), dmin = half_at(in + 2);
  for (int group = 0; group < 8; ++group) {
    const GroupScale by = q4_k_group(in + 4, group);
    const float scale = d * static_cast<float>(by.scale), minimum = dmin * static_cast<float>(by.minimum);
    const uint8_t *high = in + 16, *numbers = in + 48 + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int low = group % 2 ? numbers[i] >> 4 : numbers[i] & 15;
      out[group * 32 + i] = scale * static_cast<float>(low | (high[i] >> group & 1) << 4) - minimum;
    }
  }
}

void decode_q6_k(const uint8_t *in, float *out) {
  const uint8_t *high = in + 128;
  const float d = half_at(in + 208);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(static_cast<int8_t>(in[192 + group]));
    for (int i = group * 16; i < group * 16 + 16; ++i) {
      const int part = i / 32, low_byte = in[part / 4 * 64 + i % 64];  // 128 elements from 64 bytes
      const int low = part % 4 < 2 ? low_byte & 15 : low_byte >> 4;
      const int top = high[part / 4 * 32 + i % 32] >> (part % 4 * 2) & 3;
      out[i] = scale * static_cast<float>((low | top << 4) - 32);
    }
  }
}

}  // namespace deepseam
