// Opening, generating and closing again and again: resident memory stays flat and nothing is left.
using System;
using System.IO;
using System.Linq;

namespace Deepseam.Tests
{
  internal static class Cycles
  {
    // Heaps of the machine and of the C library breathe and grow to their size late, but a forgotten buffer of 16 KiB a
    // cycle shows in every round of the shortest run.
    private const long Margin = 8L << 20;
    private const int Rounds = 4;

    private static long Resident()
    {
      GC.Collect();
      GC.WaitForPendingFinalizers();
      GC.Collect();
      string[] words = File.ReadAllText("/proc/self/statm").Split(' ');
      return (long.Parse(words[1]) - long.Parse(words[2])) * Environment.SystemPageSize;
    }

    private static void Cycle(int i)
    {
      var options = new GenerateOptions { MaxTokens = 2, Stops = new[] { "stop" }, OnProgress = progress => true };
      using (var runtime = new Runtime(new RuntimeOptions { Threads = 1, Log = (level, domain, text) => { } }))
      using (Model model = Model.Open(runtime, ModelTests.Tiny()))
      using (var session = new Session(model))
      {
        if (i % 2 == 0) session.Generate(Input.Tokens(1, 2), options).Dispose();
        else session.GenerateAsync(Input.Tokens(1, 2), options).GetAwaiter().GetResult().Dispose();
      }
    }

    public static int Run(int times)
    {
      int warm = Math.Max(times / 4, 100);
      for (int i = 0; i < warm; ++i) Cycle(i);
      long grown = Margin;
      for (int round = 0; round < Rounds && grown >= Margin; ++round)
      {
        long before = Resident();
        for (int i = 0; i < times; ++i) Cycle(i);
        long after = Resident();
        grown = after - before;
        Console.WriteLine("resident {0} KiB, after {1} cycles {2} KiB, {3} native objects left", before >> 10, times,
          after >> 10, Library.LiveObjects);
      }
      return grown < Margin && Library.LiveObjects == 0 ? 0 : 1;
    }
  }
}
