// What is asked of a oneDNN that the host finds: a stand-in that records it.
#include "dnnl_api.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace deepseam::onednn;

namespace {

struct Version {
  int major, minor, patch;
} version = {2, 6, 0};
int isa_set, verbose_set, n_open;
std::string opened;

const Version *tell_version() { return &version; }
int set_verbose(int level) { return verbose_set = level, 0; }
int set_max_cpu_isa(int isa) { return isa_set = isa, 0; }
int32_t sgemm(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float,
              float *, int64_t) {
  return 0;
}

void *DS_CALL open_library(void *, const char *name) { return opened = name, ++n_open, &version; }
void DS_CALL close_library(void *, void *) { --n_open; }
void *DS_CALL find(void *, void *, const char *name) {
  if (!std::strcmp(name, "dnnl_version")) return reinterpret_cast<void *>(tell_version);
  if (!std::strcmp(name, "dnnl_set_verbose")) return reinterpret_cast<void *>(set_verbose);
  if (!std::strcmp(name, "dnnl_set_max_cpu_isa")) return reinterpret_cast<void *>(set_max_cpu_isa);
  if (!std::strcmp(name, "dnnl_sgemm")) return reinterpret_cast<void *>(sgemm);
  return nullptr;
}

dsb_host host(const char *isa_cap) {
  isa_set = verbose_set = -1;
  dsb_host table{};
  table.library_open = open_library;
  table.library_symbol = find;
  table.library_close = close_library;
  table.isa_cap = isa_cap;
  return table;
}

}  // namespace

TEST_CASE("a cap of the host is oneDNN's too, and without one it decides itself") {
  const struct {
    const char *cap;
    int isa;
  } cases[] = {{"", -1}, {"amx", -1}, {"avx512", 0xe7}, {"avx2", 0x7}, {"generic", 0x1}};
  for (const auto &one : cases) {
    const dsb_host table = host(one.cap);
    Dnnl dnnl = dnnl_open(table);
    CHECK(dnnl.loaded());
    CHECK_MESSAGE(isa_set == one.isa, one.cap);
    CHECK(verbose_set == 0);
    dnnl_close(table, &dnnl);
    CHECK(n_open == 0);
  }
}

TEST_CASE("a version that is not known is closed again and not used") {
  version.major = 4;
  const dsb_host table = host("avx2");
  const Dnnl dnnl = dnnl_open(table);
  version.major = 2;
  CHECK_FALSE(dnnl.loaded());
  CHECK(isa_set == -1);
  CHECK(n_open == 0);
}
