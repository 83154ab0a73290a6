#include "ref/ref.h"

#include "deepseam/version.h"
#include "sdk/cpu_backend.h"
#include "sdk/move_ops.h"

namespace deepseam::ref {
namespace {

using graph::Op;

constexpr sdk::Kernel kKernels[] = {
    {Op::kEmbed, "ref embed", embed},
    {Op::kRmsNorm, "ref rms_norm", rms_norm},
    {Op::kLinear, "ref linear", linear},
    {Op::kConcat, "ref concat", concat},
    {Op::kMlaAttention, "ref mla_attention, absorbed", mla_attention},
    {Op::kSwiglu, "ref swiglu", swiglu},
    {Op::kMoeRoute, "ref moe_route", moe_route},
    {Op::kMoeExperts, "ref moe_experts", moe_experts, 0, nullptr, nullptr, nullptr, moe_experts_scratch},
    {Op::kAdd, "ref add", add},
    {Op::kLmHead, "ref lm_head", lm_head},
    DS_MOVE_KERNELS,
};

}  // namespace

extern const sdk::Backend kRef;
constexpr sdk::Backend kRef = {
    "ref",
    DS_VERSION_STRING,
    "reference (float32, plain C++)",
    0,                     // score
    1,                     // numerics
    1u << DSB_ACT_NATIVE,  // act_types
    kKernels,
};

const dsb_root *root() { return sdk::root<kRef>(); }

}  // namespace deepseam::ref
