// Ops between ranks: two threads, one program each, and an exchange that copies between them.
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kCols = 12, kRows = 3, kWorld = 2;

// All-gather of two ranks in one process.
struct Meeting {
  std::mutex mutex;
  std::condition_variable all_here;
  uint32_t arrived = 0, round = 0;
  std::vector<uint8_t> parts[kWorld];
};
struct Seat {
  Meeting *meeting;
  uint32_t rank;
};

ds_status DS_CALL exchange(void *user, uint32_t operation, void *data, uint64_t bytes) {
  const Seat &seat = *static_cast<Seat *>(user);
  Meeting &meeting = *seat.meeting;
  auto *all = static_cast<uint8_t *>(data);
  std::unique_lock lock(meeting.mutex);
  if (operation == 1) meeting.parts[seat.rank].assign(all + seat.rank * bytes, all + (seat.rank + 1) * bytes);
  const auto meet = [&] {
    const uint32_t round = meeting.round;
    if (++meeting.arrived == kWorld) {
      meeting.arrived = 0;
      ++meeting.round;
      meeting.all_here.notify_all();
    } else if (!meeting.all_here.wait_for(lock, std::chrono::seconds(20), [&] { return meeting.round != round; })) {
      return false;
    }
    return true;
  };
  if (!meet()) return DS_E_TIMEOUT;
  for (uint32_t rank = 0; operation == 1 && rank < kWorld; ++rank)
    std::memcpy(all + rank * bytes, meeting.parts[rank].data(), bytes);
  return meet() ? DS_OK : DS_E_TIMEOUT;
}

graph::Graph make_graph(graph::Op op, uint32_t rank, uint32_t out_cols) {
  graph::GraphBuilder b("group");
  const graph::Value x = b.input_hidden(kCols);
  b.output_hidden(b.gather_rows(x));
  auto made = b.finish();
  REQUIRE(made.ok());
  graph::Graph graph = std::move(made).value();
  // Put the op between the two: x -> y -> gathered.
  graph::Tensor y;
  y.name = "y";
  y.shape = {graph::kRows, out_cols};
  const uint32_t index = static_cast<uint32_t>(graph.tensors.size());
  graph.tensors.push_back(y);
  graph::Node node;
  node.op = op;
  node.version = 1;
  node.name = "between";
  node.inputs = {graph.nodes[0].outputs[0]};
  node.outputs = {index};
  node.attributes = {{graph::Attr::kRank, rank, 0, {}}, {graph::Attr::kWorld, kWorld, 0, {}}};
  graph.nodes[1].inputs[0] = index;
  graph.tensors[graph.hidden].shape[1] = out_cols;
  graph.nodes.insert(graph.nodes.begin() + 1, node);
  return graph;
}

// out[rank] [rows, out_cols] for inputs in[rank] [rows, cols].
std::vector<std::vector<float>> run_group(graph::Op op, uint32_t out_cols, const std::vector<std::vector<float>> &in) {
  Meeting meeting;
  std::vector<std::vector<float>> out(kWorld);
  std::vector<Seat> seats;
  std::vector<dsb_group *> groups(kWorld);
  std::vector<std::unique_ptr<Program>> programs;
  for (uint32_t rank = 0; rank < kWorld; ++rank) seats.push_back({&meeting, rank});
  for (uint32_t rank = 0; rank < kWorld; ++rank) {
    dsb_device *devices[] = {device()};
    const dsb_group_desc desc = {sizeof desc, rank, kWorld, 1, devices, exchange, &seats[rank]};
    Error error;
    REQUIRE_MESSAGE(api().group_open(&desc, &groups[rank], &error) == DS_OK, error.message);
    programs.push_back(
        std::make_unique<Program>(make_graph(op, rank, out_cols), Weights{}, default_options(), true, groups[rank]));
  }
  std::vector<ds_status> codes(kWorld, -1);
  const auto work = [&](uint32_t rank) {
    Step step;
    step.hidden_in = in[rank];
    step.n_hidden_in = kRows;
    step.add_seq(0, 0, {});
    for (uint32_t i = 0; i < kRows; ++i) step.add_row(0, i, 0, DSB_WANT_HIDDEN).hidden_row = i;
    out[rank].resize(kRows * out_cols);
    step.outputs.hidden = out[rank].data();
    codes[rank] = run(programs[rank]->exec, step);
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  CHECK(codes[0] == DS_OK);
  CHECK(codes[1] == DS_OK);
  programs.clear();
  for (dsb_group *group : groups) api().group_close(group);
  return out;
}

}  // namespace

CONFORMANCE("collectives: two ranks reduce, gather, scatter and swap") {
  Random random(31);
  const std::vector<std::vector<float>> in = {random_floats(random, kRows * kCols),
                                              random_floats(random, kRows * kCols)};
  const auto reduced = run_group(graph::Op::kAllReduce, kCols, in);
  const auto gathered = run_group(graph::Op::kAllGather, kWorld * kCols, in);
  const auto scattered = run_group(graph::Op::kReduceScatter, kCols / kWorld, in);
  const auto swapped = run_group(graph::Op::kAllToAll, kCols, in);
  check_same(reduced[0], reduced[1]);
  check_same(gathered[0], gathered[1]);
  for (uint32_t r = 0; r < kRows; ++r)
    for (uint32_t j = 0; j < kCols; ++j) {
      const uint32_t part = j / (kCols / kWorld), at = j % (kCols / kWorld);
      const float sum = in[0][r * kCols + j] + in[1][r * kCols + j];
      CHECK(reduced[0][r * kCols + j] == sum);
      CHECK(scattered[part][r * kCols / kWorld + at] == sum);
      for (uint32_t rank = 0; rank < kWorld; ++rank) {
        CHECK(gathered[0][(r * kWorld + rank) * kCols + j] == in[rank][r * kCols + j]);
        // Of rank's result, part i came from rank i: its columns for rank.
        CHECK(swapped[rank][r * kCols + j] == in[part][r * kCols + rank * kCols / kWorld + at]);
      }
    }
}

}  // namespace conformance
