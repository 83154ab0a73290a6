// The interpreter of op.def's rules: binds words to sizes, evaluates formulas, and says in numbers what does not fit.
#include "graph/shapes.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "graph/rules.h"

namespace deepseam::graph {
namespace {

// Sizes that the words of a rule stand for within one node.
class Sizes {
 public:
  explicit Sizes(const Node &node) : node_(node) {}

  std::optional<int64_t> find(std::string_view word) const {
    if (word == "T") return kRows;
    if (word == "To") return kGatheredRows;
    for (const Bound &bound : bound_)
      if (bound.word == word) return bound.size;
    for (const Attribute &attribute : node_.attributes)
      if (attr_info(attribute.key).name == word) return attribute.i;
    return std::nullopt;
  }

  void bind(std::string_view word, int64_t size, const std::string &slot) { bound_.push_back({word, size, slot}); }

  // "input x" that gave a word its size; empty for attributes and row symbols.
  std::string source(std::string_view word) const {
    for (const Bound &bound : bound_)
      if (bound.word == word) return " as of " + bound.slot;
    return {};
  }

 private:
  struct Bound {
    std::string_view word;
    int64_t size;
    std::string slot;
  };
  const Node &node_;
  std::vector<Bound> bound_;
};

bool is_word(std::string_view text) { return text.find_first_of(" +*/()") == std::string_view::npos; }

// A dimension's formula: words, + * / and parentheses. Answers nothing for an unknown word, a quotient with a rest or
// an overflow; `numbers` is the formula with words replaced by their sizes.
class Formula {
 public:
  Formula(std::string_view text, const Sizes &sizes) : text_(text), sizes_(sizes) {}
  std::optional<int64_t> value(std::string *numbers) {
    auto sum = add(numbers);
    return text_.empty() ? sum : std::nullopt;
  }

 private:
  bool accept(char symbol) {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    if (text_.empty() || text_.front() != symbol) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<int64_t> add(std::string *numbers) {
    auto left = multiply(numbers);
    while (left && accept('+')) {
      *numbers += " + ";
      auto right = multiply(numbers);
      if (!right || __builtin_add_overflow(*left, *right, &*left)) return std::nullopt;
    }
    return left;
  }
  std::optional<int64_t> multiply(std::string *numbers) {
    auto left = single(numbers);
    for (;;) {
      if (left && accept('*')) {
        *numbers += " * ";
        auto right = single(numbers);
        if (!right || __builtin_mul_overflow(*left, *right, &*left)) return std::nullopt;
      } else if (left && accept('/')) {
        *numbers += " / ";
        auto right = single(numbers);
        if (!right || *right <= 0 || *left % *right != 0) return std::nullopt;
        *left /= *right;
      } else {
        return left;
      }
    }
  }
  std::optional<int64_t> single(std::string *numbers) {
    if (accept('(')) {
      *numbers += "(";
      auto inner = add(numbers);
      *numbers += ")";
      return accept(')') ? inner : std::nullopt;
    }
    const size_t end = std::min(text_.find_first_of(" +*/()"), text_.size());
    auto size = sizes_.find(text_.substr(0, end));
    text_.remove_prefix(end);
    *numbers += size ? std::to_string(*size) : "?";
    return size;
  }
  std::string_view text_;
  const Sizes &sizes_;
};

std::string dim_text(int64_t size) { return size == kRows ? "T" : size == kGatheredRows ? "To" : std::to_string(size); }

const char *dim_name(size_t axis, size_t dims) {
  if (dims == 1) return "entries";
  return axis + 1 == dims ? "columns" : axis + 2 == dims ? "rows" : "experts";
}

Status wrong(const Node &node, const std::string &what) {
  return fail(DS_E_FORMAT, "graph", "node %s (%s): %s", node.name.c_str(), op_info(node.op).name, what.c_str());
}

// One dimension of a tensor against the rule; a word not yet known takes its size from it.
Status match_dim(const Node &node, const std::string &slot, const Tensor &tensor, size_t axis, std::string_view formula,
                 Sizes *sizes) {
  const int64_t found = tensor.shape[axis];
  const auto say = [&](const std::string &expected) {
    return wrong(node, slot + " " + shape_text(tensor.shape) + " has " + dim_text(found) + " " +
                           dim_name(axis, tensor.shape.size()) + ", expected " + expected);
  };
  const bool rows = formula == "T" || formula == "To" || formula == "t";
  if (!rows && found < 1) return say("a positive number");
  if (formula == "t" && found != kRows && found != kGatheredRows) return say("rows of the step (T or To)");
  if (is_word(formula) && !sizes->find(formula)) {
    sizes->bind(formula, found, slot);
    return {};
  }
  std::string numbers;
  const auto expected = Formula(formula, *sizes).value(&numbers);
  const std::string text(formula);
  if (!expected) return say("a whole number: " + text + " = " + numbers);
  if (*expected == found) return {};
  if (rows) return say(dim_text(*expected) + sizes->source(formula));
  return say(is_word(formula) ? text + " = " + numbers + sizes->source(formula)
                              : text + " = " + numbers + " = " + std::to_string(*expected));
}

bool is_plain(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

// Kind and number format of a tensor against the rule's format word.
Status match_format(const Node &node, const std::string &slot, const Tensor &tensor, std::string_view format) {
  const std::string found = slot + " is " + (tensor.kind == TensorKind::kWeight ? "weight " : "") +
                            dtype_info(tensor.dtype).name + shape_text(tensor.shape);
  if (format == "f32" || format == "i32") {
    if (tensor.kind != TensorKind::kActivation || dtype_info(tensor.dtype).name != format)
      return wrong(node, found + ", expected an activation of type " + std::string(format));
    return {};
  }
  if (tensor.kind != TensorKind::kWeight) return wrong(node, found + ", expected a weight");
  if (format == "plain" && !is_plain(tensor.dtype))
    return wrong(node, found + ", expected a weight of type f32, f16 or bf16");
  if (tensor.dtype == DType::kI32) return wrong(node, found + ", expected a weight of a floating or block type");
  return {};
}

Status match_slot(const Node &node, const std::string &name, const Tensor &tensor, const Slot &slot, Sizes *sizes) {
  DS_TRY(match_format(node, name, tensor, slot.format));
  if (tensor.shape.size() != slot.dims.size())
    return wrong(node, name + " " + shape_text(tensor.shape) + " has " + std::to_string(tensor.shape.size()) +
                           " dimensions, expected " + std::to_string(slot.dims.size()));
  for (size_t axis = 0; axis < slot.dims.size(); ++axis)
    DS_TRY(match_dim(node, name, tensor, axis, slot.dims[axis], sizes));
  return {};
}

Status match_inputs(const Node &node, const std::vector<Tensor> &tensors, const Rule &rule, Sizes *sizes) {
  for (size_t i = 0; i < rule.inputs.size(); ++i) {
    const Slot &slot = rule.inputs[i];
    const std::string name = "input " + std::string(slot.name);
    if (i >= node.inputs.size() || node.inputs[i] == kAbsent) {
      if (!slot.optional) return wrong(node, name + " is missing");
      continue;
    }
    DS_TRY(match_slot(node, name, tensors[node.inputs[i]], slot, sizes));
  }
  return {};
}

Status check_value(const Node &node, const AttrInfo &info, const AttrUse &use, double value, const std::string &text) {
  if (value >= use.least && value <= use.most) return {};  // false for NaN
  return wrong(node, std::string("attribute ") + info.name + " is " + text + ", expected " + number_text(use.least) +
                         " to " + number_text(use.most));
}

Status check_attribute(const Node &node, const AttrUse &use) {
  const AttrInfo info = attr_info(use.attr);
  const Attribute *found = nullptr;
  for (const Attribute &attribute : node.attributes) {
    if (attribute.key != use.attr) continue;
    if (found) return wrong(node, std::string("attribute ") + info.name + " is there twice");
    found = &attribute;
  }
  if (!found) return wrong(node, std::string("attribute ") + info.name + " is missing");
  if (info.kind == AttrKind::kInt)
    return check_value(node, info, use, static_cast<double>(found->i), std::to_string(found->i));
  if (info.kind == AttrKind::kFloat) return check_value(node, info, use, found->f, number_text(found->f));
  for (double value : found->list) DS_TRY(check_value(node, info, use, value, number_text(value)));
  return {};
}

Status check_attributes(const Node &node) {
  const auto uses = op_attrs(node.op);
  for (const AttrUse &use : uses) DS_TRY(check_attribute(node, use));
  if (node.attributes.size() == uses.size()) return {};
  for (const Attribute &attribute : node.attributes) {  // all uses are there once, so one of these is none of them
    bool used = false;
    for (const AttrUse &use : uses) used = used || use.attr == attribute.key;
    const AttrInfo info = attr_info(attribute.key);
    if (!used) return wrong(node, std::string("attribute ") + info.name + " does not belong to this op");
  }
  return {};
}

}  // namespace

Status check_node(const Node &node, const std::vector<Tensor> &tensors, bool outputs) {
  DS_TRY(check_attributes(node));
  const Rule rule = op_rule(node.op);
  Sizes sizes(node);
  DS_TRY(match_inputs(node, tensors, rule, &sizes));
  if (std::string problem = broken_rule(node, tensors); !problem.empty()) return wrong(node, problem);
  if (!outputs) return {};
  for (size_t i = 0; i < rule.outputs.size(); ++i) {
    const Slot &slot = rule.outputs[i];
    DS_TRY(match_slot(node, "output " + std::string(slot.name), tensors[node.outputs[i]], slot, &sizes));
  }
  return {};
}

Result<std::vector<Tensor>> infer_outputs(const Node &node, const std::vector<Tensor> &tensors, int64_t columns) {
  const Rule rule = op_rule(node.op);
  Sizes sizes(node);
  DS_TRY(match_inputs(node, tensors, rule, &sizes));
  std::vector<Tensor> made;
  for (const Slot &slot : rule.outputs) {
    Tensor tensor;
    tensor.name = rule.outputs.size() == 1 ? node.name : node.name + "." + std::string(slot.name);
    tensor.dtype = dtype_from_name(slot.format);
    for (std::string_view dim : slot.dims) {
      std::string numbers;
      const bool open = is_word(dim) && !sizes.find(dim);
      const auto size = open ? columns : Formula(dim, sizes).value(&numbers);
      if (!size)
        return wrong(node, "output " + std::string(slot.name) + " would have " + std::string(dim) + " = " + numbers +
                               " columns, expected a whole number");
      tensor.shape.push_back(*size);
    }
    made.push_back(std::move(tensor));
  }
  return made;
}

std::string shape_text(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + dim_text(shape[i]);
  return text + "]";
}

std::string number_text(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

}  // namespace deepseam::graph
