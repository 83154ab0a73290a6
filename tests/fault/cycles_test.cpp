// Opening, generating and closing again and again: memory stays flat. 100 times, 1,000 with DS_TEST_FULL.
#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "fault/fault.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers keep freed memory in quarantine, so only its size can be watched: the program's own resident pages.
constexpr uint64_t kMargin = 64u << 20;
uint64_t own_memory() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0, shared = 0;
  file >> size >> resident >> shared;
  return (resident - shared) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}
#else
// Bytes allocated and not freed, in all arenas. Resident pages would also count what the C library keeps for later.
constexpr uint64_t kMargin = 64u << 10;
uint64_t own_memory() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}
#endif

void cycle() {
  Rig rig;
  const auto model = rig.open("lite");
  REQUIRE(generate(session::session(model), some_ids(12), greedy(3))->choices[0].ids.size() == 3);
}

}  // namespace

TEST_CASE("memory stays flat over many cycles") {
  const int n = fault::full() ? 1000 : 100;
  for (int i = 0; i < n / 5; ++i) cycle();
  const uint64_t before = own_memory();
  for (int i = 0; i < n; ++i) cycle();
  const uint64_t after = own_memory();
  std::cout << "own memory after " << n / 5 << " cycles " << before << ", after " << n << " more " << after << "\n";
  CHECK(after < before + kMargin);
}
