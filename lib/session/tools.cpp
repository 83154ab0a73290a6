// See tools.h.
#include "session/tools.h"

#include <algorithm>

#include "base/file.h"
#include "model/calibrate.h"
#include "model/pack.h"
#include "model/synth.h"
#include "model/verify.h"
#include "session/adapter.h"
#include "session/device_model.h"
#include "session/model.h"
#include "session/runtime_state.h"
#include "session/vocabulary.h"
#include "text/utf8_stream.h"

namespace deepseam::session {
namespace {

Result<model::PackType> pack_type(const ToolOptions &options) {
  if (options.weight_type.empty()) return model::PackType::kSource;
  return model::pack_type_from_name(options.weight_type);
}

Result<model::WorkOptions> work_options(RuntimeState &runtime, const ToolOptions &options, Stage stage) {
  model::WorkOptions work;
  DS_TRY_VALUE(work.runner, runtime.task_runner());
  work.cancel = options.cancel.get();
  if (options.progress)
    work.progress = [&options, stage, told = uint64_t{0}](uint64_t done, uint64_t total) mutable {
      const uint64_t now = now_ns();
      if (done != total && now - told < 20'000'000) return true;
      told = now;
      return options.progress({stage, done, total});
    };
  return work;
}

// The adapter that is to be added to the weights of `files`, if one is.
Result<std::shared_ptr<const model::Adapter>> adapter_for(const ModelFiles &files, const ToolOptions &options) {
  std::shared_ptr<const model::Adapter> none;
  if (options.adapter.empty()) return none;
  ModelSource source;
  source.path = options.adapter;
  DS_TRY_VALUE(const LoraFiles lora, open_adapter_source(source));
  DS_TRY_VALUE(const model::Config config, model::make_config(files.config, files.path));
  DS_TRY_VALUE(model::Adapter adapter, model::read_adapter(config, lora));
  return std::shared_ptr<const model::Adapter>(std::make_shared<model::Adapter>(std::move(adapter)));
}

// The tokenizer of a source as a blob; empty if it has none.
Result<std::string> tokenizer_blob(const ModelFiles &files) {
  DS_TRY_VALUE(TokenizerData data, read_tokenizer(files));
  if (!data.blob.empty() || data.empty()) return std::move(data.blob);
  DS_TRY_VALUE(const text::Tokenizer::Pointer tokenizer, load_tokenizer(files));
  return tokenizer->serialize();
}

// What the text of `options` uses of the model.
Status gather(RuntimeState &runtime, const ModelFiles &files, const ToolOptions &options, model::Moments *moments) {
  DS_TRY_VALUE(const text::Tokenizer::Pointer tokenizer, load_tokenizer(files));
  if (!tokenizer) return fail(DS_E_UNSUPPORTED, "session", "a text calibrates no model that has no tokenizer");
  std::vector<uint32_t> tokens;
  DS_TRY(tokenizer->encode(options.calibrate, {}, &tokens));
  DS_TRY_VALUE(const model::WorkOptions work, work_options(runtime, options, Stage::kPrefill));
  return model::gather_moments(files, tokens, work, moments);
}

// Every weight that the backend would repack while loading the written model, in its layout, as hints of the file.
Status add_hints(RuntimeState &runtime, const ToolOptions &options, std::shared_ptr<Source> written,
                 DsmWriter *writer) {
  OpenOptions open;
  open.source.file = std::move(written);
  open.backend = options.backend;
  open.cancel = options.cancel;
  DS_TRY_VALUE(const PlannedModel model, plan_model(runtime, open, true));
  DS_TRY_VALUE(const auto device, open_device(runtime, model.plan));
  DS_TRY_VALUE(const auto layout, device_layout(device, model));
  DS_TRY_VALUE(TaskRunner * runner, runtime.task_runner());
  const PackedHost host{runner, options.cancel.get(), runtime.allocator(), runtime.log()};
  const PackedPlaces places =
      find_packed(model.files, model.weights, *layout, device->info(), *model.fingerprint, "", MapMode::kNever);
  const auto source = weight_source(model.files, model.weights, *runner, options.cancel.get(), runtime.allocator());
  uint64_t done = 0;
  for (uint32_t i = 0; i < layout->weights().size(); ++i) {
    if (options.progress && !options.progress({Stage::kWrite, done, layout->source_bytes()}))
      return Status(DS_E_STOPPED);
    done += layout->weights()[i].source_bytes;
    if (places.keys[i].empty()) continue;
    DS_TRY_VALUE(const auto weight,
                 runtime::load_weight(layout, device, i, source, options.cancel.get(), runtime::LoadProgress{}));
    DS_TRY(write_packed(places, i, *weight, host, writer));
  }
  return {};
}

// What reading the files takes otherwise than they say, and what their tokenizer cannot do. Returns it, if there is
// one.
text::Tokenizer::Pointer add_notes(const ModelFiles &files, model::VerifyReport *report) {
  report->notes = files.notes;
  for (std::string &note : vocabulary_notes(files)) report->notes.push_back(std::move(note));
  auto tokenizer = load_tokenizer(files);
  if (!tokenizer.ok()) {
    report->findings.push_back({tokenizer.status().code(), "", tokenizer.status().message()});
    return nullptr;
  }
  if (!*tokenizer) return nullptr;
  TokenTableReport table = check_token_table(files, **tokenizer);
  for (std::string &wrong : table.wrong) report->findings.push_back({DS_E_MODEL, "", std::move(wrong)});
  for (std::string &note : table.notes) report->notes.push_back(std::move(note));
  return std::move(tokenizer).value();
}

}  // namespace

Status pack(RuntimeState &runtime, const ModelSource &source, const std::string &path, const ToolOptions &options) {
  DS_TRY(runtime.check_open());
  model::PackOptions pack;
  DS_TRY_VALUE(pack.type, pack_type(options));
  for (const std::string &text : options.keep) DS_TRY(model::parse_exceptions(text, &pack.exceptions));
  pack.card = options.card;
  if (text::to_valid_utf8(pack.card) != pack.card)
    return fail(DS_E_ARGUMENT, "session", "the card of %zu bytes is not UTF-8", pack.card.size());
  DS_TRY_VALUE(const ModelFiles files, open_source(source, MapMode::kAuto));
  DS_TRY_VALUE(pack.adapter, adapter_for(files, options));
  DS_TRY_VALUE(pack.tokenizer_blob, tokenizer_blob(files));
  DS_TRY_VALUE(pack.work, work_options(runtime, options, Stage::kWrite));
  model::Moments moments;
  if (!options.calibrate.empty()) {
    DS_TRY(gather(runtime, files, options, &moments));
    pack.moments = &moments;
  }
  if (!options.backend.empty())
    pack.hints = [&](std::shared_ptr<Source> written, DsmWriter *writer) {
      return add_hints(runtime, options, std::move(written), writer);
    };
  model::PackReport report;
  if (!options.report.empty()) pack.report = &report;
  DS_TRY(model::pack_model(files, path, pack));
  if (options.report.empty()) return {};
  const std::string json = model::report_json(report) + "\n";
  DS_TRY_VALUE(AtomicFile file, AtomicFile::create(options.report));
  DS_TRY(file.append({reinterpret_cast<const uint8_t *>(json.data()), json.size()}));
  return file.commit();
}

Status export_hf(RuntimeState &runtime, const ModelSource &source, const std::string &folder,
                 const ToolOptions &options) {
  DS_TRY(runtime.check_open());
  if (!options.weight_type.empty() || !options.keep.empty() || !options.card.empty() || !options.report.empty() ||
      !options.calibrate.empty() || !options.backend.empty())
    return fail(DS_E_ARGUMENT, "session",
                "a Hugging Face folder is written in f32 and takes no type, exception, card, report, text or backend");
  DS_TRY_VALUE(const ModelFiles files, open_source(source, MapMode::kAuto));
  DS_TRY_VALUE(const model::WorkOptions work, work_options(runtime, options, Stage::kWrite));
  DS_TRY_VALUE(const std::shared_ptr<const model::Adapter> adapter, adapter_for(files, options));
  return model::export_hf(files, folder, work, adapter.get());
}

Status synth(RuntimeState &runtime, const std::string &shape, uint64_t seed, const std::string &path,
             const ToolOptions &options) {
  DS_TRY(runtime.check_open());
  model::SynthOptions synth;
  synth.shape = shape;
  synth.seed = seed;
  DS_TRY_VALUE(synth.type, pack_type(options));
  DS_TRY_VALUE(const HfConfig config, model::synth_config(shape));
  const auto vocab = static_cast<uint32_t>(std::clamp<int64_t>(config.vocab_size.value_or(0), 0, text::kMaxVocab));
  DS_TRY_VALUE(const text::Tokenizer::Pointer tokenizer, text::Tokenizer::make_byte_tokenizer(vocab));
  synth.tokenizer_blob = tokenizer->serialize();
  DS_TRY_VALUE(synth.work, work_options(runtime, options, Stage::kWrite));
  return model::synth_model(synth, path);
}

Result<Facts> verify(RuntimeState &runtime, const ModelSource &source, const ToolOptions &options) {
  DS_TRY(runtime.check_open());
  DS_TRY_VALUE(const ModelFiles files, open_source(source, MapMode::kAuto));
  DS_TRY_VALUE(const model::WorkOptions work, work_options(runtime, options, Stage::kVerify));
  DS_TRY_VALUE(model::VerifyReport report, model::verify_model(files, work));
  const text::Tokenizer::Pointer tokenizer = add_notes(files, &report);
  Facts facts;
  facts.add("ok", uint64_t{report.findings.empty()});
  facts.add("findings", uint64_t{report.findings.size()});
  for (size_t i = 0; i < report.findings.size(); ++i) {
    const std::string key = "findings." + std::to_string(i) + ".";
    facts.add(key + "name", report.findings[i].tensor);
    facts.add(key + "message", report.findings[i].message);
  }
  facts.add("notes", uint64_t{report.notes.size()});
  for (size_t i = 0; i < report.notes.size(); ++i) facts.add("notes." + std::to_string(i), report.notes[i]);
  facts.add("tensors", report.tensors);
  facts.add("bytes", report.bytes);
  if (tokenizer) facts.add("tokens.count", uint64_t{tokenizer->vocab_size()});
  add_token_facts(tokenizer.get(), &facts);
  return facts;
}

Result<std::string> detokenize(const Model &model, std::span<const uint32_t> ids, bool keep_special) {
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= model.vocab())
      return fail(DS_E_ARGUMENT, "session", "token %zu is %u, and the vocabulary has %u", i, ids[i], model.vocab());
  return text::to_valid_utf8(tokenizer->decode(ids, keep_special));
}

}  // namespace deepseam::session
