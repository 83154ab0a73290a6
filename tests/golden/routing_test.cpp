// Below sessions: which experts every token took and with what weight, and the MTP module's logits, against the oracle.
#include <doctest/doctest.h>

#include <cstring>

#include "golden/backend.h"
#include "golden/compare.h"
#include "golden/npz.h"
#include "model/deepseek.h"
#include "session/device_model.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

// One program with its own pool, run over a whole prompt in one step.
struct Machine {
  std::unique_ptr<DeviceModel> device;
  std::vector<float> logits, hidden, route_weights;
  std::vector<int32_t> route_ids;

  Machine(Rig &rig, const PlannedModel &model) : device(must(load_device_model(*rig.runtime, model, {}))) {}

  // Rows in `wanted` give logits; all give hidden. `hidden_in`: [ids, H] or empty.
  void run(const model::Config &config, const std::vector<uint32_t> &ids, bool all_hidden,
           const std::vector<float> &hidden_in, const std::vector<int32_t> &wanted) {
    const auto n = static_cast<uint32_t>(ids.size());
    const auto wide = static_cast<size_t>(config.hidden_size);
    const auto layers = static_cast<size_t>(config.n_moe_layers()) + 1;
    logits.assign(wanted.size() * device->vocab, 0);
    hidden.assign(all_hidden ? n * wide : 0, 0);
    route_ids.assign(layers * n * static_cast<size_t>(std::max<int64_t>(config.num_experts_per_tok, 1)), -1);
    route_weights.assign(route_ids.size(), 0);
    std::vector<dsb_row> rows(n);
    for (uint32_t i = 0; i < n; ++i) {
      rows[i].position = rows[i].kv_row = i;
      rows[i].token_id = ids[i];
      rows[i].mask_offset = DSB_NONE;
      rows[i].hidden_row = hidden_in.empty() ? DSB_NONE : i;
      rows[i].want = all_hidden ? DSB_WANT_HIDDEN : 0;
      if (std::find(wanted.begin(), wanted.end(), static_cast<int32_t>(i)) != wanted.end())
        rows[i].want |= DSB_WANT_LOGITS;
    }
    std::vector<uint32_t> blocks((n + device->block_tokens - 1) / device->block_tokens);
    std::iota(blocks.begin(), blocks.end(), 0u);
    dsb_seq seq{};
    seq.flags = DSB_SEQ_NEW_TABLE;
    seq.blocks = blocks.data();
    seq.n_blocks = static_cast<uint32_t>(blocks.size());
    dsb_outputs outputs{};
    outputs.struct_size = sizeof outputs;
    outputs.logits = logits.data();
    outputs.hidden = all_hidden ? hidden.data() : nullptr;
    outputs.route_ids = config.n_moe_layers() ? route_ids.data() : nullptr;
    outputs.route_weights = config.n_moe_layers() ? route_weights.data() : nullptr;
    dsb_step step{};
    step.struct_size = sizeof step;
    step.entry = DSB_ENTRY_FORWARD;
    step.n_rows = n;
    step.n_seqs = 1;
    step.rows = rows.data();
    step.seqs = &seq;
    step.row_stride = sizeof(dsb_row);
    step.seq_stride = sizeof(dsb_seq);
    step.hidden_in = hidden_in.empty() ? nullptr : hidden_in.data();
    step.n_hidden_in = hidden_in.empty() ? 0 : n;
    step.repeat = 1;
    step.outputs = &outputs;
    const auto running = must(device->executor->submit(0, step, {device->pool->raw()}));
    REQUIRE(must(running->wait()) == runtime::TicketState::kDone);
  }
};

golden::Record record_of(const std::string &variant, const std::string &length) {
  return golden::read_npz(std::string(DS_GOLDEN_DIR) + "/" + variant + "-" + length + ".npz");
}

}  // namespace

TEST_CASE("every token takes the oracle's experts, with its weights") {
  Rig rig({}, golden::backend_root());
  // All variants but lite-dense, which routes nothing.
  for (const std::string variant : {"lite", "lite-rope", "lite-dense0", "lite-dense2", "lite-tied", "lite-shards",
                                    "lite-wide", "v2", "v3", "v3-bf16", "v3-true"}) {
    const PlannedModel model = must(plan_model(*rig.runtime, Rig::tiny(variant), true));
    Machine machine(rig, model);
    for (const std::string length : {"001", "007", "064", "300"}) {
      CAPTURE(variant);
      CAPTURE(length);
      const auto record = record_of(variant, length);
      const auto ints = record.at("ids").ints();
      machine.run(model.config, {ints.begin(), ints.end()}, false, {}, {0});
      const auto experts = record.at("experts").ints();
      const auto weights = record.at("expert_weights").floats();
      REQUIRE(experts.size() >= ints.size());
      REQUIRE(experts.size() <= machine.route_ids.size());
      CHECK(std::equal(experts.begin(), experts.end(), machine.route_ids.begin()));
      double worst = 0;
      for (size_t i = 0; i < weights.size(); ++i)
        worst = std::max(worst, std::fabs(double{weights[i]} - machine.route_weights[i]));
      CHECK(worst <= 2e-4);
    }
  }
}

TEST_CASE("the MTP module's logits are the oracle's") {
  Rig rig({}, golden::backend_root());
  PlannedModel model = must(plan_model(*rig.runtime, Rig::tiny("v3"), true));
  REQUIRE(model.weights.has_mtp);
  Machine main(rig, model);
  PlannedModel draft = model;
  draft.graph = must(model::build_mtp(model.config, model.weights, 0, {model.n_vocab}));
  draft.config.num_hidden_layers += 1;  // the module's rows lie in KV layer L
  Machine mtp(rig, draft);
  for (const std::string length : {"007", "064", "300"}) {
    CAPTURE(length);
    const auto record = record_of("v3", length);
    const auto ints = record.at("ids").ints();
    const std::vector<uint32_t> ids(ints.begin(), ints.end());
    const auto positions = record.at("positions").ints();
    main.run(model.config, ids, true, {}, {});
    std::vector<uint32_t> next(ids.begin() + 1, ids.end());
    next.push_back(static_cast<uint32_t>(record.at("generated").ints()[0]));
    mtp.run(model.config, next, false, main.hidden, positions);
    const auto reference = record.at("mtp_logits").floats();
    const auto d = golden::compare(reference, mtp.logits);
    CHECK(d.max_abs <= golden::kMaxAbs);
  }
}
