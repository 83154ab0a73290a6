// Wrong plans and wrong steps: each is refused with a status and a sentence, and nothing has happened.
#include <functional>

#include "tiny.h"

namespace conformance {
namespace {

struct Wrong {
  const char *what;
  std::function<void(Step &)> change;
};

struct Bench {
  Tiny tiny;
  SamplerHolder sampler{sampler_desc(0)}, other{sampler_desc(0)};
  uint32_t word = 0;
  std::vector<uint32_t> drafts = {1, 2, kVocab};

  // Two sequences; the second is a small tree. Good as it stands.
  Step good() {
    Step step = tiny.step(0, 0, {3, 4, 5}, DSB_WANT_LOGITS);
    const uint32_t seq = step.add_seq(1, 0, Tiny::blocks(1));
    step.ancestors = {1, 3, 5};
    for (uint32_t i = 0; i < 3; ++i) step.add_row(seq, i, 6 + i, DSB_WANT_SAMPLE).mask_offset = i;
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    step.seqs[1].sampler = sampler.sampler;
    return step;
  }
};

// What concerns the step as a whole and its rows.
std::vector<Wrong> wrong_rows(Bench &bench) {
  const uint32_t *drafts = bench.drafts.data();
  return {
      {"no entry", [](Step &s) { s.entry = 0; }},
      {"unknown entry", [](Step &s) { s.entry = 8 | DSB_ENTRY_FORWARD; }},
      {"accept without sample", [](Step &s) { s.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_ACCEPT; }},
      {"accept where not all rows want a sample", [](Step &s) { s.entry |= DSB_ENTRY_ACCEPT; }},
      {"a sample without the entry", [](Step &s) { s.entry = DSB_ENTRY_FORWARD; }},
      {"sample alone without logits", [](Step &s) { s.entry = DSB_ENTRY_SAMPLE; }},
      {"no rows", [](Step &s) { s.rows.clear(); }},
      {"too many rows", [](Step &s) { s.rows.resize(65, s.rows[0]); }},
      {"no sequences", [](Step &s) { s.seqs.clear(), s.blocks.clear(); }},
      {"too many sequences", [](Step &s) { s.seqs.resize(9, s.seqs[0]), s.blocks.resize(9); }},
      {"seq out of range", [](Step &s) { s.rows[2].seq = 2; }},
      {"rows of a sequence apart", [](Step &s) { std::swap(s.rows[2], s.rows[3]); }},
      {"kv_row not rising", [](Step &s) { s.rows[1].kv_row = 0; }},
      {"kv_row below kv_len", [](Step &s) { s.seqs[0].kv_len = 1; }},
      {"kv_row beyond the table", [](Step &s) { s.rows[2].kv_row = 64; }},
      {"kv_row beyond max_blocks_per_seq", [](Step &s) { s.rows[2].kv_row = 1u << 20; }},
      {"kv_row at the end of numbers", [](Step &s) { s.rows[2].kv_row = UINT32_MAX; }},
      {"kv_len beyond the table",
       [](Step &s) { s.seqs[0].kv_len = 65, s.rows.erase(s.rows.begin(), s.rows.begin() + 3); }},
      {"token out of range", [](Step &s) { s.rows[0].token_id = kVocab; }},
      {"unknown token source", [](Step &s) { s.rows[0].token_source = 3; }},
      {"last token without a sampler", [](Step &s) { s.rows[0].token_source = DSB_TOKEN_LAST; }},
      {"last token of a sampler that has none", [](Step &s) { s.rows[3].token_source = DSB_TOKEN_LAST; }},
      {"draft without drafts", [](Step &s) { s.rows[3].token_source = DSB_TOKEN_DRAFT; }},
      {"draft that is no token",
       [=](Step &s) {
         s.rows[3].token_source = DSB_TOKEN_DRAFT, s.rows[3].token_id = 2;
         s.seqs[1].draft_ids = drafts, s.seqs[1].n_draft_ids = 3;
       }},
      {"unknown want", [](Step &s) { s.rows[0].want = 16; }},
      {"mask without own bit", [](Step &s) { s.ancestors[1] = 1; }},
      {"mask with a later bit", [](Step &s) { s.ancestors[1] = 7; }},
      {"mask with a bit of no row", [](Step &s) { s.ancestors[2] |= 1u << 31; }},
      {"mask out of range", [](Step &s) { s.rows[4].mask_offset = 3; }},
      {"mask far out of range", [](Step &s) { s.rows[4].mask_offset = DSB_NONE - 1; }},
  };
}

// What concerns its sequences, the pool and repeat.
std::vector<Wrong> wrong_seqs(Bench &bench) {
  dsb_sampler *sampler = bench.sampler.sampler, *other = bench.other.sampler;
  uint32_t *word = &bench.word;
  return {
      {"no pool", [](Step &s) { s.pool = nullptr; }},
      {"slot out of range", [](Step &s) { s.seqs[0].seq_slot = 8; }},
      {"slot twice", [](Step &s) { s.seqs[0].seq_slot = 1; }},
      {"unknown sequence flags", [](Step &s) { s.seqs[0].flags |= 2; }},
      {"block out of range", [](Step &s) { s.blocks[0][0] = 64; }},
      {"blocks beyond the table", [](Step &s) { s.seqs[0].first_block = 9; }},
      {"blocks at the end of numbers", [](Step &s) { s.seqs[0].first_block = UINT32_MAX; }},
      {"no block for a row", [](Step &s) { s.blocks[0].clear(); }},
      {"two rows in one place", [](Step &s) { s.blocks[1] = s.blocks[0]; }},
      {"kv_len on the device without a word", [](Step &s) { s.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE; }},
      {"kv_len of the host with a word", [=](Step &s) { s.seqs[0].kv_len_word = word; }},
      {"unknown kv_len source", [=](Step &s) { s.seqs[0].kv_len_source = 2, s.seqs[0].kv_len_word = word; }},
      {"kv_len on the device beyond the table",
       [=](Step &s) { *word = 1000, s.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE, s.seqs[0].kv_len_word = word; }},
      {"kv_len on the device at the end of numbers",
       [=](Step &s) { *word = UINT32_MAX, s.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE, s.seqs[0].kv_len_word = word; }},
      {"sample without a sampler", [](Step &s) { s.seqs[1].sampler = nullptr; }},
      {"sampler twice", [=](Step &s) { s.seqs[0].sampler = sampler; }},
      {"adapter slot out of range", [](Step &s) { s.seqs[0].adapter_slot = 4; }},
      {"adapter slot that is empty", [](Step &s) { s.seqs[0].adapter_slot = 1; }},
      {"stop ids missing", [](Step &s) { s.seqs[0].n_stop_ids = 1; }},
      {"repeat of a tree", [](Step &s) { s.repeat = 2; }},
      {"repeat without sample",
       [](Step &s) {
         s.repeat = 2, s.entry = DSB_ENTRY_FORWARD, s.rows.resize(3), s.seqs.resize(1), s.blocks.resize(1);
       }},
      {"repeat beyond the table",
       [=](Step &s) {
         s.rows.resize(3), s.seqs.resize(1), s.blocks.resize(1), s.ancestors.clear();
         s.rows[2].want = DSB_WANT_SAMPLE, s.seqs[0].sampler = other, s.repeat = 63;
       }},
      {"repeat without end", [](Step &s) { s.repeat = UINT32_MAX; }},
  };
}

std::vector<Wrong> wrong_steps(Bench &bench) {
  std::vector<Wrong> all = wrong_rows(bench);
  for (Wrong &wrong : wrong_seqs(bench)) all.push_back(std::move(wrong));
  return all;
}

}  // namespace

CONFORMANCE("refused: each wrong step has a sentence, and leaves everything as it was") {
  Bench bench;
  const std::vector<float> before = bench.tiny.forward(2, 0, {9, 8, 7});
  Step fine = bench.good();
  run_ok(bench.tiny.program.exec, fine);
  REQUIRE(api().sampler_reset(
              bench.sampler.sampler,
              [] {
                static const auto d = sampler_desc(0);
                return &d;
              }(),
              nullptr) == DS_OK);
  for (const Wrong &wrong : wrong_steps(bench)) {
    CAPTURE(wrong.what);
    bench.word = 0;
    Step step = bench.good();
    wrong.change(step);
    Error error;
    const ds_status code = run(bench.tiny.program.exec, step, &error);
    CHECK(code == DS_E_ARGUMENT);
    CHECK(error.code == code);
    CHECK(error.message[0] != 0);
  }
  check_same(bench.tiny.forward(2, 0, {9, 8, 7}), before);
  Step again = bench.good();
  run_ok(bench.tiny.program.exec, again);
}

CONFORMANCE("refused: too many rows that want logits, hidden from a graph without input") {
  dsb_plan_options options = tiny_options();
  options.max_logit_rows = 2;
  Tiny tiny(options);
  Step step = tiny.step(0, 0, {1, 2, 3}, DSB_WANT_LOGITS);
  CHECK(run(tiny.program.exec, step) == DS_E_ARGUMENT);
  Step hidden = tiny.step(0, 0, {1, 2, 3}, DSB_WANT_HIDDEN);
  std::vector<float> out(3 * kHidden);
  hidden.outputs.hidden = out.data();
  run_ok(tiny.program.exec, hidden);
}

CONFORMANCE("refused: a pool of another shape") {
  Tiny tiny;
  for (uint32_t i = 0; i < 5; ++i) {
    dsb_plan_options options = tiny.options;
    if (i == 0) options.kv_format = DSB_KV_BF16;
    if (i == 1) options.block_tokens = 4;
    const PoolHolder pool(options, kRank + (i == 2), kRope + 2 * (i == 3), kLayers - (i == 4), 64);
    Step step = tiny.step(0, 0, {1}, 0);
    step.pool = pool.pool;
    CHECK(run(tiny.program.exec, step) == DS_E_ARGUMENT);
  }
}

CONFORMANCE("refused: plans that make no sense") {
  const std::string bytes = graph::serialize(tiny_graph());
  const auto plan = [&](const std::string &graph, const dsb_plan_options &options) {
    dsb_layout *layout = nullptr;
    Error error;
    const ds_status code = api().plan_graph(Machine::get().instance(), 0, nullptr, nullptr, graph.data(), graph.size(),
                                            &options, &layout, &error);
    CHECK((code == DS_OK) == (layout != nullptr));
    if (code != DS_OK) CHECK(error.message[0] != 0);
    api().layout_destroy(layout);
    return code;
  };
  const dsb_plan_options good = tiny_options();
  CHECK(plan(bytes, good) == DS_OK);
  for (uint32_t dsb_plan_options::*field :
       {&dsb_plan_options::struct_size, &dsb_plan_options::max_rows, &dsb_plan_options::max_seqs,
        &dsb_plan_options::max_blocks_per_seq, &dsb_plan_options::kv_format, &dsb_plan_options::block_tokens}) {
    dsb_plan_options bad = good;
    bad.*field = 0;
    CHECK(plan(bytes, bad) != DS_OK);
    bad.*field = UINT32_MAX;
    CHECK(plan(bytes, bad) != DS_OK);
  }
  dsb_plan_options bad = good;
  bad.flags |= 1u << 30;
  CHECK(plan(bytes, bad) != DS_OK);
  bad = good;
  bad.act_type = 99;
  CHECK(plan(bytes, bad) != DS_OK);
  CHECK(plan("", good) != DS_OK);
  CHECK(plan(bytes.substr(0, bytes.size() / 2), good) != DS_OK);
  for (size_t i = 0; i < bytes.size(); i += 97) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    (void)plan(damaged, good);  // either way, without harm
  }
}

CONFORMANCE("refused: a graph of a newer op version or with unknown features") {
  for (uint32_t i = 0; i < 3; ++i) {
    graph::Graph graph = tiny_graph();
    if (i == 0) graph.nodes[3].version = 99;
    if (i == 1) graph.nodes[3].required_features = 1ull << 50;
    if (i == 2) graph.required_features = 1ull << 50;
    const std::string bytes = graph::serialize(graph);
    const dsb_plan_options options = tiny_options();
    dsb_layout *layout = nullptr;
    Error error;
    CHECK(api().plan_graph(Machine::get().instance(), 0, nullptr, nullptr, bytes.data(), bytes.size(), &options,
                           &layout, &error) != DS_OK);
    CHECK(error.message[0] != 0);
  }
}

}  // namespace conformance
