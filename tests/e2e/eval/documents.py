"""Documents to measure on: reading them, choosing a seeded part of them, and what is a comment in which language.

A .docs file is a sequence of documents: the line `lang TAB project TAB path TAB nbytes`, then nbytes bytes, then a line
break. Plain files are documents too; their language follows from their suffix.
"""
import random
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = {"py": "python", "pyi": "python", "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp",
            "hh": "cpp", "rs": "rust", "go": "go", "cs": "csharp", "js": "javascript", "mjs": "javascript",
            "jsx": "javascript", "ts": "typescript", "tsx": "typescript", "java": "java"}
SAME = {"c++": "cpp", "cxx": "cpp", "c#": "csharp", "c_sharp": "csharp", "c-sharp": "csharp", "cs": "csharp",
        "js": "javascript", "ts": "typescript", "py": "python", "rs": "rust", "golang": "go"}
HASH_COMMENTS = {"python"}


@dataclass(frozen=True)
class Document:
    """One source file."""
    language: str
    project: str
    path: str
    data: bytes


def language_name(name):
    name = name.strip().lower()
    return SAME.get(name, name)


def read_docs(path):
    """Every document of a .docs file; ValueError names the byte at which it is damaged."""
    with open(path, "rb") as file:
        while True:
            at, line = file.tell(), file.readline()
            if not line:
                return
            fields = line.rstrip(b"\n").split(b"\t")
            if len(fields) != 4 or not fields[3].isdigit():
                raise ValueError(f"{path}: byte {at}: expected `lang, project, path, nbytes`, found {line[:80]!r}")
            data = file.read(int(fields[3]))
            if len(data) != int(fields[3]) or file.read(1) != b"\n":
                raise ValueError(f"{path}: byte {at}: expected {int(fields[3])} bytes and a line break")
            language, project, name = (field.decode("utf-8", "replace") for field in fields[:3])
            yield Document(language_name(language), project, name, data)


def read_file(path):
    """A plain file as a document; its project is its folder."""
    path = Path(path)
    language = SUFFIXES.get(path.suffix.lstrip(".").lower(), "text")
    return Document(language, str(path.parent), str(path), path.read_bytes())


def read_all(docs, files, languages=()):
    """The documents of .docs files and plain files that are not empty, of `languages` if any are named."""
    wanted = {language_name(name) for name in languages}
    found = [d for path in docs for d in read_docs(path)] + [read_file(path) for path in files]
    found = [d for d in found if d.data and (not wanted or d.language in wanted)]
    if not found:
        raise ValueError("no documents: name some with --docs or --files")
    return found


def by_language(found):
    """language -> documents, languages in order of their names."""
    groups = {}
    for document in found:
        groups.setdefault(document.language, []).append(document)
    return dict(sorted(groups.items()))


def sample(found, limit_bytes, seed):
    """Whole documents in a seeded order until limit_bytes are reached (0: all, in their order). The same documents,
    limit and seed give the same choice in every measurement."""
    if not limit_bytes:
        return list(found)
    order = sorted(found, key=lambda d: (d.language, d.project, d.path))
    random.Random(f"documents/{seed}").shuffle(order)
    chosen, total = [], 0
    for document in order:
        if total >= limit_bytes:
            break
        if len(document.data) <= limit_bytes:
            chosen.append(document)
            total += len(document.data)
    return chosen


def size_of(found):
    return sum(len(d.data) for d in found)


def text_of(document):
    """The document as str with line feeds only; None if it is not UTF-8 or has other line ends."""
    if b"\r" in document.data:
        return None
    try:
        return document.data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_comment(line, language):
    """Whether a line holds nothing but a comment, as far as one line tells."""
    line = line.strip()
    if language in HASH_COMMENTS:
        return line.startswith("#")
    return line.startswith(("//", "/*", "*/", "* ")) or line == "*"
