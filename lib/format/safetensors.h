// Reading and writing safetensors files: one file, or a Hugging Face folder of shards with its index.
//
// The reader is as strict as the format's own reference: header at most 100 MB, valid UTF-8 JSON without duplicate
// keys, byte ranges sorted without hole or overlap, exact products, exact file end. It reads headers only. Types that
// the library does not compute with are listed with dtype kNone: they are an error only where a model needs them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "format/quant_config.h"
#include "format/tensors.h"

namespace deepseam {

// The directory of one file, as stored: fp8 weights and their scales are separate entries. DS_E_FORMAT says what is
// wrong where; DS_E_IO if the source fails.
Result<TensorDirectory> read_safetensors(std::shared_ptr<Source> source);

// All tensors of a folder: model.safetensors.index.json and its shards (plain names only, every mapped tensor must be
// in its shard), else model.safetensors, else all *.safetensors that the folder lists. Quantised weights are joined
// with what belongs to them, from any shard (hf_join.h).
Result<TensorDirectory> open_hf_tensors(const Folder &folder, const QuantScheme &scheme);

// The same for one file without a folder around it.
Result<TensorDirectory> open_hf_tensors(std::shared_ptr<Source> file, const QuantScheme &scheme);

// Header of a new file: 8-byte length, JSON, padding to a multiple of 8. Data follows in the order of `tensors`,
// without gaps; their ranges and sources are ignored. Only F32, F16, BF16, F8_E4M3 and I32; scales are not written.
Result<std::string> safetensors_header(std::span<const TensorInfo> tensors);

}  // namespace deepseam
