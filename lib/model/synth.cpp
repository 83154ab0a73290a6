#include "model/synth.h"

#include <cmath>

#include "base/half.h"
#include "format/blocks.h"
#include "model/config.h"
#include "model/row_work.h"
#include "model/synth_fill.h"
#include "model/weights.h"

namespace deepseam::model {
namespace {

constexpr uint32_t kFp8Block = 128;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Standard deviation of a weight times the root of its fan-in. Chosen (for the oracle's checkpoints) so that attention
// is peaked but not one-hot, the gate prefers some experts clearly, every branch adds about as much to the residual
// stream, and logits spread by about 2.5.
struct Gain {
  std::string_view module;
  double value;
};
constexpr Gain kGains[] = {{"q_proj", 1.3},    {"q_a_proj", 1.0}, {"q_b_proj", 1.3},  {"kv_a_proj_with_mqa", 1.0},
                           {"kv_b_proj", 1.2}, {"o_proj", 1.5},   {"gate_proj", 1.3}, {"up_proj", 1.0},
                           {"down_proj", 1.2}, {"gate", 1.5},     {"lm_head", 2.5},   {"eh_proj", 1.0}};

// What differs between shapes: routed experts make up for small or large gate weights.
struct Tuning {
  double expert_gain = 2.0, bias_mean = 0.0;
  bool exact = false;  // bell-shaped numbers rounded to bf16, as the oracle makes them; else uniform ones
};

Tuning tuning_of(std::string_view shape) {
  if (shape == "tiny") return {2.0, 0.0, true};
  if (shape == "tiny-v3") return {1.2, 2.0, true};
  if (shape == "lite") return {4.0, 0.0, false};
  if (shape == "v2") return {0.25, 0.0, false};
  return {1.2, 2.0, false};
}

// Mean and standard deviation of the tensor that a Hugging Face checkpoint calls `name`.
struct Spread {
  double mean = 0, deviation = 1;
};

Spread spread_of(const std::string &name, uint64_t fan_in, const Tuning &tuning) {
  if (ends_with(name, "norm.weight")) return {1, 0.2};
  if (ends_with(name, "e_score_correction_bias")) return {tuning.bias_mean, 0.2};
  if (ends_with(name, ".bias")) return {0, 0.3};
  const size_t dot = name.rfind('.');
  const size_t before = name.rfind('.', dot - 1);
  const std::string_view module = std::string_view(name).substr(before + 1, dot - before - 1);
  if (ends_with(name, "embed_tokens.weight")) return {0, 1};
  double gain = 1;
  for (const Gain &each : kGains)
    if (each.module == module) gain = each.value;
  if (module == "down_proj" && name.find(".experts.") != name.npos) gain = tuning.expert_gain;
  return {0, gain / std::sqrt(static_cast<double>(fan_in))};
}

class Synthesis {
 public:
  Synthesis(const SynthOptions &options, const Config &config, DsmWriter &writer)
      : options_(options), config_(config), writer_(writer), tuning_(tuning_of(options.shape)) {}

  Status write() {
    const PackType type = options_.type == PackType::kSource ? PackType::kBF16 : options_.type;
    const std::vector<WeightSpec> specs = weight_specs(config_, true);
    const auto bytes_of = [type](const WeightSpec &spec) {
      uint64_t rows = 1;
      for (size_t i = 0; i + 1 < spec.shape.size(); ++i) rows *= spec.shape[i];
      return rows * row_bytes(packed_dtype(spec, type), spec.shape.back());
    };
    for (const WeightSpec &spec : specs)
      if (!spec.optional) total_ += bytes_of(spec);
    for (const WeightSpec &spec : specs)
      if (!spec.optional) DS_TRY(write_weight(spec, packed_dtype(spec, type)));
    return {};
  }

 private:
  // Every expert of a stack is a tensor of its own to the generator, as in a Hugging Face checkpoint.
  Status write_weight(const WeightSpec &spec, DType dtype) {
    const std::vector<std::string> names = hf_names(config_, spec);
    const std::vector<uint64_t> shape(spec.shape.begin() + (spec.stacked ? 1 : 0), spec.shape.end());
    const uint32_t block = dtype == DType::kF8E4M3 ? kFp8Block : 0;
    std::vector<RowRange> pieces;
    for (uint32_t i = 0; i < names.size(); ++i) cut_rows(shape, i, block ? block : 1, &pieces);
    DS_TRY(writer_.begin_tensor(spec.role, dtype, spec.shape, block, block));
    scales_.clear();
    const auto make = [&](uint64_t i, WorkSlot *slot) {
      return make_rows(names[pieces[i].part], pieces[i], shape.back(), dtype, spec.keep_float, slot);
    };
    const auto use = [&](uint64_t, const WorkSlot &slot) -> Status {
      DS_TRY(writer_.append(slot.bytes));
      scales_.insert(scales_.end(), slot.scales.begin(), slot.scales.end());
      done_ += slot.bytes.size();
      return options_.work.progress && !options_.work.progress(done_, total_) ? Status(DS_E_STOPPED) : Status();
    };
    DS_TRY(run_ordered(options_.work, pieces.size(), pieces.empty() ? 0 : pieces[0].n_rows * shape.back(), make, use));
    if (block) DS_TRY(writer_.append_scales(scales_));
    return writer_.end_tensor();
  }

  Status make_rows(const std::string &name, const RowRange &piece, uint64_t cols, DType dtype, bool keep_float,
                   WorkSlot *slot) const {
    const Spread spread = spread_of(name, cols, tuning_);
    const uint64_t start = synth_start(options_.seed, name);
    slot->bytes.resize(piece.n_rows * row_bytes(dtype, cols));
    const uint64_t scales = (piece.n_rows + kFp8Block - 1) / kFp8Block * ((cols + kFp8Block - 1) / kFp8Block);
    if (dtype == DType::kF8E4M3) slot->scales.assign(scales, synth_fp8_scale(spread.deviation));
    const RowsName where{name.c_str(), piece.first_row};
    if (!tuning_.exact && !keep_float) {
      const bool direct = dtype_info(dtype).block_elements == 1 || dtype == DType::kQ8_0 || dtype == DType::kQ4_0 ||
                          dtype == DType::kQ4_1 || dtype == DType::kQ5_0;
      slot->rows.resize(direct ? 0 : piece.n_rows * cols);
      synth_fill(direct ? dtype : DType::kF32, start, spread.deviation, piece.first_row, piece.n_rows, cols,
                 direct ? slot->bytes.data() : reinterpret_cast<uint8_t *>(slot->rows.data()));
      return direct ? Status() : encode_rows(dtype, slot->rows.data(), piece.n_rows, cols, slot->bytes.data(), where);
    }
    make_exact(name, start, spread, piece.first_row * cols, piece.n_rows * cols, &slot->rows);
    if (dtype == DType::kF8E4M3)
      return encode_e4m3_blocks(slot->rows.data(), piece.n_rows, cols, kFp8Block, kFp8Block, slot->bytes.data(),
                                slot->scales.data(), where);
    return encode_rows(dtype, slot->rows.data(), piece.n_rows, cols, slot->bytes.data(), where);
  }

  // The oracle's numbers: float64 all the way, then bf16; the correction bias is stored as f32.
  static void make_exact(const std::string &name, uint64_t start, const Spread &spread, uint64_t first, uint64_t n,
                         std::vector<float> *rows) {
    const bool keep = ends_with(name, "e_score_correction_bias");
    rows->resize(n);
    for (uint64_t i = 0; i < n; ++i) {
      const float value = static_cast<float>(spread.mean + spread.deviation * synth_noise(start, first + i));
      (*rows)[i] = keep ? value : bf16_to_f32(f32_to_bf16(value));
    }
  }

  const SynthOptions &options_;
  const Config &config_;
  DsmWriter &writer_;
  const Tuning tuning_;
  std::vector<float> scales_;  // of the weight being written
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Status synth_model(const SynthOptions &options, const std::string &path) {
  DS_TRY_VALUE(const HfConfig stated, synth_config(options.shape));
  DS_TRY_VALUE(const Config config, make_config(stated, options.shape));
  DS_TRY_VALUE(DsmWriter writer, DsmWriter::create(path));
  DS_TRY(Synthesis(options, config, writer).write());
  if (!options.tokenizer_blob.empty())
    DS_TRY(writer.add_tokenizer(
        {reinterpret_cast<const uint8_t *>(options.tokenizer_blob.data()), options.tokenizer_blob.size()}));
  return writer.finish(stated, {},
                       "Synthetic: shape " + options.shape + ", seed " + std::to_string(options.seed) +
                           ". The weights are random numbers; so is what the model says.");
}

}  // namespace deepseam::model
