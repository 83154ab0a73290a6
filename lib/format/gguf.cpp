// One GGUF file: the strict header reader. Parts of a split model are put together in gguf_split.cpp.
#include "format/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "format/gguf_reader.h"

namespace deepseam {
namespace {

constexpr uint64_t kChunk = uint64_t{1} << 20;
constexpr uint64_t kMaxHeader = uint64_t{1} << 30;
constexpr uint64_t kMaxKeys = 1u << 16, kMaxTensors = 1u << 20, kMaxKeyBytes = 1u << 16, kMaxNameBytes = 127;
constexpr uint64_t kMaxDim = uint64_t{1} << 40, kMaxAlignment = uint64_t{1} << 20;
constexpr uint64_t kLeastKey = 8 + 1 + 4 + 1, kLeastInfo = 8 + 1 + 4 + 4 + 8;  // bytes of the smallest entries

using Ull = unsigned long long;

// Bytes of a value of fixed size; 0 for texts, arrays and what is no type.
constexpr uint64_t value_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    default:
      return 0;
  }
}

// Types of the format that hold no weights of ours, or that no published model of the family is stored in.
struct OtherType {
  uint32_t id, elements, bytes;
  const char *name;
};
constexpr OtherType kOtherTypes[] = {{9, 32, 40, "q8_1"},  {24, 1, 1, "i8"},  {25, 1, 2, "i16"},
                                     {27, 1, 8, "i64"},    {28, 1, 8, "f64"}, {40, 64, 36, "nvfp4"},
                                     {41, 128, 18, "q1_0"}};

struct StoredType {
  DType dtype = DType::kNone;
  uint64_t elements = 0, bytes = 0;
  const char *name = "";
};

// elements 0: unknown.
StoredType stored_type(uint32_t id) {
  DType dtype = static_cast<DType>(64 + id);
  if (id == 0) dtype = DType::kF32;
  if (id == 1) dtype = DType::kF16;
  if (id == 2) dtype = DType::kQ4_0;
  if (id == 8) dtype = DType::kQ8_0;
  if (id == 26) dtype = DType::kI32;
  if (id == 30) dtype = DType::kBF16;
  const DTypeInfo info = id < 1000 ? dtype_info(dtype) : DTypeInfo{};
  if (info.dtype != DType::kNone) return {info.dtype, info.block_elements, info.block_bytes, info.name};
  for (const OtherType &other : kOtherTypes)
    if (other.id == id) return {DType::kNone, other.elements, other.bytes, other.name};
  return {};
}

template <typename T>
T load(const std::vector<uint8_t> &bytes, uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

Result<GgufFile> GgufReader::read() {
  const std::string name = source_->name();
  DS_TRY(read_start());
  for (uint64_t i = 0; i < n_keys_; ++i) DS_TRY(read_key());
  DS_TRY(read_alignment());
  TensorDirectory &directory = file_.tensors;
  directory.tensors.reserve(static_cast<size_t>(std::min<uint64_t>(n_tensors_, kMaxTensors)));
  for (uint64_t i = 0; i < n_tensors_; ++i) DS_TRY(read_info());
  DS_TRY(check_ranges());
  bytes_.resize(at_);  // not what was read ahead
  bytes_.shrink_to_fit();
  file_.metadata.bytes_ = std::make_shared<const std::vector<uint8_t>>(std::move(bytes_));
  directory.sources.push_back(std::move(source_));
  return std::move(file_);
}

Status GgufReader::wrong(uint64_t offset, const std::string &what) const {
  return fail(DS_E_FORMAT, "gguf", "%s: %s", source_->name().c_str(), what.c_str()).at(source_->name(), offset);
}

// Makes `n` bytes from at_ on readable, in chunks, so that a length that lies does not take its memory.
Status GgufReader::need(uint64_t n, const char *what) {
  if (!within(at_, n, source_->size()))
    return fail(DS_E_FORMAT, "gguf", "%s: %s takes %llu bytes at offset %llu, and the file ends after %llu",
                source_->name().c_str(), what, Ull{n}, Ull{at_}, Ull{source_->size()})
        .at(source_->name(), at_)
        .bytes(at_ > UINT64_MAX - n ? UINT64_MAX : at_ + n, source_->size());
  if (at_ + n > kMaxHeader) return wrong(at_, std::string(what) + ": headers above 1 GiB are not read");
  while (bytes_.size() < at_ + n) {
    const uint64_t have = bytes_.size(), more = std::min(std::max(kChunk, have), source_->size() - have);
    bytes_.resize(have + more);
    DS_TRY(source_->read_at(have, {bytes_.data() + have, static_cast<size_t>(more)}));
  }
  return {};
}

template <typename T>
Status GgufReader::take(const char *what, T *value) {
  DS_TRY(need(sizeof(T), what));
  *value = load<T>(bytes_, at_);
  at_ += sizeof(T);
  return {};
}

Status GgufReader::take_text(const char *what, uint64_t limit, std::string_view *text) {
  uint64_t length = 0;
  DS_TRY(take(what, &length));
  if (length > limit)
    return wrong(at_ - 8, std::string(what) + " has " + std::to_string(length) + " bytes, at most " +
                              std::to_string(limit) + " are possible");
  DS_TRY(need(length, what));
  *text = {reinterpret_cast<const char *>(bytes_.data()) + at_, static_cast<size_t>(length)};
  at_ += length;
  return {};
}

Status GgufReader::read_start() {
  const std::string &name = source_->name();
  uint32_t magic = 0;
  DS_TRY(take("the magic number", &magic));
  if (std::memcmp(bytes_.data(), "GGUF", 4) != 0) return wrong(0, "no GGUF file: it does not begin with GGUF");
  DS_TRY(take("the version", &file_.version));
  if ((file_.version & 0xffff) == 0)
    return fail(DS_E_UNSUPPORTED, "gguf", "%s is a big-endian GGUF file; only little-endian ones are read",
                name.c_str())
        .at(name, 4);
  if (file_.version != 2 && file_.version != 3)
    return fail(DS_E_UNSUPPORTED, "gguf", "%s is GGUF version %u; versions 2 and 3 are read", name.c_str(),
                file_.version)
        .at(name, 4);
  DS_TRY(take("the number of tensors", &n_tensors_));
  DS_TRY(take("the number of keys", &n_keys_));
  const uint64_t left = source_->size() - at_;
  if (n_tensors_ > std::min(left / kLeastInfo, kMaxTensors))
    return wrong(8, "it claims " + std::to_string(n_tensors_) + " tensors, more than its " +
                        std::to_string(source_->size()) + " bytes can describe");
  if (n_keys_ > std::min(left / kLeastKey, kMaxKeys))
    return wrong(16, "it claims " + std::to_string(n_keys_) + " keys, more than its " +
                         std::to_string(source_->size()) + " bytes can hold");
  return {};
}

Status GgufReader::read_key() {
  const uint64_t begin = at_;
  std::string_view view;
  DS_TRY(take_text("a key", kMaxKeyBytes, &view));
  const std::string key(view);
  if (key.empty()) return wrong(begin, "a key has no name");
  uint32_t type = 0;
  DS_TRY(take("a value's type", &type));
  const std::string what = "'" + key.substr(0, 128) + "'";
  if (type >= static_cast<uint32_t>(GgufType::kCount))
    return wrong(at_ - 4, what + " has type " + std::to_string(type) + ", which GGUF does not have");
  GgufMetadata::Value value;
  value.type = static_cast<GgufType>(type);
  if (value.type == GgufType::kArray) {
    DS_TRY(read_array(what, &value));
  } else if (value.type == GgufType::kText) {
    std::string_view text;
    DS_TRY(take_text(what.c_str(), kMaxHeader, &text));
    value.at = at_ - text.size();
    value.bytes = text.size();
  } else {
    value.at = at_;
    value.bytes = value_bytes(value.type);
    DS_TRY(need(value.bytes, what.c_str()));
    at_ += value.bytes;
  }
  if (!file_.metadata.values_.emplace(key, value).second) return wrong(begin, what + " is there twice");
  return {};
}

Status GgufReader::read_array(const std::string &what, GgufMetadata::Value *value) {
  uint32_t element = 0;
  DS_TRY(take(what.c_str(), &element));
  DS_TRY(take(what.c_str(), &value->count));
  value->element = static_cast<GgufType>(element);
  if (element >= static_cast<uint32_t>(GgufType::kCount))
    return wrong(at_ - 12, what + " is an array of type " + std::to_string(element) + ", which GGUF does not have");
  if (value->element == GgufType::kArray) return wrong(at_ - 12, what + " is an array of arrays");
  value->at = at_;
  if (value->element == GgufType::kText) {
    if (value->count > (source_->size() - at_) / 8)
      return wrong(at_ - 8, what + " claims " + std::to_string(value->count) + " texts, more than the file can hold");
    std::string_view text;
    for (uint64_t i = 0; i < value->count; ++i) DS_TRY(take_text(what.c_str(), kMaxHeader, &text));
    value->bytes = at_ - value->at;
    return {};
  }
  const auto bytes = checked_mul(value->count, value_bytes(value->element));
  if (!bytes) return wrong(at_ - 8, what + " claims " + std::to_string(value->count) + " elements");
  value->bytes = *bytes;
  DS_TRY(need(value->bytes, what.c_str()));
  at_ += value->bytes;
  return {};
}

Status GgufReader::read_alignment() {
  const auto found = file_.metadata.values_.find("general.alignment");
  if (found == file_.metadata.values_.end()) return {};
  if (found->second.type != GgufType::kU32)
    return wrong(found->second.at, "'general.alignment' must be a 32-bit unsigned integer");
  alignment_ = load<uint32_t>(bytes_, found->second.at);
  if (alignment_ == 0 || (alignment_ & (alignment_ - 1)) != 0 || alignment_ > kMaxAlignment)
    return wrong(found->second.at, "'general.alignment' is " + std::to_string(alignment_) +
                                       ", expected a power of two from 1 to " + std::to_string(kMaxAlignment));
  return {};
}

Status GgufReader::read_info() {
  const uint64_t begin = at_;
  std::string_view view;
  DS_TRY(take_text("a tensor's name", kMaxNameBytes, &view));
  TensorInfo tensor;
  tensor.name = view;
  if (tensor.name.empty()) return wrong(begin, "a tensor has no name");
  const std::string what = "tensor '" + tensor.name + "'";
  uint32_t n_dims = 0, type = 0;
  DS_TRY(take(what.c_str(), &n_dims));
  if (n_dims > kMaxDims)
    return wrong(at_ - 4, what + " has " + std::to_string(n_dims) + " dims, at most 4 are possible");
  for (uint32_t i = 0; i < n_dims; ++i) {
    uint64_t dim = 0;
    DS_TRY(take(what.c_str(), &dim));
    if (dim > kMaxDim)
      return wrong(at_ - 8, what + " has a dim of " + std::to_string(dim) + ", at most 2^40 is possible");
    tensor.shape.insert(tensor.shape.begin(), dim);
  }
  DS_TRY(take(what.c_str(), &type));
  DS_TRY(take(what.c_str(), &tensor.range.offset));
  const StoredType stored = stored_type(type);
  if (!stored.elements) return wrong(at_ - 12, what + " has type " + std::to_string(type) + ", which is not known");
  tensor.dtype = stored.dtype;
  tensor.stored_type = stored.name;
  if (tensor.cols() % stored.elements != 0)
    return wrong(begin, what + " has rows of " + std::to_string(tensor.cols()) + ", no multiple of the " +
                            std::to_string(stored.elements) + " that a block of " + stored.name + " holds");
  const auto elements = checked_product(tensor.shape);
  const auto bytes = elements ? checked_mul(*elements / stored.elements, stored.bytes) : std::nullopt;
  if (!bytes) return wrong(begin, what + ": the product of its dims overflows 64 bits");
  tensor.range.bytes = *bytes;
  TensorDirectory &directory = file_.tensors;
  if (!directory.by_name.emplace(tensor.name, static_cast<uint32_t>(directory.tensors.size())).second)
    return wrong(begin, what + " is there twice");
  directory.tensors.push_back(std::move(tensor));
  return {};
}

// Every range inside the data, aligned, and none over another. Offsets become those of the file.
Status GgufReader::check_ranges() {
  const auto begin = checked_align(at_, alignment_);
  std::vector<TensorInfo *> order;
  for (TensorInfo &tensor : file_.tensors.tensors) {
    const std::string what = "tensor '" + tensor.name + "'";
    if (tensor.range.offset % alignment_ != 0)
      return wrong(at_, what + " begins at " + std::to_string(tensor.range.offset) + ", no multiple of " +
                            std::to_string(alignment_));
    const auto offset = begin ? checked_add(*begin, tensor.range.offset) : std::nullopt;
    if (!offset || !within(*offset, tensor.range.bytes, source_->size()))
      return fail(DS_E_FORMAT, "gguf", "%s: %s takes %llu bytes from %llu of the data on, and the file ends after %llu",
                  source_->name().c_str(), what.c_str(), Ull{tensor.range.bytes}, Ull{tensor.range.offset},
                  Ull{source_->size() - std::min(begin.value_or(UINT64_MAX), source_->size())})
          .at(source_->name(), at_)
          .bytes(tensor.range.bytes, source_->size());
    tensor.range.offset = *offset;
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorInfo *a, const TensorInfo *b) {
    return a->range.offset != b->range.offset ? a->range.offset < b->range.offset : a->range.bytes < b->range.bytes;
  });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->range.offset + order[i - 1]->range.bytes > order[i]->range.offset)
      return wrong(order[i]->range.offset, "tensors '" + order[i - 1]->name + "' and '" + order[i]->name + "' overlap");
  return {};
}

const GgufMetadata::Value *GgufMetadata::find(std::string_view key) const {
  const auto found = values_.find(std::string(key));
  return found == values_.end() ? nullptr : &found->second;
}

bool GgufMetadata::has(std::string_view key) const { return find(key) != nullptr; }

std::optional<int64_t> GgufMetadata::integer_at(GgufType type, uint64_t at) const {
  switch (type) {
    case GgufType::kU8:
      return load<uint8_t>(*bytes_, at);
    case GgufType::kI8:
      return load<int8_t>(*bytes_, at);
    case GgufType::kU16:
      return load<uint16_t>(*bytes_, at);
    case GgufType::kI16:
      return load<int16_t>(*bytes_, at);
    case GgufType::kU32:
      return load<uint32_t>(*bytes_, at);
    case GgufType::kI32:
      return load<int32_t>(*bytes_, at);
    case GgufType::kI64:
      return load<int64_t>(*bytes_, at);
    case GgufType::kU64: {
      const uint64_t value = load<uint64_t>(*bytes_, at);
      if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const Value *value = find(key);
  return value ? integer_at(value->type, value->at) : std::nullopt;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const Value *value = find(key);
  if (!value) return std::nullopt;
  if (value->type == GgufType::kF32) return double{load<float>(*bytes_, value->at)};
  if (value->type == GgufType::kF64) return load<double>(*bytes_, value->at);
  const auto integer = integer_at(value->type, value->at);
  return integer ? std::optional<double>(static_cast<double>(*integer)) : std::nullopt;
}

std::optional<bool> GgufMetadata::flag(std::string_view key) const {
  const Value *value = find(key);
  if (!value || value->type != GgufType::kBool) return std::nullopt;
  return (*bytes_)[value->at] != 0;
}

std::optional<std::string_view> GgufMetadata::text(std::string_view key) const {
  const Value *value = find(key);
  if (!value || value->type != GgufType::kText) return std::nullopt;
  return std::string_view(reinterpret_cast<const char *>(bytes_->data()) + value->at,
                          static_cast<size_t>(value->bytes));
}

std::vector<std::string_view> GgufMetadata::texts(std::string_view key) const {
  const Value *value = find(key);
  std::vector<std::string_view> list;
  if (!value || value->type != GgufType::kArray || value->element != GgufType::kText) return list;
  list.reserve(static_cast<size_t>(value->count));
  uint64_t at = value->at;
  for (uint64_t i = 0; i < value->count; ++i) {  // the reader has walked along them already
    const uint64_t length = load<uint64_t>(*bytes_, at);
    list.emplace_back(reinterpret_cast<const char *>(bytes_->data()) + at + 8, static_cast<size_t>(length));
    at += 8 + length;
  }
  return list;
}

std::vector<int32_t> GgufMetadata::integers(std::string_view key) const {
  const Value *value = find(key);
  std::vector<int32_t> list;
  if (!value || value->type != GgufType::kArray) return list;
  const uint64_t step = value_bytes(value->element);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto integer = step ? integer_at(value->element, value->at + i * step) : std::nullopt;
    if (!integer || *integer < INT32_MIN || *integer > INT32_MAX) return {};
    list.push_back(static_cast<int32_t>(*integer));
  }
  return list;
}

bool is_gguf(std::span<const uint8_t> first) { return first.size() >= 4 && std::memcmp(first.data(), "GGUF", 4) == 0; }

}  // namespace deepseam
