#include "model/pack.h"

#include <algorithm>
#include <optional>
#include <string>

#include "format/blocks.h"
#include "format/tensor_read.h"
#include "model/config.h"
#include "model/row_work.h"
#include "model/weight_rows.h"

namespace deepseam::model {
namespace {

constexpr uint32_t kFp8Block = 128;

// How one weight is stored in the new file.
struct Target {
  DType dtype = DType::kNone;
  uint32_t block_rows = 0, block_cols = 0;  // F8_E4M3 with scales
  bool copy = false;                        // the source's bytes are already right
  bool unpack = false;                      // packed integers, as the blocks that backends get
  bool plain = false;                       // blocks without a search
};

// Formats that are stored under GGUF's number for them (dtype.def).
bool is_gguf_block(DType dtype) { return static_cast<uint32_t>(dtype) >= 64; }

Target target_of(const WeightBinding &weight, const PackOptions &options) {
  const TensorInfo &first = *weight.parts[0];
  Target target;
  const PackType type = packed_type(weight.spec, options.type, options.exceptions);
  target.dtype = stored_dtype(type, weight.spec.shape.back());
  target.plain = is_plain(type);
  const bool keep = target.dtype == DType::kNone;  // as the source has it
  if (keep) target.dtype = weight.dtype;           // its very blocks, also of formats that only files hold
  const bool merged = options.adapter && options.adapter->changes(weight.spec.role);
  if (keep && merged && (weight.is_int4() || is_gguf_block(weight.dtype))) target.dtype = DType::kQ8_0;
  if (target.dtype == DType::kF8E4M3) {
    target.block_rows = keep ? first.scales.block_rows : kFp8Block;
    target.block_cols = keep ? first.scales.block_cols : kFp8Block;
  }
  target.unpack = keep && weight.is_int4() && !merged;
  target.copy = !merged && !weight.absorbed && !weight.is_int4() && target.dtype == weight.dtype &&
                (!first.has_scales ||
                 (first.scales.block_rows == target.block_rows && first.scales.block_cols == target.block_cols)) &&
                (target.block_rows == 0) == !first.has_scales;
  return target;
}

uint64_t stored_bytes(const WeightSpec &spec, DType dtype) {
  uint64_t rows = 1;
  for (size_t i = 0; i + 1 < spec.shape.size(); ++i) rows *= spec.shape[i];
  return rows * row_bytes(dtype, spec.shape.back());
}

// Packs one model, weight by weight.
class Packer {
 public:
  Packer(const ModelFiles &source, const PackOptions &options, DsmWriter &writer)
      : directory_(source.tensors), options_(options), writer_(writer) {}

  Status pack(const WeightMap &weights) {
    for (const WeightBinding &weight : weights.bindings)
      total_ += stored_bytes(weight.spec, target_of(weight, options_).dtype);
    for (const WeightBinding &weight : weights.bindings) DS_TRY(pack_weight(weight));
    return {};
  }

 private:
  Status pack_weight(const WeightBinding &weight) {
    const Target target = target_of(weight, options_);
    std::vector<RowRange> pieces;
    const uint64_t multiple = target.block_rows ? target.block_rows : 1;
    if (weight.absorbed) cut_rows(weight.spec.shape, 0, multiple, &pieces);
    for (uint32_t i = 0; i < weight.parts.size() && !weight.absorbed; ++i)
      cut_rows(weight.parts[i]->shape, i, multiple, &pieces);
    DS_TRY(
        writer_.begin_tensor(weight.spec.role, target.dtype, weight.spec.shape, target.block_rows, target.block_cols));
    scales_.clear();
    packed_ = {weight.spec.role, target.dtype, weight.spec.shape, 0, 0, 0, moments_of(weight, target, 0) != nullptr};
    DS_TRY(run_ordered(
        options_.work, pieces.size(), pieces.empty() ? 0 : pieces[0].n_rows * weight.spec.shape.back(),
        [&](uint64_t i, WorkSlot *slot) { return make(weight, pieces[i], target, slot); },
        [&](uint64_t, const WorkSlot &slot) { return use(slot); }));
    if (target.block_rows) {
      if (target.copy) DS_TRY(copy_scales(weight));
      DS_TRY(writer_.append_scales(scales_));
    }
    packed_.bytes += scales_.size() * sizeof(float);
    if (options_.report) options_.report->weights.push_back(packed_);
    return writer_.end_tensor();
  }

  // Where an error of each column is weighed by what a text uses; nullptr: all alike. `row` counts over the whole role.
  const float *moments_of(const WeightBinding &weight, const Target &target, uint64_t row) const {
    const bool levels = dtype_info(target.dtype).block_elements > 1 && target.dtype != DType::kQ8_0;
    if (!options_.moments || !levels || target.copy || target.unpack || target.plain || weight.spec.shape.size() < 2)
      return nullptr;
    const uint64_t cols = weight.spec.shape.back(), per_matrix = weight.spec.shape[weight.spec.shape.size() - 2];
    return options_.moments->columns(weight.spec.role, row / per_matrix, cols);
  }

  Status make(const WeightBinding &weight, const RowRange &piece, const Target &target, WorkSlot *slot) const {
    const TensorInfo &part = *weight.parts[piece.part];
    const uint64_t cols = weight.spec.shape.back(), bytes = row_bytes(target.dtype, cols);
    const RowsName name{part.name.c_str(), piece.first_row};
    slot->rows.resize(piece.n_rows * cols);
    slot->bytes.resize(piece.n_rows * bytes);
    slot->error = slot->size = 0;
    if (target.copy) {
      DS_TRY(read_range(directory_, part.range, piece.first_row * bytes, slot->bytes));
      decode_rows(target.dtype, slot->bytes.data(), piece.n_rows, cols, slot->rows.data());
      return check_finite(part, piece, slot->rows);
    }
    DS_TRY_VALUE(WeightRows reader, WeightRows::open(directory_, weight));
    const uint64_t before = weight.absorbed ? 0 : piece.part * part.rows();
    if (target.unpack) return reader.read_computed(before + piece.first_row, piece.n_rows, slot->bytes.data());
    DS_TRY(reader.read(before + piece.first_row, piece.n_rows, slot->rows.data()));
    if (options_.adapter)
      options_.adapter->add_to(weight.spec.role, before + piece.first_row, piece.n_rows, slot->rows.data());
    if (!target.block_rows) {
      const EncodeHow how{moments_of(weight, target, before + piece.first_row), target.plain};
      DS_TRY(encode_rows(target.dtype, slot->rows.data(), piece.n_rows, cols, slot->bytes.data(), name, how));
    } else {
      const uint64_t block_rows = (piece.n_rows + target.block_rows - 1) / target.block_rows;
      slot->scales.resize(block_rows * ((cols + target.block_cols - 1) / target.block_cols));
      DS_TRY(encode_e4m3_blocks(slot->rows.data(), piece.n_rows, cols, target.block_rows, target.block_cols,
                                slot->bytes.data(), slot->scales.data(), name));
    }
    if (options_.report) measure(target, piece.n_rows, cols, slot);
    return {};
  }

  static void measure(const Target &target, uint64_t n_rows, uint64_t cols, WorkSlot *slot) {
    slot->decoded.resize(n_rows * cols);
    if (target.block_rows)
      decode_e4m3_blocks(slot->bytes.data(), slot->scales.data(), 0, n_rows, cols, target.block_rows, target.block_cols,
                         slot->decoded.data());
    else
      decode_rows(target.dtype, slot->bytes.data(), n_rows, cols, slot->decoded.data());
    for (uint64_t r = 0; r < n_rows; ++r) {  // a row at a time in float lanes, which vectors take; rows in double
      float error[4] = {}, size[4] = {};
      const float *was = slot->rows.data() + r * cols, *is = slot->decoded.data() + r * cols;
      for (uint64_t i = 0; i + 4 <= cols; i += 4)
        for (uint64_t l = 0; l < 4; ++l) {
          const float off = is[i + l] - was[i + l];
          error[l] += off * off;
          size[l] += was[i + l] * was[i + l];
        }
      for (uint64_t i = cols / 4 * 4; i < cols; ++i) {
        error[0] += (is[i] - was[i]) * (is[i] - was[i]);
        size[0] += was[i] * was[i];
      }
      slot->error += double{error[0]} + error[1] + error[2] + error[3];
      slot->size += double{size[0]} + size[1] + size[2] + size[3];
    }
  }

  static Status check_finite(const TensorInfo &part, const RowRange &piece, const std::vector<float> &rows) {
    const uint64_t bad = first_not_finite(rows.data(), rows.size());
    if (bad == rows.size()) return {};
    return fail(DS_E_FORMAT, "pack", "tensor '%s', row %llu, column %llu: the number is NaN or infinite",
                part.name.c_str(), static_cast<unsigned long long>(piece.first_row + bad / part.cols()),
                static_cast<unsigned long long>(bad % part.cols()));
  }

  Status use(const WorkSlot &slot) {
    DS_TRY(writer_.append(slot.bytes));
    scales_.insert(scales_.end(), slot.scales.begin(), slot.scales.end());
    packed_.bytes += slot.bytes.size();
    packed_.error += slot.error;
    packed_.size += slot.size;
    done_ += slot.bytes.size();
    if (options_.work.progress && !options_.work.progress(done_, total_)) return Status(DS_E_STOPPED);
    return {};
  }

  Status copy_scales(const WeightBinding &weight) {
    for (const TensorInfo *part : weight.parts) {
      const size_t before = scales_.size();
      DS_TRY_VALUE(const std::vector<float> scales, read_scales(directory_, *part));
      scales_.insert(scales_.end(), scales.begin(), scales.end());
      if (first_not_finite(scales_.data() + before, scales_.size() - before) != scales_.size() - before)
        return fail(DS_E_FORMAT, "pack", "the scales of tensor '%s' hold NaN or infinity", part->name.c_str());
    }
    return {};
  }

  const TensorDirectory &directory_;
  const PackOptions &options_;
  DsmWriter &writer_;
  std::vector<float> scales_;  // of the weight being written
  PackedWeight packed_;        // the weight being written
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Status pack_model(const ModelFiles &source, const std::string &path, const PackOptions &options) {
  DS_TRY_VALUE(const Config config, make_config(source.config, source.path));
  DS_TRY_VALUE(const WeightMap weights, bind_weights(config, source.tensors, source.path));
  DS_TRY(check_exceptions(weights, options.exceptions));
  DS_TRY_VALUE(DsmWriter writer, DsmWriter::create(path));
  if (options.report) *options.report = {options.moments ? options.moments->tokens : 0, {}};
  DS_TRY(Packer(source, options, writer).pack(weights));
  if (!options.tokenizer_blob.empty())
    DS_TRY(writer.add_tokenizer(
        {reinterpret_cast<const uint8_t *>(options.tokenizer_blob.data()), options.tokenizer_blob.size()}));
  HfConfig stated = source.config;  // the tensors say themselves how they are quantised
  stated.quant_method.reset();
  stated.quant_format.reset();
  stated.quant_activation_scheme.reset();
  stated.quant_scale_format.reset();
  const std::string &card = options.card.empty() && source.dsm ? source.dsm->card : options.card;
  if (options.hints) {
    DS_TRY_VALUE(std::shared_ptr<Source> written, writer.written_so_far(stated, source.generation, card));
    DS_TRY(options.hints(std::move(written), &writer));
  }
  return writer.finish(stated, source.generation, card);
}

}  // namespace deepseam::model
