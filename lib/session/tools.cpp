#include "session/tools.h"

#include "model/pack.h"
#include "model/synth.h"
#include "model/verify.h"
#include "session/model.h"
#include "session/runtime_state.h"
#include "session/source.h"
#include "text/utf8_stream.h"

namespace deepseam::session {
namespace {

Result<model::WorkOptions> work_options(RuntimeState &runtime, const ToolOptions &options, Stage stage) {
  model::WorkOptions work;
  DS_TRY_VALUE(work.runner, runtime.task_runner());
  work.cancel = options.cancel.get();
  if (options.progress)
    work.progress = [&options, stage](uint64_t done, uint64_t total) {
      return options.progress(Progress{stage, done, total});
    };
  return work;
}

// The tokenizer as .dsm files hold it; empty if the source has none.
Result<std::string> tokenizer_blob(const ModelFiles &files) {
  DS_TRY_VALUE(const text::Tokenizer::Pointer tokenizer, load_tokenizer(files));
  return tokenizer ? tokenizer->serialize() : std::string();
}

}  // namespace

Status pack(RuntimeState &runtime, const ModelSource &source, const std::string &path, const ToolOptions &options) {
  model::PackOptions to;
  DS_TRY_VALUE(to.type, model::pack_type_from_name(options.weight_type));
  DS_TRY_VALUE(to.work, work_options(runtime, options, Stage::kWrite));
  DS_TRY_VALUE(const ModelFiles files, open_source(source, MapMode::kAuto));
  DS_TRY_VALUE(to.tokenizer_blob, tokenizer_blob(files));
  return model::pack_model(files, path, to);
}

Status synth(RuntimeState &runtime, const std::string &shape, uint64_t seed, const std::string &path,
             const ToolOptions &options) {
  model::SynthOptions to;
  to.shape = shape;
  to.seed = seed;
  DS_TRY_VALUE(to.type, model::pack_type_from_name(options.weight_type));
  DS_TRY_VALUE(const HfConfig config, model::synth_config(shape));
  DS_TRY_VALUE(const auto tokenizer,
               text::Tokenizer::make_byte_tokenizer(static_cast<uint32_t>(config.vocab_size.value_or(0))));
  to.tokenizer_blob = tokenizer->serialize();
  DS_TRY_VALUE(to.work, work_options(runtime, options, Stage::kWrite));
  return model::synth_model(to, path);
}

Result<Facts> verify(RuntimeState &runtime, const ModelSource &source, const ToolOptions &options) {
  DS_TRY_VALUE(const model::WorkOptions work, work_options(runtime, options, Stage::kVerify));
  Facts facts;
  model::VerifyReport report;
  auto files = open_source(source, MapMode::kNever);
  if (files.ok()) {
    DS_TRY_VALUE(report, model::verify_model(files.value(), work));
  } else {
    const Status status = std::move(files).status();
    if (status.code() != DS_E_FORMAT && status.code() != DS_E_MODEL && status.code() != DS_E_CHECKSUM) return status;
    report.findings.push_back({status.code(), "", status.message()});
  }
  facts.add("ok", uint64_t{report.findings.empty()});
  facts.add("tensors", report.tensors);
  facts.add("bytes", report.bytes);
  facts.add("findings", uint64_t{report.findings.size()});
  for (size_t i = 0; i < report.findings.size(); ++i) {
    const std::string prefix = "findings." + std::to_string(i);
    facts.add(prefix + ".code", std::string(status_name(report.findings[i].code)));
    facts.add(prefix + ".name", report.findings[i].tensor);
    facts.add(prefix + ".message", report.findings[i].message);
  }
  return facts;
}

Result<std::string> detokenize(const Model &model, std::span<const uint32_t> ids, bool keep_special) {
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= model.vocab())
      return fail(DS_E_ARGUMENT, "session", "ids[%zu] is %u, expected below %u", i, ids[i], model.vocab());
  return text::to_valid_utf8(tokenizer->decode(ids, keep_special));
}

}  // namespace deepseam::session
