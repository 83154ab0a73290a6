// See vocabulary.h.
#include "session/vocabulary.h"

namespace deepseam::session {
namespace {

constexpr const char *kTokens = "tokenizer.ggml.tokens", *kTypes = "tokenizer.ggml.token_type",
                     *kMerges = "tokenizer.ggml.merges", *kPre = "tokenizer.ggml.pre";

uint32_t id_of(const GgufMetadata &keys, const char *key) {
  const auto id = keys.integer(key);
  return id && *id >= 0 && *id < text::kMaxVocab ? static_cast<uint32_t>(*id) : text::kNoToken;
}

Result<text::Tokenizer::Pointer> from_gguf(const GgufMetadata &keys, const std::string &name) {
  const auto model = keys.text("tokenizer.ggml.model");
  if (model != "gpt2")
    return fail(DS_E_UNSUPPORTED, "tokenizer", "%s: tokenizer.ggml.model is \"%.60s\", expected gpt2", name.c_str(),
                std::string(model.value_or("")).c_str())
        .at(name);
  const std::vector<std::string_view> tokens = keys.texts(kTokens), merges = keys.texts(kMerges);
  const std::vector<int32_t> types = keys.integers(kTypes);
  text::VocabParts parts;
  parts.tokens = tokens;
  parts.types = types;
  parts.merges = merges;
  parts.pre_type = keys.text(kPre).value_or("");
  parts.bos = id_of(keys, "tokenizer.ggml.bos_token_id");
  parts.eos = id_of(keys, "tokenizer.ggml.eos_token_id");
  parts.pad = id_of(keys, "tokenizer.ggml.padding_token_id");
  parts.add_bos = keys.flag("tokenizer.ggml.add_bos_token").value_or(true);
  parts.chat_template = keys.text("tokenizer.chat_template").value_or("");
  return text::Tokenizer::from_vocab(parts, name);
}

}  // namespace

Result<text::Tokenizer::Pointer> load_tokenizer(const ModelFiles &files) {
  DS_TRY_VALUE(const TokenizerData data, read_tokenizer(files));
  const std::string &name = files.path;
  if (!data.blob.empty()) {
    const auto *bytes = reinterpret_cast<const uint8_t *>(data.blob.data());
    return text::Tokenizer::from_blob({bytes, data.blob.size()}, name);
  }
  if (data.gguf) return from_gguf(data.gguf->metadata, name);
  if (data.empty()) return text::Tokenizer::Pointer();
  return text::Tokenizer::from_hf(data.tokenizer_json, data.tokenizer_config_json, name, data.chat_template);
}

std::vector<std::string> vocabulary_notes(const ModelFiles &files) {
  std::vector<std::string> notes;
  if (!files.gguf) return notes;
  constexpr int32_t kNormal = 1;
  const GgufMetadata &keys = files.gguf->metadata;
  const std::vector<std::string_view> tokens = keys.texts(kTokens);
  const std::vector<int32_t> types = keys.integers(kTypes);
  size_t normal = 0;
  std::string first;
  for (size_t id = 0; id < tokens.size() && id < types.size(); ++id) {
    const bool mark = tokens[id].starts_with("<｜") && tokens[id].ends_with("｜>");
    if (!mark || types[id] != kNormal) continue;
    if (normal++ == 0) first = tokens[id].substr(0, 80);
  }
  if (normal)
    notes.push_back(std::to_string(normal) + " control tokens are marked as normal text, the first is " + first +
                    "; they are taken as control tokens");
  const size_t merges = keys.texts(kMerges).size();
  const auto pre = keys.text(kPre);
  if (pre == "deepseek-v3" && merges > 90000 && merges < 110000)
    notes.push_back("tokenizer.ggml.pre is deepseek-v3 and the vocabulary that of deepseek-llm, which is used");
  if (pre == "deepseek-llm" && merges > 125000)
    notes.push_back("tokenizer.ggml.pre is deepseek-llm and the vocabulary that of deepseek-v3, which is used");
  return notes;
}

}  // namespace deepseam::session
