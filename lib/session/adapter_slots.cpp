#include "session/adapter_slots.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>

namespace deepseam::session {
namespace {

// A released adapter leaves its slot when the housekeeping thread gets to it.
constexpr auto kPatience = std::chrono::seconds(2);

Result<std::vector<runtime::Lora>> loras_of(const model::Adapter &adapter, const runtime::Layout &layout) {
  std::unordered_map<std::string, uint32_t> tensors;
  for (uint32_t i = 0; i < layout.tensors().size(); ++i) tensors.emplace(layout.tensors()[i].name, i);
  std::vector<runtime::Lora> loras;
  for (const model::AdapterDelta &delta : adapter.deltas) {
    const auto found = tensors.find(delta.role);
    if (found == tensors.end())
      return fail(DS_E_INTERNAL, "session", "the graph has no weight %s for an adapter", delta.role.c_str());
    loras.push_back({found->second, delta.expert == model::kNoExpert ? DSB_NONE : delta.expert, delta.rank, delta.scale,
                     delta.a.data(), delta.b.data()});
  }
  return loras;
}

}  // namespace

AdapterSlots::AdapterSlots(std::shared_ptr<runtime::Program> program, uint32_t n)
    : program_(std::move(program)), taken_(size_t{n} + 1) {
  taken_[0] = true;
}

Result<uint32_t> AdapterSlots::load(const model::Adapter &adapter) {
  std::unique_lock lock(mutex_);
  if (taken_.size() == 1 && program_)
    return fail(DS_E_UNSUPPORTED, "session", "backend %s computes no adapters", program_->backend()->name().c_str());
  const auto find_free = [&] { return std::ranges::find(taken_, false); };
  changed_.wait_for(lock, kPatience, [&] { return !program_ || find_free() != taken_.end(); });
  if (!program_) return fail(DS_E_SHUT_DOWN, "session", "the runtime was shut down");
  const auto free = find_free();
  if (free == taken_.end())
    return fail(DS_E_MEMORY, "session", "%zu adapters are loaded beside the model, and there can be no more",
                taken_.size() - 1);
  *free = true;
  const auto slot = static_cast<uint32_t>(free - taken_.begin());
  const std::shared_ptr<runtime::Program> program = program_;
  ++n_loading_;
  lock.unlock();
  Status status;
  try {
    auto loras = loras_of(adapter, *program->layout());
    status = loras.ok() ? program->load_adapter(slot, *loras) : std::move(loras).status();
  } catch (const std::bad_alloc &) {
    status = Status(DS_E_MEMORY);
  }
  lock.lock();
  --n_loading_;
  if (!status.ok()) taken_[slot] = false;
  changed_.notify_all();
  if (!status.ok()) return status;
  return slot;
}

void AdapterSlots::unload(uint32_t slot) noexcept {
  const std::lock_guard lock(mutex_);
  if (program_) static_cast<void>(program_->unload_adapter(slot));
  taken_[slot] = false;
  changed_.notify_all();
}

uint32_t AdapterSlots::n_loaded() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(std::ranges::count(taken_, true)) - 1;
}

void AdapterSlots::close() noexcept {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return n_loading_ == 0; });
  program_.reset();
  changed_.notify_all();
}

}  // namespace deepseam::session
