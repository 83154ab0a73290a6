#include "base/parallel_read.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <numeric>
#include <vector>

using namespace deepseam;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Byte i is i modulo 251. Fails from `broken` on, and sets `word` at its first read.
class Numbers : public Source {
 public:
  explicit Numbers(uint64_t size) { size_ = size; }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    ++reads;
    if (word) word->set();
    if (offset + into.size() > broken) return fail(DS_E_IO, "test", "broken").at(name_);
    for (size_t i = 0; i < into.size(); ++i) into[i] = static_cast<uint8_t>((offset + i) % 251);
    return {};
  }
  uint64_t broken = UINT64_MAX;
  CancelWord *word = nullptr;
  mutable std::atomic<int> reads{0};
};

std::unique_ptr<TaskRunner> pool() { return std::move(make_thread_pool(4, false)).value(); }

}  // namespace

TEST_CASE("a part of a source is read whole, whatever its size") {
  const Numbers source(64 * kMiB);
  const auto runner = pool();
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, 8 * kMiB - 1, 8 * kMiB, 8 * kMiB + 1, 30 * kMiB}) {
    std::vector<uint8_t> into(size + 1, 0xee);
    REQUIRE(parallel_read(source, 12345, {into.data(), size}, *runner, nullptr).ok());
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < size; ++i) wrong += into[i] != (12345 + i) % 251;
    CHECK(wrong == 0);
    CHECK(into[size] == 0xee);
  }
}

TEST_CASE("a failure is the source's own") {
  Numbers source(64 * kMiB);
  source.broken = 20 * kMiB;
  std::vector<uint8_t> into(40 * kMiB);
  const Status status = parallel_read(source, 0, into, *pool(), nullptr);
  CHECK(status.code() == DS_E_IO);
  CHECK(std::string(status.message()) == "broken");
}

TEST_CASE("a set cancel word ends the reading") {
  CancelWord word;
  Numbers source(1024 * kMiB);
  source.word = &word;
  std::vector<uint8_t> into(200 * kMiB);
  CHECK(parallel_read(source, 0, into, *pool(), &word).code() == DS_E_CANCELLED);
  CHECK(source.reads <= 4);
}
