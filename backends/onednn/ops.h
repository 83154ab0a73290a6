// The kernels of this backend, op by op (plugin.cpp lists them), and what they share: packed weights, low-rank deltas.
#pragma once

#include <span>

#include "multiply.h"
#include "pack.h"
#include "sdk/kernel.h"

namespace deepseam::onednn {

// The packed form of a whole weight tensor; the number of the form is that of its Pack.
inline uint32_t form_of(Pack pack) { return static_cast<uint32_t>(pack); }
sdk::WeightUse use_packed(const sdk::PlanNode &plan, size_t input);
sdk::WeightUse use_stored(const sdk::PlanNode &plan, size_t input);
// Packs every matrix of a tensor behind each other.
Status pack_whole(sdk::PackJob &job);
// Matrix `index` of a weight packed by pack_whole; its shape is that of graph tensor `input`.
Matrix matrix_of(const sdk::PlanNode &plan, const sdk::Weight &weight, size_t input, uint64_t index = 0);

// y += scale * B (A x), on the calling thread.
void add_lora(const Kernels &kernels, const sdk::Lora &lora, const float *x, float *y);

// linear.cpp
Status run_linear(sdk::RunContext &run);
Status run_lm_head(sdk::RunContext &run);
std::vector<sdk::WeightUse> linear_weights(const sdk::PlanNode &plan);
uint64_t linear_scratch(const sdk::PlanNode &plan, uint64_t rows);

// rows.cpp: ops that move or map single rows
Status run_embed(sdk::RunContext &run);
Status run_input_hidden(sdk::RunContext &run);
Status run_rms_norm(sdk::RunContext &run);
Status run_concat(sdk::RunContext &run);
Status run_swiglu(sdk::RunContext &run);
Status run_add(sdk::RunContext &run);
Status run_gather_rows(sdk::RunContext &run);

// route.cpp
Status run_moe_route(sdk::RunContext &run);

// experts.cpp
Status run_moe_experts(sdk::RunContext &run);
std::vector<sdk::WeightUse> experts_weights(const sdk::PlanNode &plan);
uint64_t experts_scratch(const sdk::PlanNode &plan, uint64_t rows);

// attention.cpp
Status run_mla_attention(sdk::RunContext &run);
std::vector<sdk::WeightUse> attention_weights(const sdk::PlanNode &plan);
Status attention_pack(sdk::PackJob &job);
uint64_t attention_scratch(const sdk::PlanNode &plan, uint64_t rows);

}  // namespace deepseam::onednn
