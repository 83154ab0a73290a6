// Fill-in-the-middle prompts: which part of the file the model sees, and how a half-typed word is taken back.
//
// Window: whole lines, counted from the start of the file. Its first line is a multiple of 256 (of 16 if that would
// lose more than half of what fits, else any line), so that it stays put while the file grows at the cursor. Comment
// lines of snippets and file name are tokenized on their own, so that they stay the same prefix when the window moves.
#include <algorithm>
#include <array>

#include "text/prompt.h"
#include "text/tokenizer_tables.h"
#include "text/utf8_stream.h"

namespace deepseam::text {
namespace {

constexpr size_t kAnchorLines = 16;
constexpr size_t kWindowLines = 256;
constexpr size_t kBytesPerId = 32;  // more bytes than ids times this are not looked at
constexpr size_t kMaxHealIds = 16;
constexpr size_t kNoLimit = SIZE_MAX;

using Ids = std::vector<uint32_t>;

std::string_view comment_mark(std::string_view file_name) {
  size_t dot = file_name.rfind('.');
  std::string_view extension = dot == std::string_view::npos ? std::string_view() : file_name.substr(dot + 1);
  for (std::string_view known :
       {"py",  "pyi",  "rb",    "sh", "bash", "zsh", "pl",  "pm",  "r",   "R",  "jl",        "yaml",
        "yml", "toml", "cmake", "mk", "ex",   "exs", "nim", "tcl", "ps1", "tf", "dockerfile"})
    if (extension == known) return "# ";
  for (std::string_view known : {"lua", "sql", "hs", "ada", "adb", "ads", "elm", "vhd", "vhdl"})
    if (extension == known) return "-- ";
  for (std::string_view known : {"lisp", "el", "clj", "scm", "asm", "ini"})
    if (extension == known) return "; ";
  for (std::string_view known : {"tex", "erl", "m", "pro"})
    if (extension == known) return "% ";
  if (file_name.ends_with("Makefile") || file_name.ends_with("CMakeLists.txt") || file_name.ends_with("Dockerfile"))
    return "# ";
  return "// ";
}

// File names become one comment line, whatever characters they have.
std::string comment_line(std::string_view file_name) {
  std::string line(comment_mark(file_name));
  for (char c : file_name) line.push_back(c == '\n' || c == '\r' ? ' ' : c);
  return line + "\n";
}

class FimWriter {
 public:
  FimWriter(const Tokenizer &tokenizer, const FimRequest &request) : tokenizer_(tokenizer), request_(request) {
    options_.cancel = request.cancel;
  }

  Result<FimPrompt> write() {
    for (Role role : {Role::kFimBegin, Role::kFimHole, Role::kFimEnd})
      if (tokenizer_.role(role) == kNoToken)
        return fail(DS_E_MODEL, "fim", "%s has no token %s: this model was not trained to fill in the middle",
                    tokenizer_.name().c_str(), std::string(role_text(role)).c_str());
    bool bos = tokenizer_.add_bos_token() && tokenizer_.role(Role::kBos) != kNoToken;
    uint32_t marks = bos ? 4 : 3;
    if (request_.budget != 0 && request_.budget <= marks)
      return fail(DS_E_CONTEXT_FULL, "fim", "a budget of %u ids holds no prompt, %u are control tokens",
                  request_.budget, marks);
    room_ = request_.budget == 0 ? kNoLimit : request_.budget - marks;
    join_before();
    DS_TRY(write_header());
    DS_TRY(request_.layout == FimLayout::kAnchored ? fit_anchored() : fit_plain());

    FimPrompt prompt;
    if (bos) prompt.ids.push_back(tokenizer_.role(Role::kBos));
    auto add = [&](const Ids &ids) { prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end()); };
    prompt.ids.push_back(tokenizer_.role(Role::kFimBegin));
    add(header_);
    add(prefix_);
    prompt.ids.push_back(tokenizer_.role(Role::kFimHole));
    add(suffix_);
    prompt.ids.push_back(tokenizer_.role(Role::kFimEnd));
    add(typed_);
    prompt.healing = std::move(healing_);
    prompt.window_start = window_;
    prompt.anchor = anchor_;
    prompt.prefix_ids = static_cast<uint32_t>(header_.size() + prefix_.size());
    prompt.suffix_ids = static_cast<uint32_t>(suffix_.size());
    prompt.typed_ids = static_cast<uint32_t>(typed_.size());
    return prompt;
  }

 private:
  Status encode(std::string_view text, Ids *ids) const { return tokenizer_.encode(text, options_, ids); }

  void join_before() {
    before_ = request_.prefix;
    if (!request_.typed || request_.typed->empty()) return;
    joined_.assign(request_.prefix);
    joined_.append(*request_.typed);
    before_ = joined_;
  }

  // Snippets and file name, at most a quarter of the room: the first snippets go first, the file name last.
  Status write_header() {
    std::vector<Ids> parts;
    size_t total = 0;
    for (const Snippet &snippet : request_.snippets) {
      std::string text = comment_line(snippet.file_name);
      text.append(snippet.text.substr(
          0, room_ == kNoLimit ? snippet.text.size() : std::min(snippet.text.size(), limit_bytes(room_))));
      if (text.back() != '\n') text.push_back('\n');
      DS_TRY(encode(text, &parts.emplace_back()));
      total += parts.back().size();
    }
    if (!request_.file_name.empty()) {
      DS_TRY(encode(comment_line(request_.file_name), &parts.emplace_back()));
      total += parts.back().size();
    }
    size_t most = room_ == kNoLimit ? kNoLimit : room_ / 4;
    size_t first = 0;
    while (total > most) total -= parts[first++].size();
    for (; first < parts.size(); ++first) header_.insert(header_.end(), parts[first].begin(), parts[first].end());
    return {};
  }

  static size_t limit_bytes(size_t ids) { return ids > SIZE_MAX / kBytesPerId ? SIZE_MAX : ids * kBytesPerId; }

  // The head of the suffix in at most `limit` ids; never half a character at the end.
  Status encode_suffix(size_t limit) {
    std::string_view text = request_.suffix;
    suffix_.clear();
    if (text.size() > limit_bytes(limit)) {
      text = text.substr(0, limit_bytes(limit));
      text = text.substr(0, whole_characters(text));
    }
    DS_TRY(encode(text, &suffix_));
    trim_suffix(limit);
    return {};
  }

  void trim_suffix(size_t limit) {
    if (suffix_.size() <= limit) return;
    suffix_.resize(limit);
    std::string kept = tokenizer_.decode(suffix_, true);
    while (!suffix_.empty() && whole_characters(kept) != kept.size()) {
      kept.resize(kept.size() - tokenizer_.token_bytes(suffix_.back()).size());
      suffix_.pop_back();
    }
  }

  // P = before[window … anchor) in at most `limit` ids.
  Status encode_prefix(size_t limit) {
    prefix_.clear();
    window_ = 0;
    std::string_view text = before_.substr(0, anchor_);
    if (limit != kNoLimit) DS_TRY(choose_window(text, limit));
    DS_TRY(encode(text.substr(window_), &prefix_));
    if (prefix_.size() <= limit) return {};
    // One line alone is too long, or ids merged less than its parts did: the head goes, down to a whole character.
    size_t drop = prefix_.size() - limit;
    auto goes = std::span<const uint32_t>(prefix_).first(drop);
    window_ += tokenizer_.decode(goes, true).size();
    auto continues = [&](uint32_t id) {
      std::string_view bytes = tokenizer_.token_bytes(id);
      return !bytes.empty() && (static_cast<uint8_t>(bytes.front()) & 0xC0) == 0x80;
    };
    while (drop < prefix_.size() && continues(prefix_[drop])) window_ += tokenizer_.token_bytes(prefix_[drop++]).size();
    prefix_.erase(prefix_.begin(), prefix_.begin() + static_cast<std::ptrdiff_t>(drop));
    return {};
  }

  // Sets window_ to a line start such that the text behind it has about `limit` ids at most.
  Status choose_window(std::string_view text, size_t limit) {
    std::vector<size_t> lines = {0};  // where each line begins
    for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
      lines.push_back(at + 1);
    size_t floor = text.size() > limit_bytes(limit) ? text.size() - limit_bytes(limit) : 0;
    // Ids of each line group from the end on, until the limit is passed; held[u] is the first line so far that fits and
    // is a multiple of unit u, with the ids from there on.
    struct Held {
      size_t line, ids;
      bool any;
    };
    constexpr size_t kUnits[] = {kWindowLines, kAnchorLines, 1};
    std::array<Held, 3> held = {};
    size_t total = 0;
    Ids ids;
    for (size_t line = lines.size(); line-- > 0;) {
      size_t end = line + 1 < lines.size() ? lines[line + 1] : text.size();
      if (lines[line] < floor) break;
      ids.clear();
      DS_TRY(encode(text.substr(lines[line], end - lines[line]), &ids));
      total += ids.size();
      if (total > limit) break;
      for (size_t unit = 0; unit < 3; ++unit)
        if (line % kUnits[unit] == 0) held[unit] = {line, total, true};
    }
    window_ = floor;
    for (const Held &h : held) {
      if (!h.any || (h.line != 0 && h.ids < limit / 2)) continue;
      window_ = lines[h.line];
      return {};
    }
    while (window_ < text.size() && (static_cast<uint8_t>(text[window_]) & 0xC0) == 0x80) ++window_;
    return {};
  }

  Status fit_plain() {
    anchor_ = before_.size();
    if (room_ == kNoLimit) {
      DS_TRY(encode_suffix(request_.suffix_budget != 0 ? request_.suffix_budget : kNoLimit));
      return encode_prefix(kNoLimit);
    }
    size_t room = room_ - header_.size();
    size_t share = request_.suffix_budget != 0 ? std::min<size_t>(request_.suffix_budget, room) : room / 4;
    DS_TRY(encode_suffix(request_.suffix_budget != 0 ? share : room));
    DS_TRY(encode_prefix(room));
    if (prefix_.size() + suffix_.size() <= room) return {};
    size_t keep = std::min(suffix_.size(), std::max(share, room - prefix_.size()));
    trim_suffix(keep);
    return encode_prefix(room - suffix_.size());
  }

  size_t line_start(size_t at) const {
    size_t line = at == 0 ? std::string_view::npos : before_.rfind('\n', at - 1);
    return line == std::string_view::npos ? 0 : line + 1;
  }

  // Start of the group of lines that holds the cursor.
  size_t group_start() const {
    auto line = static_cast<size_t>(std::count(before_.begin(), before_.end(), '\n'));
    size_t at = line_start(before_.size());
    for (size_t back = line % kAnchorLines; back > 0; --back) at = line_start(at - 1);
    return at;
  }

  // Shares of the room do not depend on what is typed, so P and S stay as they are until the anchor moves.
  Status fit_anchored() {
    anchor_ = request_.typed ? request_.prefix.size() : group_start();
    size_t suffix_most = request_.suffix_budget != 0 ? request_.suffix_budget : kNoLimit;
    size_t prefix_most = kNoLimit;
    if (room_ != kNoLimit) {
      size_t room = room_ - header_.size();
      suffix_most = std::min(suffix_most == kNoLimit ? room / 4 : suffix_most, room / 2);
      prefix_most = room - suffix_most - room / 8;
    }
    DS_TRY(encode_suffix(suffix_most));
    // Typed text beyond its eighth: the anchor moves down to the cursor's own line.
    for (size_t anchor : {anchor_, std::max(anchor_, line_start(before_.size()))}) {
      anchor_ = anchor;
      typed_.clear();
      DS_TRY(encode(before_.substr(anchor_), &typed_));
      DS_TRY(encode_prefix(prefix_most));
      if (room_ == kNoLimit || header_.size() + prefix_.size() + suffix_.size() + typed_.size() <= room_) return heal();
    }
    return fail(DS_E_CONTEXT_FULL, "fim", "the line at the cursor has %zu ids, the budget of %u leaves room for %zu",
                typed_.size(), request_.budget, room_ - header_.size() - prefix_.size() - suffix_.size());
  }

  // Takes back the ids that a longer spelling of the typed word might replace: the shortest end of the last pre-token
  // from which on no token reaches beyond the cursor is kept.
  Status heal() {
    if (!request_.heal || typed_.empty()) return {};
    std::string_view typed = before_.substr(anchor_);
    DS_TRY_VALUE(size_t last, tokenizer_.last_pre_token(typed, request_.cancel));
    std::vector<std::string_view> tails;  // ends of the text at id borders of the last pre-token, shortest first
    size_t at = typed.size();
    for (size_t i = typed_.size(); i-- > 0 && tails.size() < kMaxHealIds;) {
      std::string_view bytes = tokenizer_.token_bytes(typed_[i]);
      if (bytes.size() > at - last || typed.substr(at - bytes.size(), bytes.size()) != bytes) break;
      at -= bytes.size();
      tails.push_back(typed.substr(at));
    }
    size_t taken = 0;
    const TokenTexts &texts = tokenizer_.tables().texts;
    for (uint32_t id = 0; id < texts.count() && taken < tails.size(); ++id) {
      if (texts.flags[id] & (kTokenAdded | kTokenFiller)) continue;
      std::string_view text = texts[id];
      for (size_t i = tails.size(); i > taken; --i)
        if (text.size() > tails[i - 1].size() && text.starts_with(tails[i - 1])) taken = i;
    }
    if (taken == 0) return {};
    healing_.assign(tails[taken - 1]);
    typed_.resize(typed_.size() - taken);
    return {};
  }

  const Tokenizer &tokenizer_;
  const FimRequest &request_;
  EncodeOptions options_;
  std::string joined_;
  std::string_view before_;  // all text before the cursor
  size_t room_ = kNoLimit;   // ids for everything but control tokens
  size_t window_ = 0, anchor_ = 0;
  Ids header_, prefix_, suffix_, typed_;
  std::string healing_;
};

}  // namespace

Result<FimPrompt> fim_prompt(const Tokenizer &tokenizer, const FimRequest &request) {
  return FimWriter(tokenizer, request).write();
}

void healing_mask(const Tokenizer &tokenizer, std::string_view rest, std::span<uint32_t> mask) {
  std::fill(mask.begin(), mask.end(), 0u);
  const TokenTexts &texts = tokenizer.tables().texts;
  size_t rows = std::min<size_t>(texts.count(), mask.size() * 32);
  for (uint32_t id = 0; id < rows; ++id) {
    std::string_view text = texts[id];
    bool fits = !text.empty();
    if (fits && !rest.empty())
      fits = !(texts.flags[id] & (kTokenAdded | kTokenFiller)) && (rest.starts_with(text) || text.starts_with(rest));
    if (fits) mask[id / 32] |= 1u << (id % 32);
  }
}

size_t healing_step(std::string_view rest, std::string_view token_bytes) {
  return rest.starts_with(token_bytes) || token_bytes.starts_with(rest) ? std::min(rest.size(), token_bytes.size()) : 0;
}

}  // namespace deepseam::text
