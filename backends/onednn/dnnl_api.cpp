#include "dnnl_api.h"

#include <cstring>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace deepseam::onednn {
namespace {

// The head of dnnl_version_t, unchanged since 1.0.
struct Version {
  int major, minor, patch;
};

template <typename F>
F symbol(const dsb_host &host, void *library, const char *name) {
  return reinterpret_cast<F>(host.library_symbol(host.user, library, name));
}

// dnnl_cpu_isa_t, the members that mean the same in 2.x and 3.x; 0 leaves the library to its own judgement.
int highest_isa(const char *isa_cap) {
  if (!isa_cap) return 0;
  if (!std::strcmp(isa_cap, "generic")) return 0x1;  // sse41
  if (!std::strcmp(isa_cap, "avx2")) return 0x7;
  if (!std::strcmp(isa_cap, "avx512")) return 0xe7;  // avx512_core_bf16, the last one without AMX
  return 0;
}

// What the process sees under this name before any library that we open: the host's own oneDNN, or NULL.
void *hosts_own(const char *name) {
#if defined(_WIN32)
  static_cast<void>(name);
  return nullptr;  // modules there do not see each other's names
#else
  return ::dlsym(RTLD_DEFAULT, name);
#endif
}

// Whether `library` is a second oneDNN beside one that all of the process sees. The system's loader would bind the
// second one's calls of itself to the first, and a mix of both versions would run.
bool is_shadowed(const dsb_host &host, void *library) {
  void *first = hosts_own("dnnl_version");
  return first && first != host.library_symbol(host.user, library, "dnnl_version");
}

}  // namespace

Dnnl dnnl_open(const dsb_host &host) {
  Dnnl dnnl;
  if (!host.library_open || !host.library_symbol) return dnnl;
#if defined(_WIN32)
  const char *const names[] = {"dnnl.dll"};
#else
  const char *const names[] = {"libdnnl.so.3", "libdnnl.so.2"};
#endif
  for (const char *name : names) {
    void *library = host.library_open(host.user, name);
    if (!library) continue;
    dnnl.library = library;
    const auto version = symbol<const Version *(*)()>(host, library, "dnnl_version");
    const Version *found = version && !is_shadowed(host, library) ? version() : nullptr;
    if (found && (found->major == 2 || found->major == 3)) {
      dnnl.major = found->major, dnnl.minor = found->minor, dnnl.patch = found->patch;
      const auto quiet = symbol<int (*)(int)>(host, library, "dnnl_set_verbose");
      if (quiet && !hosts_own("dnnl_version")) quiet(0);
      const int isa = highest_isa(host.isa_cap);
      if (const auto cap = symbol<int (*)(int)>(host, library, "dnnl_set_max_cpu_isa"); cap && isa) cap(isa);
      dnnl.get_threads = symbol<int (*)()>(host, library, "omp_get_max_threads");
      dnnl.set_threads = symbol<void (*)(int)>(host, library, "omp_set_num_threads");
      dnnl.sgemm = symbol<decltype(dnnl.sgemm)>(host, library, "dnnl_sgemm");
    }
    if (dnnl.loaded()) return dnnl;
    dnnl_close(host, &dnnl);
  }
  return dnnl;
}

void dnnl_close(const dsb_host &host, Dnnl *dnnl) {
  if (dnnl->library && host.library_close) host.library_close(host.user, dnnl->library);
  *dnnl = Dnnl{};
}

OneThread::OneThread(const Dnnl &dnnl) : dnnl_(dnnl) {
  if (!dnnl_.get_threads || !dnnl_.set_threads) return;
  before_ = dnnl_.get_threads();
  dnnl_.set_threads(1);
}

OneThread::~OneThread() {
  if (before_ > 0) dnnl_.set_threads(before_);
}

}  // namespace deepseam::onednn
