// Stop strings: the Aho–Corasick automaton of stop.h.
#include "text/stop.h"

namespace deepseam::text {

Result<std::shared_ptr<const StopSet>> StopSet::make(std::span<const std::string_view> stops) {
  if (stops.size() > kMaxStops)
    return fail(DS_E_ARGUMENT, "stop", "%zu stop strings given, at most %u are possible", stops.size(), kMaxStops);
  auto set = std::make_shared<StopSet>();
  auto &nodes = set->nodes_;
  if (!stops.empty()) nodes.emplace_back();
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty() || stops[i].size() > kMaxStopBytes)
      return fail(DS_E_ARGUMENT, "stop", "stop string %zu has %zu bytes, expected 1 to %u", i, stops[i].size(),
                  kMaxStopBytes);
    if (to_valid_utf8(stops[i]) != stops[i])
      return fail(DS_E_ARGUMENT, "stop",
                  "stop string %zu is not valid UTF-8, which the text it is searched in always is", i);
    uint32_t node = 0;
    for (char c : stops[i]) {
      auto byte = static_cast<uint8_t>(c);
      uint32_t next = nodes[node].child;
      while (next != 0 && nodes[next].byte != byte) next = nodes[next].sibling;
      if (next == 0) {
        next = static_cast<uint32_t>(nodes.size());
        Node made;
        made.byte = byte;
        made.sibling = nodes[node].child;
        made.depth = nodes[node].depth + 1;
        nodes.push_back(made);
        nodes[node].child = next;
      }
      node = next;
    }
    if (nodes[node].stop < 0) {
      nodes[node].stop = static_cast<int32_t>(i);
      nodes[node].stop_bytes = nodes[node].depth;
    }
  }
  // Fail links breadth first: a node's link is known before its children need it.
  std::vector<uint32_t> queue;
  if (!nodes.empty()) queue.push_back(0);
  for (size_t head = 0; head < queue.size(); ++head) {
    uint32_t parent = queue[head];
    for (uint32_t node = nodes[parent].child; node != 0; node = nodes[node].sibling) {
      nodes[node].fail = parent == 0 ? 0 : set->step(nodes[parent].fail, nodes[node].byte);
      if (nodes[node].stop < 0) {
        nodes[node].stop = nodes[nodes[node].fail].stop;
        nodes[node].stop_bytes = nodes[nodes[node].fail].stop_bytes;
      }
      queue.push_back(node);
    }
  }
  return std::shared_ptr<const StopSet>(std::move(set));
}

uint32_t StopSet::step(uint32_t node, uint8_t byte) const {
  for (;;) {
    for (uint32_t next = nodes_[node].child; next != 0; next = nodes_[next].sibling)
      if (nodes_[next].byte == byte) return next;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

bool StopMatcher::feed(std::string_view text, std::string *out) {
  if (stop_ >= 0) return true;
  if (!set_ || set_->nodes_.empty()) {
    out->append(text);
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    node_ = set_->step(node_, static_cast<uint8_t>(text[i]));
    const StopSet::Node &node = set_->nodes_[node_];
    if (node.stop < 0) continue;
    held_.append(text.substr(0, i + 1));
    out->append(held_, 0, held_.size() - node.stop_bytes);
    held_.clear();
    stop_ = node.stop;
    return true;
  }
  // The node's depth is the longest end of the text that begins a stop string: all before it is safe, and whole
  // characters, because stop strings begin with one.
  held_.append(text);
  size_t safe = held_.size() - set_->nodes_[node_].depth;
  out->append(held_, 0, safe);
  held_.erase(0, safe);
  return false;
}

void StopMatcher::finish(std::string *out) {
  if (stop_ < 0) out->append(held_);
  held_.clear();
  node_ = 0;
}

bool TextStream::push(std::string_view token_bytes, std::string *visible) {
  if (stopped()) return true;
  std::string whole;
  utf8_.feed(token_bytes, &whole);
  return matcher_.feed(whole, visible);
}

void TextStream::finish(std::string *visible) {
  if (stopped()) return;
  std::string whole;
  utf8_.flush(&whole);
  if (!matcher_.feed(whole, visible)) matcher_.finish(visible);
}

}  // namespace deepseam::text
