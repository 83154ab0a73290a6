// Writing .dsm files in one pass: contents first, then the directory, then the header over the space kept for it.
#include <cstring>

#include "base/checked.h"
#include "base/hash.h"
#include "format/dsm.h"
#include "format/dsm_layout.h"
#include "model_generated.h"

namespace deepseam {
namespace {

using Ull = unsigned long long;

// A fixed-width field is ready as it is; a string must be in the buffer before its table begins.
template <typename T>
std::optional<T> stage(flatbuffers::FlatBufferBuilder &, const std::optional<T> &value) {
  return value;
}
flatbuffers::Offset<flatbuffers::String> stage(flatbuffers::FlatBufferBuilder &fbb,
                                               const std::optional<std::string> &text) {
  return text ? fbb.CreateString(*text) : 0;
}
template <typename T>
T staged(const std::optional<T> &value) {
  return *value;
}
flatbuffers::Offset<flatbuffers::String> staged(flatbuffers::Offset<flatbuffers::String> text) { return text; }

flatbuffers::Offset<fb::Config> add_config(flatbuffers::FlatBufferBuilder &fbb, const HfConfig &config) {
  const auto architectures = fbb.CreateVectorOfStrings(config.architectures);
  const auto eos_token_ids = fbb.CreateVector(config.eos_token_ids);
#define DS_CONFIG_FIELD(kind, member, section, key) const auto member = stage(fbb, config.member);
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
  fb::ConfigBuilder table(fbb);
#define DS_CONFIG_FIELD(kind, member, section, key) \
  if (config.member) table.add_##member(staged(member));
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
  table.add_architectures(architectures);
  table.add_eos_token_ids(eos_token_ids);
  table.add_quant_block_rows(config.quant_block_rows);
  table.add_quant_block_cols(config.quant_block_cols);
  return table.Finish();
}

flatbuffers::Offset<fb::Generation> add_generation(flatbuffers::FlatBufferBuilder &fbb,
                                                   const GenerationDefaults &defaults) {
  const auto eos_token_ids = fbb.CreateVector(defaults.eos_token_ids);
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>> stop_strings = 0;
  if (!defaults.stop_strings.empty()) stop_strings = fbb.CreateVectorOfStrings(defaults.stop_strings);
  fb::GenerationBuilder table(fbb);
#define DS_GENERATION_FIELD(kind, member) \
  if (defaults.member) table.add_##member(*defaults.member);
#include "format/generation_fields.def"
#undef DS_GENERATION_FIELD
  table.add_eos_token_ids(eos_token_ids);
  if (!stop_strings.IsNull()) table.add_stop_strings(stop_strings);
  return table.Finish();
}

flatbuffers::Offset<fb::Section> add_section(flatbuffers::FlatBufferBuilder &fbb, const DsmSection &section) {
  const fb::Hash hash(section.hash.low, section.hash.high);
  return fb::CreateSection(fbb, section.range.offset, section.range.bytes, &hash);
}

// What an unfinished file holds, through the writer's own handle: other systems let nobody else open it.
class WrittenSource final : public Source {
 public:
  explicit WrittenSource(const AtomicFile &file) : file_(file) {
    name_ = file.path();
    size_ = file.size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override { return file_.read_at(offset, into); }

 private:
  const AtomicFile &file_;
};

struct WrittenTensor {
  std::string name;
  DType dtype = DType::kNone;
  std::vector<uint64_t> shape;
  uint32_t block_rows = 0, block_cols = 0;
  DsmSection data, scales;
};

flatbuffers::Offset<fb::Tensor> add_tensor(flatbuffers::FlatBufferBuilder &fbb, const WrittenTensor &tensor) {
  const auto name = fbb.CreateString(tensor.name);
  const auto shape = fbb.CreateVector(tensor.shape);
  const auto data = add_section(fbb, tensor.data);
  flatbuffers::Offset<fb::Section> scales = 0;
  if (tensor.block_rows) scales = add_section(fbb, tensor.scales);
  return fb::CreateTensor(fbb, name, static_cast<uint32_t>(tensor.dtype), shape, data, tensor.block_rows,
                          tensor.block_cols, scales);
}

}  // namespace

struct DsmWriter::State {
  explicit State(AtomicFile opened) : file(std::move(opened)) {}

  AtomicFile file;
  std::vector<WrittenTensor> tensors;
  std::vector<DsmHint> hints;
  DsmSection tokenizer;
  bool in_tensor = false, in_hint = false;
  uint64_t data_bytes = 0, scale_bytes = 0;  // of the tensor being written
  DsmSection *section = nullptr;             // what append() adds to
  Hasher hasher;

  Status misuse(const char *what) const {
    return fail(DS_E_INTERNAL, "dsm", "writing tensor '%s': %s", tensors.empty() ? "" : tensors.back().name.c_str(),
                what);
  }

  Status open_section(DsmSection *next) {
    static constexpr uint8_t kZeros[kDsmAlignment] = {};
    const uint64_t padding = (kDsmAlignment - file.size() % kDsmAlignment) % kDsmAlignment;
    DS_TRY(file.append({kZeros, padding}));
    section = next;
    section->range = {0, file.size(), 0};
    hasher = Hasher();
    return {};
  }

  Status append(std::span<const uint8_t> bytes) {
    DS_TRY(file.append(bytes));
    hasher.add(bytes);
    section->range.bytes += bytes.size();
    return {};
  }

  void close_section() {
    if (section) section->hash = hasher.value128();
    section = nullptr;
  }

  Status whole_section(DsmSection *next, std::span<const uint8_t> bytes) {
    DS_TRY(open_section(next));
    DS_TRY(append(bytes));
    close_section();
    return {};
  }
};

DsmWriter::DsmWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
DsmWriter::DsmWriter(DsmWriter &&) noexcept = default;
DsmWriter::~DsmWriter() = default;

Result<DsmWriter> DsmWriter::create(const std::string &path) {
  DS_TRY_VALUE(AtomicFile file, AtomicFile::create(path));
  const uint8_t space[kDsmHeaderBytes] = {};
  DS_TRY(file.append(space));
  return DsmWriter(std::make_unique<State>(std::move(file)));
}

Status DsmWriter::begin_tensor(const std::string &name, DType dtype, std::span<const uint64_t> shape,
                               uint32_t block_rows, uint32_t block_cols) {
  State &state = *state_;
  if (state.in_tensor) return state.misuse("the one before was not ended");
  const auto elements = checked_product(shape);
  bool possible = elements && shape.size() <= kMaxDims && dtype_info(dtype).dtype != DType::kNone && !name.empty() &&
                  name.size() <= kDsmMaxName && (block_rows == 0) == (block_cols == 0) &&
                  state.tensors.size() < kDsmMaxTensors;
  for (uint64_t dim : shape) possible = possible && dim <= kDsmMaxDim;
  if (block_rows) possible = possible && dtype == DType::kF8E4M3 && shape.size() >= 2;
  if (!possible)
    return fail(DS_E_ARGUMENT, "dsm", "tensor '%s' (%s, %zu dims) cannot be stored in a .dsm file", name.c_str(),
                dtype_info(dtype).name, shape.size());
  const uint64_t cols = shape.empty() ? 1 : shape.back(), rows = cols ? *elements / cols : 0;
  const auto bytes = checked_mul(rows, row_bytes(dtype, cols));
  if (!bytes) return fail(DS_E_ARGUMENT, "dsm", "tensor '%s' exceeds 2^64 bytes", name.c_str());
  WrittenTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.block_rows = block_rows;
  tensor.block_cols = block_cols;
  state.tensors.push_back(std::move(tensor));
  state.in_tensor = true;
  state.data_bytes = *bytes;
  state.scale_bytes = block_rows ? dsm_scale_count(shape, block_rows, block_cols) * sizeof(float) : 0;
  return state.open_section(&state.tensors.back().data);
}

Status DsmWriter::append(std::span<const uint8_t> bytes) {
  State &state = *state_;
  if (!state.in_tensor) return state.misuse("bytes outside a tensor");
  DsmSection &data = state.tensors.back().data;
  if (state.section != &data || bytes.size() > state.data_bytes - data.range.bytes)
    return state.misuse("more bytes than its shape takes");
  return state.append(bytes);
}

Status DsmWriter::append_scales(std::span<const float> scales) {
  State &state = *state_;
  if (!state.in_tensor || !state.scale_bytes) return state.misuse("scales for a tensor that has none");
  WrittenTensor &tensor = state.tensors.back();
  if (tensor.data.range.bytes != state.data_bytes) return state.misuse("scales before all of its bytes");
  if (state.section != &tensor.scales) {
    state.close_section();
    DS_TRY(state.open_section(&tensor.scales));
  }
  if (scales.size_bytes() > state.scale_bytes - tensor.scales.range.bytes)
    return state.misuse("more scales than its shape takes");
  return state.append({reinterpret_cast<const uint8_t *>(scales.data()), scales.size_bytes()});
}

Status DsmWriter::end_tensor() {
  State &state = *state_;
  if (!state.in_tensor) return state.misuse("ended twice");
  const WrittenTensor &tensor = state.tensors.back();
  if (tensor.data.range.bytes != state.data_bytes || tensor.scales.range.bytes != state.scale_bytes)
    return state.misuse("fewer bytes than its shape takes");
  if (tensor.block_rows && state.section == &state.tensors.back().data) {  // a tensor without elements
    state.close_section();
    DS_TRY(state.open_section(&state.tensors.back().scales));
  }
  state.close_section();
  state.in_tensor = false;
  return {};
}

Status DsmWriter::add_tokenizer(std::span<const uint8_t> blob) {
  if (state_->in_tensor) return state_->misuse("not ended before the tokenizer");
  return state_->whole_section(&state_->tokenizer, blob);
}

Status DsmWriter::add_hint(const std::string &backend, const std::string &layout, const std::string &isa,
                           std::span<const uint8_t> bytes) {
  DS_TRY(begin_hint(backend, layout, isa));
  DS_TRY(append_hint(bytes));
  return end_hint();
}

Status DsmWriter::begin_hint(const std::string &backend, const std::string &layout, const std::string &isa) {
  State &state = *state_;
  if (state.in_tensor || state.in_hint) return state.misuse("not ended before a hint");
  if (state.hints.size() >= kDsmMaxHints) return fail(DS_E_ARGUMENT, "dsm", "more than %llu hints", Ull{kDsmMaxHints});
  state.hints.push_back({backend, layout, isa, {}});
  state.in_hint = true;
  return state.open_section(&state.hints.back().section);
}

Status DsmWriter::append_hint(std::span<const uint8_t> bytes) {
  if (!state_->in_hint) return state_->misuse("bytes outside a hint");
  return state_->append(bytes);
}

Status DsmWriter::end_hint() {
  if (!state_->in_hint) return state_->misuse("a hint ended twice");
  state_->close_section();
  state_->in_hint = false;
  return {};
}

Result<std::shared_ptr<Source>> DsmWriter::written_so_far(const HfConfig &config, const GenerationDefaults &generation,
                                                          const std::string &card) {
  DS_TRY(write_directory(config, generation, card));
  return std::shared_ptr<Source>(std::make_shared<WrittenSource>(state_->file));
}

Status DsmWriter::finish(const HfConfig &config, const GenerationDefaults &generation, const std::string &card) {
  DS_TRY(write_directory(config, generation, card));
  return state_->file.commit();
}

Status DsmWriter::write_directory(const HfConfig &config, const GenerationDefaults &generation,
                                  const std::string &card) {
  State &state = *state_;
  if (state.in_tensor || state.in_hint) return state.misuse("not ended before the end");
  flatbuffers::FlatBufferBuilder fbb(1 << 16);
  std::vector<flatbuffers::Offset<fb::Tensor>> tensors;
  for (const WrittenTensor &tensor : state.tensors) tensors.push_back(add_tensor(fbb, tensor));
  std::vector<flatbuffers::Offset<fb::Hint>> hints;
  for (const DsmHint &hint : state.hints)
    hints.push_back(fb::CreateHint(fbb, fbb.CreateString(hint.backend), fbb.CreateString(hint.layout),
                                   fbb.CreateString(hint.isa), add_section(fbb, hint.section)));
  const auto tensor_list = fbb.CreateVector(tensors);
  const auto hint_list = fbb.CreateVector(hints);
  const auto config_table = add_config(fbb, config);
  const auto generation_table = add_generation(fbb, generation);
  flatbuffers::Offset<fb::Section> tokenizer = 0;
  if (state.tokenizer.range.bytes) tokenizer = add_section(fbb, state.tokenizer);
  const auto card_text = fbb.CreateString(card);
  fb::FinishDirectoryBuffer(
      fbb, fb::CreateDirectory(fbb, tensor_list, config_table, generation_table, tokenizer, card_text, hint_list));
  if (fbb.GetSize() > kDsmMaxDirectory)
    return fail(DS_E_ARGUMENT, "dsm", "a directory of %llu bytes exceeds the limit", Ull{fbb.GetSize()});
  DsmSection directory;
  DS_TRY(state.whole_section(&directory, {fbb.GetBufferPointer(), fbb.GetSize()}));
  DsmHeader header;
  header.directory_offset = directory.range.offset;
  header.directory_bytes = directory.range.bytes;
  header.directory_hash = directory.hash;
  header.file_bytes = state.file.size();
  uint8_t bytes[kDsmHeaderBytes];
  store_dsm_header(header, bytes);
  return state.file.write_at(0, bytes);
}

uint64_t DsmWriter::bytes_written() const { return state_->file.size(); }

}  // namespace deepseam
