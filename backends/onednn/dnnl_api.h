// The one place that knows oneDNN. It is not linked: the host's library_open finds it, or there is none and the own
// kernels do everything.
//
// Of its C API only what is the same in 2.x and 3.x is used: the version, verbose mode (switched off, so that a
// variable in the host's environment cannot make it print), the highest instruction set (set if the host caps it, so
// that AMX is not even asked for; it counts for the whole process and only before oneDNN's first use) and the
// single-precision GEMM. OpenMP builds run it on as many threads as OpenMP's setting says; OneThread sets that to one
// on the calling thread and puts the old value back.
//
// A oneDNN that the host itself has loaded for all of its process is used if it is the one that is found, and its
// verbose mode is left alone; beside another one ours is not used (decision 0063).
#pragma once

#include <cstdint>

#include "deepseam/backend.h"

namespace deepseam::onednn {

struct Dnnl {
  void *library = nullptr;
  int major = 0, minor = 0, patch = 0;
  int32_t (*sgemm)(char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc) = nullptr;
  int (*get_threads)() = nullptr;  // OpenMP's, NULL for other builds
  void (*set_threads)(int) = nullptr;

  bool loaded() const { return sgemm != nullptr; }
};

// An empty Dnnl if no library of a known version is there.
Dnnl dnnl_open(const dsb_host &host);
void dnnl_close(const dsb_host &host, Dnnl *dnnl);

class OneThread {
 public:
  explicit OneThread(const Dnnl &dnnl);
  ~OneThread();
  OneThread(const OneThread &) = delete;
  OneThread &operator=(const OneThread &) = delete;

 private:
  const Dnnl &dnnl_;
  int before_ = 0;
};

}  // namespace deepseam::onednn
