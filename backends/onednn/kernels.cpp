// The kernels of kernels.h, written once over 16-lane vectors and compiled once per instruction set.
//
// The build sets DS_ISA_NAME (generic, avx2, avx512) and the compiler's target flags; GCC's vector extensions become
// whatever registers there are. The block formats are multiplied in kernels_q.cpp. Products are fused into sums
// (-ffp-contract=fast) in the same way for every row count, so rows do not see each other.
#include "lanes.h"

namespace deepseam::onednn {
namespace DS_ISA_NAME {
namespace {

#if defined(__AVX512F__)
constexpr uint32_t kRowsAtOnce = 8, kProductRows = 12;
#elif defined(__AVX2__)
constexpr uint32_t kRowsAtOnce = 3, kProductRows = 6;
#else
constexpr uint32_t kRowsAtOnce = 2, kProductRows = 2;
#endif

// Spelled out for tails: compilers that turn a loop of them into vectors take products and sums apart.
inline float fused(float a, float b, float sum) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, sum);
#else
  return sum + a * b;
#endif
}
inline FPart part_of(float x) { return FPart{} + x; }

// 16-bit and 8-bit floats by moving exponent and mantissa into place and rescaling: exact, subnormals included.
// Infinities and NaN do not occur: packing refuses them.
//
// Lanes [part * kPart, … + kPart) of one column of a tile.
template <Pack kPack>
inline FPart weight_lanes(const uint8_t *tile, uint64_t col, uint32_t part) {
  const uint64_t at = col * kLanes + part * kPart;
  if constexpr (kPack == Pack::kF32) {
    return load<FPart>(tile + at * 4);
  } else if constexpr (kPack == Pack::kF16) {
    const UPart bits = __builtin_convertvector(load<HalfPart>(tile + at * 2), UPart);
    const UPart placed = (bits & 0x8000u) << 16 | (bits & 0x7fffu) << 13;
    return reinterpret_cast<FPart>(placed) * 0x1p112f;
  } else if constexpr (kPack == Pack::kBF16) {
    const UPart bits = __builtin_convertvector(load<HalfPart>(tile + at * 2), UPart) << 16;
    return reinterpret_cast<FPart>(bits);
  } else {
    const UPart bits = __builtin_convertvector(load<BytePart>(tile + at), UPart);
    const UPart placed = (bits & 0x80u) << 24 | (bits & 0x7fu) << 20;
    return reinterpret_cast<FPart>(placed) * 0x1p120f;
  }
}

// Two sums per row, over even and odd columns, hide the latency of the fused multiply-add when M is 1.
template <Pack kPack, uint32_t kRows>
void float_tile(const Matrix &w, uint64_t tile, const float *const *x, float *const *y) {
  const uint8_t *data = w.data + tile * tile_bytes(kPack, w.cols);
  FPart even[kRows][kParts] = {}, odd[kRows][kParts] = {};
  const uint64_t step = kPack == Pack::kF8 ? kBlock : w.cols;
  for (uint64_t begin = 0, group = 0; begin < w.cols; begin += step, ++group) {
    const uint64_t end = begin + step < w.cols ? begin + step : w.cols;
    float factor = 1;
    if constexpr (kPack == Pack::kF8) factor = w.scales[tile * blocks(w.cols) + group];
    const auto add = [&](FPart(&sums)[kRows][kParts], uint64_t col) {
      for (uint32_t part = 0; part < kParts; ++part) {
        FPart lanes = weight_lanes<kPack>(data, col, part);
        if constexpr (kPack == Pack::kF8) lanes *= factor;
        for (uint32_t m = 0; m < kRows; ++m) sums[m][part] += lanes * x[m][col];
      }
    };
    uint64_t col = begin;
    for (; col + 2 <= end; col += 2) add(even, col), add(odd, col + 1);
    if (col < end) add(even, col);
  }
  for (uint32_t m = 0; m < kRows; ++m) {
    for (uint32_t part = 0; part < kParts; ++part) even[m][part] += odd[m][part];
    put_tile(even[m], y[m], tile, w.rows);
  }
}

// Calls Tile<rows>::run for groups of at most kRowsAtOnce rows; the tile's weights stay in cache between groups.
template <Pack kPack, uint32_t kRows = kRowsAtOnce>
void float_rows(const Matrix &w, uint64_t tile, const float *const *x, float *const *y, uint32_t n_rows) {
  for (; n_rows >= kRows; n_rows -= kRows, x += kRows, y += kRows) float_tile<kPack, kRows>(w, tile, x, y);
  if constexpr (kRows > 1)
    if (n_rows) float_rows<kPack, kRows - 1>(w, tile, x, y, n_rows);
}

void matmul(const Matrix &w, uint64_t first, uint64_t count, const float *const *x, float *const *y, uint32_t n_rows) {
  for (uint64_t tile = first; tile < first + count; ++tile) switch (w.pack) {
      case Pack::kF32:
        float_rows<Pack::kF32>(w, tile, x, y, n_rows);
        break;
      case Pack::kF16:
        float_rows<Pack::kF16>(w, tile, x, y, n_rows);
        break;
      case Pack::kBF16:
        float_rows<Pack::kBF16>(w, tile, x, y, n_rows);
        break;
      default:
        float_rows<Pack::kF8>(w, tile, x, y, n_rows);
        break;
    }
}

inline float lanes_sum(FPart v) {
  float sum = 0;
  for (uint32_t lane = 0; lane < kPart; ++lane) sum += v[lane];
  return sum;
}

template <uint32_t kRows>
inline void dot_rows(const float *a, const float *const *b, uint64_t n, float *sums) {
  constexpr uint32_t kSums = 32 / kPart;
  FPart parts[kRows][kSums] = {};
  uint64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (uint32_t k = 0; k < kSums; ++k) {
      const FPart shared = load<FPart>(a + i + k * kPart);
      for (uint32_t r = 0; r < kRows; ++r) parts[r][k] += shared * load<FPart>(b[r] + i + k * kPart);
    }
  for (; i + kPart <= n; i += kPart)
    for (uint32_t r = 0; r < kRows; ++r) parts[r][0] += load<FPart>(a + i) * load<FPart>(b[r] + i);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t k = 1; k < kSums; ++k) parts[r][0] += parts[r][k];
    sums[r] = lanes_sum(parts[r][0]);
    for (uint64_t j = i; j < n; ++j) sums[r] = fused(a[j], b[r][j], sums[r]);
  }
}

float dot(const float *a, const float *b, uint64_t n) {
  float sum;
  dot_rows<1>(a, &b, n, &sum);
  return sum;
}

void dot2(const float *a, const float *const *b, uint64_t n, float *sums) { dot_rows<2>(a, b, n, sums); }

void axpy(float factor, const float *x, float *y, uint64_t n) {
  uint64_t i = 0;
  for (; i + kPart <= n; i += kPart) store(y + i, load<FPart>(y + i) + load<FPart>(x + i) * factor);
  for (; i < n; ++i) y[i] = fused(factor, x[i], y[i]);
}

void axpy4(const float *factors, const float *const *x, float *y, uint64_t n) {
  uint64_t i = 0;
  for (; i + kPart <= n; i += kPart) {
    FPart sum = load<FPart>(y + i);
    for (uint32_t r = 0; r < 4; ++r) sum += load<FPart>(x[r] + i) * factors[r];
    store(y + i, sum);
  }
  for (; i < n; ++i)
    for (uint32_t r = 0; r < 4; ++r) y[i] = fused(factors[r], x[r][i], y[i]);
}

void scale(float factor, float *y, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) y[i] *= factor;
}

float sum_squares(const float *x, uint64_t n) { return dot(x, x, n); }

// exp by 2^k * e^r with |r| <= ln2/2 and a polynomial of degree 6: within 2 units in the last place. Arguments are
// clamped to where the result is a normal number.
inline FPart exp_lanes(FPart x) {
  x = x < -87.0f ? part_of(-87.0f) : x;
  x = x > 88.0f ? part_of(88.0f) : x;
  const FPart shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the mantissa
  const FPart k = shifted - 12582912.0f;
  const FPart r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  FPart p = part_of(1.0f / 720);
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const IPart power = (__builtin_convertvector(k, IPart) + 127) << 23;
  return p * reinterpret_cast<FPart>(power);
}

// Runs f over [0, n) in whole vectors; the tail goes through a padded copy, so that every element sees the same code.
template <typename F>
inline void by_lanes(uint64_t n, F f) {
  for (uint64_t i = 0; i < n; i += kPart) f(i, n - i < kPart ? n - i : kPart);
}
inline FPart load_some(const float *from, uint64_t count) {
  if (count == kPart) return load<FPart>(from);
  FPart v{};
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}
inline void store_some(float *to, FPart v, uint64_t count) {
  if (count == kPart)
    store(to, v);
  else
    std::memcpy(to, &v, count * sizeof(float));
}

void silu_mul(const float *gate, const float *up, float *out, uint64_t n) {
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    const FPart g = load_some(gate + i, count), u = load_some(up + i, count);
    store_some(out + i, g / (1.0f + exp_lanes(-g)) * u, count);
  });
}

float exp_sum(float *x, uint64_t n, float maximum) {
  FPart total{};
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    FPart e = exp_lanes(load_some(x + i, count) - maximum);
    for (uint64_t lane = count; lane < kPart; ++lane) e[lane] = 0;
    store_some(x + i, e, count);
    total += e;
  });
  return lanes_sum(total);
}

// Columns [begin, end) of kRows rows and one panel. Steps that the compiler knows, and four columns a turn: few
// instructions besides the products matter where another thread shares the core.
template <uint32_t kRows, bool kTurned>
void product_rows(const Product &p, const float *a, const float *b, float *out, uint64_t begin, uint64_t end) {
  constexpr uint64_t kStep = kTurned ? kLanes : 1;
  const uint64_t a_row = kTurned ? 1 : p.a_row;
  FPart sum[kRows][kParts] = {};
  if (p.add || begin > 0)
    for (uint32_t m = 0; m < kRows; ++m)
      for (uint32_t part = 0; part < kParts; ++part) sum[m][part] = load<FPart>(out + m * p.out_row + part * kPart);
#pragma GCC unroll 4
  for (uint64_t j = begin; j < end; ++j) {
    FPart lanes[kParts];
    for (uint32_t part = 0; part < kParts; ++part) lanes[part] = load<FPart>(b + j * kLanes + part * kPart);
    for (uint32_t m = 0; m < kRows; ++m) {
      const float x = a[m * a_row + j * kStep];
      for (uint32_t part = 0; part < kParts; ++part) sum[m][part] += lanes[part] * x;
    }
  }
  for (uint32_t m = 0; m < kRows; ++m)
    for (uint32_t part = 0; part < kParts; ++part) store(out + m * p.out_row + part * kPart, sum[m][part]);
}

template <bool kTurned, uint32_t kRows = kProductRows>
void product_panel(const Product &p, const float *a, const float *b, float *out, uint64_t m, uint64_t begin,
                   uint64_t end) {
  for (; m >= kRows; m -= kRows, a += kRows * (kTurned ? 1 : p.a_row), out += kRows * p.out_row)
    product_rows<kRows, kTurned>(p, a, b, out, begin, end);
  if constexpr (kRows > 1)
    if (m) product_panel<kTurned, kRows - 1>(p, a, b, out, m, begin, end);
}

// Panels by pieces of columns that stay in the first cache while all rows pass.
void product(const Product &p) {
  constexpr uint64_t kColumns = 256;
  for (uint64_t tile = 0; tile < p.n_tiles; ++tile)
    for (uint64_t begin = 0; begin < p.k; begin += kColumns) {
      const uint64_t end = begin + kColumns < p.k ? begin + kColumns : p.k;
      const float *b = p.b + tile * p.b_tile;
      float *out = p.out + tile * p.out_tile;
      p.turned ? product_panel<true>(p, p.a, b, out, p.m, begin, end)
               : product_panel<false>(p, p.a, b, out, p.m, begin, end);
    }
}

void softmax(float *scores, uint64_t n, float factor, const int32_t *last, Softmax *state) {
  for (uint32_t lane = 0; lane < kLanes; lane += kPart) {
    const IPart seen = load<IPart>(last + lane);
    const FPart before = load<FPart>(state->maximum + lane);
    FPart top = before, total{};
    for (uint64_t j = 0; j < n; ++j) {
      FPart x = load<FPart>(scores + j * kLanes + lane) * factor;
      x = seen >= static_cast<int32_t>(j) ? x : part_of(-__builtin_inff());
      store(scores + j * kLanes + lane, x);
      top = x > top ? x : top;
    }
    for (uint64_t j = 0; j < n; ++j) {
      FPart e = exp_lanes(load<FPart>(scores + j * kLanes + lane) - top);
      e = seen >= static_cast<int32_t>(j) ? e : FPart{};
      store(scores + j * kLanes + lane, e);
      total += e;
    }
    const FPart rescale = exp_lanes(before - top);
    store(state->maximum + lane, top);
    store(state->sum + lane, load<FPart>(state->sum + lane) * rescale + total);
    store(state->rescale + lane, rescale);
  }
}

}  // namespace

#define DS_TEXT_INNER(name) #name
#define DS_TEXT(name) DS_TEXT_INNER(name)
constexpr Kernels kTable = {DS_TEXT(DS_ISA_NAME), matmul,   matmul_q, quantise, dot,    axpy, dot2, axpy4, scale,
                            sum_squares,          silu_mul, exp_sum,  product,  softmax};

}  // namespace DS_ISA_NAME

#define DS_JOIN_INNER(a, b) a##b
#define DS_JOIN(a, b) DS_JOIN_INNER(a, b)
const Kernels &DS_JOIN(kernels_, DS_ISA_NAME)() { return DS_ISA_NAME::kTable; }

}  // namespace deepseam::onednn
