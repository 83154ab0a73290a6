"""Fill-in-the-middle on held-out files: exact match of single lines, and whether filled-in bodies parse.

Greedy decoding. The model sees the file around the hole, cut to windows of bytes, in the library's own prompt
(ds_generate with DS_INPUT_FIM: prefix, suffix, middle). A match is equality but for blanks at the end; an answer that
goes on after the line is no match, but counts under `first_line`, which compares first lines only. """
from . import documents, holes, report, scoring, syntax
from .library import Request

PROTOCOL = {
    False: "single-line infilling, greedy, exact match as in the single-line infilling tables of code models",
    True: "infilling of 2 to 6 lines, greedy; share of files that still parse",
}


def answers_to(model, chosen, options, max_tokens, progress):
    requests = []
    for hole in chosen:
        prefix, suffix = holes.cut_windows(hole, options.prefix_bytes, options.suffix_bytes)
        requests.append(Request(prefix=prefix, suffix=suffix, max_tokens=max_tokens))
    return model.generate(requests, progress)


def score_lines(chosen, answers):
    """Counts of one language; added up by `shares`."""
    pairs = list(zip(chosen, answers))
    row = {"n": len(pairs), "exact": sum(scoring.exact_match(a.text, h.middle) for h, a in pairs),
           "first_line": sum(scoring.exact_match(scoring.first_line(a.text), h.middle) for h, a in pairs),
           "ended": sum(a.finish == "end" for _, a in pairs)}
    for kind in ("line", "rest"):
        row[f"{kind}.n"] = sum(h.kind == kind for h, _ in pairs)
        row[f"{kind}.exact"] = sum(h.kind == kind and scoring.exact_match(a.text, h.middle) for h, a in pairs)
    row["tokens"] = sum(len(a.ids) for _, a in pairs)
    return row


def line_shares(row):
    """The row of a report."""
    return {"exact": scoring.share(row["exact"], row["n"]), "first_line": scoring.share(row["first_line"], row["n"]),
            "ended": scoring.share(row["ended"], row["n"]),
            "whole_lines": scoring.share(row["line.exact"], row["line.n"]),
            "ends_of_lines": scoring.share(row["rest.exact"], row["rest.n"]),
            "tokens_per_answer": row["tokens"] / max(1, row["n"])}


def score_bodies(chosen, answers, parser_of):
    row = {"n": len(chosen), "parses": 0, "exact": 0, "ended": 0, "blank": 0, "empty_parses": 0}
    for hole, answer in zip(chosen, answers):
        parser = parser_of(hole.document)
        good = syntax.parses(parser, (hole.prefix + answer.text + hole.suffix).encode())
        blank = not answer.text.strip()
        row["parses"] += good and not blank
        row["blank"] += blank
        row["empty_parses"] += syntax.parses(parser, (hole.prefix + hole.suffix).encode())
        row["exact"] += scoring.exact_match(answer.text, hole.middle)
        row["ended"] += answer.finish == "end"
    return row


def body_shares(row):
    """`empty_parses` is what a model that answers nothing would get if that counted; it does not."""
    return {key: scoring.share(row[key], row["n"]) for key in ("parses", "exact", "ended", "blank", "empty_parses")}


def added(rows):
    return {key: sum(row[key] for row in rows) for key in rows[0]}


def clean_documents(found, parser_of):
    """Those that parse as they are, and how many do not."""
    clean = [d for d in found if documents.text_of(d) is not None and syntax.parses(parser_of(d), d.data)]
    return clean, len(found) - len(clean)


def parsers():
    """document -> parser, made once for each language and suffix."""
    made = {}

    def parser_of(document):
        key = document.language, document.path.endswith(".tsx")
        if key not in made:
            made[key] = syntax.parser_for(document.language, document.path)
        return made[key]

    return parser_of


def examples_of(chosen, answers, count):
    return [{"path": h.document.path, "kind": h.kind, "expected": h.middle, "got": a.text, "finish": a.finish}
            for h, a in list(zip(chosen, answers))[:count]]


def run(options, model):
    groups = documents.by_language(documents.read_all(options.docs, options.files, options.languages))
    parser_of, counts, results, examples, unclean, without = parsers(), [], {}, {}, {}, []
    count = options.limit or options.lines
    tokens = options.max_tokens or (256 if options.multi_line else 64)
    for language, found in groups.items():
        found = documents.sample(found, options.limit_bytes, options.seed)
        if options.multi_line:
            if language not in syntax.MODULES:
                without.append(language)
                continue
            found, unclean[language] = clean_documents(found, parser_of)
            chosen = holes.multi_line(found, count, options.seed, options.min_chars)
        else:
            chosen = holes.single_line(found, count, options.seed, options.min_chars, options.hole)
        if not chosen:
            without.append(language)
            continue
        progress = report.Progress(f"infill {language}", len(chosen), options.quiet)
        answers = answers_to(model, chosen, options, tokens, progress)
        row = score_bodies(chosen, answers, parser_of) if options.multi_line else score_lines(chosen, answers)
        counts.append(row)
        results[language] = body_shares(row) if options.multi_line else line_shares(row)
        examples[language] = examples_of(chosen, answers, options.examples)
    if counts:
        results["all"] = (body_shares if options.multi_line else line_shares)(added(counts))
    return {"protocol": PROTOCOL[options.multi_line], "lines": count, "min_chars": options.min_chars,
            "windows_bytes": [options.prefix_bytes, options.suffix_bytes],
            "max_tokens": tokens, "languages_without_holes": without, "results": results, "examples": examples,
            **({"files_that_did_not_parse": unclean, "packages": syntax.versions()} if options.multi_line else {})}
