// What packing did to each weight: its format, its bytes, and how far the stored numbers are from the source's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace deepseam::model {

struct PackedWeight {
  std::string role;
  DType dtype = DType::kNone;
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;          // with scales
  double error = 0, size = 0;  // sums of squares: of what storing changed, of the source's numbers
  bool weighted = false;       // errors were weighed by what a text uses
};

struct PackReport {
  uint64_t tokens = 0;  // of the text that errors were weighed by
  std::vector<PackedWeight> weights;
};

// Root of the mean squared error, relative to the numbers' own; 0 for zeros.
double relative_error(double error, double size);

// One object: "bytes", "error", "calibration_tokens"; "types.NAME" with "weights", "bytes", "error"; "weights", a list
// with "name", "type", "shape", "bytes", "error", "weighted". Errors are relative.
std::string report_json(const PackReport &report);

}  // namespace deepseam::model
