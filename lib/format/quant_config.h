// How the weights of a Hugging Face checkpoint are quantised: the quantization_config of its config.json.
//
// What is read: quant_method "fp8" (DeepSeek's own, one scale a tensor or a block), "compressed-tensors" (formats
// float-quantized, naive-quantized of 8-bit floats, pack-quantized of 4-bit integers), "awq" (AutoAWQ's version gemm)
// and "gptq" (checkpoint formats gptq and gptq_v2), both of 4 bits. Anything else is refused here, before a tensor is
// looked at. Lists of modules that were left alone are not needed: what is stored plainly is plain. How activations
// were to be quantised is not followed: weights alone are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace deepseam {

// The block of a matrix that shares a scale; 0: all of its rows or columns.
struct ScaleBlocks {
  uint32_t rows = 128;
  uint32_t cols = 128;
  bool operator==(const ScaleBlocks &) const = default;
};

enum class QuantMethod : uint32_t { kNone, kFp8, kCompressed, kAwq, kGptq };

// One way in which weights are stored. A compressed-tensors file may have several; which one a tensor follows is seen
// by its type and the shape of its scales.
struct WeightScheme {
  bool integers = false;   // of 4 bits; else F8_E4M3
  ScaleBlocks blocks;      // integers: 1 x group
  bool symmetric = false;  // integers: zero is always 8
  bool scattered = false;  // integers: groups were made in the order of activations, each input says its own
  std::string where;       // "config.json: quantization_config", for messages
};

struct QuantScheme {
  QuantMethod method = QuantMethod::kNone;
  uint32_t zero_added = 0;         // GPTQ of the first version stores zeros less one
  std::vector<WeightScheme> ways;  // at least one; without a method 8-bit floats in blocks of 128 x 128
  std::vector<std::string> notes;  // what the configuration asks for and is not done, as sentences

  QuantScheme();
  explicit QuantScheme(ScaleBlocks blocks);  // fp8
};

// `name` is config.json's, for messages, `text` its content. DS_E_FORMAT: not JSON, or a field of the wrong type.
// DS_E_UNSUPPORTED: a method, version, type, number of bits or group that is not read. All name field, found, expected.
Result<QuantScheme> parse_quant_config(const std::string &name, std::string_view text);

}  // namespace deepseam
