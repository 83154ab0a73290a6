#include "format/ollama.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "format/open_model.h"
#include "gguf_samples.h"
#include "samples.h"

using namespace deepseam;
using test::memory_source;

namespace {

const std::string kModel(64, 'a'), kParams(64, 'b');

std::string layer(const std::string &kind, const std::string &digest) {
  return R"({"mediaType":"application/vnd.ollama.image.)" + kind + R"(","digest":"sha256:)" + digest + R"(","size":1})";
}

std::string manifest(const std::string &layers) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","layers":[)" +
         layers + "]}";
}

Result<std::optional<OllamaManifest>> read(const std::string &text) {
  return read_ollama_manifest(*memory_source("latest", text));
}

// MODELS of its own, removed with it.
struct Models {
  std::filesystem::path root = std::filesystem::temp_directory_path() / "deepseam_ollama_test";
  Models() {
    std::filesystem::remove_all(root);
    write("blobs/sha256-" + kModel, test::deepseek2_keys().file());
    write("blobs/sha256-" + kParams, R"({"stop":["User:","Assistant:"],"temperature":0.25})");
    const std::string text = manifest(layer("model", kModel) + "," + layer("params", kParams));
    write("manifests/registry.ollama.ai/library/coder/16b", text);
    write("manifests/registry.ollama.ai/library/coder/latest", text);
    write("manifests/registry.ollama.ai/someone/coder/lite", text);
    write("manifests/example.org/team/coder/lite", text);
#if !defined(_WIN32)  // where no file has a colon in its name
    write("manifests/localhost:5000/team/coder/latest", text);
#endif
    const std::string half = manifest(layer("model", kModel) + "," + layer("params", std::string(64, 'd')));
    write("manifests/registry.ollama.ai/library/half/latest", half);
    write("manifests/registry.ollama.ai/library/lost/latest", manifest(layer("model", std::string(64, 'c'))));
  }
  ~Models() { std::filesystem::remove_all(root); }
  void write(const std::string &name, const std::string &content) const {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  Result<ModelFiles> open(const std::string &name) const {
    return open_model_files((root / name).string(), MapMode::kNever);
  }
};

}  // namespace

TEST_CASE("a manifest names its model and parameters") {
  auto found = read(manifest(layer("template", "x") + "," + layer("model", kModel) + "," + layer("params", kParams)));
  REQUIRE(found.ok());
  REQUIRE(found->has_value());
  CHECK_EQ((*found)->model, kModel);
  CHECK_EQ((*found)->parameters, kParams);
}

TEST_CASE("other files are no manifests") {
  for (const char *text : {"{}", "[]", "{\"layers\":[]}", "{\"schemaVersion\":1,\"layers\":[]}", "{", "GGUF"}) {
    auto found = read(text);
    REQUIRE(found.ok());
    CHECK_FALSE(found->has_value());
  }
}

TEST_CASE("digests that would leave the folder are refused") {
  for (const std::string &digest : {std::string("../../etc/passwd"), std::string(), std::string(63, 'a'),
                                    std::string(65, 'a'), std::string(63, 'a') + "/", std::string(64, 'G')}) {
    auto found = read(manifest(layer("model", digest)));
    REQUIRE_FALSE(found.ok());
    CHECK_EQ(found.status().code(), DS_E_FORMAT);
  }
  CHECK_EQ(read(manifest("")).status().code(), DS_E_FORMAT);
  CHECK_EQ(read(manifest(layer("model", kModel) + "," + layer("adapter", kParams))).status().code(), DS_E_UNSUPPORTED);
  CHECK_EQ(read(manifest(layer("model", kModel) + "," + layer("model", kParams))).status().code(), DS_E_UNSUPPORTED);
}

TEST_CASE("parameters become defaults; what is none of ours is ignored") {
  auto found = parse_ollama_parameters("p", R"({"stop":"x","temperature":1,"top_k":40,"top_p":0.9,"min_p":0.1,
    "repeat_penalty":1.1,"num_ctx":4096,"num_predict":-1})");
  REQUIRE(found.ok());
  CHECK_EQ(found->stop_strings, std::vector<std::string>{"x"});
  CHECK_EQ(found->temperature, 1.0);
  CHECK_EQ(found->top_k, 40);
  CHECK_EQ(found->repetition_penalty, 1.1);
  CHECK_FALSE(found->max_new_tokens);
  for (const char *text : {"[]", "{\"stop\":1}", "{\"stop\":[1]}", "{\"temperature\":\"hot\"}", "{\"top_k\":0.5}"})
    CHECK_EQ(parse_ollama_parameters("p", text).status().code(), DS_E_FORMAT);
}

TEST_CASE("NAME:TAG under a folder of models, and the manifest itself") {
  const Models models;
  for (const char *name : {"coder:16b", "coder", "someone/coder:lite", "example.org/team/coder:lite",
                           "manifests/registry.ollama.ai/library/coder/16b"}) {
    CAPTURE(name);
    auto files = models.open(name);
    INFO(files.status().message());
    REQUIRE(files.ok());
    CHECK_EQ(files->kind, ModelKind::kGguf);
    CHECK_EQ(files->generation.temperature, 0.25);
    CHECK_EQ(files->generation.stop_strings, std::vector<std::string>{"User:", "Assistant:"});
    CHECK_NE(files->path.find("sha256-" + kModel), std::string::npos);
  }
}

#if !defined(_WIN32)
TEST_CASE("the port of a host is no tag") {
  const Models models;
  for (const char *name : {"localhost:5000/team/coder", "localhost:5000/team/coder:latest"}) {
    CAPTURE(name);
    auto files = models.open(name);
    INFO(files.status().message());
    CHECK(files.ok());
  }
}
#endif

TEST_CASE("parameters that are missing are no reason not to open, and are told of") {
  const Models models;
  auto files = models.open("half");
  REQUIRE(files.ok());
  CHECK_FALSE(files->generation.temperature);
  REQUIRE_EQ(files->notes.size(), 1);
  CHECK_NE(files->notes[0].find("sha256-dddd"), std::string::npos);
  CHECK(models.open("coder")->notes.empty());
}

TEST_CASE("what is missing is named") {
  const Models models;
  const auto check = [&](const char *name, const char *part) {
    auto files = models.open(name);
    REQUIRE_FALSE(files.ok());
    CHECK_EQ(files.status().code(), DS_E_NOT_FOUND);
    INFO(files.status().message());
    CHECK_NE(std::string(files.status().message()).find(part), std::string::npos);
  };
  check("nothing:16b", "library/nothing/16b");
  check("lost", "sha256-cccc");
  CHECK_EQ(open_model_files("/nowhere/at/all:1", MapMode::kNever).status().code(), DS_E_NOT_FOUND);
}
