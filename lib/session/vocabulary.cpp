// See vocabulary.h.
#include "session/vocabulary.h"

#include "text/prompt.h"

namespace deepseam::session {
namespace {

constexpr const char *kTokens = "tokenizer.ggml.tokens", *kTypes = "tokenizer.ggml.token_type",
                     *kMerges = "tokenizer.ggml.merges", *kPre = "tokenizer.ggml.pre";

uint32_t id_of(const GgufMetadata &keys, const char *key) {
  const auto id = keys.integer(key);  // writers say -1 for none, or the same bits without a sign
  return id && *id >= 0 && *id <= UINT32_MAX ? static_cast<uint32_t>(*id) : text::kNoToken;
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

using text::Role;

const char *family_text(text::ChatFamily family) {
  switch (family) {
    case text::ChatFamily::kV2:
      return "v2";
    case text::ChatFamily::kV25:
      return "v2.5";
    case text::ChatFamily::kV3:
      return "v3";
    case text::ChatFamily::kR1:
      return "r1";
    case text::ChatFamily::kV31:
      return "v3.1";
    default:
      return "";
  }
}

void add_token(Facts *facts, const char *key, const text::Tokenizer *tokenizer, Role role) {
  const uint32_t id = tokenizer ? tokenizer->role(role) : text::kNoToken;
  if (id != text::kNoToken) facts->add(key, uint64_t{id});
}

void check_fim(const std::string &path, const text::Tokenizer &tokenizer, TokenTableReport *report) {
  constexpr Role kMarks[] = {Role::kFimBegin, Role::kFimHole, Role::kFimEnd};
  std::string missing;
  size_t count = 0;
  for (const Role role : kMarks) {
    if (tokenizer.role(role) != text::kNoToken) continue;
    missing += (count++ ? ", " : "") + std::string(text::role_text(role));
  }
  if (count == std::size(kMarks))
    report->notes.push_back("the vocabulary has no tokens to fill in the middle, which is refused");
  else if (count)
    report->wrong.push_back(path + ": token " + missing + " is missing, and filling in the middle is refused");
}

void check_chat(const ModelFiles &files, const text::Tokenizer &tokenizer, TokenTableReport *report) {
  if (tokenizer.chat_family() == text::ChatFamily::kNone) {
    if (files.gguf && files.gguf->metadata.has("tokenizer.chat_template"))
      report->notes.push_back("tokenizer.chat_template is none of the family's: who chats has to name one");
    return;
  }
  const text::ChatMessage hello{"user", "a", {}};
  text::ChatRequest request;
  request.messages = {&hello, 1};
  if (const auto segments = text::chat_segments(tokenizer, request); !segments.ok())
    report->wrong.push_back(segments.status().message());
}

}  // namespace

TokenTableReport check_token_table(const ModelFiles &files, const text::Tokenizer &tokenizer) {
  TokenTableReport report;
  const int64_t rows = files.config.vocab_size.value_or(0);
  if (rows > 0 && int64_t{tokenizer.vocab_size()} > rows)
    report.wrong.push_back(files.path + ": ids of tokens go up to " + std::to_string(tokenizer.vocab_size() - 1) +
                           ", and the model has " + std::to_string(rows) + " rows for them");
  for (const int64_t id : files.config.eos_token_ids) {
    if (id >= 0 && id < int64_t{tokenizer.vocab_size()} && tokenizer.has_token(static_cast<uint32_t>(id))) continue;
    report.wrong.push_back(files.path + ": the end token is id " + std::to_string(id) + ", which has no token");
    break;  // a hostile list is long
  }
  check_fim(files.path, tokenizer, &report);
  check_chat(files, tokenizer, &report);
  return report;
}

void add_token_facts(const text::Tokenizer *tokenizer, Facts *facts) {
  add_token(facts, "tokens.bos", tokenizer, Role::kBos);
  add_token(facts, "tokens.eos", tokenizer, Role::kEos);
  facts->add("fim", uint64_t{tokenizer && tokenizer->role(Role::kFimHole) != text::kNoToken});
  facts->add("chat_template", std::string(tokenizer ? family_text(tokenizer->chat_family()) : ""));
}

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
