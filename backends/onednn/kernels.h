// The arithmetic of this backend: pure functions over packed matrices and plain arrays, once per instruction set.
//
// kernels.cpp and kernels_q.cpp are compiled for each set; kernels_for() picks the best one that the CPU has and the
// host allows. Nothing here knows graphs, threads or oneDNN. A result never depends on how many rows are computed
// together: every output element is summed over its columns in one order, whatever M is. That is what makes batching
// invisible.
#pragma once

#include <cstdint>

namespace deepseam::onednn {

// Output rows that lie side by side in a packed matrix: one lane each.
inline constexpr uint32_t kLanes = 16;
// Columns that share an activation scale and, in the block formats, a weight scale.
inline constexpr uint32_t kBlock = 32;
// Activation rows that one kernel call computes together at most.
inline constexpr uint32_t kMaxRows = 8;

// How a packed matrix stores its numbers. All but the block forms multiply float activations.
enum class Pack : uint32_t {
  kF32 = 1,
  kF16 = 2,
  kBF16 = 3,
  kF8 = 4,
  kQ8 = 5,
  kQ4 = 6,
  kQ4Least = 7,
  kQ5 = 8,
  kQ4K = 9,
  kQ5K = 10,
  kQ6K = 11
};

// A [rows, cols] matrix in tiles of kLanes rows; the last tile is padded with zeros.
//   float forms  tile: [cols][kLanes] numbers. kF8 has F32 scales beside: one per tile and block of 32 columns.
//   kQ8          tile: per block of 32 columns [kLanes] f16 scales, then [8][kLanes][4] bytes q + 128
//   kQ4          tile: per block of 32 columns [kLanes] f16 scales, then [4][kLanes][4] bytes; of byte i of group g the
//                low nibble is column 8g+i, the high one column 8g+4+i; value = nibble - 8
//   kQ4Least     as kQ4, with [kLanes] f16 behind the scales, the value of nibble 0; value = scale * nibble + it
//   kQ5          as kQ4, and behind it [kLanes][4] bytes: bit g of byte i is the fifth bit of column 8g+i, bit 4+g
//                that of 8g+4+i; value = scale * (number - 16)
//   kQ4K, kQ5K   per 256 columns [kLanes] f16 d, [kLanes] f16 dmin, then per block [kLanes] scale bytes, [kLanes]
//                minimum bytes and the numbers of kQ4 or kQ5; value = d * scale * number - dmin * minimum
//   kQ6K         per 256 columns [kLanes] f16 d, then per block [2][kLanes] int8 scales, of 16 columns each, the
//                nibbles of kQ4 and [2][kLanes][4] bytes: bits 2g and 2g+1 of byte i are the upper ones of column
//                8g+i, in the second 64 bytes of 8g+4+i; value = d * scale * (number - 32)
struct Matrix {
  Pack pack = Pack::kF32;
  uint64_t rows = 0, cols = 0;
  const uint8_t *data = nullptr;
  const float *scales = nullptr;  // kF8: [tiles][blocks of columns]
};

// Bytes of a lane in the block forms: of one block, and of what stands in front of kHeadBlocks of them.
inline constexpr uint64_t kHeadBlocks = 8;
struct BlockForm {
  uint32_t head = 0, block = 0;
};
constexpr BlockForm block_form(Pack pack) {
  switch (pack) {
    case Pack::kQ8:
      return {0, 2 + 32};
    case Pack::kQ4:
      return {0, 2 + 16};
    case Pack::kQ4Least:
      return {0, 4 + 16};
    case Pack::kQ5:
      return {0, 2 + 16 + 4};
    case Pack::kQ4K:
      return {4, 2 + 16};
    case Pack::kQ5K:
      return {4, 2 + 16 + 4};
    case Pack::kQ6K:
      return {2, 2 + 16 + 8};
    default:
      return {};
  }
}

uint64_t tile_bytes(Pack pack, uint64_t cols);
inline uint64_t blocks(uint64_t cols) { return (cols + kBlock - 1) / kBlock; }
inline uint64_t tiles(uint64_t rows) { return (rows + kLanes - 1) / kLanes; }
inline bool quantised(Pack pack) { return pack >= Pack::kQ8; }

// Activations as int8: one scale and one sum of q per block of 32 columns. The last block is padded with zeros.
struct QuantRow {
  const int8_t *q = nullptr;     // [blocks * 32]
  const float *scale = nullptr;  // [blocks]
  const int32_t *sum = nullptr;  // [blocks]
};

// out[i * out_row + t * out_tile + lane] = (or +=) sum over j < k of a(i, j) * b[t * b_tile + j * kLanes + lane], for
// i < m, t < n_tiles and kLanes lanes, all in floats: a product whose right side lies in panels of lanes.
// a(i, j) = a[i * a_row + j], or a[i + j * kLanes] if `turned`.
struct Product {
  const float *a = nullptr;
  uint64_t a_row = 0;
  bool turned = false;
  const float *b = nullptr;
  uint64_t b_tile = 0;
  float *out = nullptr;
  uint64_t out_tile = 0, out_row = 0;
  uint64_t m = 0, n_tiles = 1, k = 0;
  bool add = false;
};

// Running softmax of kLanes rows, one a lane: what has been seen so far, and by what the last step changed it.
struct Softmax {
  float maximum[kLanes], sum[kLanes], rescale[kLanes];
};

struct Kernels {
  const char *isa;
  // y[m][first_tile*16 …] = sum over columns of W * x[m], for m < n_rows <= kMaxRows and tiles [first, first + count).
  // y rows hold W.rows values each; lanes beyond W.rows are not written.
  void (*matmul)(const Matrix &w, uint64_t first_tile, uint64_t count, const float *const *x, float *const *y,
                 uint32_t n_rows);
  void (*matmul_q)(const Matrix &w, uint64_t first_tile, uint64_t count, const QuantRow *x, float *const *y,
                   uint32_t n_rows);
  void (*quantise)(const float *x, uint64_t cols, int8_t *q, float *scale, int32_t *sum);
  float (*dot)(const float *a, const float *b, uint64_t n);
  void (*axpy)(float factor, const float *x, float *y, uint64_t n);  // y += factor * x
  // The same bits as two dot or four axpy, one after the other; a and y are read once.
  void (*dot2)(const float *a, const float *const *b, uint64_t n, float *sums);
  void (*axpy4)(const float *factors, const float *const *x, float *y, uint64_t n);
  void (*scale)(float factor, float *y, uint64_t n);  // y *= factor
  float (*sum_squares)(const float *x, uint64_t n);
  void (*silu_mul)(const float *gate, const float *up, float *out, uint64_t n);  // silu(gate) * up
  float (*exp_sum)(float *x, uint64_t n, float maximum);                         // x = exp(x - maximum); their sum
  void (*product)(const Product &p);
  // scores [n][kLanes] become exp(factor * score - maximum); 0 where row j of them lies above a lane's last[lane]. What
  // was summed with weights of earlier steps is to be multiplied by `rescale`.
  void (*softmax)(float *scores, uint64_t n, float factor, const int32_t *last, Softmax *state);
};

// `isa_cap` as in dsb_host ("" for none): "generic", "avx2" or "avx512"; "amx" and unknown names cap nothing.
const Kernels &kernels_for(const char *isa_cap);

const Kernels &kernels_generic();
const Kernels &kernels_avx2();
const Kernels &kernels_avx512();

}  // namespace deepseam::onednn
