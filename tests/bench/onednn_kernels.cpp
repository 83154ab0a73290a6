// One core's speed in the products of the onednn backend: own kernels by format and rows, beside oneDNN's sgemm.
//
// usage: bench_onednn_kernels [generic|avx2]   (a cap on the instruction set; default: the best this CPU has)
// Best of five runs over a matrix of 11264 x 2048; one JSON object on stdout.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "dnnl_api.h"
#include "kernels.h"
#include "pack.h"

using namespace deepseam::onednn;

namespace {

constexpr uint64_t kRows = 11264, kCols = 2048;

template <class Run>
double best_seconds(const Run &run) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

const char *name_of(Pack pack) {
  switch (pack) {
    case Pack::kF32:
      return "f32";
    case Pack::kBF16:
      return "bf16";
    case Pack::kQ8:
      return "q8";
    case Pack::kQ4Least:
      return "q4_1";
    case Pack::kQ5:
      return "q5_0";
    case Pack::kQ4K:
      return "q4_k";
    case Pack::kQ5K:
      return "q5_k";
    case Pack::kQ6K:
      return "q6_k";
    default:
      return "q4";
  }
}

void own(const Kernels &kernels, Pack pack, bool *first) {
  std::vector<uint8_t> memory(packed_bytes(pack, kRows, kCols), 0x11);  // finite numbers in every format
  const Matrix w = matrix_at(pack, kRows, kCols, memory.data());
  const uint64_t n_blocks = blocks(kCols);
  std::vector<float> x(kMaxRows * kCols, 0.5f), y(kMaxRows * kRows), scale(kMaxRows * n_blocks);
  std::vector<int8_t> q(kMaxRows * kCols);
  std::vector<int32_t> sum(kMaxRows * n_blocks);
  const float *xs[kMaxRows];
  float *ys[kMaxRows];
  QuantRow qs[kMaxRows];
  for (uint32_t i = 0; i < kMaxRows; ++i) {
    xs[i] = &x[i * kCols], ys[i] = &y[i * kRows];
    kernels.quantise(xs[i], kCols, &q[i * kCols], &scale[i * n_blocks], &sum[i * n_blocks]);
    qs[i] = {&q[i * kCols], &scale[i * n_blocks], &sum[i * n_blocks]};
  }
  for (uint32_t m : {1u, 2u, 4u, 8u}) {
    const double seconds = best_seconds([&] {
      if (quantised(pack))
        kernels.matmul_q(w, 0, tiles(kRows), qs, ys, m);
      else
        kernels.matmul(w, 0, tiles(kRows), xs, ys, m);
    });
    std::printf("%s{\"kernel\": \"%s\", \"rows\": %u, \"gflops\": %.1f, \"weight_gbs\": %.1f}", *first ? "" : ", ",
                name_of(pack), m, 2e-9 * m * kRows * kCols / seconds,
                1e-9 * static_cast<double>(memory.size()) / seconds);
    *first = false;
  }
}

void library(const Dnnl &dnnl) {
  constexpr int64_t n = 128, k = kCols;
  const OneThread one(dnnl);
  for (int64_t m : {8, 32, 128, 512}) {
    std::vector<float> a(static_cast<size_t>(m * k), 0.5f), b(static_cast<size_t>(n * k), 0.5f),
        c(static_cast<size_t>(m * n));
    const double seconds =
        best_seconds([&] { dnnl.sgemm('N', 'T', m, n, k, 1, a.data(), k, b.data(), k, 0, c.data(), n); });
    std::printf(", {\"kernel\": \"dnnl_sgemm\", \"rows\": %lld, \"gflops\": %.1f}", static_cast<long long>(m),
                2e-9 * static_cast<double>(m * n * k) / seconds);
  }
}

}  // namespace

int main(int argc, char **argv) {
  const Kernels &kernels = kernels_for(argc > 1 ? argv[1] : "");
  dsb_host host{};
  host.library_open = [](void *, const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); };
  host.library_symbol = [](void *, void *library, const char *symbol) { return dlsym(library, symbol); };
  host.library_close = [](void *, void *library) { dlclose(library); };
  Dnnl dnnl = dnnl_open(host);
  std::printf("{\"isa\": \"%s\", \"dnnl\": \"%d.%d.%d\", \"cases\": [", kernels.isa, dnnl.major, dnnl.minor,
              dnnl.patch);
  bool first = true;
  for (Pack pack :
       {Pack::kF32, Pack::kBF16, Pack::kQ8, Pack::kQ4, Pack::kQ4Least, Pack::kQ5, Pack::kQ4K, Pack::kQ5K, Pack::kQ6K})
    own(kernels, pack, &first);
  if (dnnl.loaded()) library(dnnl);
  std::printf("]}\n");
  dnnl_close(host, &dnnl);
  return 0;
}
