// A backend as a host sees it: loads the plugin, compiles graphs with test weights, runs steps.
//
// Failures of set-up are doctest requirements, so cases read as if nothing could fail. Objects are freed in the order
// that backend.h asks for.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "deepseam/backend.h"
#include "expectations.h"
#include "graph/builder.h"
#include "tensors.h"

namespace conformance {

namespace graph = deepseam::graph;
using Weights = std::map<std::string, Tensor>;  // by role

// An ds_error with its size filled in.
struct Error : ds_error {
  Error() : ds_error() { struct_size = sizeof(ds_error); }
};

// The plugin, with one instance and one open device. One per program.
class Machine {
 public:
  static Machine &get();
  ~Machine();
  Machine(const Machine &) = delete;
  Machine &operator=(const Machine &) = delete;
  const dsb_api &api() const { return api_; }
  dsb_instance *instance() const { return instance_; }
  dsb_device *device() const { return device_; }

 private:
  Machine();
  std::unique_ptr<deepseam::TaskRunner> runner_;
  dsb_host host_{};
  void *library_ = nullptr;
  dsb_api api_{};
  dsb_instance *instance_ = nullptr;
  dsb_device *device_ = nullptr;
};

inline const dsb_api &api() { return Machine::get().api(); }
inline dsb_device *device() { return Machine::get().device(); }

dsb_plan_options default_options();  // deterministic, F32 KV, blocks of 8 rows

// The source of a weight as the host hands it over; points into `tensor`.
struct Source {
  explicit Source(const Tensor &tensor, bool lasting = true);
  std::vector<dsb_weight_part> parts;
  dsb_weight_source raw{};
};

// A compiled graph.
class Program {
 public:
  Program(const graph::Graph &graph, const Weights &weights, const dsb_plan_options &options = default_options(),
          bool lasting = true, dsb_group *group = nullptr);
  ~Program();
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;
  dsb_layout *layout = nullptr;
  std::vector<dsb_weight *> weights;
  dsb_program *program = nullptr;
  dsb_exec *exec = nullptr;  // of max_rows
  graph::Graph graph;
  uint32_t tensor(const std::string &role) const;
};

// A step under construction. Vectors are what its pointers point to, filled in by raw().
struct Step {
  uint32_t entry = DSB_ENTRY_FORWARD;
  std::vector<dsb_row> rows;
  std::vector<dsb_seq> seqs;
  std::vector<std::vector<uint32_t>> blocks;  // per sequence
  std::vector<float> hidden_in;
  uint32_t n_hidden_in = 0;
  std::vector<uint32_t> ancestors;
  uint32_t repeat = 1;
  dsb_pool *pool = nullptr;
  const uint32_t *cancel_word = nullptr;
  dsb_outputs outputs{};

  Step() { outputs.struct_size = sizeof outputs; }
  // A sequence in this slot with a new table of these blocks.
  uint32_t add_seq(uint32_t slot, uint32_t kv_len, std::vector<uint32_t> table);
  dsb_row &add_row(uint32_t seq, uint32_t position, uint32_t token, uint32_t want = 0);
  dsb_step raw();
};

// Submits, waits to the end (resuming where it yields), releases. The final status, and the state if asked for.
ds_status run(dsb_exec *exec, Step &step, Error *error = nullptr, uint32_t *state = nullptr);
// The same, required to be DONE.
void run_ok(dsb_exec *exec, Step &step);

// Runs one op's graph: `rows` of hidden_in go through input_hidden, and what the graph's hidden output gives comes back
// [rows, out_cols]. The graph must use no KV.
std::vector<float> run_rows(const Program &program, const std::vector<float> &hidden, uint32_t n_rows,
                            uint32_t out_cols);

void check_close(const std::vector<float> &found, const std::vector<double> &exact, double relative);
void check_same(const std::vector<float> &a, const std::vector<float> &b);  // bit for bit

struct PoolHolder {
  PoolHolder(const dsb_plan_options &options, uint32_t rank, uint32_t rope, uint32_t n_layers, uint32_t n_blocks);
  ~PoolHolder();
  PoolHolder(const PoolHolder &) = delete;
  PoolHolder &operator=(const PoolHolder &) = delete;
  dsb_pool *pool = nullptr;
};

struct SamplerHolder {
  explicit SamplerHolder(const dsb_sampler_desc &desc);
  ~SamplerHolder();
  SamplerHolder(const SamplerHolder &) = delete;
  SamplerHolder &operator=(const SamplerHolder &) = delete;
  dsb_sampler *sampler = nullptr;
};
dsb_sampler_desc sampler_desc(float temperature, uint64_t seed = 1);

}  // namespace conformance
