"""The next line of a file, given snippets of other files of its repository: exact match and edit similarity.

Reads JSON lines with the fields of RepoBench: `context` (a list of {path, snippet}, or text), `file_path`,
`import_statement`, `cropped_code` (or `code`), `next_line`, and `level` if there is one; a ready `prompt` is taken as
it is. The prompt is each snippet under a comment with its path, then the file under one. What does not fit loses its
first snippets, then the first lines of the file. The answer is the first line that is neither blank nor a comment. """
import numpy as np

from . import documents, problems, report, scoring
from .library import Request

PROTOCOL = "next-line prediction of RepoBench: greedy, first code line, exact match and edit similarity by level"


def comment_of(language):
    return "# " if language in documents.HASH_COMMENTS else "// "


def parts_of(row, language):
    """(snippets, file): texts of the prompt in their order."""
    if row.get("prompt"):
        return [], row["prompt"]
    mark, context = comment_of(language), row.get("context") or []
    if isinstance(context, str):
        context = [{"snippet": context}] if context.strip() else []
    snippets = []
    for entry in context:
        head = f"{mark}Path: {entry['path']}\n" if entry.get("path") else ""
        snippets.append(head + problems.field(entry, "snippet").rstrip() + "\n\n")
    imports = (row.get("import_statement") or "").rstrip()
    code = problems.field(row, "cropped_code", "code").rstrip("\n")
    head = f"{mark}Path: {row['file_path']}\n" if row.get("file_path") else ""
    return snippets, head + (imports + "\n\n" if imports else "") + code + "\n"


def prompt_ids(model, snippets, file, room):
    """At most `room` ids: the begin token, the last snippets that fit, the file (its end, if it is too long)."""
    begin = [] if model.bos is None else [model.bos]
    ids = model.tokenize(file.encode())
    ids = ids[max(0, len(ids) - (room - len(begin))) :]
    parts = [ids]
    left = room - len(begin) - len(ids)
    for snippet in reversed(snippets):
        ids = model.tokenize(snippet.encode())
        if len(ids) > left:
            break
        parts.insert(0, ids)
        left -= len(ids)
    return np.concatenate([np.array(begin, np.int32), *parts])


def code_line(text, language):
    """The first line that is neither blank nor only a comment, without blanks around it."""
    for line in text.split("\n"):
        if line.strip() and not documents.is_comment(line, language):
            return line.strip()
    return ""


def score(rows, texts, language):
    results = {}
    for row, text in zip(rows, texts):
        expected, got = problems.field(row, "next_line").strip(), code_line(text, language)
        for name in dict.fromkeys([str(row.get("level", "all")), "all"]):
            total = results.setdefault(name, [0, 0, 0.0])
            total[0] += 1
            total[1] += got == expected
            total[2] += scoring.edit_similarity(got, expected)
    return {name: {"exact": scoring.share(hits, n), "edit_similarity": similarity / n}
            for name, (n, hits, similarity) in sorted(results.items())}


def run(options, model):
    rows = problems.read_rows(options.problems)
    rows = rows[: options.limit] if options.limit else rows
    language, tokens = documents.language_name(options.language), options.max_tokens or 64
    room = min(options.prompt_tokens or model.context, model.context) - tokens
    if room < 16 or not rows:
        raise ValueError(f"{options.problems}: {len(rows)} problems, room for {room} prompt tokens")
    requests = [Request(ids=prompt_ids(model, *parts_of(row, language), room), max_tokens=tokens) for row in rows]
    answers = model.generate(requests, report.Progress("next line", len(requests), options.quiet))
    return {"protocol": PROTOCOL, "problems": str(options.problems), "language": language, "prompt_tokens": room,
            "max_tokens": tokens, "results": score(rows, [a.text for a in answers], language),
            "examples": [{"expected": row["next_line"], "got": code_line(a.text, language)}
                         for row, a in list(zip(rows, answers))[: options.examples]]}
