// Text in, ids and prompts out, over pipes: what the Python tests compare with other implementations.
//
//   tokenizer_driver ids MODEL [--special] [--bos] [--blob]   records (u32 size, bytes) on stdin → (u32 count, u32 ids)
//   on stdout tokenizer_driver chat MODEL                   JSON lines {family, messages, add_generation_prompt,
//   thinking} → JSON strings tokenizer_driver time MODEL FILE              milliseconds to load, to load from a blob,
//   to encode FILE
// MODEL: a folder with tokenizer.json (and tokenizer_config.json), or a .json dump of a GGUF vocabulary
// {"tokens", "types", "merges", "pre"}. --blob sends the tokenizer through its stored form first. Every encoding is
// decoded again and compared: exit status 3 if a valid text does not come back.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/json.h"
#include "text/prompt.h"

namespace {

using deepseam::Json;
using deepseam::Result;
using deepseam::Status;
using deepseam::text::Tokenizer;

bool read_file(const std::string &path, std::string *content) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  std::ostringstream all;
  all << file.rdbuf();
  *content = all.str();
  return true;
}

Result<Tokenizer::Pointer> load_dump(const std::string &path, const std::string &content) {
  DS_TRY_VALUE(auto document, deepseam::parse_json(path, content));
  Json root = deepseam::json_root(*document);
  std::vector<std::string_view> tokens, merges;
  std::vector<int32_t> types;
  for (size_t i = 0; i < root["tokens"].size(); ++i) tokens.push_back(root["tokens"].at(i).text().value_or(""));
  for (size_t i = 0; i < root["merges"].size(); ++i) merges.push_back(root["merges"].at(i).text().value_or(""));
  for (size_t i = 0; i < root["types"].size(); ++i)
    types.push_back(static_cast<int32_t>(root["types"].at(i).integer().value_or(1)));
  deepseam::text::VocabParts parts;
  parts.tokens = tokens;
  parts.types = types;
  parts.merges = merges;
  parts.pre_type = root["pre"].text().value_or("");
  return Tokenizer::from_vocab(parts, path);
}

Result<Tokenizer::Pointer> load(const std::string &model) {
  std::string content, config;
  if (model.ends_with(".json")) {
    if (!read_file(model, &content)) return deepseam::fail(DS_E_NOT_FOUND, "driver", "cannot read %s", model.c_str());
    return load_dump(model, content);
  }
  if (!read_file(model + "/tokenizer.json", &content))
    return deepseam::fail(DS_E_NOT_FOUND, "driver", "cannot read %s/tokenizer.json", model.c_str());
  read_file(model + "/tokenizer_config.json", &config);
  return Tokenizer::from_hf(content, config, model);
}

int report(const Status &status) {
  std::fprintf(stderr, "%s\n", status.message());
  return 1;
}

int run_ids(const Tokenizer &tokenizer, const deepseam::text::EncodeOptions &options) {
  uint32_t size = 0;
  std::string text;
  std::vector<uint32_t> ids;
  while (std::fread(&size, 4, 1, stdin) == 1) {
    text.resize(size);
    if (size > 0 && std::fread(text.data(), 1, size, stdin) != size) return 2;
    ids.clear();
    Status status = tokenizer.encode(text, options, &ids);
    if (!status.ok()) return report(status);
    auto body = std::span<const uint32_t>(ids);
    if (options.add_bos) body = body.subspan(1);
    if (tokenizer.decode(body, true) != text) {
      std::fprintf(stderr, "does not round-trip: %s\n", text.c_str());
      return 3;
    }
    auto count = static_cast<uint32_t>(ids.size());
    std::fwrite(&count, 4, 1, stdout);
    std::fwrite(ids.data(), 4, ids.size(), stdout);
  }
  return 0;
}

int run_chat(const Tokenizer &tokenizer) {
  using namespace deepseam::text;
  std::string line;
  while (std::getline(std::cin, line)) {
    auto document = deepseam::parse_json("request", line);
    if (!document.ok()) return report(document.status());
    Json root = deepseam::json_root(**document);
    std::vector<ChatMessage> messages;
    std::vector<std::vector<ToolCall>> calls(root["messages"].size());
    for (size_t i = 0; i < root["messages"].size(); ++i) {
      Json message = root["messages"].at(i);
      Json list = message["tool_calls"];
      for (size_t j = 0; j < list.size(); ++j)
        calls[i].push_back({list.at(j)["type"].text().value_or(""), list.at(j)["function"]["name"].text().value_or(""),
                            list.at(j)["function"]["arguments"].text().value_or("")});
      messages.push_back({message["role"].text().value_or(""), message["content"].text().value_or(""), calls[i]});
    }
    ChatRequest request;
    request.messages = messages;
    request.add_generation_prompt = root["add_generation_prompt"].boolean().value_or(true);
    request.thinking = root["thinking"].boolean().value_or(false);
    request.family = static_cast<ChatFamily>(root["family"].integer().value_or(0));
    std::vector<RoleStart> starts;
    auto segments = chat_segments(tokenizer, request, &starts);
    if (!segments.ok()) return report(segments.status());
    std::string text;
    for (const Segment &segment : *segments)
      text += segment.id == kNoToken ? segment.text : std::string(tokenizer.token_bytes(segment.id));
    deepseam::JsonWriter writer;
    writer.value(text);
    std::cout << writer.take() << "\n";
  }
  return 0;
}

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int run_time(const std::string &model, const std::string &path) {
  std::string text;
  if (!read_file(path, &text)) return 2;
  auto start = std::chrono::steady_clock::now();
  auto tokenizer = load(model);
  double load_ms = since(start);
  if (!tokenizer.ok()) return report(tokenizer.status());
  std::string blob = (*tokenizer)->serialize();
  start = std::chrono::steady_clock::now();
  auto again = Tokenizer::from_blob({reinterpret_cast<const uint8_t *>(blob.data()), blob.size()}, "blob");
  double blob_ms = since(start);
  if (!again.ok()) return report(again.status());
  std::vector<uint32_t> ids;
  start = std::chrono::steady_clock::now();
  Status status = (*again)->encode(text, {}, &ids);
  double encode_ms = since(start);
  if (!status.ok()) return report(status);
  std::printf(
      "{\"load_ms\": %.1f, \"blob_ms\": %.1f, \"blob_bytes\": %zu, \"encode_ms\": %.1f, \"bytes\": %zu, \"ids\": "
      "%zu}\n",
      load_ms, blob_ms, blob.size(), encode_ms, text.size(), ids.size());
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  std::string command = argv[1], model = argv[2];
  if (command == "time") return argc > 3 ? run_time(model, argv[3]) : 2;
  auto tokenizer = load(model);
  if (!tokenizer.ok()) return report(tokenizer.status());
  deepseam::text::EncodeOptions options;
  for (int i = 3; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--special")) options.parse_special = deepseam::text::ParseSpecial::kAll;
    if (!std::strcmp(argv[i], "--bos")) options.add_bos = true;
    if (std::strcmp(argv[i], "--blob") != 0) continue;
    std::string blob = (*tokenizer)->serialize();
    tokenizer = Tokenizer::from_blob({reinterpret_cast<const uint8_t *>(blob.data()), blob.size()}, model);
    if (!tokenizer.ok()) return report(tokenizer.status());
  }
  if (command == "ids") return run_ids(**tokenizer, options);
  if (command == "chat") return run_chat(**tokenizer);
  return 2;
}
