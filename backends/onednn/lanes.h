// What the sources of kernels.h that are compiled once per instruction set share: vectors of a tile's lanes.
//
// The build sets DS_ISA_NAME (generic, avx2, avx512) and the compiler's target flags; GCC's vector extensions become
// whatever registers there are. Everything has internal linkage or stands in the set's own namespace.
#pragma once

#include <cstring>

#include "kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace deepseam::onednn {
namespace DS_ISA_NAME {

// kernels_q.cpp; the table of kernels.cpp has them.
void matmul_q(const Matrix &w, uint64_t first, uint64_t count, const QuantRow *x, float *const *y, uint32_t n_rows);
void quantise(const float *x, uint64_t cols, int8_t *q, float *scale, int32_t *sum);

namespace {

typedef float F32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef uint16_t U16x16 __attribute__((vector_size(32)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));
typedef int8_t I8x16 __attribute__((vector_size(16)));

// What one register holds where products are taken: GCC keeps 16-lane vectors in memory where registers have 8.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr uint32_t kPart = 8;
#else
constexpr uint32_t kPart = 16;
#endif
constexpr uint32_t kParts = kLanes / kPart;
typedef float FPart __attribute__((vector_size(4 * kPart)));
typedef int32_t IPart __attribute__((vector_size(4 * kPart)));
typedef uint32_t UPart __attribute__((vector_size(4 * kPart)));
typedef uint16_t HalfPart __attribute__((vector_size(2 * kPart)));
typedef uint8_t BytePart __attribute__((vector_size(kPart)));

template <typename V>
inline V load(const void *from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <typename V>
inline void store(void *to, V v) {
  std::memcpy(to, &v, sizeof v);
}
// Writes the lanes of a tile that are rows of the matrix.
inline void put_tile(const FPart (&parts)[kParts], float *y, uint64_t tile, uint64_t rows) {
  const uint64_t first = tile * kLanes;
  if (first + kLanes <= rows) {  // of a size the compiler knows: no call
    std::memcpy(y + first, parts, sizeof parts);
    return;
  }
  float sum[kLanes];
  std::memcpy(sum, parts, sizeof sum);
  std::memcpy(y + first, sum, (rows - first) * sizeof(float));
}

}  // namespace
}  // namespace DS_ISA_NAME
}  // namespace deepseam::onednn
