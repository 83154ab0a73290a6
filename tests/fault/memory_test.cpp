// The n-th allocation fails during open and fill-in-the-middle: a status, everything given back, and the next run
// works.
#include <atomic>

#include "fault/fault.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

struct FailingHeap {
  std::atomic<uint64_t> n{0}, fail_at{0}, live{0}, live_bytes{0};

  Allocator allocator() {
    Allocator hook;
    hook.user = this;
    hook.allocate = [](void *user, uint64_t size, uint64_t alignment, uint32_t tag) -> void * {
      auto &heap = *static_cast<FailingHeap *>(user);
      if (++heap.n == heap.fail_at) return nullptr;
      void *memory = default_allocator().allocate(default_allocator().user, size, alignment, tag);
      if (memory) ++heap.live, heap.live_bytes += size;
      return memory;
    };
    hook.release = [](void *user, void *memory, uint64_t size, uint32_t tag) {
      auto &heap = *static_cast<FailingHeap *>(user);
      if (memory) --heap.live, heap.live_bytes -= size;
      default_allocator().release(default_allocator().user, memory, size, tag);
    };
    return hook;
  }
};

// Open, fill in, close. The first failure's code, or DS_OK.
ds_status run(FailingHeap *heap, const std::string &path) {
  RuntimeOptions options;
  options.allocator = heap->allocator();
  options.default_plugins = false;
  options.n_threads = 1;
  auto created = RuntimeState::create(std::move(options));
  if (!created.ok()) return created.status().code();
  const auto runtime = std::move(created).value();
  auto work = [&]() -> Status {
    DS_TRY(runtime->register_backend(ref::root()));
    OpenOptions open;
    open.source.path = path;
    open.map = MapMode::kNever;  // so that weights are allocated, too
    open.context_length = 256;
    DS_TRY_VALUE(const auto model, Model::open(runtime, open));
    DS_TRY_VALUE(const auto one, Session::create(model, {}));
    text::FimRequest request;
    request.prefix = "int f(int x) {\n  ";
    request.suffix = "\n}\n";
    DS_TRY_VALUE(Prompt prompt, fim_prompt(*model, request, 8));
    GenerateOptions how = greedy(4);
    how.n_choices = 2;
    DS_TRY_VALUE(const auto job, one->start(std::move(prompt), how));
    DS_TRY(job->wait(UINT64_MAX));
    std::unique_ptr<ResultData> result;
    return job->take_result(&result);
  };
  const Status status = work();
  CHECK(runtime->shutdown(20'000'000'000).ok());
  return status.code();
}

}  // namespace

TEST_CASE("the n-th allocation fails") {
  Rig rig;
  const std::string path = synth_file(rig);
  FailingHeap heap;
  REQUIRE(run(&heap, path) == DS_OK);
  CHECK(heap.live == 0);
  const uint64_t total = heap.n;
  REQUIRE(total > 20);
  for (const uint64_t n : fault::moments(total, 40, "failing allocations")) {
    CAPTURE(n);
    FailingHeap failing;
    failing.fail_at = n;
    CHECK(run(&failing, path) == DS_E_MEMORY);
    CHECK(failing.live == 0);
    CHECK(failing.live_bytes == 0);
  }
}
