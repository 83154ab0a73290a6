// The n-th read of the model file fails or is short: a status that names the file, and no crash.
#include <atomic>

#include "fault/fault.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

class FaultySource : public Source {
 public:
  explicit FaultySource(std::shared_ptr<Source> inner) : inner_(std::move(inner)) {
    name_ = inner_->name();
    size_ = inner_->size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    if (++n_ != fail_at_) return inner_->read_at(offset, into);
    if (short_) static_cast<void>(inner_->read_at(offset, into.first(into.size() / 2)));
    return fail(DS_E_IO, "test", "read %llu was made to fail", static_cast<unsigned long long>(n_.load())).at(name_);
  }
  mutable std::atomic<uint64_t> n_{0};
  uint64_t fail_at_ = 0;
  bool short_ = false;

 private:
  std::shared_ptr<Source> inner_;
};

Status open_and_generate(Rig &rig, const std::shared_ptr<FaultySource> &source) {
  OpenOptions options;
  options.source.file = source;
  options.context_length = 128;
  DS_TRY_VALUE(const auto model, Model::open(rig.runtime, options));
  CHECK(generate(session::session(model), some_ids(8), greedy(2))->choices[0].ids.size() == 2);
  return {};
}

}  // namespace

TEST_CASE("the n-th read fails or is short") {
  Rig rig;
  const std::string path = synth_file(rig);
  auto fresh = [&] { return std::make_shared<FaultySource>(must(open_file(path, MapMode::kNever))); };
  const auto counted = fresh();
  DS_REQUIRE_OK(open_and_generate(rig, counted));
  const uint64_t total = counted->n_;
  REQUIRE(total > 10);
  for (const bool is_short : {false, true})
    for (const uint64_t n : fault::moments(total, 25, "failing reads")) {
      CAPTURE(n);
      const auto source = fresh();
      source->fail_at_ = n;
      source->short_ = is_short;
      const Status status = open_and_generate(rig, source);
      CHECK(status.code() == DS_E_IO);
      CHECK(std::string(status.message()).size() > 10);
    }
  DS_REQUIRE_OK(open_and_generate(rig, fresh()));
}
