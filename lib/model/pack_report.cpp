// See pack_report.h. Names are the library's own: no character of them needs escaping.
#include "model/pack_report.h"

#include <cmath>
#include <map>

#include "base/json.h"

namespace deepseam::model {
namespace {

struct Sum {
  uint64_t weights = 0, bytes = 0;
  double error = 0, size = 0;
  void add(const PackedWeight &weight) {
    ++weights;
    bytes += weight.bytes;
    error += weight.error;
    size += weight.size;
  }
};

}  // namespace

double relative_error(double error, double size) { return size > 0 ? std::sqrt(error / size) : 0; }

std::string report_json(const PackReport &report) {
  std::map<std::string, Sum> types;
  Sum all;
  for (const PackedWeight &weight : report.weights) {
    types[dtype_info(weight.dtype).name].add(weight);
    all.add(weight);
  }
  JsonWriter json;
  json.begin_object();
  json.key("bytes").value(all.bytes).key("error").decimal(relative_error(all.error, all.size));
  json.key("calibration_tokens").value(report.tokens);
  json.key("types").begin_object();
  for (const auto &[name, sum] : types) {
    json.key(name).begin_object().key("weights").value(sum.weights).key("bytes").value(sum.bytes);
    json.key("error").decimal(relative_error(sum.error, sum.size)).end_object();
  }
  json.end_object();
  json.key("weights").begin_array();
  for (const PackedWeight &weight : report.weights) {
    json.begin_object().key("name").value(weight.role).key("type").value(dtype_info(weight.dtype).name);
    json.key("shape").begin_array();
    for (const uint64_t dim : weight.shape) json.value(dim);
    json.end_array().key("bytes").value(weight.bytes);
    json.key("error").decimal(relative_error(weight.error, weight.size));
    json.key("weighted").value(weight.weighted).end_object();
  }
  json.end_array().end_object();
  return json.take();
}

}  // namespace deepseam::model
