#include "runtime/host_services.h"

#include <doctest/doctest.h>
#if !defined(_WIN32)
#include <sys/stat.h>
#endif
#include <xmmintrin.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

#if defined(_WIN32)
constexpr const char *kSystemLibrary = "msvcrt.dll";
#else
constexpr const char *kSystemLibrary = "libc.so.6";
#endif

// A runner that does with its tasks whatever a test wants.
class OddRunner : public TaskRunner {
 public:
  uint32_t width() const override { return 4; }
  bool concurrent() const override { return false; }
  void run(uint32_t n, void (*task)(void *, uint32_t), void *user) override { behave(n, task, user); }
  std::function<void(uint32_t, void (*)(void *, uint32_t), void *)> behave;
};

struct Host {
  explicit Host(HostOptions given = {}) : services(std::make_shared<const HostOptions>(std::move(given)), "tester") {}
  const dsb_host *operator->() const { return services.table(); }
  void *user() const { return services.table()->user; }
  HostServices services;
};

std::vector<int> run_counting(const Host &host, uint32_t n) {
  static std::vector<std::atomic<int>> *counts;
  std::vector<std::atomic<int>> mine(n);
  counts = &mine;
  host->parallel(
      host.user(), n, [](void *, uint32_t index) { ++(*counts)[index]; }, nullptr);
  return std::vector<int>(mine.begin(), mine.end());
}

TEST_CASE("the table is complete and says what the host can") {
  HostOptions options;
  options.isa_cap = "avx2";
  const Host host(options);
  CHECK(host->struct_size == sizeof(dsb_host));
  CHECK(host->abi_version == DSB_ABI_VERSION);
  CHECK(host->width == 1);
  CHECK(host->flags == 0);
  CHECK(std::string(host->isa_cap) == "avx2");
  const uint64_t earlier = host->clock_ns(host.user());
  CHECK(earlier <= host->clock_ns(host.user()));

  HostOptions pooled;
  pooled.tasks = make_thread_pool(3, false).value();
  const Host other(pooled);
  CHECK(other->width == 3);
  CHECK(other->flags == DSB_HOST_CONCURRENT);
}

TEST_CASE("every task runs once, without a runner and with a pool") {
  CHECK(run_counting(Host(), 100) == std::vector<int>(100, 1));
  HostOptions options;
  options.tasks = make_thread_pool(3, false).value();
  const Host host(options);
  for (const uint32_t n : {0u, 1u, 2u, 1000u}) CHECK(run_counting(host, n) == std::vector<int>(n, 1));
}

TEST_CASE("every task runs once however the host's runner behaves") {
  auto odd = std::make_shared<OddRunner>();
  HostOptions options;
  options.tasks = odd;
  const Host host(options);
  SUBCASE("runs none") {
    odd->behave = [](uint32_t, auto, void *) {};
  }
  SUBCASE("runs each twice") {
    odd->behave = [](uint32_t n, auto task, void *user) {
      for (uint32_t i = 0; i < 2 * n; ++i) task(user, i % n);
    };
  }
  SUBCASE("runs half and throws") {
    odd->behave = [](uint32_t n, auto task, void *user) {
      for (uint32_t i = 0; i < n / 2; ++i) task(user, i);
      throw std::runtime_error("tired");
    };
  }
  CHECK(run_counting(host, 50) == std::vector<int>(50, 1));
}

TEST_CASE("tasks run under the library's floating-point environment") {
  const Host host;
  const unsigned int before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  static unsigned int seen;
  host->parallel(
      host.user(), 1, [](void *, uint32_t) { seen = _mm_getcsr(); }, nullptr);
  const unsigned int after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK((seen & 0x8040) == 0);
  CHECK((after & 0x8040) == 0x8040);
}

TEST_CASE("memory comes from the host's allocator, with its tag, and goes back the same") {
  struct Seen {
    uint64_t size = 0, released = 0;
    uint32_t tag = 99;
  } seen;
  HostOptions options;
  options.allocator.user = &seen;
  options.allocator.allocate = [](void *user, uint64_t size, uint64_t alignment, uint32_t tag) {
    *static_cast<Seen *>(user) = {size, 0, tag};
    return default_allocator().allocate(default_allocator().user, size, alignment, tag);
  };
  options.allocator.release = [](void *user, void *memory, uint64_t size, uint32_t tag) {
    static_cast<Seen *>(user)->released = size;
    default_allocator().release(default_allocator().user, memory, size, tag);
  };
  const Host host(options);
  void *memory = host->allocate(host.user(), 1000, 256, DSB_TAG_KV);
  REQUIRE(memory);
  CHECK(reinterpret_cast<uintptr_t>(memory) % 256 == 0);
  CHECK(seen.size == 1000);
  CHECK(seen.tag == DSB_TAG_KV);
  host->release(host.user(), memory, 1000, DSB_TAG_KV);
  CHECK(seen.released == 1000);
  memory = host->allocate(host.user(), 0, 1, 77);
  REQUIRE(memory);
  CHECK(seen.tag == DSB_TAG_OTHER);
  host->release(host.user(), memory, 0, 77);
  CHECK(seen.released == 1);
}

TEST_CASE("odd requests for memory get none") {
  const Host host;
  CHECK(host->allocate(host.user(), 16, 0, 0) == nullptr);
  CHECK(host->allocate(host.user(), 16, 3, 0) == nullptr);
  CHECK(host->allocate(host.user(), 16, 8192, 0) == nullptr);
  CHECK(host->allocate(host.user(), UINT64_MAX, 64, 0) == nullptr);
  host->release(host.user(), nullptr, 0, 0);
}

TEST_CASE("memory that is not aligned as asked is given back") {
  alignas(64) static char bytes[64];
  static int released;
  released = 0;
  HostOptions options;
  options.allocator.allocate = [](void *, uint64_t, uint64_t, uint32_t) -> void * { return bytes + 1; };
  options.allocator.release = [](void *, void *, uint64_t, uint32_t) { ++released; };
  const Host host(options);
  CHECK(host->allocate(host.user(), 16, 64, 0) == nullptr);
  CHECK(released == 1);
}

TEST_CASE("messages carry the backend's name and a known level") {
  struct Line {
    LogLevel level{};
    std::string domain, text;
  } line;
  HostOptions options;
  options.log.user = &line;
  options.log.most = LogLevel::kDebug;
  options.log.write = [](void *user, LogLevel level, const char *domain, std::string_view text) {
    *static_cast<Line *>(user) = {level, domain, std::string(text)};
  };
  const Host host(options);
  host->log(host.user(), DSB_LOG_ERROR, "100 %s of nothing");
  CHECK(line.level == LogLevel::kError);
  CHECK(line.domain == "tester");
  CHECK(line.text == "100 %s of nothing");
  host->log(host.user(), 4000, "odd");
  CHECK(line.level == LogLevel::kInfo);
  host->log(host.user(), DSB_LOG_ERROR, nullptr);
  CHECK(line.text == "odd");
}

TEST_CASE("vendor libraries are opened by bare name, never from the current directory") {
  const test::PluginFolder folder;
  const std::string path = folder.add_binary("lying_honest");
  const Host bare;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const std::string &name :
       {std::string("lying_honest.so"), std::string("./lying_honest.so"), path, std::string(), std::string("..")}) {
    CAPTURE(name);
    CHECK(bare->library_open(bare.user(), name.c_str()) == nullptr);
  }
  std::filesystem::current_path(before);
  CHECK(bare->library_open(bare.user(), nullptr) == nullptr);

  void *system = bare->library_open(bare.user(), kSystemLibrary);
  REQUIRE(system);
  CHECK(bare->library_symbol(bare.user(), system, "strlen") != nullptr);
  CHECK(bare->library_symbol(bare.user(), system, "no_such_symbol_here") == nullptr);
  CHECK(bare->library_symbol(bare.user(), nullptr, "strlen") == nullptr);
  bare->library_close(bare.user(), system);
}

#if !defined(_WIN32)
TEST_CASE("the host's folders are looked into, through links, if nobody else may write them") {
  const test::PluginFolder folder;
  folder.add_binary("lying_honest");
  std::filesystem::create_symlink("lying_honest.so", folder / "liblink.so.1");
  HostOptions options;
  options.library_folders = {"relative", folder.path()};
  const Host host(options);
  for (const char *name : {"lying_honest.so", "liblink.so.1"}) {
    void *library = host->library_open(host.user(), name);
    REQUIRE(library);
    CHECK(host->library_symbol(host.user(), library, "ds_backend_main") != nullptr);
    host->library_close(host.user(), library);
  }
  ::chmod(folder.path().c_str(), 0777);
  CHECK(host->library_open(host.user(), "lying_honest.so") == nullptr);
}
#else
TEST_CASE("the host's folders are looked into") {
  const test::PluginFolder folder;
  folder.add_binary("lying_honest");
  HostOptions options;
  options.library_folders = {"relative", folder.path()};
  const Host host(options);
  void *library = host->library_open(host.user(), "lying_honest.so");
  REQUIRE(library);
  CHECK(host->library_symbol(host.user(), library, "ds_backend_main") != nullptr);
  host->library_close(host.user(), library);
}
#endif

}  // namespace
}  // namespace deepseam::runtime
