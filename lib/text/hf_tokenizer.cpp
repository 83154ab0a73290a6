// A tokenizer from Hugging Face's tokenizer.json and tokenizer_config.json.
//
// Read generically: patterns, added tokens and merges come from the file, nothing from its name. What is not understood
// is refused with the field's name rather than skipped, because it would change ids silently.
#include "base/json.h"
#include "text/byte_map.h"
#include "text/families.h"
#include "text/tokenizer_tables.h"

namespace deepseam::text {
namespace {

std::string text_of(Json value, std::string_view fallback = {}) { return std::string(value.text().value_or(fallback)); }

class HfReader {
 public:
  HfReader(Json root, Json config, const std::string &name, std::string_view chat_template)
      : root_(root), config_(config), chat_template_(chat_template) {
    parts_.name = name;
  }

  Result<Tokenizer::Pointer> read() {
    if (!root_.is_object()) return refuse("the document", "not an object");
    DS_TRY(check_normalizer(root_["normalizer"], "normalizer"));
    DS_TRY(read_pre_tokenizer(root_["pre_tokenizer"]));
    DS_TRY(check_decoder(root_["decoder"]));
    DS_TRY(read_texts());
    DS_TRY(read_merges());
    DS_TRY(read_post_processor(root_["post_processor"]));
    DS_TRY(read_config());
    return build_tokenizer(std::move(parts_));
  }

 private:
  Status refuse(const char *field, const char *found) const {
    return fail(DS_E_FORMAT, "tokenizer", "%s: %s is %s", parts_.name.c_str(), field, found);
  }
  Status unsupported(const char *field, const std::string &kind) const {
    return fail(DS_E_UNSUPPORTED, "tokenizer", "%s: %s of type \"%.60s\" is not known", parts_.name.c_str(), field,
                kind.c_str());
  }

  Status check_normalizer(Json normalizer, const char *field) const {
    if (normalizer.is_null()) return {};
    std::string type = text_of(normalizer["type"]);
    if (type != "Sequence") return unsupported(field, type);
    if (normalizer["normalizers"].size() != 0)
      return check_normalizer(normalizer["normalizers"].at(0), "normalizer.normalizers[0]");
    return {};
  }

  Status check_decoder(Json decoder) const {
    std::string type = text_of(decoder["type"]);
    if (type == "Sequence" && decoder["decoders"].size() == 1) return check_decoder(decoder["decoders"].at(0));
    return type == "ByteLevel" ? Status() : unsupported("decoder", type);
  }

  void add_rule(std::string_view pattern, SplitBehavior behavior, bool literal = false, bool invert = false) {
    parts_.rules.push_back({std::string(pattern), behavior, literal, invert});
  }

  Status read_pre_tokenizer(Json node) {
    bool byte_level = false;
    if (text_of(node["type"]) == "Sequence") {
      Json list = node["pretokenizers"];
      for (size_t i = 0; i < list.size(); ++i) DS_TRY(read_pre_step(list.at(i), &byte_level));
    } else if (!node.is_null()) {
      DS_TRY(read_pre_step(node, &byte_level));
    }
    return byte_level ? Status() : refuse("pre_tokenizer", "without ByteLevel, expected a byte-level tokenizer");
  }

  Status read_pre_step(Json step, bool *byte_level) {
    std::string type = text_of(step["type"]);
    if (*byte_level) return refuse("pre_tokenizer", "continued behind ByteLevel, expected ByteLevel last");
    if (type == "Split") return read_split(step);
    if (type == "Digits") {
      add_rule(kDigitPattern, step["individual_digits"].boolean().value_or(false) ? SplitBehavior::kIsolated
                                                                                  : SplitBehavior::kContiguous);
      return {};
    }
    if (type == "Punctuation") {
      SplitBehavior behavior = SplitBehavior::kIsolated;
      if (!step["behavior"].is_null()) DS_TRY(read_behavior(step["behavior"], &behavior));
      add_rule(kPunctuationPattern, behavior);
      return {};
    }
    if (type != "ByteLevel") return unsupported("pre_tokenizer", type);
    *byte_level = true;
    parts_.add_prefix_space = step["add_prefix_space"].boolean().value_or(false);
    if (parts_.add_prefix_space && !parts_.rules.empty())
      return refuse("pre_tokenizer.add_prefix_space", "true behind other rules, expected false");
    if (step["use_regex"].boolean().value_or(true)) add_rule(byte_level_pattern(), SplitBehavior::kIsolated);
    return {};
  }

  Status read_behavior(Json value, SplitBehavior *behavior) const {
    constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
        {"Isolated", SplitBehavior::kIsolated},
        {"Removed", SplitBehavior::kRemoved},
        {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
        {"MergedWithNext", SplitBehavior::kMergedWithNext},
        {"Contiguous", SplitBehavior::kContiguous}};
    for (const auto &entry : kNames) {
      if (value.text() != entry.first) continue;
      *behavior = entry.second;
      return {};
    }
    return unsupported("pre_tokenizer.behavior", text_of(value));
  }

  Status read_split(Json step) {
    SplitBehavior behavior = SplitBehavior::kIsolated;
    DS_TRY(read_behavior(step["behavior"], &behavior));
    Json pattern = step["pattern"];
    bool literal = pattern.contains("String");
    auto text = pattern[literal ? "String" : "Regex"].text();
    if (!text || text->empty()) return refuse("pre_tokenizer.pattern", "neither a Regex nor a String");
    add_rule(*text, behavior, literal, step["invert"].boolean().value_or(false));
    return {};
  }

  // A string in the place of each id, from the vocabulary and from added_tokens, which comes second and wins.
  Status read_texts() {
    Json model = root_["model"];
    std::string type = text_of(model["type"], "BPE");
    if (type != "BPE") return unsupported("model", type);
    if (model["byte_fallback"].boolean().value_or(false)) return refuse("model.byte_fallback", "true, expected false");
    if (model["dropout"].number().value_or(0) != 0) return refuse("model.dropout", "set, expected null");
    for (const char *field : {"continuing_subword_prefix", "end_of_word_suffix", "unk_token"})
      if (!text_of(model[field]).empty()) return refuse((std::string("model.") + field).c_str(), "set, expected null");
    parts_.ignore_merges = model["ignore_merges"].boolean().value_or(false);
    vocab_ = model["vocab"];
    if (!vocab_.is_object() || vocab_.size() == 0) return refuse("model.vocab", "not an object with tokens");
    std::vector<std::string_view> texts;
    std::vector<uint8_t> flags;
    for (size_t i = 0; i < vocab_.size(); ++i) {
      auto id = vocab_.at(i).integer();
      DS_TRY(place(id.value_or(-1), vocab_.key(i), "model.vocab", &texts, &flags));
    }
    Json added = root_["added_tokens"];
    for (size_t i = 0; i < added.size(); ++i) {
      Json token = added.at(i);
      auto text = token["content"].text();
      auto id = token["id"].integer();
      if (!text || text->empty()) return refuse("added_tokens[].content", "missing or empty");
      DS_TRY(place(id.value_or(-1), *text, "added_tokens", &texts, &flags));
      flags[static_cast<size_t>(*id)] = added_flags(token, *text);
    }
    std::string bytes;
    for (size_t id = 0; id < texts.size(); ++id) {
      bytes.clear();
      if (flags[id] & kTokenAdded)
        parts_.texts.push(texts[id], flags[id]);
      else if (append_mapped(texts[id], &bytes))
        parts_.texts.push(bytes, 0);
      else
        parts_.texts.push(texts[id], kTokenFiller);
    }
    return {};
  }

  static uint8_t added_flags(Json token, std::string_view text) {
    auto on = [&](std::string_view key) { return token[key].boolean().value_or(false); };
    int flags = kTokenAdded;
    if (on("special")) flags |= kTokenSpecial | kTokenControl;
    if (looks_like_mark(text)) flags |= kTokenControl;
    if (on("lstrip")) flags |= kTokenLeftStrip;
    if (on("rstrip")) flags |= kTokenRightStrip;
    if (on("single_word")) flags |= kTokenSingleWord;
    if (on("normalized")) flags |= kTokenNormalized;
    return static_cast<uint8_t>(flags);
  }

  Status place(int64_t id, std::string_view text, const char *field, std::vector<std::string_view> *texts,
               std::vector<uint8_t> *flags) const {
    if (id < 0 || id >= kMaxVocab)
      return fail(DS_E_FORMAT, "tokenizer", "%s: %s has id %lld for `%.60s`, expected 0 to %u", parts_.name.c_str(),
                  field, static_cast<long long>(id), std::string(text).c_str(), kMaxVocab - 1);
    auto at = static_cast<size_t>(id);
    if (at >= texts->size()) {
      texts->resize(at + 1);
      flags->resize(at + 1, 0);
    }
    (*texts)[at] = text;
    return {};
  }

  // A merge is found by its bytes: the two parts and what they make together.
  Status read_merges() {
    TextIndex index;
    const TokenTexts &texts = parts_.texts;
    index.reserve(texts.count());
    for (uint32_t id = 0; id < texts.count(); ++id)
      if (!texts[id].empty() && !(texts.flags[id] & (kTokenAdded | kTokenFiller))) index.add(texts, id);
    Json merges = root_["model"]["merges"];
    parts_.merges.reserve(merges.size());
    std::string both;
    for (size_t i = 0; i < merges.size(); ++i) {
      std::string_view left, right;
      if (auto text = merges.at(i).text()) {
        size_t space = text->find(' ');
        left = text->substr(0, space);
        right = space == std::string_view::npos ? std::string_view() : text->substr(space + 1);
      } else {
        left = merges.at(i).at(0).text().value_or("");
        right = merges.at(i).at(1).text().value_or("");
      }
      both.clear();
      Merge merge;
      bool known = append_mapped(left, &both);
      size_t cut = both.size();
      known = known && append_mapped(right, &both);
      if (known) {
        merge.left = index.find(texts, std::string_view(both).substr(0, cut));
        merge.right = index.find(texts, std::string_view(both).substr(cut));
        merge.result = index.find(texts, both);
        known = merge.left != kNoToken && merge.right != kNoToken && merge.result != kNoToken;
      }
      if (!known)
        return fail(DS_E_FORMAT, "tokenizer",
                    "%s: model.merges[%zu] `%.40s` `%.40s` is not a pair of known tokens that make one",
                    parts_.name.c_str(), i, std::string(left).c_str(), std::string(right).c_str());
      parts_.merges.push_back(merge);
    }
    return {};
  }

  // ByteLevel adds nothing to the ids. TemplateProcessing may put one token in front: that is BOS.
  Status read_post_processor(Json node) {
    std::string type = text_of(node["type"]);
    if (node.is_null() || type == "ByteLevel") return {};
    if (type == "Sequence") {
      Json list = node["processors"];
      for (size_t i = 0; i < list.size(); ++i) {
        if (text_of(list.at(i)["type"]) == "Sequence") return unsupported("post_processor", "nested Sequence");
        DS_TRY(read_post_processor(list.at(i)));
      }
      return {};
    }
    if (type != "TemplateProcessing") return unsupported("post_processor", type);
    Json single = node["single"];
    size_t count = single.size();
    bool text_last = count > 0 && single.at(count - 1).contains("Sequence");
    if (!text_last || count > 2 || (count == 2 && !single.at(0).contains("SpecialToken")))
      return refuse("post_processor.single", "not text with at most one token before it");
    if (count < 2) return {};
    std::string mark = text_of(single.at(0)["SpecialToken"]["id"]);
    auto id = node["special_tokens"][mark]["ids"].at(0).integer();
    if (!id || *id < 0 || *id >= parts_.texts.count())
      return refuse("post_processor.special_tokens", "without the id of its token");
    parts_.bos = static_cast<uint32_t>(*id);
    parts_.add_bos = true;
    return {};
  }

  Status read_config() {
    parts_.family = choose_chat_family(chat_template(), parts_.texts);
    if (!config_.is_object()) return {};
    for (auto [key, id] : {std::pair("bos_token", &parts_.bos), std::pair("eos_token", &parts_.eos),
                           std::pair("pad_token", &parts_.pad)}) {
      Json token = config_[key];
      std::string text = text_of(token.is_object() ? token["content"] : token);
      if (text.empty()) continue;
      for (uint32_t i = 0; i < parts_.texts.count(); ++i)
        if (parts_.texts[i] == text && (parts_.texts.flags[i] & kTokenAdded)) *id = i;
      if (*id == kNoToken)
        return fail(DS_E_FORMAT, "tokenizer", "%s: tokenizer_config.json names %s `%.60s`, which is no added token",
                    parts_.name.c_str(), key, text.c_str());
    }
    if (auto add = config_["add_bos_token"].boolean()) parts_.add_bos = *add;
    return {};
  }

  // A file of its own, one template, or a list of named ones of which "default" counts.
  std::string_view chat_template() const {
    if (!chat_template_.empty()) return chat_template_;
    Json value = config_["chat_template"];
    for (size_t i = 0; value.is_array() && i < value.size(); ++i)
      if (value.at(i)["name"].text() == "default") return value.at(i)["template"].text().value_or("");
    return value.text().value_or("");
  }

  Json root_, config_, vocab_;
  std::string_view chat_template_;
  TokenizerParts parts_;
};

}  // namespace

Result<Tokenizer::Pointer> Tokenizer::from_hf(std::string_view tokenizer_json, std::string_view tokenizer_config_json,
                                              const std::string &name, std::string_view chat_template) {
  DS_TRY_VALUE(auto document, parse_json(name, tokenizer_json));
  std::shared_ptr<const JsonDocument> config;
  if (!tokenizer_config_json.empty()) {
    DS_TRY_VALUE(config, parse_json("tokenizer_config.json", tokenizer_config_json));
  }
  return HfReader(json_root(*document), config ? json_root(*config) : Json(), name, chat_template).read();
}

}  // namespace deepseam::text
