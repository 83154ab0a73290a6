// The raw layer against bindings/abi.json, which the caller has turned into lines: kind, name, numbers or types.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using Deepseam.Native;

namespace Deepseam.Tests
{
  internal static class Layout
  {
    private static readonly List<string> wrong = new List<string>();
    private static int checks;

    public static int Run(string path)
    {
      var structs = new HashSet<string>();
      var constants = new HashSet<string>();
      var functions = new HashSet<string>();
      foreach (string line in File.ReadAllLines(path))
      {
        string[] words = line.Split(' ');
        if (words[0] == "constant" && constants.Add(words[1])) Constant(words[1], words[2], words[3]);
        if (words[0] == "struct" && structs.Add(words[1])) Struct(words[1], words[2], words[3]);
        if (words[0] == "field") Field(words[1], words[2], words[3], words[4]);
        if (words[0] == "function" && functions.Add(words[1])) Function(words[1], words.Skip(2).ToArray());
      }
      const BindingFlags all = BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly;
      Extra("constant", typeof(Constants).GetFields(all).Select(item => item.Name), constants);
      Extra("function", typeof(Functions).GetMethods(all).Select(item => item.Name), functions);
      Extra("struct", typeof(Functions).Assembly.GetTypes().Where(type => type.IsPublic && type.IsValueType &&
        type.Namespace == "Deepseam.Native").Select(type => type.Name), structs);
      foreach (string sentence in wrong) Console.WriteLine(sentence);
      Console.WriteLine(checks + " checks, " + wrong.Count + " differ");
      return wrong.Count == 0 && checks > 0 ? 0 : 1;
    }

    private static void Expect(string what, string expected, string found)
    {
      ++checks;
      if (expected != found) wrong.Add(what + ": expected " + expected + ", found " + found);
    }

    private static void Extra(string kind, IEnumerable<string> found, HashSet<string> known)
    {
      foreach (string name in found.Where(name => !known.Contains(name))) wrong.Add(kind + " " + name + " is not in the ABI");
    }

    private static void Constant(string name, string value, string type)
    {
      FieldInfo field = typeof(Constants).GetField(name);
      Expect("constant " + name, type + " " + value,
        field == null ? "none" : field.FieldType.Name + " " + field.GetRawConstantValue());
    }

    private static Type Named(string name) => typeof(Functions).Assembly.GetType("Deepseam.Native." + name);

    private static void Struct(string name, string size, string fields)
    {
      Type type = Named(name);
      Expect("size of " + name, size, type == null ? "none" : Marshal.SizeOf(type).ToString());
      Expect("fields of " + name, fields, type == null ? "none" : Fields(type).Length.ToString());
    }

    private static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public);

    private static void Field(string owner, string name, string offset, string size)
    {
      Type type = Named(owner);
      FieldInfo field = type?.GetField(name);
      Expect("offset of " + owner + "." + name, offset,
        field == null ? "none" : Marshal.OffsetOf(type, name).ToString());
      if (field != null) Expect("size of " + owner + "." + name, size, SizeOf(field).ToString());
    }

    private static int SizeOf(FieldInfo field)
    {
      var array = (System.Runtime.CompilerServices.FixedBufferAttribute)Attribute.GetCustomAttribute(field,
        typeof(System.Runtime.CompilerServices.FixedBufferAttribute));
      if (array != null) return array.Length * Marshal.SizeOf(array.ElementType);
      return field.FieldType.IsPointer ? IntPtr.Size : Marshal.SizeOf(field.FieldType);
    }

    private static void Function(string name, string[] types)
    {
      MethodInfo method = typeof(Functions).GetMethod(name);
      string found = method == null ? "none" : method.ReturnType.Name + " " +
        string.Join(" ", method.GetParameters().Select(item => item.ParameterType.Name));
      Expect("function " + name, string.Join(" ", types).Trim(), found.Trim());
    }
  }
}
