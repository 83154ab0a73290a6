// A Hugging Face folder as one tensor directory: index, shards, and fp8 weights joined with their scales.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/checked.h"
#include "base/json.h"
#include "format/safetensors.h"

namespace deepseam {
namespace {

constexpr const char *kIndexName = "model.safetensors.index.json";
constexpr const char *kSingleName = "model.safetensors";
constexpr std::string_view kScaleSuffix = "_scale_inv";
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

std::string shape_text(const std::vector<uint64_t> &shape) {
  std::string text(1, '[');
  for (uint64_t dim : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(dim);
  }
  text += ']';
  return text;
}

Status join_scales(const TensorDirectory &all, ScaleBlocks blocks, TensorInfo *weight) {
  const std::string &file = all.sources[weight->range.source]->name();
  const TensorInfo *scales = all.find(weight->name + std::string(kScaleSuffix));
  if (!scales)
    return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%s' is F8_E4M3 and its scales '%s%s' are in no file",
                file.c_str(), weight->name.c_str(), weight->name.c_str(), std::string(kScaleSuffix).c_str())
        .at(file);
  if (scales->dtype != DType::kF32)
    return fail(DS_E_UNSUPPORTED, "safetensors", "%s: tensor '%s' has type %s; scales of type F32 are supported",
                file.c_str(), scales->name.c_str(), scales->stored_type.c_str())
        .at(file);
  const uint64_t cols = weight->cols(), rows = weight->shape.size() < 2 ? 1 : weight->shape[weight->shape.size() - 2];
  const bool whole = blocks.rows == 0 || blocks.cols == 0;  // one scale a matrix
  weight->scales.block_rows = whole ? static_cast<uint32_t>(std::max<uint64_t>(rows, 1)) : blocks.rows;
  weight->scales.block_cols = whole ? static_cast<uint32_t>(std::max<uint64_t>(cols, 1)) : blocks.cols;
  if (rows > UINT32_MAX || cols > UINT32_MAX || weight->shape.size() < 2)
    return fail(DS_E_UNSUPPORTED, "safetensors", "%s: tensor '%s' of shape %s cannot have fp8 scales", file.c_str(),
                weight->name.c_str(), shape_text(weight->shape).c_str())
        .at(file);
  std::vector<uint64_t> expected = weight->shape;
  const uint32_t block_rows = weight->scales.block_rows, block_cols = weight->scales.block_cols;
  expected[expected.size() - 2] = rows / block_rows + (rows % block_rows != 0);
  expected[expected.size() - 1] = cols / block_cols + (cols % block_cols != 0);
  const bool one = whole && weight->shape.size() == 2 && scales->elements() == 1;
  if (scales->shape != expected && !one)
    return fail(DS_E_FORMAT, "safetensors", "%s: scales '%s' must have shape %s (blocks of %u x %u), found %s",
                file.c_str(), scales->name.c_str(), shape_text(expected).c_str(), block_rows, block_cols,
                shape_text(scales->shape).c_str())
        .at(file);
  weight->has_scales = true;
  weight->scales.range = scales->range;
  return {};
}

// Joins every fp8 weight with its scales and takes the joined scales off the list.
Status join_all_scales(ScaleBlocks blocks, TensorDirectory *all) {
  std::set<std::string> joined;
  for (TensorInfo &tensor : all->tensors) {
    if (tensor.dtype != DType::kF8E4M3) continue;
    DS_TRY(join_scales(*all, blocks, &tensor));
    joined.insert(tensor.name + std::string(kScaleSuffix));
  }
  if (joined.empty()) return {};
  std::erase_if(all->tensors, [&](const TensorInfo &tensor) { return joined.count(tensor.name) != 0; });
  all->by_name.clear();
  for (uint32_t i = 0; i < all->tensors.size(); ++i) all->by_name.emplace(all->tensors[i].name, i);
  return {};
}

}  // namespace

Result<TensorDirectory> open_hf_tensors(const Folder &folder, ScaleBlocks blocks) {
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
  DS_TRY(join_all_scales(blocks, &all));
  return all;
}

Result<TensorDirectory> open_hf_tensors(std::shared_ptr<Source> file, ScaleBlocks blocks) {
  TensorDirectory all;
  DS_TRY(add_file(std::move(file), &all));
  DS_TRY(join_all_scales(blocks, &all));
  return all;
}

}  // namespace deepseam
