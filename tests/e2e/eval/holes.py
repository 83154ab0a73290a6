"""Holes for fill-in-the-middle: which lines of which documents, chosen by a seed.

A hole never includes the line break at its end. `prefix` and `suffix` are the whole rest of the file; cut_windows takes
what a model is shown, in bytes, so that models with different tokenizers see the same.
"""
import random
from dataclasses import dataclass

from . import documents

LONGEST_LINE = 200  # characters; longer ones are data


@dataclass(frozen=True)
class Hole:
    """document.text == prefix + middle + suffix."""
    document: documents.Document
    kind: str  # "line": from the first column that is not blank; "rest": from a column inside the line; "body": lines
    prefix: str
    middle: str
    suffix: str


def is_usable(line, language, min_chars):
    """A line with at least min_chars characters that are not blank, and not only a comment."""
    return (sum(not ch.isspace() for ch in line) >= min_chars and len(line) <= LONGEST_LINE
            and not documents.is_comment(line, language))


def places(found, accept):
    """(document, text, offsets of line starts, line number) of every line for which accept(lines, number, language)."""
    for document in found:
        text = documents.text_of(document)
        if text is None:
            continue
        lines = text.split("\n")
        starts, at = [], 0
        for line in lines:
            starts.append(at)
            at += len(line) + 1
        for number in range(len(lines)):
            if accept(lines, number, document.language):
                yield document, text, starts, number


def choose(found, count, seed, name, accept):
    """`count` places in a seeded order, as many as there are."""
    kept = list(places(found, accept))
    random.Random(f"{name}/{seed}").shuffle(kept)
    return kept[:count]


def cut(document, text, begin, end, kind):
    return Hole(document, kind, text[:begin], text[begin:end], text[end:])


def single_line(found, count, seed, min_chars=8, kind="both"):
    """Holes to the end of one line. kind "line": the whole line behind its indentation; "rest": from a random column
    that leaves at least three characters that are not blank, or the whole line if there is none; "both": every other
    hole."""
    chosen = choose(found, count, seed, "single-line", lambda lines, n, lang: is_usable(lines[n], lang, min_chars))
    draw, holes = random.Random(f"columns/{seed}"), []
    for index, (document, text, starts, number) in enumerate(chosen):
        end = text.find("\n", starts[number])
        end = len(text) if end < 0 else end
        begin = starts[number]
        while text[begin].isspace():
            begin += 1
        this = kind if kind != "both" else ("line", "rest")[index % 2]
        if this == "rest":
            columns = [c for c in range(begin + 1, end) if sum(not ch.isspace() for ch in text[c:end]) >= 3]
            this = this if columns else "line"  # too short to be begun by somebody
            begin = draw.choice(columns) if columns else begin
        holes.append(cut(document, text, begin, end, this))
    return holes


def multi_line(found, count, seed, min_chars=8):
    """Holes of 2 to 6 whole lines, from the first column of the first that is not blank to the end of the last. First
    and last line are usable ones."""
    draw, holes = random.Random(f"bodies/{seed}"), []
    chosen = choose(found, 4 * count, seed, "multi-line",
                    lambda lines, n, lang: n + 1 < len(lines) and is_usable(lines[n], lang, min_chars))
    for document, text, starts, number in chosen:
        last = number + draw.randint(2, 6) - 1
        if last >= len(starts):
            continue
        end = text.find("\n", starts[last])
        end = len(text) if end < 0 else end
        if not is_usable(text[starts[last] : end], document.language, 1):
            continue
        begin = starts[number]
        while text[begin].isspace():
            begin += 1
        holes.append(cut(document, text, begin, end, "body"))
        if len(holes) == count:
            break
    return holes


def cut_windows(hole, prefix_bytes, suffix_bytes):
    """(prefix, suffix) as bytes: at most so many, beginning and ending at line breaks where text was left out."""
    prefix, suffix = hole.prefix.encode(), hole.suffix.encode()
    if len(prefix) > prefix_bytes:
        prefix = prefix[len(prefix) - prefix_bytes :]
        prefix = prefix[prefix.find(b"\n") + 1 :] if b"\n" in prefix else whole_characters(prefix)
    if len(suffix) > suffix_bytes:
        suffix = suffix[:suffix_bytes]
        suffix = suffix[: suffix.rfind(b"\n") + 1] if b"\n" in suffix else suffix.decode("utf-8", "ignore").encode()
    return prefix, suffix


def whole_characters(data):
    """The bytes from the first that begins a character."""
    while data and data[0] & 0xC0 == 0x80:
        data = data[1:]
    return data
