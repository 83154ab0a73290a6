"""How well a model predicts files: nats a token and bits a byte, document by document.

Each document starts with the begin-of-text token, which is not predicted; no end token is either. Longer documents than
the window are read in overlapping windows: every window starts with the begin-of-text token and moves on by the stride,
and only what no window before it predicted is counted, so each token is counted once and all but the first `window`
have at least window - stride tokens before them. The bytes are all bytes of the documents.
"""
import math

import numpy as np

from . import documents, report, scoring

PROTOCOL = "bits per byte of whole files, each on its own behind the begin-of-text token"


def windows(n, window, stride):
    """(first, begin, end): ids[begin:end] are predicted from the begin token and ids[first:end - 1]."""
    begin = 0
    while begin < n:
        end = min(n, window if begin == 0 else begin + stride)
        yield max(0, end - window), begin, end
        begin = end


def token_nats(model, ids, window, stride, rows=0):
    """-log p of every id, float64 [len(ids)]. Without a begin token in the vocabulary, the first one costs log V.
    `rows` at a time, as many as fit 256 MiB of logits: what lies before a piece is looked at once a piece."""
    nats = np.empty(len(ids))
    rows = rows or min(2048, max(64, (64 << 20) // model.vocab))
    has_bos = model.bos is not None
    for first, begin, end in windows(len(ids), window, stride):
        given = np.concatenate([[model.bos], ids[first : end - 1]] if has_bos else [ids[first : end - 1]])
        at = first if has_bos else first + 1  # given[i] predicts ids[at + i]
        if not has_bos and begin == 0:
            nats[0] = math.log(model.vocab)
            begin = 1
        model.begin()
        skipped = begin - at
        for start in range(0, skipped, rows):
            model.eval(given[start : min(start + rows, skipped)], False)
        for start in range(skipped, len(given), rows):
            piece = given[start : start + rows]
            targets = ids[at + start : at + start + len(piece)]
            nats[at + start : at + start + len(piece)] = -scoring.log_softmax_at(model.eval(piece, True), targets)
    return nats


def measure(model, found, window, stride, progress=None):
    """{tokens, bytes, nats, nats_per_token, bits_per_byte, documents} of some documents."""
    total = {"documents": len(found), "bytes": documents.size_of(found), "tokens": 0, "nats": 0.0}
    done = 0
    for document in found:
        ids = model.tokenize(document.data)
        nats = token_nats(model, ids, window, stride)
        if not np.isfinite(nats).all():
            raise ValueError(f"{document.path}: the model gave a probability that is no number")
        total["tokens"] += len(ids)
        total["nats"] += float(nats.sum())
        done += len(document.data)
        if progress:
            progress(done)
    return summed([total])


def summed(rows):
    """One row for several, with the ratios."""
    total = {key: sum(row[key] for row in rows) for key in ("documents", "bytes", "tokens", "nats")}
    total["nats_per_token"] = total["nats"] / max(1, total["tokens"])
    total["bits_per_byte"] = scoring.bits_per_byte(total["nats"], total["bytes"])
    return total


def run(options, model):
    window = min(options.window or model.context, model.context)
    stride = options.stride or max(1, window // 2)
    if not 1 <= stride <= window:
        raise ValueError(f"--stride {stride}: expected 1 to {window}, the window")
    groups = documents.by_language(documents.read_all(options.docs, options.files, options.languages))
    results = {}
    for language, found in groups.items():
        chosen = documents.sample(found, options.limit_bytes, options.seed)
        if options.limit:
            chosen = chosen[: options.limit]
        progress = report.Progress(f"perplexity {language}", documents.size_of(chosen), options.quiet)
        results[language] = measure(model, chosen, window, stride, progress)
    results["all"] = summed(list(results.values()))
    results["all"]["mean_of_languages"] = sum(
        row["bits_per_byte"] for name, row in results.items() if name != "all") / (len(results) - 1)
    return {"protocol": PROTOCOL, "window": window, "stride": stride, "limit_bytes": options.limit_bytes,
            "results": results}
