// Rules of single ops that no formula over sizes can state: one short function each, answering in words.
#include "graph/rules.h"

namespace deepseam::graph {
namespace {

std::string said(Attr attr, int64_t found) {
  return std::string("attribute ") + attr_info(attr).name + " is " + std::to_string(found);
}

std::string mla_attention(const Node &node) {
  const int64_t rope = node.get_int(Attr::kQkRopeHeadDim);
  if (rope % 2) return said(Attr::kQkRopeHeadDim, rope) + ", expected an even number";
  const size_t pairs = node.get_list(Attr::kInvFreq).size();
  if (pairs == static_cast<size_t>(rope / 2)) return {};
  return "attribute inv_freq has " + std::to_string(pairs) +
         " entries, expected qk_rope_head_dim / 2 = " + std::to_string(rope / 2);
}

std::string moe_route(const Node &node) {
  const int64_t experts = node.get_int(Attr::kNumExperts), chosen = node.get_int(Attr::kExpertsPerTok);
  if (chosen > experts)
    return said(Attr::kExpertsPerTok, chosen) + ", expected at most n_routed_experts = " + std::to_string(experts);
  const int64_t score = node.get_int(Attr::kGroupScore);
  if (score == 0) return {};
  const int64_t groups = node.get_int(Attr::kNumGroups), kept = node.get_int(Attr::kTopkGroup);
  if (experts % groups)
    return said(Attr::kNumGroups, groups) + ", expected a divisor of n_routed_experts = " + std::to_string(experts);
  if (kept > groups) return said(Attr::kTopkGroup, kept) + ", expected at most n_group = " + std::to_string(groups);
  const int64_t size = experts / groups;
  if (score == 2 && size < 2)
    return "groups have 1 expert, expected at least 2 where group_score is the sum of the two largest";
  if (chosen > kept * size)
    return said(Attr::kExpertsPerTok, chosen) +
           ", expected at most topk_group * n_routed_experts / n_group = " + std::to_string(kept * size);
  return {};
}

std::string moe_experts(const Node &node, const std::vector<Tensor> &tensors) {
  const int64_t experts = node.get_int(Attr::kNumExperts), begin = node.get_int(Attr::kExpertBegin),
                count = node.get_int(Attr::kExpertCount);
  if (begin + count > experts)
    return "experts " + std::to_string(begin) + " to " + std::to_string(begin + count) +
           " do not lie within n_routed_experts = " + std::to_string(experts);
  const int64_t chosen = tensors[node.inputs[1]].shape[1];
  if (chosen > experts)
    return "input ids has " + std::to_string(chosen) +
           " columns, expected at most n_routed_experts = " + std::to_string(experts);
  size_t shared = 0;
  for (size_t i = 6; i < node.inputs.size(); ++i) shared += node.inputs[i] != kAbsent;
  if (shared % 3 == 0) return {};
  return std::to_string(shared) + " of the 3 weights of the shared expert are there, expected all or none";
}

std::string lm_head(const Node &node, const std::vector<Tensor> &tensors) {
  const int64_t known = node.get_int(Attr::kNumVocab), rows = tensors[node.inputs[1]].shape[0];
  if (known <= rows) return {};
  return said(Attr::kNumVocab, known) + ", expected at most the " + std::to_string(rows) + " rows of input weight";
}

std::string collective(const Node &node) {
  const int64_t rank = node.get_int(Attr::kRank), world = node.get_int(Attr::kWorld);
  return rank < world ? "" : said(Attr::kRank, rank) + ", expected less than world = " + std::to_string(world);
}

}  // namespace

std::string broken_rule(const Node &node, const std::vector<Tensor> &tensors) {
  switch (node.op) {
    case Op::kMlaAttention:
      return mla_attention(node);
    case Op::kMoeRoute:
      return moe_route(node);
    case Op::kMoeExperts:
      return moe_experts(node, tensors);
    case Op::kLmHead:
      return lm_head(node, tensors);
    case Op::kAllReduce:
    case Op::kAllGather:
    case Op::kReduceScatter:
    case Op::kAllToAll:
      return collective(node);
    default:
      return {};
  }
}

}  // namespace deepseam::graph
