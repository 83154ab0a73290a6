// Opening and verifying .dsm files. Every number of the directory is checked here before anyone uses it.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/checked.h"
#include "base/hash.h"
#include "format/dsm.h"
#include "format/dsm_layout.h"
#include "format/fingerprint.h"
#include "model_generated.h"

namespace deepseam {
namespace {

using Ull = unsigned long long;

template <typename T>
std::optional<T> from_fb(const flatbuffers::Optional<T> &value) {
  return value ? std::optional<T>(*value) : std::nullopt;
}
std::optional<std::string> from_fb(const flatbuffers::String *text) {
  return text ? std::optional<std::string>(text->str()) : std::nullopt;
}

// FlatBuffers' verifier does not look at the alignment of what is in vectors and structs, so those are copied out.
template <typename T>
std::vector<T> numbers_from_fb(const flatbuffers::Vector<T> *list) {
  std::vector<T> numbers(list ? list->size() : 0);
  if (!numbers.empty()) std::memcpy(numbers.data(), list->Data(), numbers.size() * sizeof(T));
  return numbers;
}
Hash128 hash_from_fb(const fb::Hash *stored) {
  uint64_t words[2];
  static_assert(sizeof words == sizeof *stored);
  std::memcpy(words, static_cast<const void *>(stored), sizeof words);
  return {words[0], words[1]};
}

HfConfig config_from_fb(const fb::Config &table) {
  HfConfig config;
#define DS_CONFIG_FIELD(kind, member, section, key) config.member = from_fb(table.member());
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
  if (table.architectures())
    for (const auto *name : *table.architectures()) config.architectures.push_back(name->str());
  config.eos_token_ids = numbers_from_fb(table.eos_token_ids());
  config.quant_block_rows = table.quant_block_rows();
  config.quant_block_cols = table.quant_block_cols();
  apply_config_defaults(&config);
  return config;
}

GenerationDefaults generation_from_fb(const fb::Generation &table) {
  GenerationDefaults defaults;
#define DS_GENERATION_FIELD(kind, member) defaults.member = from_fb(table.member());
#include "format/generation_fields.def"
#undef DS_GENERATION_FIELD
  defaults.eos_token_ids = numbers_from_fb(table.eos_token_ids());
  if (table.stop_strings())
    for (const auto *text : *table.stop_strings()) defaults.stop_strings.push_back(text->str());
  return defaults;
}

// Reads one file; all failures name it.
class DsmReader {
 public:
  explicit DsmReader(std::shared_ptr<Source> source) : source_(std::move(source)), name_(source_->name()) {}

  Result<DsmFile> read() {
    DS_TRY(read_header());
    DS_TRY(read_directory());
    flatbuffers::Verifier verifier(bytes(), header_.directory_bytes, 16, 4u << 20);
    if (!fb::VerifyDirectoryBuffer(verifier))
      return wrong(header_.directory_offset,
                   "the directory is not valid: its offsets or lengths contradict each other");
    const fb::Directory &root = *fb::GetDirectory(bytes());
    DS_TRY(read_tensors(*root.tensors()));
    DS_TRY(read_sections(root));
    DS_TRY(check_overlap());
    file_.config = config_from_fb(*root.config());
    if (root.generation()) file_.generation = generation_from_fb(*root.generation());
    if (root.card()) file_.card = root.card()->str();
    file_.tensors.sources.push_back(std::move(source_));
    file_.fingerprint = dsm_fingerprint(file_);
    return std::move(file_);
  }

 private:
  const uint8_t *bytes() const { return reinterpret_cast<const uint8_t *>(directory_.data()); }

  // What is wrong at `offset` of the file (kNoOffset: nowhere in particular), printf style.
  [[gnu::format(printf, 3, 4)]] Status wrong(uint64_t offset, const char *format, ...) const {
    char what[320];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return fail(DS_E_FORMAT, "dsm", "%s: %s", name_.c_str(), what).at(name_, offset);
  }

  Status read_header() {
    if (source_->size() < kDsmHeaderBytes)
      return fail(DS_E_FORMAT, "dsm", "%s: %llu bytes are too few for a .dsm header of %llu", name_.c_str(),
                  Ull{source_->size()}, Ull{kDsmHeaderBytes})
          .at(name_, 0)
          .bytes(kDsmHeaderBytes, source_->size());
    uint8_t raw[kDsmHeaderBytes];
    DS_TRY(source_->read_at(0, raw));
    if (!is_dsm(raw)) return wrong(0, "the first bytes are not those of a .dsm file");
    uint64_t stated;
    std::memcpy(&stated, raw + 120, 8);
    if (const uint64_t found = hash64({raw, 120}); found != stated)
      return fail(DS_E_CHECKSUM, "dsm", "%s: the header is damaged: its hash is %016llx, expected %016llx",
                  name_.c_str(), Ull{found}, Ull{stated})
          .at(name_, 0);
    header_ = load_dsm_header(raw);
    return check_header();
  }

  Status check_header() const {
    if (header_.version != kDsmVersion)
      return fail(DS_E_UNSUPPORTED, "dsm", "%s: container version %u; this library reads version %u", name_.c_str(),
                  header_.version, kDsmVersion)
          .at(name_, 8);
    if (header_.header_bytes != kDsmHeaderBytes)
      return wrong(12, "header size %u, expected %llu", header_.header_bytes, Ull{kDsmHeaderBytes});
    if (header_.incompat & ~kDsmKnownIncompat)
      return fail(DS_E_UNSUPPORTED, "dsm", "%s: needs features (bits %016llx) that this library does not know",
                  name_.c_str(), Ull{header_.incompat & ~kDsmKnownIncompat})
          .at(name_, 16);
    if (header_.file_bytes != source_->size())
      return fail(DS_E_FORMAT, "dsm", "%s: the file should have %llu bytes and has %llu: %s", name_.c_str(),
                  Ull{header_.file_bytes}, Ull{source_->size()},
                  header_.file_bytes > source_->size() ? "it is truncated" : "something was appended")
          .at(name_, 64)
          .bytes(header_.file_bytes, source_->size());
    if (header_.directory_offset % 8 || header_.directory_offset < kDsmHeaderBytes ||
        !within(header_.directory_offset, header_.directory_bytes, source_->size()))
      return wrong(32, "the directory (%llu bytes at %llu) does not lie inside the file", Ull{header_.directory_bytes},
                   Ull{header_.directory_offset});
    if (header_.directory_bytes > kDsmMaxDirectory || header_.directory_bytes < 16)
      return wrong(40, "a directory of %llu bytes is not possible", Ull{header_.directory_bytes});
    return {};
  }

  Status read_directory() {
    directory_.resize((header_.directory_bytes + 7) / 8);
    const std::span<uint8_t> into(reinterpret_cast<uint8_t *>(directory_.data()), header_.directory_bytes);
    DS_TRY(source_->read_at(header_.directory_offset, into));
    if (hash128(into) != header_.directory_hash)
      return fail(DS_E_CHECKSUM, "dsm", "%s: the directory is damaged: its hash is not the one that the header states",
                  name_.c_str())
          .at(name_, header_.directory_offset);
    return {};
  }

  // `what` is for messages. Content must be aligned and lie between header and file end.
  Status read_section(const std::string &what, const fb::Section &table, DsmSection *section) {
    section->range.offset = table.offset();
    section->range.bytes = table.bytes();
    if (table.hash()) section->hash = hash_from_fb(table.hash());
    if (!table.hash()) return wrong(kNoOffset, "%s has no hash", what.c_str());
    if (table.offset() % kDsmAlignment || table.offset() < kDsmHeaderBytes ||
        !within(table.offset(), table.bytes(), source_->size()))
      return wrong(table.offset(), "%s: %llu bytes at %llu are not 64-byte aligned inside a file of %llu", what.c_str(),
                   Ull{table.bytes()}, Ull{table.offset()}, Ull{source_->size()});
    if (table.bytes()) extents_.push_back({table.offset(), table.bytes()});
    return {};
  }

  Status read_tensors(const flatbuffers::Vector<flatbuffers::Offset<fb::Tensor>> &list) {
    if (list.size() > kDsmMaxTensors) return wrong(kNoOffset, "%u tensors are more than a model has", list.size());
    TensorDirectory &all = file_.tensors;
    all.tensors.reserve(list.size());
    for (const fb::Tensor *table : list) {
      TensorInfo tensor;
      DsmSection data, scales;
      DS_TRY(read_tensor(*table, &tensor, &data, &scales));
      const auto [at, added] = all.by_name.emplace(tensor.name, static_cast<uint32_t>(all.tensors.size()));
      if (!added) return wrong(kNoOffset, "tensor '%s' is listed twice", at->first.c_str());
      all.tensors.push_back(std::move(tensor));
      file_.data_hashes.push_back(data.hash);
      file_.scale_hashes.push_back(scales.hash);
    }
    return {};
  }

  Status read_tensor(const fb::Tensor &table, TensorInfo *tensor, DsmSection *data, DsmSection *scales) {
    const size_t name_bytes = table.name()->size();
    if (name_bytes == 0 || name_bytes > kDsmMaxName)
      return wrong(kNoOffset, "a tensor's name has %zu bytes", name_bytes);
    tensor->name = table.name()->str();
    const std::string what = "tensor '" + tensor->name.substr(0, 128) + "'";
    if (table.shape()) {
      if (table.shape()->size() > kMaxDims) return wrong(kNoOffset, "%s has more than 4 dims", what.c_str());
      tensor->shape = numbers_from_fb(table.shape());
      for (uint64_t dim : tensor->shape)
        if (dim > kDsmMaxDim) return wrong(kNoOffset, "%s has a dim of %llu", what.c_str(), Ull{dim});
    }
    const DTypeInfo type = dtype_info(static_cast<DType>(table.dtype()));
    tensor->dtype = type.dtype;
    tensor->stored_type = type.dtype == DType::kNone ? "number " + std::to_string(table.dtype()) : type.name;
    DS_TRY(read_section(what, *table.data(), data));
    tensor->range = data->range;
    DS_TRY(check_bytes(what, *tensor));
    if (!table.scales()) return {};
    return read_scales(what, table, tensor, scales);
  }

  Status check_bytes(const std::string &what, const TensorInfo &tensor) const {
    const auto elements = checked_product(tensor.shape);
    if (!elements) return wrong(kNoOffset, "%s: the product of its shape overflows 64 bits", what.c_str());
    if (tensor.dtype == DType::kNone) return {};
    const auto bytes = checked_mul(tensor.rows(), row_bytes(tensor.dtype, tensor.cols()));
    if (bytes && *bytes == tensor.range.bytes) return {};
    return fail(DS_E_FORMAT, "dsm", "%s: %s: shape and type %s need %llu bytes, the directory gives %llu",
                name_.c_str(), what.c_str(), tensor.stored_type.c_str(), bytes ? Ull{*bytes} : ~0ull,
                Ull{tensor.range.bytes})
        .at(name_, tensor.range.offset);
  }

  Status read_scales(const std::string &what, const fb::Tensor &table, TensorInfo *tensor, DsmSection *scales) {
    if (tensor->dtype != DType::kF8E4M3 || tensor->shape.size() < 2 || !table.block_rows() || !table.block_cols())
      return wrong(kNoOffset, "%s has scales that its type or shape does not allow", what.c_str());
    DS_TRY(read_section(what + ", scales", *table.scales(), scales));
    tensor->has_scales = true;
    tensor->scales = {scales->range, table.block_rows(), table.block_cols()};
    // Never more scales than elements, so the product cannot overflow once check_bytes has passed.
    const uint64_t expected = dsm_scale_count(tensor->shape, table.block_rows(), table.block_cols()) * sizeof(float);
    if (scales->range.bytes != expected)
      return wrong(scales->range.offset, "%s needs %llu bytes of scales, the directory gives %llu", what.c_str(),
                   Ull{expected}, Ull{scales->range.bytes});
    return {};
  }

  Status read_sections(const fb::Directory &root) {
    if (root.tokenizer()) DS_TRY(read_section("the tokenizer", *root.tokenizer(), &file_.tokenizer));
    if (!root.hints()) return {};
    if (root.hints()->size() > kDsmMaxHints) return wrong(kNoOffset, "%u hints are too many", root.hints()->size());
    for (const fb::Hint *table : *root.hints()) {
      DsmHint hint{table->backend()->str(), table->layout()->str(), table->isa()->str(), {}};
      DS_TRY(read_section("hint '" + hint.backend.substr(0, 64) + "'", *table->data(), &hint.section));
      file_.hints.push_back(std::move(hint));
    }
    return {};
  }

  Status check_overlap() {
    extents_.push_back({header_.directory_offset, header_.directory_bytes});
    std::sort(extents_.begin(), extents_.end());
    for (size_t i = 1; i < extents_.size(); ++i)
      if (extents_[i].first - extents_[i - 1].first < extents_[i - 1].second)
        return wrong(extents_[i].first, "two ranges overlap at byte %llu", Ull{extents_[i].first});
    return {};
  }

  std::shared_ptr<Source> source_;
  std::string name_;
  DsmHeader header_;
  std::vector<uint64_t> directory_;  // words, because FlatBuffers wants alignment
  std::vector<std::pair<uint64_t, uint64_t>> extents_;
  DsmFile file_;
};

}  // namespace

const DsmHint *DsmFile::find_hint(const std::string &backend, const std::string &layout, const std::string &isa) const {
  for (const DsmHint &hint : hints)
    if (hint.backend == backend && hint.layout == layout && hint.isa == isa) return &hint;
  return nullptr;
}

bool is_dsm(std::span<const uint8_t> first_bytes) {
  return first_bytes.size() >= 8 && std::memcmp(first_bytes.data(), kDsmMagic, 8) == 0;
}

Result<DsmFile> open_dsm(std::shared_ptr<Source> source) { return DsmReader(std::move(source)).read(); }

}  // namespace deepseam
