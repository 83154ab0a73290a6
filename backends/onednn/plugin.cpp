#include "backend.h"
#include "ops.h"
#include "sdk/move_ops.h"

namespace deepseam::onednn {
namespace {

using graph::Op;
using sdk::Kernel;

// Weights in packed form with a bias as stored; elementwise ops take what they get.
constexpr Kernel kList[] = {
    {Op::kEmbed, "rows", run_embed},
    {Op::kInputHidden, "rows", run_input_hidden},
    {Op::kRmsNorm, "rows", run_rms_norm},
    {Op::kLinear, "tiles", run_linear, 0, nullptr, linear_weights, pack_whole, linear_scratch},
    {Op::kConcat, "rows", run_concat},
    {Op::kMlaAttention, "absorbed or expanded", run_mla_attention, 0, nullptr, attention_weights, attention_pack,
     attention_scratch},
    {Op::kSwiglu, "rows", run_swiglu},
    {Op::kMoeRoute, "tiles", run_moe_route, 0, nullptr, linear_weights, pack_whole, linear_scratch},
    {Op::kMoeExperts, "sorted tiles", run_moe_experts, 0, nullptr, experts_weights, pack_whole, experts_scratch},
    {Op::kAdd, "rows", run_add},
    {Op::kGatherRows, "rows", run_gather_rows},
    {Op::kLmHead, "tiles", run_lm_head, 0, nullptr, linear_weights, pack_whole, linear_scratch},
    DS_MOVE_KERNELS,  // between the ranks of a group
};

void arch_name(const dsb_host &host, char arch[24]) {
  const char *name = kernels_for(host.isa_cap).isa;
  size_t i = 0;
  for (; name[i] && i < 23; ++i) arch[i] = name[i];
  arch[i] = 0;
}

Result<std::shared_ptr<void>> open_machine(const dsb_host &host) {
  auto machine = std::shared_ptr<Machine>(new Machine, [host](Machine *m) {
    dnnl_close(host, &m->dnnl);
    delete m;
  });
  machine->kernels = &kernels_for(host.isa_cap);
  machine->dnnl = dnnl_open(host);
  return std::shared_ptr<void>(machine);
}

std::string library_name(const void *state) {
  const Dnnl &dnnl = static_cast<const Machine *>(state)->dnnl;
  if (!dnnl.loaded()) return {};
  return "oneDNN " + std::to_string(dnnl.major) + "." + std::to_string(dnnl.minor) + "." + std::to_string(dnnl.patch);
}

}  // namespace

const sdk::Backend kBackend = {
    "onednn",
    DS_VERSION_STRING,
    "CPU",
    100,  // score
    2,    // numerics
    1u << DSB_ACT_NATIVE | 1u << DSB_ACT_INT8X32,
    kList,
    arch_name,
    open_machine,
    library_name,
};

}  // namespace deepseam::onednn
