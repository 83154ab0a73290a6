// Which tensors a model has, by role, and where a checkpoint holds each: the one place that knows tensor names.
//
// Roles, with shapes in row-major order (letters: ARCHITECTURE.md; L = num_hidden_layers):
//   embed [V,H] · final_norm [H] · lm_head [V,H] (absent if tied)
//   layers.{i}.attn_norm [H] · q [N(dn+dr),H]  or  q_a [Rq,H], q_a_norm [Rq], q_b [N(dn+dr),Rq]
//   layers.{i}.kv_a [R+dr,H] · kv_a_norm [R] · kv_b [N(dn+dv),R] · o [H,N dv] · ffn_norm [H]
//   layers.{i}.q_a.bias, kv_a.bias, o.bias (only with attention_bias)
//   layers.{i}.gate, up [F,H], down [H,F]                                dense layers
//   layers.{i}.router [E,H] · router.bias [E] · experts.gate, experts.up [E,I,H] · experts.down [E,H,I]
//   layers.{i}.shared.gate, shared.up [nI,H] · shared.down [H,nI]
//   layers.{L+j}.…  the layer of MTP module j, and  mtp.{j}.enorm, hnorm [H], eh_proj [H,2H], head_norm [H],
//   embed [V,H], head [V,H] (the last two absent where the file leaves them out: the main model's serve)
// A .dsm stores tensors under these names; those of Hugging Face and GGUF are mapped in weight_names.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "format/tensors.h"
#include "model/config.h"

namespace deepseam::model {

struct WeightSpec {
  std::string role;
  std::vector<uint64_t> shape;
  bool stacked = false;     // [E, …]: a checkpoint may hold it as E tensors
  bool keep_float = false;  // norms, router, biases: f32, f16 or bf16, never quantised
  bool optional = false;    // the MTP modules' own embedding and head
};

// All roles of a model in file order; with `mtp` those of its MTP modules too.
std::vector<WeightSpec> weight_specs(const Config &config, bool mtp);

// What Hugging Face checkpoints call a role: one name, or for a stacked role one for each expert. Roles are those of
// weight_specs; for others the answer is empty.
std::vector<std::string> hf_names(const Config &config, const WeightSpec &spec);

// What GGUF files call a role, as one tensor; other layouts of theirs are known to bind_weights alone.
std::string gguf_name(const Config &config, const WeightSpec &spec);

// One role found in a directory: one tensor, or E parts. Pointers live as long as the directory and the map.
struct WeightBinding {
  WeightSpec spec;
  DType dtype = DType::kNone;  // as stored; of packed integers what they become
  std::vector<const TensorInfo *> parts;
  // kv_b from two tensors, as GGUF files with absorbed projections have it: parts are [N,R,dn], a transposed matrix a
  // head, and [N,dv,R]. dtype is then F32, or the 16-bit type that both are of.
  bool absorbed = false;

  // 8-bit floats with scales for less than 16 rows or 32 columns of the matrix, finer than backends take them: they get
  // Q8_0.
  bool fine_scales = false;

  bool basic = false;  // for a backend that refuses what compute_dtype gives: basic_dtype

  DType compute() const {  // as graphs and backends see it
    return fine_scales ? DType::kQ8_0 : basic ? basic_dtype(dtype) : compute_dtype(dtype);
  }
  bool is_int4() const { return !parts.empty() && parts[0]->int4; }
  bool is_remade() const { return absorbed || is_int4() || compute() != dtype; }  // not used as it lies in the file
  uint64_t rows() const;                                                          // over all leading dims
  uint64_t compute_bytes() const { return rows() * row_bytes(compute(), spec.shape.back()); }
};

struct WeightMap {
  std::vector<WeightBinding> bindings;  // in the order of weight_specs
  std::unordered_map<std::string, uint32_t> by_role;
  std::vector<std::shared_ptr<const TensorInfo>> views;  // parts that are slices of a tensor of the directory
  bool has_mtp = false;                                  // the MTP modules of the config are all in the file

  const WeightBinding *find(const std::string &role) const {
    auto found = by_role.find(role);
    return found == by_role.end() ? nullptr : &bindings[found->second];
  }
};

// Binds every role; DS_E_MODEL names the tensor that is missing, or its shape or dtype and what was expected. Tensors
// that belong to no role are ignored. MTP roles are bound if the file has them; has_mtp tells.
Result<WeightMap> bind_weights(const Config &config, const TensorDirectory &directory, const std::string &file);

}  // namespace deepseam::model
