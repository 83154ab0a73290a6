// Writes the seeds of the graph target: both families and an MTP module in small, and one graph of attributes and
// optional inputs that those leave out.
//   fuzz_graph_seeds FOLDER
#include <fstream>

#include "model/deepseek.h"
#include "unit/model/tiny_config.h"
#include "unit/model/tiny_directory.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

struct Seed {
  std::string name;
  Result<graph::Graph> graph;
};

Seed forward(const std::string &name, const HfConfig &given, DType dtype) {
  auto config = make_config(given, name);
  if (!config.ok()) return {name, std::move(config).status()};
  const TensorDirectory directory = role_directory(*config, dtype);
  auto weights = bind_weights(*config, directory, name);
  if (!weights.ok()) return {name, std::move(weights).status()};
  if (name == "mtp") return {name, build_mtp(*config, *weights, 0, {})};
  return {name, build_forward(*config, *weights, {33})};
}

HfConfig mixed() {
  HfConfig given = tiny_v3();
  given.attention_bias = true;
  given.n_shared_experts = 0;
  given.tie_word_embeddings = true;
  given.topk_method = "group_limited_greedy";
  given.scoring_func = "softmax";
  return given;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const Seed seeds[] = {forward("v2", tiny_v2(), DType::kBF16), forward("v3", tiny_v3(), DType::kF8E4M3),
                        forward("mtp", tiny_v3(), DType::kQ8_0), forward("mixed", mixed(), DType::kQ4_0)};
  for (const Seed &seed : seeds) {
    if (!seed.graph.ok()) return 1;
    const std::string text = graph::serialize(seed.graph.value());
    std::ofstream(std::string(argv[1]) + "/" + seed.name + ".graph", std::ios::binary)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  return 0;
}
