// Split GGUF models: NAME-00001-of-00003.gguf and so on, each a GGUF file with its share of the tensors. The parts say
// themselves which they are (split.no, split.count); the first holds the metadata.
#include <algorithm>
#include <cstdio>

#include "format/gguf_reader.h"

namespace deepseam {
namespace {

constexpr int64_t kMaxParts = 9999;
constexpr std::string_view kSuffix = ".gguf";

int64_t parts_of(const GgufMetadata &metadata) { return metadata.integer("split.count").value_or(1); }

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "model-00002-of-00003.gguf": "model", 2, 3.
struct PartName {
  std::string stem;
  int64_t number = 0, count = 0;
  bool ok = false;
};

PartName parse_part(std::string_view name) {
  constexpr size_t kTail = 6 + 9 + 5;  // "-00002" "-of-00003" ".gguf"
  PartName part;
  if (name.size() <= kTail || !name.ends_with(kSuffix)) return part;
  const std::string_view tail = name.substr(name.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !all_digits(tail.substr(1, 5)) ||
      !all_digits(tail.substr(10, 5)))
    return part;
  for (char c : tail.substr(1, 5)) part.number = part.number * 10 + (c - '0');
  for (char c : tail.substr(10, 5)) part.count = part.count * 10 + (c - '0');
  part.stem = name.substr(0, name.size() - kTail);
  part.ok = part.number >= 1 && part.number <= part.count;
  return part;
}

std::string part_name(const PartName &part, int64_t number) {
  char tail[64];
  std::snprintf(tail, sizeof tail, "-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                static_cast<long long>(part.count));
  return part.stem + tail;
}

// Tensors and source of one part to those of the whole.
Status add_part(GgufFile part, TensorDirectory *all) {
  const auto index = static_cast<uint32_t>(all->sources.size());
  const std::string name = part.tensors.sources[0]->name();
  all->sources.push_back(std::move(part.tensors.sources[0]));
  for (TensorInfo &tensor : part.tensors.tensors) {
    tensor.range.source = index;
    if (!all->by_name.emplace(tensor.name, static_cast<uint32_t>(all->tensors.size())).second)
      return fail(DS_E_FORMAT, "gguf", "%s: tensor '%s' is in another part too", name.c_str(), tensor.name.c_str())
          .at(name);
    all->tensors.push_back(std::move(tensor));
  }
  return {};
}

Result<GgufFile> read_part(const Folder &folder, const std::string &name, int64_t count) {
  auto source = folder.open(name);
  if (!source.ok()) {
    if (source.status().code() != DS_E_NOT_FOUND) return std::move(source).status();
    return fail(DS_E_NOT_FOUND, "gguf", "the model is split into %lld files, and %s is missing in %s",
                static_cast<long long>(count), name.c_str(), folder.path().c_str())
        .at(name);
  }
  return GgufReader(std::move(source).value()).read();
}

Result<GgufFile> join_parts(const Folder &folder, const PartName &part) {
  std::vector<GgufFile> parts(static_cast<size_t>(part.count));
  std::vector<bool> there(parts.size());
  for (int64_t number = 1; number <= part.count; ++number) {
    const std::string name = part_name(part, number);
    DS_TRY_VALUE(GgufFile file, read_part(folder, name, part.count));
    const int64_t own = file.metadata.integer("split.no").value_or(-1), count = parts_of(file.metadata);
    if (count != part.count || own < 0 || own >= count || there[static_cast<size_t>(own)])
      return fail(DS_E_FORMAT, "gguf", "%s says that it is part %lld of %lld (split.no, split.count)%s", name.c_str(),
                  static_cast<long long>(own), static_cast<long long>(count),
                  count != part.count ? ", unlike its name" : ", which another file is or no file can be")
          .at(name);
    there[static_cast<size_t>(own)] = true;
    parts[static_cast<size_t>(own)] = std::move(file);
  }
  GgufFile whole;
  whole.version = parts[0].version;
  whole.metadata = parts[0].metadata;
  for (GgufFile &file : parts) DS_TRY(add_part(std::move(file), &whole.tensors));
  const auto stated = whole.metadata.integer("split.tensors.count");
  if (stated && static_cast<uint64_t>(*stated) != whole.tensors.tensors.size())
    return fail(DS_E_FORMAT, "gguf", "%s: its %lld parts hold %zu tensors, expected %lld (split.tensors.count)",
                part.stem.c_str(), static_cast<long long>(part.count), whole.tensors.tensors.size(),
                static_cast<long long>(*stated))
        .at(folder.path());
  return whole;
}

}  // namespace

Result<GgufFile> open_gguf(std::shared_ptr<Source> source, const Folder *beside) {
  const std::string name = source->name();
  DS_TRY_VALUE(GgufFile file, GgufReader(std::move(source)).read());
  const int64_t count = parts_of(file.metadata);
  if (count <= 1) return file;
  if (beside && count > kMaxParts)
    return fail(DS_E_FORMAT, "gguf", "%s: split.count says %lld parts, expected at most %lld", name.c_str(),
                static_cast<long long>(count), static_cast<long long>(kMaxParts))
        .at(name);
  if (beside) return join_parts(*beside, PartName{"", 1, count, true});
  return fail(DS_E_NOT_FOUND, "gguf",
              "%s is part %lld of a model that is split into %lld files; open it with its folder", name.c_str(),
              static_cast<long long>(file.metadata.integer("split.no").value_or(0) + 1),
              static_cast<long long>(parts_of(file.metadata)))
      .at(name);
}

Result<GgufFile> open_gguf(const Folder &folder, const std::string &name) {
  DS_TRY_VALUE(GgufFile file, read_part(folder, name, 1));
  const int64_t count = parts_of(file.metadata);
  if (count <= 1) return file;
  const PartName part = parse_part(name);
  if (!part.ok || part.count != count || count > kMaxParts)
    return fail(DS_E_FORMAT, "gguf",
                "%s is one of %lld parts of a split model; such files are called NAME-00001-of-%05lld.gguf",
                name.c_str(), static_cast<long long>(count), static_cast<long long>(count))
        .at(name);
  return join_parts(folder, part);
}

Result<std::string> find_gguf(const Folder &folder) {
  DS_TRY_VALUE(const std::vector<std::string> names, folder.list());
  std::string found;
  for (const std::string &name : names) {
    if (!name.ends_with(kSuffix)) continue;
    const PartName part = parse_part(name), before = parse_part(found);
    if (!found.empty() && part.ok && before.ok && part.stem == before.stem && part.count == before.count) continue;
    if (!found.empty())
      return fail(DS_E_ARGUMENT, "gguf", "%s holds more than one GGUF model, %s and %s; name the file to open",
                  folder.path().c_str(), found.c_str(), name.c_str())
          .at(folder.path());
    found = name;
  }
  return found;
}

}  // namespace deepseam
