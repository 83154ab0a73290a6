// The flat tree behind Json, and how RapidJSON's events become it.
//
// Children of one container are neighbours in nodes_, in document order; they are appended when their container ends,
// so the root is the last node. Strings, keys included, lie unescaped in one pool. Objects of more than kScanLimit
// members carry an index sorted by (hash, key): lookup is logarithmic whatever keys a hostile file picks.
#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/hash.h"

#define RAPIDJSON_ASSERT(condition) static_cast<void>(0)
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace deepseam {
namespace {

constexpr uint32_t kScanLimit = 8;
constexpr uint32_t kNoIndex = UINT32_MAX;

uint32_t key_hash(std::string_view key) {
  return static_cast<uint32_t>(hash64({reinterpret_cast<const uint8_t *>(key.data()), key.size()}));
}

// Whether a JSON number that no double holds is too large, rather than too close to zero: by the power of ten of its
// first digit that is not 0.
bool is_large(std::string_view number) {
  if (number.front() == '-') number.remove_prefix(1);
  const size_t mark = std::min(number.find_first_of("eE"), number.size());
  const std::string_view mantissa = number.substr(0, mark);
  int64_t exponent = 0;
  if (mark < number.size()) {
    const bool negative = number[mark + 1] == '-';
    const size_t begin = mark + 1 + (negative || number[mark + 1] == '+');
    if (std::from_chars(number.data() + begin, number.data() + number.size(), exponent).ec != std::errc() ||
        exponent > INT64_MAX / 2)
      return !negative;
    if (negative) exponent = -exponent;
  }
  const int64_t point = static_cast<int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const int64_t first = static_cast<int64_t>(std::min(mantissa.find_first_of("123456789"), mantissa.size()));
  return point - first + exponent > 0;
}

// RapidJSON does not look at what its allocator returns.
struct ThrowingAllocator {
  [[maybe_unused]] static const bool kNeedFree = true;
  void *Malloc(size_t size) { return size ? checked(std::malloc(size)) : nullptr; }
  void *Realloc(void *memory, size_t, size_t size) {
    if (size) return checked(std::realloc(memory, size));
    std::free(memory);
    return nullptr;
  }
  static void Free(void *memory) { std::free(memory); }

 private:
  static void *checked(void *memory) {
    if (!memory) throw std::bad_alloc();
    return memory;
  }
};

}  // namespace

class JsonDocument {
 public:
  struct Node {
    union {
      int64_t integer = 0;
      double number;
    };
    uint32_t first = 0;         // child node of a container, or offset of a string in the pool
    uint32_t size = 0;          // children, or bytes of a string
    uint32_t index = kNoIndex;  // of an object: its first entry in index_
    uint32_t key = 0;           // offset in the pool
    uint32_t key_size = 0;
    JsonType type = JsonType::kNull;
    bool flag = false;
  };
  struct IndexEntry {
    uint32_t hash;
    uint32_t child;
  };

  const Node &node(uint32_t i) const { return nodes_[i]; }
  std::string_view pool(uint32_t offset, uint32_t size) const { return std::string_view(pool_).substr(offset, size); }
  std::string_view key_of(const Node &node) const { return pool(node.key, node.key_size); }
  Json view(uint32_t node) const { return Json(this, node); }
  Json root() const { return view(static_cast<uint32_t>(nodes_.size() - 1)); }
  bool find(const Node &object, std::string_view key, uint32_t &child) const;

 private:
  friend class JsonBuilder;
  std::vector<Node> nodes_;
  std::vector<IndexEntry> index_;
  std::string pool_;
};

bool JsonDocument::find(const Node &object, std::string_view key, uint32_t &child) const {
  if (object.index == kNoIndex) {
    for (child = object.first; child < object.first + object.size; ++child)
      if (key_of(nodes_[child]) == key) return true;
    return false;
  }
  const uint32_t hash = key_hash(key);
  const auto begin = index_.begin() + object.index, end = begin + object.size;
  const auto at = std::lower_bound(begin, end, key, [&](const IndexEntry &entry, std::string_view wanted) {
    return entry.hash != hash ? entry.hash < hash : key_of(nodes_[entry.child]) < wanted;
  });
  if (at == end || at->hash != hash || key_of(nodes_[at->child]) != key) return false;
  child = at->child;
  return true;
}

// Receives RapidJSON's events. Every member function returns false to stop the parse; `problem` then tells why.
class JsonBuilder {
 public:
  JsonBuilder(JsonDocument &document, const rapidjson::MemoryStream &stream, const JsonLimits &limits)
      : document_(document), stream_(stream), limits_(limits) {}

  bool Null() { return add({}); }
  bool Bool(bool flag) {
    Node node;
    node.type = JsonType::kBool;
    node.flag = flag;
    return add(node);
  }
  // Numbers arrive as text, because RapidJSON's own full-precision conversion normalises the 0 of "0E40" by a shift of
  // undefined width.
  bool RawNumber(const char *text, rapidjson::SizeType size, bool) {
    const std::string_view number(text, size);
    Node node;
    node.type = JsonType::kInteger;
    if (number.find_first_of(".eE") == number.npos &&
        std::from_chars(text, text + size, node.integer).ec == std::errc())
      return add(node);
    node.type = JsonType::kNumber;
    node.number = 0;  // stays where the value is too small
    if (std::from_chars(text, text + size, node.number).ec == std::errc::result_out_of_range && is_large(number))
      return stop(stream_.Tell(), "a number too large");
    return add(node);
  }
  bool Int(int) { return false; }  // these five are never called: kParseNumbersAsStrings is on
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char *text, rapidjson::SizeType size, bool) {
    Node node;
    node.type = JsonType::kString;
    node.first = keep(text, size);
    node.size = size;
    return add(node);
  }
  bool Key(const char *text, rapidjson::SizeType size, bool) {
    key_ = keep(text, size);
    key_size_ = size;
    key_end_ = static_cast<uint32_t>(stream_.Tell());
    return true;
  }
  bool StartObject() { return start(JsonType::kObject); }
  bool StartArray() { return start(JsonType::kArray); }
  bool EndObject(rapidjson::SizeType) { return end(true); }
  bool EndArray(rapidjson::SizeType) { return end(false); }

  void finish() { document_.nodes_.push_back(pending_.front().node); }
  const std::string &problem() const { return problem_; }
  uint64_t problem_at() const { return problem_at_; }

 private:
  using Node = JsonDocument::Node;
  struct Pending {
    Node node;
    uint32_t key_end;
  };

  uint32_t keep(const char *text, uint32_t size) {
    const uint32_t offset = static_cast<uint32_t>(document_.pool_.size());
    document_.pool_.append(text, size);
    return offset;
  }

  bool stop(uint64_t at, std::string problem) {
    problem_ = std::move(problem);
    problem_at_ = at;
    return false;
  }

  bool add(Node node) {
    if (++count_ > limits_.nodes) return stop(stream_.Tell(), "more than " + std::to_string(limits_.nodes) + " values");
    node.key = key_;
    node.key_size = key_size_;
    pending_.push_back({node, key_end_});
    key_ = key_size_ = 0;
    return true;
  }

  bool start(JsonType type) {
    if (open_.size() >= limits_.depth)
      return stop(stream_.Tell(), "nested deeper than " + std::to_string(limits_.depth) + " levels");
    Node node;
    node.type = type;
    if (!add(node)) return false;
    open_.push_back(static_cast<uint32_t>(pending_.size() - 1));
    return true;
  }

  bool end(bool is_object);
  bool check_few(const Node &object, const Pending *members);
  bool index_many(Node &object, const Pending *members);
  bool duplicate(const Pending &member);

  JsonDocument &document_;
  const rapidjson::MemoryStream &stream_;
  const JsonLimits &limits_;
  std::vector<Pending> pending_;
  std::vector<uint32_t> open_;  // positions in pending_
  std::string problem_;
  uint64_t problem_at_ = 0;
  uint32_t count_ = 0, key_ = 0, key_size_ = 0, key_end_ = 0;
};

// Moves the children of the innermost open container to the document; the container itself waits for its own parent.
bool JsonBuilder::end(bool is_object) {
  const uint32_t at = open_.back();
  open_.pop_back();
  Node &container = pending_[at].node;
  const Pending *children = pending_.data() + at + 1;
  container.first = static_cast<uint32_t>(document_.nodes_.size());
  container.size = static_cast<uint32_t>(pending_.size() - at - 1);
  for (uint32_t i = 0; i < container.size; ++i) document_.nodes_.push_back(children[i].node);
  if (is_object && !(container.size <= kScanLimit ? check_few(container, children) : index_many(container, children)))
    return false;
  pending_.resize(at + 1);
  return true;
}

bool JsonBuilder::check_few(const Node &object, const Pending *members) {
  for (uint32_t later = 1; later < object.size; ++later)
    for (uint32_t earlier = 0; earlier < later; ++earlier)
      if (document_.key_of(members[earlier].node) == document_.key_of(members[later].node))
        return duplicate(members[later]);
  return true;
}

bool JsonBuilder::index_many(Node &object, const Pending *members) {
  std::vector<JsonDocument::IndexEntry> &index = document_.index_;
  object.index = static_cast<uint32_t>(index.size());
  for (uint32_t i = 0; i < object.size; ++i)
    index.push_back({key_hash(document_.key_of(members[i].node)), object.first + i});
  const auto key = [&](const JsonDocument::IndexEntry &entry) {
    return document_.key_of(document_.nodes_[entry.child]);
  };
  const auto begin = index.begin() + object.index;
  std::sort(begin, index.end(), [&](const JsonDocument::IndexEntry &a, const JsonDocument::IndexEntry &b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    const int order = key(a).compare(key(b));
    return order != 0 ? order < 0 : a.child < b.child;
  });
  for (auto entry = begin; entry + 1 != index.end(); ++entry)
    if (entry[0].hash == entry[1].hash && key(entry[0]) == key(entry[1]))
      return duplicate(members[entry[1].child - object.first]);
  return true;
}

bool JsonBuilder::duplicate(const Pending &member) {
  return stop(member.key_end, "the key \"" + std::string(document_.key_of(member.node).substr(0, 100)) +
                                  "\" stands twice in one object");
}

Result<std::shared_ptr<const JsonDocument>> parse_json(const std::string &name, std::string_view text,
                                                       const JsonLimits &limits) {
  const uint64_t most = std::min<uint64_t>(limits.bytes, UINT32_MAX);  // offsets have 32 bits
  if (text.size() > most)
    return fail(DS_E_FORMAT, "json", "%s has %llu bytes of JSON, expected at most %llu", name.c_str(),
                static_cast<unsigned long long>(text.size()), static_cast<unsigned long long>(most))
        .at(name);
  auto document = std::make_shared<JsonDocument>();
  rapidjson::MemoryStream stream(text.data(), text.size());
  JsonBuilder builder(*document, stream, limits);
  ThrowingAllocator allocator;
  rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> reader(&allocator);
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (result && stream.Tell() == text.size()) {  // less: a zero byte, which the reader takes for the end
    builder.finish();
    return std::shared_ptr<const JsonDocument>(std::move(document));
  }
  const bool ours = result.IsError() && !builder.problem().empty();
  const uint64_t at = ours ? builder.problem_at() : result.IsError() ? result.Offset() : stream.Tell();
  const char *reason = ours               ? builder.problem().c_str()
                       : result.IsError() ? rapidjson::GetParseError_En(result.Code())
                                          : "a zero byte";
  return fail(DS_E_FORMAT, "json", "%s is not valid JSON at byte %llu: %s", name.c_str(),
              static_cast<unsigned long long>(at), reason)
      .at(name, at);
}

Json json_root(const JsonDocument &document) { return document.root(); }

JsonType Json::type() const { return document_ ? document_->node(node_).type : JsonType::kNull; }

std::optional<bool> Json::boolean() const {
  if (type() != JsonType::kBool) return std::nullopt;
  return document_->node(node_).flag;
}

std::optional<int64_t> Json::integer() const {
  if (type() != JsonType::kInteger) return std::nullopt;
  return document_->node(node_).integer;
}

std::optional<double> Json::number() const {
  if (type() == JsonType::kInteger) return static_cast<double>(document_->node(node_).integer);
  if (type() != JsonType::kNumber) return std::nullopt;
  return document_->node(node_).number;
}

std::optional<std::string_view> Json::text() const {
  if (type() != JsonType::kString) return std::nullopt;
  const JsonDocument::Node &node = document_->node(node_);
  return document_->pool(node.first, node.size);
}

size_t Json::size() const { return is_array() || is_object() ? document_->node(node_).size : 0; }

Json Json::at(size_t index) const {
  if (index >= size()) return {};
  return document_->view(document_->node(node_).first + static_cast<uint32_t>(index));
}

std::string_view Json::key(size_t index) const {
  if (!is_object() || index >= size()) return {};
  return document_->key_of(document_->node(document_->node(node_).first + static_cast<uint32_t>(index)));
}

Json Json::operator[](std::string_view key) const {
  uint32_t child;
  if (!is_object() || !document_->find(document_->node(node_), key, child)) return {};
  return document_->view(child);
}

bool Json::contains(std::string_view key) const {
  uint32_t child;
  return is_object() && document_->find(document_->node(node_), key, child);
}

}  // namespace deepseam
