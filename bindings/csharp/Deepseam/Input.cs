// What to go on from: text, tokens, code around a cursor, or a conversation. Plain data until a call makes the C struct.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// <summary>Another file that helps the model.</summary>
  public struct Snippet
  {
    public string FileName;
    public string Text;

    public Snippet(string fileName, string text)
    {
      FileName = fileName;
      Text = text;
    }
  }

  /// <summary>Role: "system", "user", "assistant" or "tool".</summary>
  public struct Message
  {
    public string Role;
    public string Content;

    public Message(string role, string content)
    {
      Role = role;
      Content = content;
    }
  }

  public enum FimLayout : uint { Plain = DS_FIM_PLAIN, Anchored = DS_FIM_ANCHORED }

  /// <summary>Code before and after the cursor. The text before the cursor is Prefix followed by Typed.</summary>
  public sealed class FimInput
  {
    public string Prefix = "";
    public string Suffix = "";
    /// <summary>What was typed since the host fixed its anchor; null: the library finds the anchor.</summary>
    public string Typed;
    /// <summary>Shown to the model; null: none.</summary>
    public string FileName;
    public Snippet[] Snippets;
    public FimLayout Layout;
  }

  /// <summary>A conversation.</summary>
  public sealed class ChatInput
  {
    public Message[] Messages;
    /// <summary>"v2", "v2.5", "v3", "r1", "v3.1"; null: the model's own.</summary>
    public string Template;
    /// <summary>The last message is the assistant's and is continued.</summary>
    public bool Continue;
    /// <summary>Open the answer with the model's thinking mark, if it has one.</summary>
    public bool Think;
  }

  public sealed unsafe class Input
  {
    private string text;
    private TextFlags flags;
    private uint[] ids;
    private FimInput fim;
    private ChatInput chat;

    public static Input Text(string text, TextFlags flags = TextFlags.None) =>
      new Input { text = text ?? throw new ArgumentNullException(nameof(text)), flags = flags };

    /// <summary>Token ids, used as they are.</summary>
    public static Input Tokens(params uint[] ids) =>
      new Input { ids = ids ?? throw new ArgumentNullException(nameof(ids)) };

    public static Input Fim(FimInput fim) => new Input { fim = fim ?? throw new ArgumentNullException(nameof(fim)) };

    public static Input Chat(ChatInput chat) =>
      new Input { chat = chat ?? throw new ArgumentNullException(nameof(chat)) };

    public static Input Chat(params Message[] messages) => Chat(new ChatInput { Messages = messages });

    internal ds_input* Fill(Arena arena)
    {
      if (fim != null) return FillFim(arena);
      if (chat != null) return FillChat(arena);
      if (ids != null)
      {
        var tokens = (ds_tokens_input*)arena.Bytes(sizeof(ds_tokens_input));
        tokens->head.struct_size = (uint)sizeof(ds_tokens_input);
        tokens->head.tag = DS_INPUT_TOKENS;
        tokens->ids = arena.Ids(ids);
        tokens->n_ids = (ulong)ids.Length;
        return &tokens->head;
      }
      var native = (ds_text_input*)arena.Bytes(sizeof(ds_text_input));
      native->head.struct_size = (uint)sizeof(ds_text_input);
      native->head.tag = DS_INPUT_TEXT;
      native->text = arena.Text(text);
      native->flags = (uint)flags;
      return &native->head;
    }

    private ds_input* FillFim(Arena arena)
    {
      Snippet[] snippets = fim.Snippets ?? new Snippet[0];
      var copies = (ds_snippet*)arena.Bytes((long)sizeof(ds_snippet) * snippets.Length);
      for (int i = 0; i < snippets.Length; ++i)
      {
        copies[i].file_name = arena.Text(snippets[i].FileName);
        copies[i].text = arena.Text(snippets[i].Text);
      }
      var native = (ds_fim_input*)arena.Bytes(sizeof(ds_fim_input));
      native->head.struct_size = (uint)sizeof(ds_fim_input);
      native->head.tag = DS_INPUT_FIM;
      native->prefix = arena.Text(fim.Prefix);
      native->suffix = arena.Text(fim.Suffix);
      native->typed = arena.Text(fim.Typed);
      native->file_name = arena.Text(fim.FileName);
      native->snippets = copies;
      native->n_snippets = (ulong)snippets.Length;
      native->layout = (uint)fim.Layout;
      return &native->head;
    }

    private ds_input* FillChat(Arena arena)
    {
      Message[] messages = chat.Messages ?? new Message[0];
      var copies = (ds_message*)arena.Bytes((long)sizeof(ds_message) * messages.Length);
      for (int i = 0; i < messages.Length; ++i)
      {
        copies[i].role = arena.Text(messages[i].Role);
        copies[i].content = arena.Text(messages[i].Content);
      }
      var native = (ds_chat_input*)arena.Bytes(sizeof(ds_chat_input));
      native->head.struct_size = (uint)sizeof(ds_chat_input);
      native->head.tag = DS_INPUT_CHAT;
      native->messages = copies;
      native->n_messages = (ulong)messages.Length;
      native->chat_template = arena.Text(chat.Template);
      native->flags = (chat.Continue ? DS_CHAT_CONTINUE : 0) | (chat.Think ? DS_CHAT_THINK : 0);
      return &native->head;
    }
  }
}
