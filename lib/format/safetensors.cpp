// One safetensors file: the strict header reader and the header writer. Folders and fp8 scales: hf_folder.cpp.
#include "format/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/json.h"

namespace deepseam {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr uint64_t kMaxDim = uint64_t{1} << 40;
constexpr size_t kMaxNameBytes = 1024;

struct StoredType {
  std::string_view name;
  uint32_t bits;
  DType dtype;  // kNone: listed only
};

constexpr StoredType kStoredTypes[] = {
    {"F32", 32, DType::kF32},         {"F16", 16, DType::kF16},     {"BF16", 16, DType::kBF16},
    {"F8_E4M3", 8, DType::kF8E4M3},   {"I32", 32, DType::kI32},     {"BOOL", 8, DType::kNone},
    {"U8", 8, DType::kNone},          {"I8", 8, DType::kNone},      {"I16", 16, DType::kNone},
    {"U16", 16, DType::kNone},        {"U32", 32, DType::kNone},    {"I64", 64, DType::kNone},
    {"U64", 64, DType::kNone},        {"F64", 64, DType::kNone},    {"C64", 64, DType::kNone},
    {"F8_E5M2", 8, DType::kNone},     {"F8_E8M0", 8, DType::kNone}, {"F8_E4M3FNUZ", 8, DType::kNone},
    {"F8_E5M2FNUZ", 8, DType::kNone}, {"F4", 4, DType::kNone},      {"F6_E2M3", 6, DType::kNone},
    {"F6_E3M2", 6, DType::kNone},
};

using Ull = unsigned long long;

// Reads the header of one file. Every failure names the file, and the tensor where there is one.
class HeaderReader {
 public:
  explicit HeaderReader(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  Result<TensorDirectory> read() {
    DS_TRY(read_text());
    JsonLimits limits;
    limits.bytes = kMaxHeaderBytes;
    limits.depth = 8;
    limits.nodes = 16u << 20;
    DS_TRY_VALUE(const auto document, parse_json(source_->name(), text_, limits));
    const Json root = json_root(*document);
    if (!root.is_object()) return wrong("the header is not a JSON object");
    directory_.tensors.reserve(root.size());
    for (size_t i = 0; i < root.size(); ++i) {
      if (root.key(i) == "__metadata__") {
        DS_TRY(check_metadata(root.at(i)));
      } else {
        DS_TRY(read_entry(root.key(i), root.at(i)));
      }
    }
    DS_TRY(check_ranges());
    directory_.by_name.reserve(directory_.tensors.size());
    for (uint32_t i = 0; i < directory_.tensors.size(); ++i) directory_.by_name.emplace(directory_.tensors[i].name, i);
    directory_.sources.push_back(std::move(source_));
    return std::move(directory_);
  }

 private:
  Status wrong(const char *what) const {
    return fail(DS_E_FORMAT, "safetensors", "%s: %s", source_->name().c_str(), what).at(source_->name(), 8);
  }
  Status wrong_tensor(std::string_view name, const char *what) const {
    return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%.*s': %s", source_->name().c_str(),
                static_cast<int>(std::min<size_t>(name.size(), 128)), name.data(), what)
        .at(source_->name(), 8);
  }

  Status read_text() {
    const std::string &name = source_->name();
    uint8_t length[8];
    if (source_->size() < 8)
      return fail(DS_E_FORMAT, "safetensors", "%s: %llu bytes are no safetensors file: the header length takes 8",
                  name.c_str(), Ull{source_->size()})
          .at(name, 0)
          .bytes(8, source_->size());
    DS_TRY(source_->read_at(0, length));
    if (std::memcmp(length, "version ", 8) == 0)
      return fail(DS_E_FORMAT, "safetensors", "%s is a Git LFS pointer: the real file was not downloaded", name.c_str())
          .at(name, 0);
    header_bytes_ = 0;
    for (int i = 7; i >= 0; --i) header_bytes_ = header_bytes_ << 8 | length[i];
    if (header_bytes_ > kMaxHeaderBytes)
      return fail(DS_E_FORMAT, "safetensors", "%s: header length %llu exceeds the format's limit of %llu", name.c_str(),
                  Ull{header_bytes_}, Ull{kMaxHeaderBytes})
          .at(name, 0);
    if (header_bytes_ > source_->size() - 8)
      return fail(DS_E_FORMAT, "safetensors", "%s: the header takes %llu bytes, but only %llu follow its length",
                  name.c_str(), Ull{header_bytes_}, Ull{source_->size() - 8})
          .at(name, 0)
          .bytes(8 + header_bytes_, source_->size());
    text_.resize(header_bytes_);
    DS_TRY(source_->read_at(8, {reinterpret_cast<uint8_t *>(text_.data()), text_.size()}));
    if (text_.empty() || text_[0] != '{') return wrong("the header does not begin with '{'");
    return {};
  }

  Status check_metadata(const Json &value) const {
    if (!value.is_object()) return wrong("__metadata__ is not an object");
    for (size_t i = 0; i < value.size(); ++i)
      if (!value.at(i).is_string()) return wrong("__metadata__ holds a value that is not a string");
    return {};
  }

  Status read_entry(std::string_view name, const Json &entry) {
    if (name.size() > kMaxNameBytes) return wrong_tensor(name, "the name is longer than 1024 bytes");
    if (!entry.is_object()) return wrong_tensor(name, "the entry is not an object");
    TensorInfo tensor;
    tensor.name = name;
    const auto type_text = entry["dtype"].text();
    if (!type_text) return wrong_tensor(name, "'dtype' is missing or not a string");
    const StoredType *type = std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                                          [&](const StoredType &each) { return each.name == *type_text; });
    if (type == std::end(kStoredTypes))
      return wrong_tensor(name, ("unknown dtype '" + std::string(type_text->substr(0, 32)) + "'").c_str());
    tensor.dtype = type->dtype;
    tensor.stored_type = type->name;
    DS_TRY(read_shape(name, entry["shape"], &tensor));
    DS_TRY(read_range(name, entry["data_offsets"], type->bits, &tensor));
    if (tensor.shape.size() > kMaxDims) {
      tensor.dtype = DType::kNone;
      tensor.stored_type += " of more than 4 dims";
    }
    directory_.tensors.push_back(std::move(tensor));
    return {};
  }

  Status read_shape(std::string_view name, const Json &shape, TensorInfo *tensor) const {
    if (!shape.is_array()) return wrong_tensor(name, "'shape' is missing or not a list");
    if (shape.size() > 64) return wrong_tensor(name, "'shape' has more than 64 dims");
    for (size_t i = 0; i < shape.size(); ++i) {
      const auto dim = shape.at(i).integer();
      if (!dim || *dim < 0 || static_cast<uint64_t>(*dim) > kMaxDim)
        return wrong_tensor(name, "'shape' holds a dim that is not an integer between 0 and 2^40");
      tensor->shape.push_back(static_cast<uint64_t>(*dim));
    }
    return {};
  }

  // Ranges are kept relative to the data until check_ranges() has seen all of them.
  Status read_range(std::string_view name, const Json &offsets, uint32_t bits, TensorInfo *tensor) const {
    const auto begin = offsets.at(0).integer(), end = offsets.at(1).integer();
    if (!offsets.is_array() || offsets.size() != 2 || !begin || !end || *begin < 0 || *end < 0)
      return wrong_tensor(name, "'data_offsets' is not a pair of non-negative integers");
    if (*end < *begin) return wrong_tensor(name, "'data_offsets' end before they begin");
    tensor->range.offset = static_cast<uint64_t>(*begin);
    tensor->range.bytes = static_cast<uint64_t>(*end - *begin);
    const auto elements = checked_product(tensor->shape);
    const auto total_bits = elements ? checked_mul(*elements, bits) : std::nullopt;
    if (!total_bits) return wrong_tensor(name, "the product of 'shape' overflows 64 bits");
    if (*total_bits % 8 != 0) return wrong_tensor(name, "'shape' does not fill whole bytes");
    if (*total_bits / 8 != tensor->range.bytes)
      return fail(DS_E_FORMAT, "safetensors",
                  "%s: tensor '%s': shape and dtype %s need %llu bytes, data_offsets hold %llu",
                  source_->name().c_str(), tensor->name.c_str(), tensor->stored_type.c_str(), Ull{*total_bits / 8},
                  Ull{tensor->range.bytes})
          .at(source_->name(), 8)
          .bytes(*total_bits / 8, tensor->range.bytes);
    return {};
  }

  // In order of offsets each tensor begins where the last one ended, and the last one ends with the file.
  Status check_ranges() {
    std::vector<TensorInfo *> order;
    order.reserve(directory_.tensors.size());
    for (TensorInfo &tensor : directory_.tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const TensorInfo *a, const TensorInfo *b) {
      return a->range.offset != b->range.offset ? a->range.offset < b->range.offset : a->range.bytes < b->range.bytes;
    });
    uint64_t end = 0;
    const uint64_t base = 8 + header_bytes_;
    for (TensorInfo *tensor : order) {
      if (tensor->range.offset != end)
        return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%s' begins at data offset %llu, expected %llu (%s)",
                    source_->name().c_str(), tensor->name.c_str(), Ull{tensor->range.offset}, Ull{end},
                    tensor->range.offset < end ? "overlap" : "hole")
            .at(source_->name(), base);
      end += tensor->range.bytes;  // both below 2^63
      if (end > source_->size()) break;
      tensor->range.offset += base;
    }
    if (end != source_->size() - base)
      return fail(DS_E_FORMAT, "safetensors", "%s: the header describes %llu bytes of data, the file holds %llu",
                  source_->name().c_str(), Ull{end}, Ull{source_->size() - base})
          .at(source_->name(), base)
          .bytes(end, source_->size() - base);
    return {};
  }

  std::shared_ptr<Source> source_;
  TensorDirectory directory_;
  std::string text_;
  uint64_t header_bytes_ = 0;
};

}  // namespace

Result<TensorDirectory> read_safetensors(std::shared_ptr<Source> source) {
  return HeaderReader(std::move(source)).read();
}

Result<std::string> safetensors_header(std::span<const TensorInfo> tensors) {
  JsonWriter json;
  json.begin_object();
  json.key("__metadata__").begin_object().key("format").value("pt").end_object();
  uint64_t offset = 0;
  for (const TensorInfo &tensor : tensors) {
    const StoredType *type = std::find_if(
        std::begin(kStoredTypes), std::end(kStoredTypes),
        [&](const StoredType &each) { return tensor.dtype != DType::kNone && each.dtype == tensor.dtype; });
    if (type == std::end(kStoredTypes))
      return fail(DS_E_UNSUPPORTED, "safetensors", "tensor '%s': type %s cannot be stored in a safetensors file",
                  tensor.name.c_str(), dtype_info(tensor.dtype).name);
    json.key(tensor.name).begin_object().key("dtype").value(type->name).key("shape").begin_array();
    for (uint64_t dim : tensor.shape) json.value(dim);
    const auto elements = checked_product(tensor.shape);
    const auto bytes = elements ? checked_mul(*elements, type->bits / 8) : std::nullopt;
    const auto end = bytes ? checked_add(offset, *bytes) : std::nullopt;
    if (!end)
      return fail(DS_E_ARGUMENT, "safetensors", "tensor '%s': the file would exceed 2^64 bytes", tensor.name.c_str());
    json.end_array().key("data_offsets").begin_array().value(offset).value(*end).end_array().end_object();
    offset = *end;
  }
  json.end_object();
  std::string text = json.take();
  text.resize((text.size() + 7) & ~size_t{7}, ' ');
  std::string header(8, '\0');
  for (int i = 0; i < 8; ++i) header[i] = static_cast<char>(text.size() >> 8 * i & 0xff);
  return header + text;
}

}  // namespace deepseam
