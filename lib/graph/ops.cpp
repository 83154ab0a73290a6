// op.def as tables: names, arities, attributes, rules.
#include <algorithm>

#include "graph/shapes.h"

namespace deepseam::graph {
namespace {

constexpr OpInfo kOps[] = {
#define DS_OP(name, id, text, version, least, most, outputs) {Op::name, text, version, least, most, outputs},
#include "graph/op.def"
#undef DS_OP
};

constexpr AttrInfo kAttrs[] = {
#define DS_OP(name, id, text, version, least, most, outputs)
#define DS_ATTR(name, id, text, kind) {Attr::name, text, AttrKind::kind},
#include "graph/op.def"
#undef DS_ATTR
#undef DS_OP
};

struct OpUse {
  Op op;
  AttrUse use;
};
constexpr OpUse kUses[] = {
#define DS_OP(name, id, text, version, least, most, outputs)
#define DS_USES(op, attr, least, most) {Op::op, {Attr::attr, least, most}},
#include "graph/op.def"
#undef DS_USES
#undef DS_OP
};

struct OpRule {
  Op op;
  std::string_view text;
};
constexpr OpRule kRules[] = {
#define DS_OP(name, id, text, version, least, most, outputs)
#define DS_RULE(op, text) {Op::op, text},
#include "graph/op.def"
#undef DS_RULE
#undef DS_OP
};

std::string_view take_until(std::string_view *text, std::string_view ends) {
  const size_t end = std::min(text->find_first_of(ends), text->size());
  const std::string_view head = text->substr(0, end);
  text->remove_prefix(end);
  return head;
}

void skip(std::string_view *text, std::string_view what) {
  const size_t begin = std::min(text->find_first_not_of(what), text->size());
  text->remove_prefix(begin);
}

// "x f32[t,In], bias plain[Out]?"
std::vector<Slot> parse_slots(std::string_view text) {
  std::vector<Slot> slots;
  for (skip(&text, " ,"); !text.empty(); skip(&text, " ,")) {
    Slot slot;
    slot.name = take_until(&text, " ");
    skip(&text, " ");
    slot.format = take_until(&text, "[");
    while (!text.empty() && text.front() != ']') {
      text.remove_prefix(1);  // [ or ,
      slot.dims.push_back(take_until(&text, ",]"));
    }
    skip(&text, "]");
    slot.optional = !text.empty() && text.front() == '?';
    skip(&text, "?");
    slots.push_back(std::move(slot));
  }
  return slots;
}

}  // namespace

OpInfo op_info(Op op) {
  for (const OpInfo &info : kOps)
    if (info.op == op) return info;
  return {};
}

AttrInfo attr_info(Attr attr) {
  for (const AttrInfo &info : kAttrs)
    if (info.attr == attr) return info;
  return {};
}

std::vector<AttrUse> op_attrs(Op op) {
  std::vector<AttrUse> uses;
  for (const OpUse &entry : kUses)
    if (entry.op == op) uses.push_back(entry.use);
  return uses;
}

Rule op_rule(Op op) {
  for (const OpRule &rule : kRules) {
    if (rule.op != op) continue;
    const size_t arrow = rule.text.find("->");
    return {parse_slots(rule.text.substr(0, arrow)), parse_slots(rule.text.substr(arrow + 2))};
  }
  return {};
}

}  // namespace deepseam::graph
