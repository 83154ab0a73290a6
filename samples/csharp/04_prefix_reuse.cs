// 04: a prefix is computed once. Introduces the cache: what it held of a prompt ("usage.cached_tokens"), warming it without
// generating, salts that keep tenants apart, and its statistics. usage: 04_prefix_reuse [MODEL]
using System;
using System.Text;
using Deepseam;

internal static class PrefixReuse
{
  // What all the prompts begin with: a style guide, the head of a file, a conversation.
  private static readonly string shared = Repeat("/* All names are lower case. */\n", 300);

  private static string Repeat(string line, int length)
  {
    var text = new StringBuilder();
    while (text.Length < length) text.Append(line);
    return text.ToString();
  }

  private static ulong Ask(Session session, string question, string salt = null, GenerateFlags flags = GenerateFlags.None)
  {
    var options = new GenerateOptions { Flags = flags, MaxTokens = 4, CacheSalt = salt };
    using (Result result = session.Generate(Input.Text(shared + question), options))
    using (Info facts = result.Facts())
    {
      ulong cached = facts.Number("usage.cached_tokens");
      Console.WriteLine("{0,-28} {1,4} of {2,4} prompt tokens were in the cache", question == "" ? "(warming)" : question,
        cached, facts.Number("usage.prompt_tokens"));
      return cached;
    }
  }

  private static int Main(string[] arguments) => Sample.Run(arguments, path =>
  {
    using (var runtime = new Runtime())
    using (var cache = new PrefixCache(runtime, new CacheOptions { RamBytes = 64 << 20 }))
    using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.FromPath(path), Cache = cache }))
    using (Session first = new Session(model), second = new Session(model))
    {
      Ask(first, "", null, GenerateFlags.PrefillOnly);
      ulong warm = Ask(first, "int add(");
      ulong other = Ask(second, "int sub("); // sessions share what they compute
      ulong foreign = Ask(second, "int add(", "another tenant");
      using (Info stats = cache.Statistics())
      {
        Console.WriteLine("{0} lookups, {1} tokens were not computed again", stats.Number("lookups"),
          stats.Number("hit_tokens"));
      }
      cache.Erase("another tenant");
      return warm > 0 && other > 0 && foreign == 0 ? 0 : 1;
    }
  });
}
