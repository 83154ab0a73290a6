"""What needs no network: general compressors and an n-gram model on the same bytes as `perplexity`.

The compressors see the documents of a language as one stream, one after another without names, so they may use all
files before; the language model and the n-gram model see each document alone.
"""
import lzma
import shutil
import subprocess
import time

import numpy as np

from . import documents, ngram, report, scoring

PROTOCOL = "the same documents: solid xz -9e, solid zstd -19 --long=27, interpolated Kneser-Ney n-grams"


def xz_size(data):
    """Bytes of xz -9e."""
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def zstd_size(data):
    """Bytes of zstd -19 --long=27 by the command or the PyPI package; None if neither is installed."""
    command = shutil.which("zstd")
    if command:
        arguments = [command, "-19", "--long=27", "-c", "-q", "-"]
        return len(subprocess.run(arguments, input=data, capture_output=True, check=True).stdout)
    try:
        import zstandard
    except ImportError:
        return None
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, window_log=27, enable_ldm=True, source_size=len(data))
    return len(zstandard.ZstdCompressor(compression_params=parameters).compress(data))


def ids_of(found, model, progress=None):
    """Token ids of each document, or its bytes without a model."""
    texts, done = [], 0
    for document in found:
        texts.append(model.tokenize(document.data) if model else np.frombuffer(document.data, np.uint8))
        done += len(document.data)
        if progress:
            progress(done)
    return texts


def train(options, model):
    """(n-gram model, facts about it) from --train; (None, None) without it."""
    if not options.train:
        return None, None
    found = documents.read_all(options.train, [], options.languages)
    groups = documents.by_language(found)
    share = options.train_bytes // len(groups) if options.train_bytes else 0
    chosen = [d for group in groups.values() for d in documents.sample(group, share, options.seed)]
    start = time.monotonic()
    texts = ids_of(chosen, model, report.Progress("tokens for n-grams", documents.size_of(chosen), options.quiet))
    width = (model.vocab if model else 256) + 1
    trained = ngram.Model(texts, options.order, width, width - 1)
    return trained, {"order": options.order, "units": "tokens of the model" if model else "bytes",
                     "smoothing": "interpolated modified Kneser-Ney", "train_documents": len(chosen),
                     "train_bytes": documents.size_of(chosen), "train_units": sum(map(len, texts)),
                     "types": [len(order.keys) for order in trained.orders],
                     "seconds": round(time.monotonic() - start, 1)}


def run(options, model):
    groups = documents.by_language(documents.read_all(options.docs, options.files, options.languages))
    trained, facts = train(options, model)
    results, total = {}, {}
    progress = report.Progress("baselines", len(groups), options.quiet)
    for done, (language, found) in enumerate(groups.items(), 1):
        chosen = documents.sample(found, options.limit_bytes, options.seed)
        if options.limit:
            chosen = chosen[: options.limit]
        stream = b"".join(d.data for d in chosen)
        bits = {"xz": 8 * xz_size(stream), "zstd": zstd_size(stream)}
        bits["zstd"] = 8 * bits["zstd"] if bits["zstd"] is not None else None
        if trained:
            bits["ngram"] = scoring.bits_per_byte(float(trained.nats(ids_of(chosen, model)).sum()), 1)
        row = {"documents": len(chosen), "bytes": len(stream)}
        for key in row:
            total[key] = total.get(key, 0) + row[key]
        for key, value in bits.items():
            row[key] = None if value is None else value / max(1, len(stream))
            total[key] = None if value is None or total.get(key, 0) is None else total.get(key, 0) + value
        results[language] = row
        progress(done)
    results["all"] = {key: value if key in ("documents", "bytes") or value is None else value / max(1, total["bytes"])
                      for key, value in total.items()}
    return {"protocol": PROTOCOL, "unit": "bits per byte", "ngram": facts, "limit_bytes": options.limit_bytes,
            "results": results}
