// The floating-point environment our arithmetic relies on: round to nearest, no traps, denormals kept.
//
// A host thread may come with unmasked exceptions or with flush-to-zero. Every entry of the C API, and every task that
// runs on a thread we did not make, holds an FpEnv: it sets our environment and puts the host's back, flags included.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace deepseam {

class FpEnv {
 public:
  FpEnv() noexcept { swap_in(); }
  ~FpEnv() noexcept { swap_out(); }
  FpEnv(const FpEnv &) = delete;
  FpEnv &operator=(const FpEnv &) = delete;

 private:
#if defined(__x86_64__)
  void swap_in() noexcept {
    saved_ = _mm_getcsr();
    _mm_setcsr(0x1f80);
  }
  void swap_out() noexcept { _mm_setcsr(saved_); }
  uint32_t saved_ = 0;
#elif defined(__aarch64__)
  void swap_in() noexcept {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" ::"r"(uint64_t{0}));
  }
  void swap_out() noexcept { __asm__ volatile("msr fpcr, %0" ::"r"(saved_)); }
  uint64_t saved_ = 0;
#else
#error "floating-point environment of this architecture is not known"
#endif
};

}  // namespace deepseam
