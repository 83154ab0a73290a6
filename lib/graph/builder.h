// Appends nodes to a graph, one named call per op, deriving output shapes. A mistake of the caller is remembered and
// told by finish(), so that model code reads like the paper, without a check on every line.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace deepseam::graph {

// A tensor of the graph being built.
struct Value {
  uint32_t id = kAbsent;
};

struct MlaShape {
  int64_t num_attention_heads = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0, kv_lora_rank = 0;
};

struct MlaOptions {
  MlaShape shape;
  int64_t kv_layer = 0;
  double eps = 1e-6;
  double softmax_scale = 0;
  double rope_scale = 1;
  std::vector<double> inv_freq;  // [qk_rope_head_dim / 2]
};

// Values of the attributes scoring_func and group_score.
enum class ScoringFunc { kSoftmax = 0, kSigmoid = 1 };
enum class GroupScore { kNone = 0, kMax = 1, kTop2Sum = 2 };

struct RouteOptions {
  int64_t n_routed_experts = 0, num_experts_per_tok = 0, n_group = 1, topk_group = 1;
  ScoringFunc scoring_func = ScoringFunc::kSoftmax;
  GroupScore group_score = GroupScore::kNone;
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1;
  int64_t moe_layer = 0;
};

struct Routing {
  Value ids;      // i32 [T,K]
  Value weights;  // f32 [T,K]
};

// Weights of the experts from expert_begin on: all of them, or the part that one device holds.
struct ExpertWeights {
  int64_t n_routed_experts = 0, expert_begin = 0, expert_count = 0;
  Value gate, up, down;                       // [expert_count,I,H], [expert_count,I,H], [expert_count,H,I]
  Value shared_gate, shared_up, shared_down;  // absent if there are none
};

class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name);

  // The weight of a role; later calls find it and must say the same.
  Value weight(const std::string &role, DType dtype, std::vector<int64_t> shape);

  Value embed(Value table);
  Value input_hidden(int64_t hidden_size);
  Value rms_norm(Value x, Value weight, double eps);
  Value linear(Value x, Value weight, Value bias = {});
  Value concat(Value a, Value b);
  Value mla_attention(Value q, Value kv_a, Value kv_a_norm, Value kv_b, const MlaOptions &options);
  Value swiglu(Value gate, Value up);
  Routing moe_route(Value x, Value weight, Value bias, const RouteOptions &options);
  Value moe_experts(Value x, const Routing &routing, const ExpertWeights &weights);
  Value add(Value a, Value b);
  Value gather_rows(Value x);
  Value lm_head(Value x, Value weight, int64_t n_vocab);

  // Prefix of the names of nodes appended from now on ("layers.3").
  void scope(std::string name) { scope_ = std::move(name); }
  void output_hidden(Value hidden) { graph_.hidden = hidden.id; }
  void output_logits(Value logits) { graph_.logits = logits.id; }
  // The graph, verified; tensors are numbered in order of use. The builder is empty afterwards.
  Result<Graph> finish();

 private:
  // `columns`: of outputs that inputs do not size.
  std::vector<uint32_t> append(Op op, const std::string &name, const std::vector<Value> &inputs,
                               std::vector<Attribute> attributes = {}, int64_t columns = 0);
  Value append_one(Op op, const std::string &name, const std::vector<Value> &inputs,
                   std::vector<Attribute> attributes = {}, int64_t columns = 0);
  std::string scoped(const char *name) const;
  std::string role(Value weight, const char *otherwise) const;
  std::string unique(const std::string &name);

  Graph graph_;
  std::string scope_;
  std::unordered_map<std::string, uint32_t> roles_;  // tensor index
  std::unordered_map<std::string, uint32_t> names_;  // how often used
  Status failure_;                                   // the first mistake
};

}  // namespace deepseam::graph
