// The housekeeping thread: what is handed over is destroyed there, once; watchers tick while they watch.
#include "session/service.h"

#include <doctest/doctest.h>

#include <atomic>

using namespace deepseam;
using namespace deepseam::session;

namespace {

struct Counted : Retirable {
  std::atomic<int> *count;
  std::thread::id *where;
  Counted(std::atomic<int> *c, std::thread::id *w) : count(c), where(w) {}
  ~Counted() override {
    if (where) *where = std::this_thread::get_id();
    ++*count;
  }
};

std::shared_ptr<Service> start() {
  auto service = Service::start();
  REQUIRE(service.ok());
  return std::move(service).value();
}

}  // namespace

TEST_CASE("the last owner hands over instead of destroying") {
  const auto service = start();
  std::atomic<int> count{0};
  std::thread::id where;
  retiring(std::make_unique<Counted>(&count, &where), service).reset();
  service->stop();
  CHECK(count == 1);
  CHECK(where != std::this_thread::get_id());
}

TEST_CASE("after stop things are destroyed on the spot") {
  const auto service = start();
  service->stop();
  std::atomic<int> count{0};
  retiring(std::make_unique<Counted>(&count, nullptr), service).reset();
  CHECK(count == 1);
}

TEST_CASE("destroying one thing may hand over the next") {
  struct Chain : Retirable {
    std::shared_ptr<Service> service;
    std::unique_ptr<Counted> next;
    ~Chain() override { service->retire(next.release()); }
  };
  const auto service = start();
  std::atomic<int> count{0};
  auto chain = std::make_unique<Chain>();
  chain->service = service;
  chain->next = std::make_unique<Counted>(&count, nullptr);
  service->retire(chain.release());
  service->stop();
  CHECK(count == 1);
}

TEST_CASE("a watcher ticks until it is unwatched, and never after") {
  struct Ticks : Watcher {
    std::atomic<int> n{0};
    void tick(uint64_t) override { ++n; }
  };
  const auto service = start();
  Ticks ticks;
  service->watch(&ticks);
  while (ticks.n < 3) std::this_thread::yield();
  service->unwatch(&ticks);
  const int before = ticks.n;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(ticks.n == before);
  service->stop();
}
