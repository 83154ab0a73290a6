#include "model/verify.h"

#include <algorithm>

#include "format/blocks.h"
#include "format/tensor_read.h"
#include "model/config.h"
#include "model/row_work.h"
#include "model/weight_rows.h"

namespace deepseam::model {
namespace {

constexpr size_t kMaxFindings = 100;

bool stopped(const Status &status) {
  return status.code() == DS_E_CANCELLED || status.code() == DS_E_STOPPED || status.code() == DS_E_MEMORY;
}

class Verification {
 public:
  Verification(const ModelFiles &files, const WorkOptions &work) : files_(files), work_(work) {}

  Result<VerifyReport> run() {
    for (const TensorInfo &tensor : files_.tensors.tensors) total_ += tensor.stored_bytes();
    if (files_.dsm) total_ *= 2;  // once for the hashes, once for the numbers
    check_structure();
    for (const WeightBinding &binding : weights_.bindings)
      if (is_repacked(binding)) total_ += binding.compute_bytes();
    if (files_.dsm) DS_TRY(check_hashes());
    for (const TensorInfo &tensor : files_.tensors.tensors) {
      DS_TRY(scan(tensor));
      ++report_.tensors;
      report_.bytes += tensor.stored_bytes();
    }
    for (const WeightBinding &binding : weights_.bindings)
      if (is_repacked(binding)) DS_TRY(check_repacked(binding));
    if (!advance(total_)) return Status(DS_E_STOPPED);  // scales are read but not counted one by one
    return std::move(report_);
  }

 private:
  void add(const std::string &tensor, const Status &status) {
    if (report_.findings.size() < kMaxFindings) report_.findings.push_back({status.code(), tensor, status.message()});
  }

  // Configuration and the presence, shape and type of every weight: one finding, because the first failure hides
  // others.
  void check_structure() {
    const auto config = make_config(files_.config, files_.path);
    if (!config.ok()) return add("", config.status());
    auto weights = bind_weights(config.value(), files_.tensors, files_.path);
    if (!weights.ok()) return add("", weights.status());
    weights_ = std::move(weights).value();
  }

  Status check_hashes() {
    std::vector<Status> failures;
    uint64_t before = 0;
    const auto progress = [&](uint64_t bytes) {
      const uint64_t step = bytes - before;
      before = bytes;
      return advance(step);
    };
    DS_TRY(verify_dsm(files_.tensors, *files_.dsm, work_.cancel, progress, &failures));
    for (const Status &failure : failures) add("", failure);
    return {};
  }

  bool advance(uint64_t bytes) {
    done_ = std::min(done_ + bytes, total_);
    return !work_.progress || work_.progress(done_, total_);
  }

  // NaN and infinity anywhere in the tensor; at most the first is reported, with its place.
  Status scan(const TensorInfo &tensor) {
    if (tensor.dtype == DType::kNone || tensor.dtype == DType::kI32) return {};  // no numbers of the model's
    std::vector<RowRange> pieces;
    cut_rows(tensor.shape, 0, 1, &pieces);
    const auto make = [&](uint64_t i, WorkSlot *slot) -> Status {
      slot->rows.resize(pieces[i].n_rows * tensor.cols());
      DS_TRY_VALUE(RowReader reader, RowReader::open(files_.tensors, tensor));
      DS_TRY(reader.read(pieces[i].first_row, pieces[i].n_rows, slot->rows.data()));
      if (tensor.int4) {  // whether they can be loaded, too
        slot->bytes.resize(pieces[i].n_rows * row_bytes(tensor.dtype, tensor.cols()));
        DS_TRY(reader.read_blocks(pieces[i].first_row, pieces[i].n_rows, slot->bytes.data()));
      }
      const uint64_t bad = first_not_finite(slot->rows.data(), slot->rows.size());
      if (bad == slot->rows.size()) return {};
      return fail(DS_E_FORMAT, "verify", "%s: tensor '%s', row %llu, column %llu: the number is NaN or infinite",
                  files_.path.c_str(), tensor.name.c_str(),
                  static_cast<unsigned long long>(pieces[i].first_row + bad / tensor.cols()),
                  static_cast<unsigned long long>(bad % tensor.cols()));
    };
    const auto use = [&](uint64_t i, const WorkSlot &) {
      return advance(pieces[i].n_rows * row_bytes(tensor.dtype, tensor.cols())) ? Status() : Status(DS_E_STOPPED);
    };
    Status status = run_ordered(work_, pieces.size(), pieces.empty() ? 0 : pieces[0].n_rows * tensor.cols(), make, use);
    if (status.ok()) return {};
    if (stopped(status)) return status;
    add(tensor.name, status);
    return {};
  }

  // What the loader turns into another format; scan() has tried packed integers, and kv_b of two halves gets floats.
  static bool is_repacked(const WeightBinding &binding) {
    return binding.is_remade() && !binding.is_int4() && !binding.absorbed;
  }

  // Finite numbers that the format which backends get does not hold.
  Status check_repacked(const WeightBinding &binding) {
    for (const TensorInfo *part : binding.parts)
      for (const Finding &finding : report_.findings)
        if (finding.tensor == part->name) return {};  // it is known to be damaged
    std::vector<RowRange> pieces;
    cut_rows(binding.spec.shape, 0, 1, &pieces);
    const uint64_t cols = binding.spec.shape.back(), bytes = row_bytes(binding.compute(), cols);
    const auto make = [&](uint64_t i, WorkSlot *slot) -> Status {
      slot->bytes.resize(pieces[i].n_rows * bytes);
      DS_TRY_VALUE(WeightRows rows, WeightRows::open(files_.tensors, binding));
      return rows.read_computed(pieces[i].first_row, pieces[i].n_rows, slot->bytes.data());
    };
    const auto use = [&](uint64_t i, const WorkSlot &) {
      return advance(pieces[i].n_rows * bytes) ? Status() : Status(DS_E_STOPPED);
    };
    Status status = run_ordered(work_, pieces.size(), pieces.empty() ? 0 : pieces[0].n_rows * cols, make, use);
    if (status.ok()) return {};
    if (stopped(status)) return status;
    add(binding.parts.size() == 1 ? binding.parts[0]->name : binding.spec.role, status);
    return {};
  }

  const ModelFiles &files_;
  const WorkOptions &work_;
  VerifyReport report_;
  WeightMap weights_;  // empty: the structure is wrong
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Result<VerifyReport> verify_model(const ModelFiles &files, const WorkOptions &work) {
  return Verification(files, work).run();
}

}  // namespace deepseam::model
