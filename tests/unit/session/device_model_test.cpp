// How a model's files are read while its weights are loaded.
#include "session/device_model.h"

#include <mutex>
#include <set>

#include "format/open_model.h"
#include "onednn/backend.h"
#include "sdk/cpu_backend.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

// A file that is only read, and remembers what.
class ReadFile : public Source {
 public:
  explicit ReadFile(std::shared_ptr<Source> file) : file_(std::move(file)) {
    name_ = file_->name();
    size_ = file_->size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    {
      const std::lock_guard guard(lock_);
      reads_.emplace(offset, into.size());
    }
    return file_->read_at(offset, into);
  }
  bool was_read_at_once(const ByteRange &range) const { return reads_.contains({range.offset, range.bytes}); }

 private:
  std::shared_ptr<Source> file_;
  mutable std::mutex lock_;
  mutable std::set<std::pair<uint64_t, uint64_t>> reads_;
};

}  // namespace

TEST_CASE("what the backend packs whole it reads by itself") {
  Rig rig({}, sdk::root<onednn::kBackend>());
  OpenOptions options;
  options.source.path = synth_file(rig);
  const PlannedModel model = must(plan_model(*rig.runtime, options, true));
  const auto layout = must(device_layout(must(open_device(*rig.runtime, model.plan)), model));
  for (const runtime::PackedWeight &weight : layout->weights()) {
    const std::string &name = layout->tensors()[weight.slices[0].tensor].name;
    INFO(name);
    CHECK(weight.pulled == !(weight.mappable || name.ends_with("kv_b")));  // kv_b is cut into heads
  }
}

TEST_CASE("a host's own file is read in large pieces, and gives the answers of the path") {
  Rig rig({}, sdk::root<onednn::kBackend>());
  OpenOptions options;
  options.deterministic = true;
  options.context_length = 256;
  options.source.path = synth_file(rig);
  const std::vector<float> expected = eval_all(rig.open(options), some_ids(40), 16);
  const ModelFiles files = must(open_model_files(options.source.path, MapMode::kNever));
  const auto file = std::make_shared<ReadFile>(must(open_file(options.source.path, MapMode::kNever)));
  options.source = {};
  options.source.file = file;
  CHECK(eval_all(rig.open(options), some_ids(40), 16) == expected);
  for (const TensorInfo &tensor : files.tensors.tensors) {
    INFO(tensor.name);
    CHECK(file->was_read_at_once(tensor.range));
  }
}
