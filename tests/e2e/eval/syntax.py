"""Whether a file parses, by the grammars of tree-sitter (PyPI: tree-sitter and tree-sitter-LANGUAGE).

A file parses if its tree has neither ERROR nor MISSING nodes. Grammars do not know the preprocessor's choices, so some
correct C and C++ files do not; those are left out by asking the file before it was changed.
"""
import importlib

MODULES = {"python": "python", "c": "c", "cpp": "cpp", "rust": "rust", "go": "go", "csharp": "c_sharp",
           "javascript": "javascript", "typescript": "typescript", "java": "java"}


class Unavailable(Exception):
    """tree-sitter or a grammar is not installed."""


def parser_for(language, path=""):
    """A parser of one language (a file's suffix decides about JSX in TypeScript)."""
    name = MODULES.get(language)
    if not name:
        raise Unavailable(f"no grammar is known for {language}")
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = importlib.import_module("tree_sitter_" + name)
    except ImportError as error:
        package = "tree-sitter-" + name.replace("_", "-")
        raise Unavailable(f"{error}: install the packages tree-sitter and {package}") from None
    if name == "typescript":
        pointer = grammar.language_tsx() if path.endswith(".tsx") else grammar.language_typescript()
    else:
        pointer = grammar.language()
    return tree_sitter.Parser(tree_sitter.Language(pointer))


def parses(parser, data):
    """Whether bytes parse without ERROR and MISSING nodes. (has_error of a tree covers both.)"""
    return not parser.parse(data).root_node.has_error


def versions():
    """Package -> version of what is installed of the above."""
    from importlib import metadata
    found = {}
    for name in ["tree-sitter", *(f"tree-sitter-{m.replace('_', '-')}" for m in MODULES.values())]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found
