#!/usr/bin/env python3
"""Whether files parse, and how filled-in bodies are scored by it. Skips without tree-sitter and its grammars."""
import sys

from eval import documents, holes, infill, syntax
from eval.library import Answer


def document(text):
    return documents.Document("python", "sample", "a.py", text.encode())


def test_syntax_tells_good_files_from_bad():
    samples = {"python": "x = [1,\n     2]\n", "c": "int f(void) { return 0; }\n",
               "go": "package a\nfunc f() int { return 1 }\n",
               "cpp": "namespace a { template <class T> T f(T x) { return x; } }\n", "rust": "fn f() -> u8 { 1 }\n",
               "csharp": "class A { int F() => 1; }\n", "javascript": "const f = () => ({a: 1});\n",
               "typescript": "let a: number = 1;\n", "java": "class A { int f() { return 1; } }\n"}
    for language, text in samples.items():
        parser = syntax.parser_for(language)
        assert syntax.parses(parser, text.encode()), language
        last = max(text.rfind(mark) for mark in ")}]")
        broken = text[:last] + text[last + 1 :] if last > 0 else "let = = 1;\n"
        assert not syntax.parses(parser, broken.encode()), language


def test_bodies_are_scored_by_what_parses():
    parser_of = infill.parsers()
    text = "def f(x):\n    y = x\n    return y\n"
    hole = holes.Hole(document(text), "body", "def f(x):\n    ", "y = x\n    return y", "\n")
    answers = [Answer("return x", [1], "end"), Answer("", [], "end"), Answer("return (", [1], "length")]
    row = infill.score_bodies([hole] * 3, answers, parser_of)
    assert (row["parses"], row["blank"], row["ended"], row["exact"]) == (1, 1, 2, 0)
    clean, dirty = infill.clean_documents([document("x = 1\n"), document("def f(:\n")], parser_of)
    assert len(clean) == 1 and dirty == 1


def main():
    try:
        for language in syntax.MODULES:
            syntax.parser_for(language)
    except syntax.Unavailable as error:
        print(f"skipped: {error}")
        return 77
    failed = 0
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
            print("ok    ", name)
        except Exception as error:  # report all of them
            failed += 1
            print("FAILED", name, repr(error)[:2000])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
