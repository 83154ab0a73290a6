// Chat templates as the models' own jinja writes them, its known faults included: the models were trained on its
// output.
//
// V2:   BOS, system and user texts each followed by a blank line, "Assistant: …"EOS; no control tokens for the roles.
// V2.5: BOS, the last system text, then <User>…<Assistant>…EOS.
// V3:   as V2.5, but all system texts joined by blank lines.
// R1:   as V3; what an earlier reply thought is left out, and the model is made to think.
// V3.1: as V3, with </think> or <think> after <Assistant>; tool calls in a shorter form.
#include "text/prompt.h"

namespace deepseam::text {
namespace {

constexpr std::string_view kThinkEnd = "</think>";

class ChatWriter {
 public:
  ChatWriter(const Tokenizer &tokenizer, const ChatRequest &request, ChatFamily family, std::vector<RoleStart> *starts)
      : tokenizer_(tokenizer), request_(request), family_(family), starts_(starts) {}

  Status write() {
    for (size_t i = 0; i < request_.messages.size(); ++i) {
      std::string_view role = request_.messages[i].role;
      bool tool = role == "tool" && family_ != ChatFamily::kV2;
      if (role != "system" && role != "user" && role != "assistant" && !tool)
        return fail(DS_E_ARGUMENT, "chat",
                    "message %zu has role \"%.40s\", which this model's template has no form for", i,
                    std::string(role).c_str());
    }
    DS_TRY(mark(Role::kBos));
    if (family_ == ChatFamily::kV2) return write_v2();
    system();
    for (const ChatMessage &message : request_.messages) {
      if (message.role == "user") DS_TRY(user(message));
      if (message.role == "assistant")
        DS_TRY(family_ == ChatFamily::kV31 ? assistant_v31(message) : assistant(message));
      if (message.role == "tool") DS_TRY(family_ == ChatFamily::kV31 ? output_v31(message) : output(message));
    }
    return end();
  }
  std::vector<Segment> take() { return std::move(segments_); }

 private:
  void text(std::string_view text) {
    if (text.empty()) return;
    if (segments_.empty() || segments_.back().id != kNoToken) segments_.emplace_back();
    segments_.back().text.append(text);
  }

  Status mark(Role role) {
    uint32_t id = tokenizer_.role(role);
    if (id != kNoToken) {
      Segment segment;
      segment.id = id;
      segments_.push_back(std::move(segment));
      return {};
    }
    // Files from before the thinking marks became tokens spell them as text.
    if (role == Role::kThinkBegin || role == Role::kThinkEnd) {
      text(role_text(role));
      return {};
    }
    return fail(DS_E_MODEL, "chat", "%s has no token %s, which its chat template needs", tokenizer_.name().c_str(),
                std::string(role_text(role)).c_str());
  }

  Status marks(std::initializer_list<Role> roles) {
    for (Role role : roles) DS_TRY(mark(role));
    return {};
  }

  void start_role() {
    if (!starts_) return;
    RoleStart start;
    bool in_text = !segments_.empty() && segments_.back().id == kNoToken;
    start.segment = static_cast<uint32_t>(segments_.size() - (in_text ? 1 : 0));
    start.offset = in_text ? segments_.back().text.size() : 0;
    starts_->push_back(start);
  }

  Status write_v2() {
    for (const ChatMessage &message : request_.messages) {
      start_role();
      if (message.role == "user") {
        text("User: ");
        text(message.content);
        text("\n\n");
      } else if (message.role == "system") {
        text(message.content);
        text("\n\n");
      } else {
        text("Assistant: ");
        text(message.content);
        DS_TRY(mark(Role::kEos));
      }
    }
    if (!request_.add_generation_prompt) return {};
    start_role();
    text("Assistant:");
    return {};
  }

  void system() {
    bool first = true;
    std::string_view last;
    for (const ChatMessage &message : request_.messages) {
      if (message.role != "system") continue;
      if (family_ == ChatFamily::kV25) {
        last = message.content;
        continue;
      }
      if (!first) text("\n\n");
      text(message.content);
      first = false;
    }
    text(last);
  }

  Status user(const ChatMessage &message) {
    in_output_ = false;
    last_is_user_ = true;
    if (family_ == ChatFamily::kV31) call_open_ = false;
    start_role();
    DS_TRY(mark(Role::kUser));
    text(message.content);
    return {};
  }

  Status assistant(const ChatMessage &message) {
    if (!message.tool_calls.empty()) return calls(message);
    if (in_output_) {
      DS_TRY(mark(Role::kToolOutputsEnd));
      in_output_ = false;
      text(message.content);
    } else {
      start_role();
      DS_TRY(mark(Role::kAssistant));
      std::string_view content = message.content;
      size_t thought = family_ == ChatFamily::kR1 ? content.rfind(kThinkEnd) : std::string_view::npos;
      if (thought != std::string_view::npos) content.remove_prefix(thought + kThinkEnd.size());
      text(content);
    }
    return mark(Role::kEos);
  }

  // The template closes the list of calls only in the branch for a second call, and opens it once in a conversation.
  Status calls(const ChatMessage &message) {
    in_output_ = false;
    for (const ToolCall &call : message.tool_calls) {
      bool first = !call_open_;
      if (first) {
        start_role();
        DS_TRY(marks({Role::kAssistant, Role::kToolCallsBegin, Role::kToolCallBegin}));
        call_open_ = true;
      } else {
        text("\n");
        DS_TRY(mark(Role::kToolCallBegin));
      }
      text(call.type);
      DS_TRY(mark(Role::kToolSep));
      text(call.name);
      text("\n```json\n");
      text(call.arguments);
      text("\n```");
      DS_TRY(mark(Role::kToolCallEnd));
      if (!first) DS_TRY(marks({Role::kToolCallsEnd, Role::kEos}));
    }
    return {};
  }

  Status output(const ChatMessage &message) {
    in_output_ = true;
    if (first_output_) {
      start_role();
      DS_TRY(mark(Role::kToolOutputsBegin));
    } else {
      text("\n");
    }
    first_output_ = false;
    DS_TRY(mark(Role::kToolOutputBegin));
    text(message.content);
    return mark(Role::kToolOutputEnd);
  }

  Status assistant_v31(const ChatMessage &message) {
    if (last_is_user_) {
      start_role();
      DS_TRY(marks({Role::kAssistant, Role::kThinkEnd}));
    }
    last_is_user_ = false;
    if (!message.tool_calls.empty()) {
      in_output_ = false;
      call_open_ = false;
      for (const ToolCall &call : message.tool_calls) {
        if (!call_open_) {
          text(message.content);
          DS_TRY(mark(Role::kToolCallsBegin));
        }
        call_open_ = true;
        DS_TRY(mark(Role::kToolCallBegin));
        text(call.name);
        DS_TRY(mark(Role::kToolSep));
        text(call.arguments);
        DS_TRY(mark(Role::kToolCallEnd));
      }
      return marks({Role::kToolCallsEnd, Role::kEos});
    }
    std::string_view content = message.content;
    size_t thought = in_output_ ? std::string_view::npos : content.find(kThinkEnd);
    if (thought != std::string_view::npos) content.remove_prefix(thought + kThinkEnd.size());
    in_output_ = false;
    text(content);
    return mark(Role::kEos);
  }

  Status output_v31(const ChatMessage &message) {
    last_is_user_ = false;
    in_output_ = true;
    start_role();
    DS_TRY(mark(Role::kToolOutputBegin));
    text(message.content);
    return mark(Role::kToolOutputEnd);
  }

  Status end() {
    if (family_ == ChatFamily::kV31) {
      if (!request_.add_generation_prompt || !last_is_user_ || in_output_) return {};
      start_role();
      return marks({Role::kAssistant, request_.thinking ? Role::kThinkBegin : Role::kThinkEnd});
    }
    if (in_output_) return mark(Role::kToolOutputsEnd);
    if (!request_.add_generation_prompt) return {};
    start_role();
    DS_TRY(mark(Role::kAssistant));
    if (family_ == ChatFamily::kR1) {
      DS_TRY(mark(Role::kThinkBegin));
      text("\n");
    }
    return {};
  }

  const Tokenizer &tokenizer_;
  const ChatRequest &request_;
  ChatFamily family_;
  std::vector<RoleStart> *starts_;
  std::vector<Segment> segments_;
  bool call_open_ = false;    // the list of tool calls was opened
  bool first_output_ = true;  // the list of tool outputs was not opened yet
  bool in_output_ = false;    // tool outputs wait for their end mark
  bool last_is_user_ = false;
};

// How many of `ids` lie wholly before byte `offset` of the text they came from.
size_t ids_before(const Tokenizer &tokenizer, std::span<const uint32_t> ids, size_t offset) {
  size_t bytes = 0, count = 0;
  for (; count < ids.size(); ++count) {
    bytes += tokenizer.token_bytes(ids[count]).size();
    if (bytes > offset) break;
  }
  return count;
}

}  // namespace

ChatFamily detect_chat_family(std::string_view chat_template) {
  auto has = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
  if (!has(role_text(Role::kUser))) return has("User: ") && has("Assistant:") ? ChatFamily::kV2 : ChatFamily::kNone;
  if (has(kThinkEnd)) return has("is_last_user") ? ChatFamily::kV31 : ChatFamily::kR1;
  return has("is_first_sp") || has("ns.system_prompt + ") ? ChatFamily::kV3 : ChatFamily::kV25;
}

Result<std::vector<Segment>> chat_segments(const Tokenizer &tokenizer, const ChatRequest &request,
                                           std::vector<RoleStart> *role_starts) {
  ChatFamily family = request.family == ChatFamily::kNone ? tokenizer.chat_family() : request.family;
  if (family == ChatFamily::kNone || family > ChatFamily::kV31)
    return fail(DS_E_UNSUPPORTED, "chat", "%s has no chat template of a known family", tokenizer.name().c_str());
  ChatWriter writer(tokenizer, request, family, role_starts);
  DS_TRY(writer.write());
  return writer.take();
}

Result<ChatPrompt> chat_prompt(const Tokenizer &tokenizer, const ChatRequest &request) {
  std::vector<RoleStart> starts;
  DS_TRY_VALUE(std::vector<Segment> segments, chat_segments(tokenizer, request, &starts));
  ChatPrompt prompt;
  EncodeOptions options;
  options.cancel = request.cancel;
  size_t next = 0;
  for (uint32_t i = 0; i < segments.size(); ++i) {
    size_t begin = prompt.ids.size();
    if (segments[i].id != kNoToken)
      prompt.ids.push_back(segments[i].id);
    else
      DS_TRY(tokenizer.encode(segments[i].text, options, &prompt.ids));
    std::span<const uint32_t> added = std::span<const uint32_t>(prompt.ids).subspan(begin);
    for (; next < starts.size() && starts[next].segment == i; ++next) {
      size_t cut = begin;
      if (starts[next].offset > 0) cut += ids_before(tokenizer, added, starts[next].offset);
      if (cut > 0 && (prompt.cuts.empty() || prompt.cuts.back() < cut))
        prompt.cuts.push_back(static_cast<uint32_t>(cut));
    }
  }
  return prompt;
}

}  // namespace deepseam::text
