// Which kernels this CPU can run and the host allows. Asks the processor itself, and the system about saved registers.
#include <cstring>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace deepseam::onednn {
namespace {

struct Isa {
  bool avx2 = false, avx512 = false;
};

#if defined(__x86_64__)
uint64_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

Isa detect() {
  Isa isa;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return isa;
  const bool fma = c & bit_FMA, f16c = c & bit_F16C;
  if (!(c & bit_OSXSAVE)) return isa;
  const uint64_t saved = saved_registers();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return isa;
  isa.avx2 = (saved & 6) == 6 && fma && f16c && (b & bit_AVX2);
  const uint32_t wanted = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  isa.avx512 = isa.avx2 && (saved & 0xe6) == 0xe6 && (b & wanted) == wanted && (c & bit_AVX512VNNI);
  return isa;
}
#else
Isa detect() { return {}; }
#endif

}  // namespace

uint64_t tile_bytes(Pack pack, uint64_t cols) {
  switch (pack) {
    case Pack::kF32:
      return cols * kLanes * 4;
    case Pack::kF16:
    case Pack::kBF16:
      return cols * kLanes * 2;
    case Pack::kF8:
      return cols * kLanes;
    default: {
      const BlockForm form = block_form(pack);
      return kLanes * (form.block * blocks(cols) + form.head * ((blocks(cols) + kHeadBlocks - 1) / kHeadBlocks));
    }
  }
}

const Kernels &kernels_for(const char *isa_cap) {
#if defined(__x86_64__)
  const Isa isa = detect();
  const bool cap_generic = isa_cap && !std::strcmp(isa_cap, "generic");
  const bool cap_avx2 = isa_cap && !std::strcmp(isa_cap, "avx2");
  if (isa.avx512 && !cap_avx2 && !cap_generic) return kernels_avx512();
  if (isa.avx2 && !cap_generic) return kernels_avx2();
#else
  (void)isa_cap;
#endif
  return kernels_generic();
}

}  // namespace deepseam::onednn
