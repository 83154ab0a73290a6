// A backend made for tests: it keeps every rule of backend.h unless a test tells it to break one.
//
// Its "model" has no arithmetic worth the name: a step's hidden rows are the tokens (or the hidden rows it was given)
// plus the program's bias, which is the sum of the bytes of its weights; logits are hidden rows repeated. What a test
// wants to see is counted; what it wants to spoil has a hook, which may change an answer before it is given.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "deepseam/backend.h"
#include "graph/graph.h"

namespace deepseam::runtime::test {

class Mock;

struct MockDevice {
  Mock *mock;
};
struct MockLayout {
  Mock *mock;
  graph::Graph graph;
  std::vector<dsb_weight_slice> slices;  // one packed weight each
  dsb_plan_options options;
};
struct MockWeight {
  Mock *mock;
  std::vector<uint8_t> bytes;
};
struct MockProgram {
  MockLayout *layout;
  uint64_t bias = 0;
};
struct MockExec {
  MockProgram *program;
  bool busy = false;
};
struct MockPool {
  Mock *mock;
  dsb_pool_desc desc;
  std::vector<uint8_t> bytes;
};
struct MockSampler {
  Mock *mock;
  dsb_sampler_desc desc;
  std::vector<uint32_t> seen;
};
// Work that runs when it is waited for.
struct MockTicket {
  Mock *mock;
  std::function<ds_status(ds_error *)> work;
  MockExec *exec = nullptr;
  const uint32_t *cancel_word = nullptr;
  uint32_t state = DSB_TICKET_RUNNING;
  uint32_t yields = 0;
};

class Mock {
 public:
  Mock(std::string name, uint32_t score);
  ~Mock() { slots()[slot_] = nullptr; }
  Mock(const Mock &) = delete;
  Mock &operator=(const Mock &) = delete;
  const dsb_root *root() const { return &root_; }

  std::string name;
  uint32_t score;
  int live = 0;  // objects given out and not given back, of every kind
  std::vector<std::string> calls;
  std::function<void(dsb_api &)> on_api;
  std::function<ds_status()> on_quiesce;
  std::function<void(dsb_layout_summary &)> on_summary;
  std::function<void(uint32_t, dsb_packed_weight &)> on_weight;
  std::function<void(dsb_node_verdict &)> on_node;
  std::function<ds_status(uint32_t, const dsb_weight_source *, uint32_t n, dsb_progress, void *)> on_load;
  std::function<void(uint32_t &)> on_state;  // of a ticket, before it is told
  bool load_with_ticket = false;
  bool forget_outputs = false;  // success without writing the object
  uint32_t yields = 0;          // of every step before it is done

  template <typename T>
  ds_status give(T **out, T *made) {
    if (forget_outputs) {
      delete made;
      return DS_OK;
    }
    ++live;
    *out = made;
    return DS_OK;
  }
  template <typename T>
  void take(T *object) {
    if (!object) return;
    --live;
    delete object;
  }
  static std::array<Mock *, 4> &slots();
  void fill(dsb_api &api) const;

 private:
  size_t slot_ = 0;
  dsb_root root_{};
};

}  // namespace deepseam::runtime::test
