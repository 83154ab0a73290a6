#include "sdk/step.h"

#include <algorithm>

#include "base/checked.h"

namespace deepseam::sdk {
namespace {

#define DS_STEP_FAIL(...) return fail(DS_E_ARGUMENT, "backend", "step: " __VA_ARGS__)

class StepCheck {
 public:
  StepCheck(Program &program, uint32_t max_rows, CheckedStep *out)
      : program_(program), layout_(program.layout), max_rows_(max_rows), out_(*out) {}

  Status run(const dsb_step *given) {
    DS_TRY_VALUE(out_.desc, take_struct(given, "step"));
    DS_TRY(check_frame());
    DS_TRY(take_outputs());
    for (uint32_t i = 0; i < out_.desc.n_seqs; ++i) DS_TRY(take_seq(i));
    DS_TRY(check_distinct());
    for (uint32_t i = 0; i < out_.desc.n_rows; ++i) DS_TRY(take_row(i));
    DS_TRY(check_counts());
    for (uint32_t i = 0; i < out_.desc.n_seqs; ++i) DS_TRY(check_seq(i));
    return check_kv();
  }

 private:
  bool touches_kv() const { return out_.has(DSB_ENTRY_FORWARD | DSB_ENTRY_ACCEPT); }

  Status check_frame() {
    const dsb_step &step = out_.desc;
    const uint32_t entry = step.entry;
    constexpr uint32_t kAll = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE | DSB_ENTRY_ACCEPT;
    if (!entry || (entry & ~kAll) || ((entry & DSB_ENTRY_ACCEPT) && !(entry & DSB_ENTRY_SAMPLE)))
      DS_STEP_FAIL("entry is %u, expected forward, sample, or both, and accept only with sample", entry);
    if (step.n_rows < 1 || step.n_rows > max_rows_)
      DS_STEP_FAIL("n_rows is %u, expected 1 to %u", step.n_rows, max_rows_);
    if (step.n_seqs < 1 || step.n_seqs > layout_.options.max_seqs)
      DS_STEP_FAIL("n_seqs is %u, expected 1 to max_seqs = %u", step.n_seqs, layout_.options.max_seqs);
    if (!step.rows || step.row_stride < sizeof(dsb_row))
      DS_STEP_FAIL("rows with a stride of %u bytes, expected a list and at least %zu", step.row_stride,
                   sizeof(dsb_row));
    if (!step.seqs || step.seq_stride < sizeof(dsb_seq))
      DS_STEP_FAIL("seqs with a stride of %u bytes, expected a list and at least %zu", step.seq_stride,
                   sizeof(dsb_seq));
    if (step.n_ancestor_words && !step.ancestors) DS_STEP_FAIL("ancestors is NULL");
    if (step.n_hidden_in && !step.hidden_in) DS_STEP_FAIL("hidden_in is NULL");
    if (step.repeat > 1u << 20) DS_STEP_FAIL("repeat is %u, expected at most 2^20", step.repeat);
    out_.repeat = step.repeat ? step.repeat : 1;
    out_.pool = reinterpret_cast<Pool *>(step.pool);
    out_.rows.clear();
    out_.seqs.clear();
    out_.n_logits = out_.n_samples = out_.n_hidden = 0;
    return {};
  }

  Status take_outputs() {
    out_.outputs = dsb_outputs{};
    if (out_.desc.outputs) {
      DS_TRY_VALUE(out_.outputs, take_struct(out_.desc.outputs, "outputs"));
    }
    const dsb_outputs &outputs = out_.outputs;
    if ((outputs.top_ids || outputs.top_logprobs) && outputs.n_top > layout_.logit_cols())
      DS_STEP_FAIL("n_top is %u, expected at most the vocabulary of %llu", outputs.n_top,
                   static_cast<unsigned long long>(layout_.logit_cols()));
    if (!out_.has(DSB_ENTRY_FORWARD) && !outputs.logits) DS_STEP_FAIL("sample without forward needs outputs.logits");
    return {};
  }

  Status take_seq(uint32_t i) {
    CheckedSeq seq;
    seq.desc = element(out_.desc.seqs, out_.desc.seq_stride, i);
    const dsb_seq &desc = seq.desc;
    const dsb_plan_options &options = layout_.options;
    if (desc.seq_slot >= options.max_seqs)
      DS_STEP_FAIL("sequence %u: seq_slot is %u, expected below max_seqs = %u", i, desc.seq_slot, options.max_seqs);
    if (desc.flags & ~DSB_SEQ_NEW_TABLE) DS_STEP_FAIL("sequence %u: flags 0x%x are not known", i, desc.flags);
    const bool on_device = desc.kv_len_source == DSB_KV_LEN_DEVICE;
    if (desc.kv_len_source > DSB_KV_LEN_DEVICE || on_device != (desc.kv_len_word != nullptr))
      DS_STEP_FAIL("sequence %u: kv_len_source is %u and kv_len_word is %s", i, desc.kv_len_source,
                   desc.kv_len_word ? "there" : "NULL");
    if (!within(desc.first_block, desc.n_blocks, options.max_blocks_per_seq) || (desc.n_blocks && !desc.blocks))
      DS_STEP_FAIL("sequence %u: blocks %u + %u, expected a list within max_blocks_per_seq = %u", i, desc.first_block,
                   desc.n_blocks, options.max_blocks_per_seq);
    if (desc.n_stop_ids && !desc.stop_ids) DS_STEP_FAIL("sequence %u: stop_ids is NULL", i);
    if (desc.n_draft_ids && !desc.draft_ids) DS_STEP_FAIL("sequence %u: draft_ids is NULL", i);
    if (desc.adapter_slot > options.max_adapters)
      DS_STEP_FAIL("sequence %u: adapter_slot is %u, expected at most max_adapters = %u", i, desc.adapter_slot,
                   options.max_adapters);
    if (desc.adapter_slot) {
      const std::lock_guard lock(program_.adapters_mutex);
      seq.adapter = program_.adapters[desc.adapter_slot];
      if (!seq.adapter) DS_STEP_FAIL("sequence %u: no adapter is loaded in slot %u", i, desc.adapter_slot);
    }
    if (desc.sampler) seq.sampler = &reinterpret_cast<SamplerObject *>(desc.sampler)->sampler;
    out_.seqs.push_back(std::move(seq));
    return {};
  }

  // Two sequences with one table or one sampler would get into each other's way.
  Status check_distinct() {
    for (uint32_t i = 0; i < out_.seqs.size(); ++i) {
      for (uint32_t j = 0; j < i; ++j) {
        if (out_.seqs[i].desc.seq_slot == out_.seqs[j].desc.seq_slot)
          DS_STEP_FAIL("sequences %u and %u have the same seq_slot %u", j, i, out_.seqs[i].desc.seq_slot);
        if (out_.seqs[i].sampler && out_.seqs[i].sampler == out_.seqs[j].sampler)
          DS_STEP_FAIL("sequences %u and %u have the same sampler", j, i);
      }
    }
    return {};
  }

  Status take_row(uint32_t i) {
    const dsb_row row = element(out_.desc.rows, out_.desc.row_stride, i);
    if (row.seq >= out_.seqs.size())
      DS_STEP_FAIL("row %u: seq is %u, expected below n_seqs = %u", i, row.seq, out_.desc.n_seqs);
    CheckedSeq &seq = out_.seqs[row.seq];
    if (!seq.n_rows) seq.first_row = i;
    if (seq.first_row + seq.n_rows != i) DS_STEP_FAIL("row %u: rows of sequence %u are not adjacent", i, row.seq);
    if (seq.n_rows && row.kv_row <= out_.rows[i - 1].kv_row)
      DS_STEP_FAIL("row %u: kv_row is %u, expected more than %u of the row before", i, row.kv_row,
                   out_.rows[i - 1].kv_row);
    if (touches_kv() && row.kv_row < seq.desc.kv_len)
      DS_STEP_FAIL("row %u: kv_row is %u, expected at least kv_len = %u", i, row.kv_row, seq.desc.kv_len);
    if (row.want & ~(DSB_WANT_LOGITS | DSB_WANT_SAMPLE | DSB_WANT_HIDDEN))
      DS_STEP_FAIL("row %u: want 0x%x is not known", i, row.want);
    DS_TRY(check_token(i, row, seq));
    if (layout_.takes_hidden && out_.has(DSB_ENTRY_FORWARD) && row.hidden_row >= out_.desc.n_hidden_in)
      DS_STEP_FAIL("row %u: hidden_row is %u, expected below n_hidden_in = %u", i, row.hidden_row,
                   out_.desc.n_hidden_in);
    ++seq.n_rows;
    if (row.want & DSB_WANT_SAMPLE) ++seq.n_samples, ++out_.n_samples;
    if (row.want & (DSB_WANT_SAMPLE | DSB_WANT_LOGITS)) ++out_.n_logits;
    if (row.want & DSB_WANT_HIDDEN) ++out_.n_hidden;
    out_.rows.push_back(row);
    return {};
  }

  Status check_token(uint32_t i, const dsb_row &row, const CheckedSeq &seq) {
    if (row.token_source > DSB_TOKEN_DRAFT) DS_STEP_FAIL("row %u: token_source %u is not known", i, row.token_source);
    if (row.token_source == DSB_TOKEN_LAST && !seq.sampler)
      DS_STEP_FAIL("row %u: the last token of a sequence without a sampler", i);
    if (row.token_source == DSB_TOKEN_DRAFT && row.token_id >= seq.desc.n_draft_ids)
      DS_STEP_FAIL("row %u: draft %u, expected below n_draft_ids = %u", i, row.token_id, seq.desc.n_draft_ids);
    if (row.token_source == DSB_TOKEN_HOST && layout_.embed_rows && out_.has(DSB_ENTRY_FORWARD) &&
        row.token_id >= layout_.embed_rows)
      DS_STEP_FAIL("row %u: token %u, expected below the vocabulary of %u", i, row.token_id, layout_.embed_rows);
    return {};
  }

  Status check_counts() {
    if (out_.n_logits && layout_.graph.logits == graph::kAbsent)
      DS_STEP_FAIL("a row wants logits, which the graph does not give");
    if (out_.n_hidden && layout_.graph.hidden == graph::kAbsent)
      DS_STEP_FAIL("a row wants hidden, which the graph does not give");
    if (out_.n_logits > layout_.options.max_logit_rows)
      DS_STEP_FAIL("%u rows want logits or a sample, expected at most max_logit_rows = %u", out_.n_logits,
                   layout_.options.max_logit_rows);
    if (out_.n_samples && !out_.has(DSB_ENTRY_SAMPLE)) DS_STEP_FAIL("a row wants a sample, but entry has no sample");
    if (out_.repeat == 1) return {};
    if (out_.desc.entry != (DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE))
      DS_STEP_FAIL("repeat is %u with entry %u, expected forward and sample", out_.repeat, out_.desc.entry);
    if (layout_.takes_hidden) DS_STEP_FAIL("repeat is %u, but the graph takes hidden rows from the host", out_.repeat);
    return {};
  }

  Status check_seq(uint32_t i) {
    const CheckedSeq &seq = out_.seqs[i];
    if (seq.n_samples && !seq.sampler) DS_STEP_FAIL("sequence %u: a row wants a sample, but there is no sampler", i);
    if (out_.has(DSB_ENTRY_ACCEPT) && seq.n_samples != seq.n_rows)
      DS_STEP_FAIL("sequence %u: %u of %u rows want a sample, accept needs all", i, seq.n_samples, seq.n_rows);
    for (uint32_t j = 0; j < seq.n_rows; ++j) DS_TRY(check_mask(seq.first_row + j, j));
    if (out_.repeat == 1 || !seq.n_samples) return {};
    const dsb_row &last = out_.rows[seq.first_row + seq.n_rows - 1];
    if (seq.n_samples > 1 || !(last.want & DSB_WANT_SAMPLE))
      DS_STEP_FAIL("sequence %u: %u rows want a sample, repeat takes one, the last", i, seq.n_samples);
    for (uint32_t j = 0; j < seq.n_rows; ++j) {
      const dsb_row &row = out_.rows[seq.first_row + j];
      if (row.mask_offset != DSB_NONE || row.kv_row != seq.desc.kv_len + j)
        DS_STEP_FAIL("sequence %u: repeat takes rows without masks, at kv_len, kv_len + 1, …", i);
    }
    return {};
  }

  Status check_mask(uint32_t i, uint32_t in_seq) {
    const dsb_row &row = out_.rows[i];
    if (row.mask_offset == DSB_NONE) return {};
    const uint32_t words = (out_.seqs[row.seq].n_rows + 31) / 32;
    if (!within(row.mask_offset, words, out_.desc.n_ancestor_words))
      DS_STEP_FAIL("row %u: mask words %u + %u, expected within n_ancestor_words = %llu", i, row.mask_offset, words,
                   static_cast<unsigned long long>(out_.desc.n_ancestor_words));
    const uint32_t *mask = out_.desc.ancestors + row.mask_offset;
    bool later = false;
    for (uint32_t j = in_seq + 1; j < words * 32; ++j) later = later || (mask[j / 32] >> (j % 32) & 1);
    if (later || !(mask[in_seq / 32] >> (in_seq % 32) & 1))
      DS_STEP_FAIL("row %u: its mask must have its own bit %u and none after it", i, in_seq);
    return {};
  }

  Status check_kv() {
    if (!layout_.kv.rank || !touches_kv()) return {};
    const Pool *pool = out_.pool;
    if (!pool) DS_STEP_FAIL("pool is NULL");
    if (&pool->device() != &program_.device) DS_STEP_FAIL("the pool belongs to another device than the program");
    const KvShape &shape = pool->shape();
    const KvNeeds &kv = layout_.kv;
    const dsb_plan_options &options = layout_.options;
    if (shape.format != options.kv_format || shape.block_tokens != options.block_tokens || shape.rank != kv.rank ||
        shape.rope != kv.rope)
      DS_STEP_FAIL("the pool holds %u + %u values as %s in blocks of %u, the program %u + %u as %s in blocks of %u",
                   shape.rank, shape.rope, kv_format_name(shape.format), shape.block_tokens, kv.rank, kv.rope,
                   kv_format_name(options.kv_format), options.block_tokens);
    if (kv.first_layer < shape.first_layer || kv.first_layer + kv.n_layers > shape.first_layer + shape.n_layers)
      DS_STEP_FAIL("the program's layers %u + %u do not lie in the pool's %u + %u", kv.first_layer, kv.n_layers,
                   shape.first_layer, shape.n_layers);
    for (uint32_t i = 0; i < out_.seqs.size(); ++i) {
      const dsb_seq &desc = out_.seqs[i].desc;
      for (uint32_t j = 0; j < desc.n_blocks; ++j)
        if (desc.blocks[j] >= pool->n_blocks())
          DS_STEP_FAIL("sequence %u: block %u does not exist, the pool has %u", i, desc.blocks[j], pool->n_blocks());
      if (desc.kv_len_source == DSB_KV_LEN_HOST) DS_TRY(check_seq_places(program_, out_, i, desc.kv_len, false));
    }
    return check_stores();
  }

  uint32_t block_of(const dsb_seq &desc, uint32_t index) const {
    if (index >= desc.first_block && index - desc.first_block < desc.n_blocks)
      return desc.blocks[index - desc.first_block];
    return desc.flags & DSB_SEQ_NEW_TABLE ? DSB_NONE : program_.tables[desc.seq_slot][index];
  }

  // No two rows may be stored at one place.
  Status check_stores() {
    if (!out_.has(DSB_ENTRY_FORWARD)) return {};
    out_.places.clear();
    for (const dsb_row &row : out_.rows) {
      const dsb_seq &desc = out_.seqs[row.seq].desc;
      if (desc.kv_len_source != DSB_KV_LEN_HOST) continue;
      const uint32_t tokens = layout_.options.block_tokens;
      out_.places.emplace_back(block_of(desc, row.kv_row / tokens), row.kv_row % tokens);
    }
    std::sort(out_.places.begin(), out_.places.end());
    const auto twice = std::adjacent_find(out_.places.begin(), out_.places.end());
    if (twice != out_.places.end())
      DS_STEP_FAIL("two rows would be stored in block %u at row %u", twice->first, twice->second);
    return {};
  }

  Program &program_;
  const Layout &layout_;
  uint32_t max_rows_;
  CheckedStep &out_;
};

}  // namespace

Status check_step(Program &program, uint32_t max_rows, const dsb_step *step, CheckedStep *out) {
  return StepCheck(program, max_rows, out).run(step);
}

Status check_seq_places(const Program &program, const CheckedStep &step, uint32_t index, uint32_t kv_len, bool tables) {
  const CheckedSeq &seq = step.seqs[index];
  const dsb_seq &desc = seq.desc;
  const uint64_t tokens = program.layout.options.block_tokens;
  uint64_t end = kv_len;
  if (seq.n_rows) end += uint64_t{step.rows[seq.first_row + seq.n_rows - 1].kv_row} - desc.kv_len + 1;
  if (seq.n_samples && step.repeat > 1)
    end += (desc.max_new && desc.max_new < step.repeat ? desc.max_new : step.repeat) - 1;
  const uint64_t n_blocks = (end + tokens - 1) / tokens;
  if (n_blocks > program.layout.options.max_blocks_per_seq)
    DS_STEP_FAIL("sequence %u: %llu KV rows need %llu blocks, expected at most max_blocks_per_seq = %u", index,
                 static_cast<unsigned long long>(end), static_cast<unsigned long long>(n_blocks),
                 program.layout.options.max_blocks_per_seq);
  const std::vector<uint32_t> &table = program.tables[desc.seq_slot];
  const bool fresh = !tables && (desc.flags & DSB_SEQ_NEW_TABLE);
  for (uint32_t i = 0; i < n_blocks; ++i) {
    const bool given = !tables && i >= desc.first_block && i - desc.first_block < desc.n_blocks;
    const uint32_t block = given ? desc.blocks[i - desc.first_block] : fresh ? DSB_NONE : table[i];
    if (block >= step.pool->n_blocks())
      DS_STEP_FAIL("sequence %u: its %llu KV rows need block %u of its table, which is %s", index,
                   static_cast<unsigned long long>(end), i, block == DSB_NONE ? "not there" : "beyond the pool");
  }
  return {};
}

void apply_tables(Program &program, const CheckedStep &step) {
  for (const CheckedSeq &seq : step.seqs) {
    std::vector<uint32_t> &table = program.tables[seq.desc.seq_slot];
    if (seq.desc.flags & DSB_SEQ_NEW_TABLE) std::fill(table.begin(), table.end(), DSB_NONE);
    std::copy(seq.desc.blocks, seq.desc.blocks + seq.desc.n_blocks, table.begin() + seq.desc.first_block);
  }
}

uint32_t parent_of(const CheckedStep &step, const dsb_row &row, uint32_t in_seq) {
  if (row.mask_offset == DSB_NONE) return in_seq ? in_seq - 1 : DSB_NONE;
  const uint32_t *mask = step.desc.ancestors + row.mask_offset;
  for (uint32_t j = in_seq; j-- > 0;)
    if (mask[j / 32] >> (j % 32) & 1) return j;
  return DSB_NONE;
}

}  // namespace deepseam::sdk
