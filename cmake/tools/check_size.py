#!/usr/bin/env python3
"""Files over 600 lines, functions over 70 (kernels over 200): `check_size.py [ROOT]`. Exits with 1 on any not excused.

Excuses stand in size_exceptions.txt beside this script: `path` or `path:function`, then a reason. They are printed, and
an excuse that is no longer needed is an error, so the list only gets shorter by itself.
"""
import ast
import re
import sys
from pathlib import Path

FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 600, 70, 200
TOPS = ("lib", "backends", "include", "samples", "tests", "bindings", "packaging", "cmake")
C_SUFFIXES = {".h", ".hpp", ".c", ".cpp", ".cu", ".cuh"}
SUFFIXES = C_SUFFIXES | {".py", ".rs", ".go", ".cs", ".sh", ".cmake", ".def", ".fbs"}
STATEMENTS = {"if", "for", "while", "switch", "catch", "do", "else", "try"}


def blanked(text):
    """C++ text with comments, strings, characters and preprocessor lines replaced by blanks; line breaks stay."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
        r"|^[ \t]*\#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE)
    return token.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def function_name(head):
    """The name of the function whose definition begins with `head` (text before its brace); None if it is none."""
    head = re.sub(r"\bnoexcept\s*\([^()]*\)|\b__attribute__\s*\(\([^()]*\)\)|\[\[[^\]]*\]\]", " ", head).strip()
    head = re.sub(r"^\s*(template\s*<[^{}]*?>\s*)+(?=\w)", "", head)
    if not head or head.split()[0] in {"namespace", "class", "struct", "union", "enum", "extern"} and "(" not in head:
        return None
    found = re.search(r"(operator\s*\(\s*\)|operator\s*[^\s(\w]+|[~\w:]+)\s*\(", head)
    if not found or re.search(r"=\s*$|=[^=]*\($", head[: found.start()]):
        return None
    if found[1] in STATEMENTS or found[1] in {"alignas", "decltype", "sizeof", "DS_TRY", "return"}:
        return None
    return re.sub(r"\s+", "", found[1])


def skip_macro_calls(text, begin, end):
    """Where the head in text[begin:end] really begins: lines that only call a macro, and blanks, are none of it."""
    call = re.compile(r"\s*[A-Z][A-Z0-9_]*\([^(){}]*\)[ \t]*\n(?=\s*\S)|\s+")
    found = call.match(text, begin, end)
    while found:
        begin = found.end()
        found = call.match(text, begin, end)
    return begin


def opens_expression(head):
    """Whether the brace after `head` begins a value: a default argument, or a member in a constructor's list."""
    if head.count("(") != head.count(")"):
        return True
    return re.search(r"\)\s*(noexcept\s*)?:(?!:)", head) is not None and re.search(r"[\w>]\s*$", head) is not None


def functions(text):
    """(name, first line, number of lines, whether it is a kernel) of each function defined outside of functions."""
    text = blanked(text)
    open_braces, head_begin, result = [], 0, []
    inside = 0  # how many open braces belong to a function or lie within one
    for at, symbol in enumerate(text):
        if symbol == "{" and not inside:
            head_begin = skip_macro_calls(text, head_begin, at)
            head = text[head_begin:at]
            is_value = opens_expression(head) or bool(open_braces and open_braces[-1] is None)
            name = None if is_value else function_name(head)
            open_braces.append(None if is_value else (name, head_begin, "__global__" in head))
            inside = 1 if name else 0
            head_begin = head_begin if is_value else at + 1
        elif symbol == "{":
            inside += 1
        elif symbol == "}" and inside > 1:
            inside -= 1
        elif symbol == "}" and open_braces:
            closed, inside = open_braces.pop(), 0
            if closed is None:
                continue
            name, begin, kernel = closed
            if name:
                first = text.count("\n", 0, begin) + 1
                result.append((name, first, text.count("\n", 0, at) + 2 - first, kernel))
            head_begin = at + 1
        elif symbol == ";" and not inside:
            head_begin = at + 1
    return result


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1, False


def find_large(root):
    """name as in the list of exceptions -> description, of everything over a limit."""
    large = {}
    files = [path for top in TOPS for path in sorted((root / top).rglob("*")) if path.suffix in SUFFIXES]
    files += [root / name for name in ("check", "quickstart") if (root / name).is_file()]
    for path in files:
        if "__pycache__" in path.parts or not path.is_file():
            continue
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > FILE_LINES:
            large[name] = f"{name}: {lines} lines, limit {FILE_LINES}"
        listed = functions(text) if path.suffix in C_SUFFIXES else python_functions(text) if path.suffix == ".py" else ()
        for function, first, length, kernel in listed:
            limit = KERNEL_LINES if kernel else FUNCTION_LINES
            if length > limit:
                large[f"{name}:{function}"] = f"{name}:{first}: {function} has {length} lines, limit {limit}"
    return large


def read_exceptions(path):
    """name -> reason."""
    exceptions = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            exceptions[name] = reason.strip()
    return exceptions


def check(root, exceptions):
    """(errors, notes), one line each."""
    large = find_large(root)
    errors = [text for name, text in large.items() if not exceptions.get(name)]
    errors += [f"{name}: excused in size_exceptions.txt, but no longer over a limit: delete the line"
               for name in exceptions if name not in large]
    return errors, [f"excused: {text} ({exceptions[name]})" for name, text in large.items() if exceptions.get(name)]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    errors, notes = check(root, read_exceptions(root / "cmake/tools/size_exceptions.txt"))
    print("\n".join(notes + errors) or "sizes: nothing is over a limit")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
