// A Hugging Face folder as one tensor directory: index and shards.
#include <map>

#include "base/json.h"
#include "format/hf_join.h"
#include "format/safetensors.h"

namespace deepseam {
namespace {

constexpr const char *kIndexName = "model.safetensors.index.json";
constexpr const char *kSingleName = "model.safetensors";
constexpr size_t kMaxShards = 4096;

bool plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() < 256 &&
         name.find_first_of(std::string_view("/\\:\0", 4)) == std::string_view::npos;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The index: shard -> tensors that must be in it.
using WeightMap = std::map<std::string, std::vector<std::string>>;

Result<WeightMap> read_index(const Source &source) {
  const std::string &name = source.name();
  DS_TRY_VALUE(const std::string text, read_whole(source, uint64_t{64} << 20));
  JsonLimits limits;
  limits.depth = 16;
  limits.nodes = 4u << 20;
  DS_TRY_VALUE(const auto document, parse_json(name, text, limits));
  const Json map = json_root(*document)["weight_map"];
  if (!map.is_object())
    return fail(DS_E_FORMAT, "safetensors", "%s: 'weight_map' is missing or not an object", name.c_str()).at(name);
  WeightMap shards;
  for (size_t i = 0; i < map.size(); ++i) {
    const auto file = map.at(i).text();
    const std::string tensor(map.key(i));
    if (!file || !plain_name(*file))
      return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%s' must name a plain file of the same folder, found '%s'",
                  name.c_str(), tensor.c_str(), file ? std::string(file->substr(0, 128)).c_str() : "no string")
          .at(name);
    shards[std::string(*file)].push_back(tensor);
  }
  if (shards.empty()) return fail(DS_E_FORMAT, "safetensors", "%s: 'weight_map' is empty", name.c_str()).at(name);
  if (shards.size() > kMaxShards)
    return fail(DS_E_FORMAT, "safetensors", "%s: %zu files, at most %zu are allowed", name.c_str(), shards.size(),
                kMaxShards)
        .at(name);
  return shards;
}

// Adds the tensors of one file. A name that an earlier file has too is an error: nothing says which one is meant.
Status add_file(std::shared_ptr<Source> source, TensorDirectory *all) {
  DS_TRY_VALUE(TensorDirectory part, read_safetensors(std::move(source)));
  const uint32_t index = static_cast<uint32_t>(all->sources.size());
  all->sources.push_back(std::move(part.sources[0]));
  all->tensors.reserve(all->tensors.size() + part.tensors.size());
  for (TensorInfo &tensor : part.tensors) {
    tensor.range.source = index;
    const auto [at, added] = all->by_name.emplace(tensor.name, static_cast<uint32_t>(all->tensors.size()));
    if (!added)
      return fail(DS_E_FORMAT, "safetensors", "tensor '%s' is in %s and again in %s", tensor.name.c_str(),
                  all->sources[all->tensors[at->second].range.source]->name().c_str(),
                  all->sources[index]->name().c_str())
          .at(all->sources[index]->name());
    all->tensors.push_back(std::move(tensor));
  }
  return {};
}

Status add_indexed(const Folder &folder, const Source &index, TensorDirectory *all) {
  DS_TRY_VALUE(const WeightMap shards, read_index(index));
  for (const auto &[file, names] : shards) {
    auto source = folder.open(file);
    if (!source.ok()) {
      if (source.status().code() != DS_E_NOT_FOUND) return std::move(source).status();
      return fail(DS_E_NOT_FOUND, "safetensors",
                  "%s names the file '%s' for %zu tensors, and there is no such file in %s", index.name().c_str(),
                  file.c_str(), names.size(), folder.path().c_str())
          .at(file);
    }
    const uint32_t number = static_cast<uint32_t>(all->sources.size());
    DS_TRY(add_file(std::move(source).value(), all));
    for (const std::string &name : names) {
      const TensorInfo *tensor = all->find(name);
      if (!tensor || tensor->range.source != number)
        return fail(DS_E_FORMAT, "safetensors", "%s says that tensor '%s' is in '%s', and it is not",
                    index.name().c_str(), name.c_str(), file.c_str())
            .at(index.name());
    }
  }
  return {};
}

Status add_listed(const Folder &folder, TensorDirectory *all) {
  DS_TRY_VALUE(const std::vector<std::string> names, folder.list());
  for (const std::string &name : names) {
    if (!ends_with(name, ".safetensors") || ends_with(name, "adapter_model.safetensors")) continue;
    DS_TRY_VALUE(std::shared_ptr<Source> source, folder.open(name));
    DS_TRY(add_file(std::move(source), all));
  }
  if (all->sources.empty())
    return fail(DS_E_NOT_FOUND, "safetensors", "%s holds neither %s nor any *.safetensors file", folder.path().c_str(),
                kIndexName)
        .at(folder.path());
  return {};
}

}  // namespace

Result<TensorDirectory> open_hf_tensors(const Folder &folder, const QuantScheme &scheme) {
  TensorDirectory all;
  auto index = folder.open(kIndexName);
  if (index.ok()) {
    DS_TRY(add_indexed(folder, **index, &all));
  } else if (index.status().code() != DS_E_NOT_FOUND) {
    return std::move(index).status();
  } else {
    auto single = folder.open(kSingleName);
    if (single.ok()) {
      DS_TRY(add_file(std::move(single).value(), &all));
    } else if (single.status().code() == DS_E_NOT_FOUND) {
      DS_TRY(add_listed(folder, &all));
    } else {
      return std::move(single).status();
    }
  }
  DS_TRY(join_quantised(scheme, &all));
  return all;
}

Result<TensorDirectory> open_hf_tensors(std::shared_ptr<Source> file, const QuantScheme &scheme) {
  TensorDirectory all;
  DS_TRY(add_file(std::move(file), &all));
  DS_TRY(join_quantised(scheme, &all));
  return all;
}

}  // namespace deepseam
