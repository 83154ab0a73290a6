// The reference backend: every op in plain float32, one file an op. It is what other backends are compared with, and
// the one to clone when writing another.
//
// Weights stay as stored and are decoded row by row where they are used. Every output row is computed by itself, with
// sums in one fixed order (math.h), so that no batch, no chunking and no number of threads changes a bit.
#pragma once

#include "deepseam/backend.h"
#include "sdk/kernel.h"

namespace deepseam::ref {

// For hosts that register the backend themselves, and for tests.
const dsb_root *root();

Status add(sdk::RunContext &context);
Status concat(sdk::RunContext &context);
Status embed(sdk::RunContext &context);
Status linear(sdk::RunContext &context);
Status lm_head(sdk::RunContext &context);
Status mla_attention(sdk::RunContext &context);
Status moe_experts(sdk::RunContext &context);
uint64_t moe_experts_scratch(const sdk::PlanNode &plan, uint64_t rows);
Status moe_route(sdk::RunContext &context);
Status rms_norm(sdk::RunContext &context);
Status swiglu(sdk::RunContext &context);

}  // namespace deepseam::ref
