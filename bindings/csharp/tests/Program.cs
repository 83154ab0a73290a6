// Runs one group of tests: Deepseam.Tests.exe GROUP ARGUMENTS... Prints a line per test; exits with the number that failed.
// Every test leaves no native object behind.
using System;
using System.Collections.Generic;
using System.Reflection;

namespace Deepseam.Tests
{
  internal sealed class Failure : Exception
  {
    public Failure(string sentence) : base(sentence) { }
  }

  internal static class Check
  {
    public static void That(bool holds, string what)
    {
      if (!holds) throw new Failure(what);
    }

    public static void Equal<T>(T expected, T found, string what)
    {
      if (!EqualityComparer<T>.Default.Equals(expected, found))
        throw new Failure(what + ": expected " + expected + ", found " + found);
    }

    public static DeepseamException Throws(Status expected, Action call)
    {
      try { call(); }
      catch (DeepseamException thrown)
      {
        Equal(expected, thrown.Status, "status of \"" + thrown.Message + "\"");
        return thrown;
      }
      throw new Failure("expected " + expected + ", nothing was thrown");
    }
  }

  internal static class Program
  {
    /// A small model with random weights, without a tokenizer.
    public static string Tiny;
    /// The folder of the plugins.
    public static string Plugins;
    /// A backend that logs a sentence and refuses to work.
    public static string Talking;

    private static int Main(string[] arguments)
    {
      string group = arguments[0];
      if (group == "layout") return Layout.Run(arguments[1]);
      if (group == "reload-child") return ReloadChild.Run(arguments);
      Tiny = arguments[1];
      Plugins = arguments[2];
      Talking = arguments[3];
      if (group == "cycles") return Cycles.Run(int.Parse(arguments[4]));
      if (group == "reload") return Reload.Run(int.Parse(arguments[4]));
      int failed = 0, passed = 0;
      foreach (Type type in new[] { typeof(RuntimeTests), typeof(ModelTests), typeof(RunTests), typeof(JobTests) })
      {
        foreach (MethodInfo method in type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly))
        {
          string name = type.Name + "." + method.Name;
          try
          {
            ((Action)Delegate.CreateDelegate(typeof(Action), method))();
            ulong left = Library.LiveObjects;
            Check.That(left == 0, left + " native objects are left");
            ++passed;
            Console.WriteLine("ok      " + name);
          }
          catch (Exception thrown)
          {
            ++failed;
            Console.WriteLine("FAILED  " + name + ": " + thrown);
          }
        }
      }
      Console.WriteLine(passed + " passed, " + failed + " failed, " + Library.LiveObjects + " native objects left");
      return failed;
    }
  }
}
