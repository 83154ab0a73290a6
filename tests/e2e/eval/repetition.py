"""How often greedy decoding ends in an endless repetition.

Prompts are the beginnings of held-out files up to a line break between min and max bytes. An answer repeats endlessly
if its last `tail` tokens are a cycle: each equals the one `period` places before, for a period up to the longest. """
import random

from . import documents, report, scoring
from .library import Request

PROTOCOL = "greedy continuation; an endless repetition is a cycle in the last tokens"


def prompts(found, count, seed, least, most):
    """(document, prompt bytes): a document is asked once before any is asked twice."""
    draw = random.Random(f"prompts/{seed}")
    usable = [d for d in found if len(d.data) > 2 * least and documents.text_of(d) is not None]
    draw.shuffle(usable)
    made = []
    for index in range(count if usable else 0):
        document = usable[index % len(usable)]
        end = document.data.find(b"\n", draw.randint(least, min(most, len(document.data) - 1)))
        made.append((document, document.data[: end + 1 if end >= 0 else most]))
    return made


def run(options, model):
    found = documents.read_all(options.docs, options.files, options.languages)
    asked = prompts(found, options.limit or options.prompts, options.seed, options.min_bytes, options.max_bytes)
    progress = report.Progress("repetition", len(asked), options.quiet)
    tokens = options.max_tokens or 256
    answers = model.generate([Request(text=prompt, max_tokens=tokens) for _, prompt in asked], progress)
    periods = [scoring.period_of_tail(a.ids, options.tail, options.period) for a in answers]
    rows = {}
    for (document, _), answer, period in zip(asked, answers, periods):
        for name in (document.language, "all"):
            row = rows.setdefault(name, [0, 0, 0])
            row[0] += 1
            row[1] += period > 0
            row[2] += answer.finish == "end"
    results = {name: {"endless": scoring.share(row[1], row[0]), "ended": scoring.share(row[2], row[0])}
               for name, row in sorted(rows.items())}
    cycles = [{"path": d.path, "period": p, "text": a.text[-200:]}
              for (d, _), a, p in zip(asked, answers, periods) if p][: options.examples]
    return {"protocol": PROTOCOL, "tail": options.tail, "longest_period": options.period, "max_tokens": tokens,
            "prompt_bytes": [options.min_bytes, options.max_bytes], "results": results, "examples": cycles}
