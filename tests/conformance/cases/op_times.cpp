// Where a step's time goes: counted for every op that ran, in all backends that say so, and for no other.
#include "tiny.h"

namespace conformance {

CONFORMANCE("op times: the ops of a step have taken time, others none, and a second step adds to it") {
  if (!(api().features & DSB_FEATURE_OP_TIMES)) return;
  Tiny tiny;
  const SamplerHolder sampler(sampler_desc(0));
  std::vector<uint64_t> op_ns(DSB_OP_TIMES, 1);
  uint32_t id = 0;
  const auto ns = [&](graph::Op op) { return op_ns[static_cast<uint32_t>(op)]; };
  const auto run_one = [&](uint32_t entry, uint32_t want) {
    Step step = tiny.step(0, 0, random_tokens(5, 12), 0);
    step.rows.back().want = want;
    step.entry = entry;
    step.seqs[0].sampler = sampler.sampler;
    step.outputs.ids = &id;
    step.outputs.op_ns = op_ns.data();
    run_ok(tiny.program.exec, step);
  };
  run_one(DSB_ENTRY_FORWARD, DSB_WANT_LOGITS);
  for (const graph::Op op : {graph::Op::kEmbed, graph::Op::kMlaAttention, graph::Op::kMoeExperts, graph::Op::kLmHead})
    CHECK(ns(op) > 1);
  for (const graph::Op op : {graph::Op::kNone, graph::Op::kSample, graph::Op::kAccept, graph::Op::kInputHidden,
                             graph::Op::kAllReduce, graph::Op::kCopy})
    CHECK(ns(op) == 1);
  const uint64_t experts = ns(graph::Op::kMoeExperts);
  run_one(DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE, DSB_WANT_SAMPLE);
  CHECK(ns(graph::Op::kMoeExperts) > experts);
  CHECK(ns(graph::Op::kSample) > 1);
}

}  // namespace conformance
