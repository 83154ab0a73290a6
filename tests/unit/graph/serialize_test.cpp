// The FlatBuffers form: round trip, and bytes that are no graph or claim too much.
#include <cstring>
#include <random>

#include "graph_generated.h"
#include "tiny_graph.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

std::span<const uint8_t> bytes_of(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

std::string refusal(const std::string &text) {
  auto graph = parse(bytes_of(text));
  return graph.ok() ? "accepted" : graph.status().message();
}

// A graph whose nodes all are one node, and that node's attributes all are one list: small, and huge if believed.
std::string shared_graph(size_t nodes, size_t attributes, size_t list) {
  flatbuffers::FlatBufferBuilder out;
  const auto numbers = out.CreateVector(std::vector<double>(list, 1.0));
  const auto attribute = fb::CreateAttribute(out, 10, 0, 0, numbers);
  const auto all = out.CreateVector(std::vector<flatbuffers::Offset<fb::Attribute>>(attributes, attribute));
  const auto name = out.CreateString("n");
  const auto node = fb::CreateNode(out, 2, 1, 0, name, 0, 0, all);
  const auto every = out.CreateVector(std::vector<flatbuffers::Offset<fb::Node>>(nodes, node));
  fb::FinishGraphBuffer(out, fb::CreateGraph(out, 1, 0, name, 0, every));
  return std::string(reinterpret_cast<const char *>(out.GetBufferPointer()), out.GetSize());
}

}  // namespace

TEST_CASE("a graph comes back as it was") {
  const Graph graph = made_tiny_graph();
  const std::string text = serialize(graph);
  auto back = parse(bytes_of(text));
  REQUIRE_MESSAGE(back.ok(), back.status().message());
  CHECK(print(*back) == print(graph));
  CHECK(serialize(*back) == text);
  CHECK(back->nodes[7].get_list(Attr::kInvFreq)[1] == 0.01);
}

TEST_CASE("bytes need not be aligned") {
  const std::string text = "x" + serialize(made_tiny_graph());
  CHECK(parse(bytes_of(text).subspan(1)).ok());
}

TEST_CASE("what is not a graph is refused") {
  CHECK(refusal("") == "0 bytes are not an intact graph (FlatBuffer with identifier DSGR)");
  CHECK(refusal("DSGR") == "4 bytes are not an intact graph (FlatBuffer with identifier DSGR)");
  std::string text = serialize(made_tiny_graph());
  text[5] = 'X';
  CHECK(refusal(text).find("are not an intact graph") != std::string::npos);
}

TEST_CASE("a graph cut anywhere is refused") {
  const std::string text = serialize(made_tiny_graph());
  for (size_t size = 0; size < text.size(); size += 1 + size / 64) {
    const std::vector<uint8_t> cut(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(parse(cut).ok());
  }
}

TEST_CASE("another schema version is refused") {
  flatbuffers::FlatBufferBuilder out;
  fb::FinishGraphBuffer(out, fb::CreateGraph(out, 2));
  CHECK(refusal(std::string(reinterpret_cast<const char *>(out.GetBufferPointer()), out.GetSize())) ==
        "graph schema version 2, this library knows 1");
}

TEST_CASE("what a newer library may add is refused if it changes results") {
  Graph graph = made_tiny_graph();
  SUBCASE("op") {
    graph.nodes[2].op = static_cast<Op>(4711);
    CHECK(refusal(serialize(graph)) == "node concat: op 4711 is not known to this library");
  }
  SUBCASE("op version") {
    graph.nodes[2].version = 9;
    CHECK(refusal(serialize(graph)) == "node concat (concat): op version 9, this library knows 1 to 1");
  }
  SUBCASE("feature of a node") {
    graph.nodes[2].required_features = uint64_t{1} << 63;
    CHECK(refusal(serialize(graph)) ==
          "node concat (concat): requires features 0x8000000000000000, which this library does not know");
  }
  SUBCASE("feature of the graph") {
    graph.required_features = 1;
    CHECK(refusal(serialize(graph)) == "graph tiny requires features 0x1, which this library does not know");
  }
}

TEST_CASE("an unknown attribute is dropped: it changes no result of the stated version") {
  Graph graph = made_tiny_graph();
  graph.nodes[2].attributes.push_back({static_cast<Attr>(999), 1, 0, {}});
  const std::string text = serialize(graph);
  auto back = parse(bytes_of(text));
  REQUIRE_MESSAGE(back.ok(), back.status().message());
  CHECK(back->nodes[2].attributes.empty());
}

TEST_CASE("a graph that claims more than it holds is refused before it is copied") {
  CHECK(refusal(shared_graph(8000, 1, 30000)) == "the graph claims more content than its buffer holds");
  CHECK(refusal(shared_graph(1, 200000, 30000)) == "the graph claims more content than its buffer holds");
  CHECK(refusal(shared_graph(8193, 0, 0)) == "8193 nodes and 0 tensors, expected at most 8192 and 65536");
  CHECK(refusal(shared_graph(1, 1, 40000)) == "attribute inv_freq has 40000 entries, expected at most 32768");
}

TEST_CASE("random bytes behind the identifier are refused") {
  std::mt19937_64 random(20260101);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes(8 + random() % 400);
    for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(random() % (round % 2 ? 256 : 40));
    std::memcpy(bytes.data() + 4, "DSGR", 4);
    bytes[0] = static_cast<uint8_t>(4 * (1 + random() % 16));
    bytes[1] = bytes[2] = bytes[3] = 0;
    CHECK_FALSE(parse(bytes).ok());
  }
}

TEST_CASE("a flipped bit gives a graph that is verified, or a refusal") {
  const std::string text = serialize(made_tiny_graph());
  std::vector<uint8_t> bytes(text.begin(), text.end());
  std::mt19937_64 random(20260102);
  size_t accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    const size_t at = random() % bytes.size();
    const uint8_t bit = static_cast<uint8_t>(1u << random() % 8);
    bytes[at] ^= bit;
    if (auto graph = parse(bytes); graph.ok()) {
      ++accepted;
      CHECK(verify(*graph).ok());
      print(*graph);
    }
    bytes[at] ^= bit;
  }
  CHECK(accepted > 0);  // a bit of a frequency or of padding
  CHECK(accepted < 4000);
}
