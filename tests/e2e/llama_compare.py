#!/usr/bin/env python3
"""llama.cpp and deepseam on the same GGUF files: llama_compare.py --tool MODEL_TOOL --library LIB [--model FOLDER] [--docs FILE...]

The embedded model (models/embedded.dsm, or --model, the folder of weights that it was made from) is written as GGUF in F16, Q8_0
and Q4_K_M, blocks and choice of types as llama.cpp makes them. Both programs cut the same documents into tokens: the ids must
be equal. Then both compute the logits behind every token of one window a document, or (--written) of what the model writes itself,
greedily, behind the document's first tokens. A third opinion says who is off where they differ: `ref`, float32, on the very numbers
of the file. Of F16 the likeliest token must be the same at 99% of the positions.

Where weights are quantised, and activations rounded to 8 bits, the last bit of a float moves more than 1% of the choices of so small
a model, in either program: llama.cpp moves as many token by token. So it is compared with itself, too, the same windows in one batch
and in batches of one. What must hold, each up to three standard deviations of such shares: ours agree with llama.cpp's as
often as those with each other, or at 99%; ours are no farther from `ref` than llama.cpp's. The agreement where llama.cpp's likeliest
token leads the next by 0.05 nats or more is only printed: 97 to 99.5%.

llama.cpp takes a model without q_lora_rank only if it has 27 layers, as Lite has: the file gets layers of zeros, which add nothing.
Rows of the embedded model are too short for K-quants: "wide" has rows, also of zeros, that end in whole blocks of 256.

Needs numpy, the Python package `gguf`, and one of those that llama_library.py knows. Without --docs the repository's own files are
the text. Skipped (77) where a package is missing.
"""
import argparse
import copy
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import llama_library
from eval import documents, library

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ("lib/session/scheduler.cpp", "lib/base/json.cpp", "lib/format/gguf.cpp", "tests/oracle/oracle.py", "models/train/model.py", "samples/c/01_hello.c",
         "bindings/rust/deepseam/src/model.rs", "bindings/go/deepseam/model.go", "bindings/csharp/Deepseam/ModelFiles.cs")
LAYERS, AGREE, GAP = 27, 0.99, 0.05
FILES = [("F16", "new", False), ("Q8_0", "new", False), ("Q8_0", "old", False), ("Q4_K_M", "new", False), ("Q4_K_M", "new", True)]  # type, layout, wide
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = {byte: chr(byte) for byte in BYTES} | {byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in BYTES)}


def merges_of(tokens, skipped):
    """Merges of a byte-level BPE whose ids are in the order of its merges: each token's last step, from the earlier ones."""
    ranks = {text: i for i, text in enumerate(tokens) if i not in skipped}
    merges = []
    for text, rank in ranks.items():
        parts = list(text)
        while len(parts) > 2:
            found = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
            best, i = min(found)
            if best >= rank:
                break
            parts[i:i + 2] = ["".join(parts[i:i + 2])]
        if len(parts) == 2:
            merges.append(" ".join(parts))
    return merges


def vocabulary(folder, model):
    """Tokens, types, merges: of the folder's tokenizer.json, or of the opened model where there is none."""
    import gguf_files
    known = folder / "tokenizer.json"
    return gguf_files.vocabulary_of(known) if known.exists() else vocabulary_of_model(model)


def vocabulary_of_model(model):
    raw = [model.token_bytes(i) for i in range(model.vocab)]
    special = {i for i, text in enumerate(raw) if text.startswith("<\uff5c".encode())}
    tokens = [text.decode() if i in special else "".join(BYTES[b] for b in text) for i, text in enumerate(raw)]
    return tokens, [3 if i in special else 1 for i in range(len(raw))], merges_of(tokens, special)


def padded(values, shape):
    out = np.zeros(shape, np.float32)
    out[tuple(slice(n) for n in values.shape)] = values
    return out


def widened(c, tensors):
    """The same model with rows of 256: rows and columns of zeros, norms with the root of what the mean lost."""
    hidden, width = -c.hidden_size % 256 + c.hidden_size, -c.moe_intermediate_size % 256 + c.moe_intermediate_size
    share = c.hidden_size / hidden
    wide = copy.copy(c)
    wide.hidden_size, wide.moe_intermediate_size, wide.rms_norm_eps = hidden, width, c.rms_norm_eps * share
    sizes = {c.hidden_size: hidden}
    out = {}
    for name, values in tensors.items():
        known = sizes | ({c.moe_intermediate_size: width} if ".experts." in name else {})
        if ".shared_experts." in name:
            known = known | {c.n_shared_experts * c.moe_intermediate_size: c.n_shared_experts * width}
        if name.endswith("kv_a_layernorm.weight"):  # a norm over the latent, whose eps is the same number
            known = {}
        keep = name.endswith(("mlp.gate.weight",))
        shape = [values.shape[0] if keep and axis == 0 else known.get(n, n) for axis, n in enumerate(values.shape)]
        values = padded(values, shape)
        out[name] = values * np.float32(share**0.5) if values.ndim == 1 and shape[0] == hidden else values
    return wide, out


def deepened(c, tensors):
    """The same model with LAYERS layers: the last one's tensors as zeros, its norms as they are."""
    last = f"model.layers.{c.num_hidden_layers - 1}."
    deep, out = copy.copy(c), dict(tensors)
    deep.num_hidden_layers = LAYERS
    for layer in range(c.num_hidden_layers, LAYERS):
        for name, values in tensors.items():
            if name.startswith(last):
                out[f"model.layers.{layer}." + name[len(last):]] = values if values.ndim == 1 else np.zeros_like(values)
    return deep, out


def storing(llama, kind, layers):
    """How gguf_files stores a tensor: blocks by llama.cpp; kind Q4_K_M chooses the type by the name."""
    import gguf_files
    from gguf import GGMLQuantizationType as Q, quants

    def store(name, values, _):
        if kind != "Q4_K_M" or values.ndim < 2 or name.endswith("ffn_gate_inp.weight"):
            return gguf_files.stored(name, values, kind if kind != "Q4_K_M" else "F32")
        layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
        chosen = Q[llama_library.q4_k_m_type(name in ("token_embd.weight", "output.weight"), "ffn_down" in name, values.shape[-1], layer, layers)]
        data = llama_library.quantise(llama, values, chosen).reshape(*values.shape[:-1], -1)
        return data, chosen, quants.dequantize(data, chosen).reshape(values.shape).astype(np.float32)

    return store


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def differ(wanted, found):
    """-> mean KL, largest KL, share of equal choices."""
    kl = (np.exp(wanted) * (wanted - found)).sum(axis=1)
    return kl.mean(), kl.max(), (wanted.argmax(axis=1) == found.argmax(axis=1)).mean()


def sure(logs, gap):
    """Which rows have a likeliest token that is at least `gap` nats ahead of the next."""
    second, likeliest = np.partition(logs, -2, axis=1)[:, -2:].T
    return likeliest - second >= gap


def reaches(share, wanted, positions):
    """Whether a share is the wanted one or more, but for chance: three standard deviations of the difference of two such shares."""
    return share >= wanted - 3 * (2 * wanted * (1 - wanted) / positions)**0.5


def ours(opened, path, backend, ids, tokens, first):
    model = library.Model(opened, str(path), backend, 2 * tokens)
    try:
        rows = []
        for window in ids:
            model.begin()
            rows.append(log_softmax(model.eval(window, True))[first:])
        return np.concatenate(rows)
    finally:
        model.close()


def theirs(model, ids, first, step=0):
    return np.concatenate([log_softmax(model.logits(window, step))[first:] for window in ids])


def written(model, ids, most, end):
    """ids and what the model says behind them, greedily, to `most` tokens; the end is never chosen."""
    model.begin()
    ids = list(ids)
    new = ids
    while len(ids) < most:
        logits = model.eval(new, True)[-1].copy()
        logits[end] = -np.inf
        new = [int(logits.argmax())]
        ids += new
    return np.array(ids, np.uint32)


def agree(kind, positions, pair, itself, theirs_off, ours_off):
    """Whether the shares of equal choices are as they must be."""
    if kind == "F16":
        return pair >= AGREE
    return reaches(pair, min(itself, AGREE), positions) and reaches(ours_off, theirs_off, positions)


class Comparison:
    def __init__(self, options, llama, folder, scratch):
        from oracle import Weights, load_config
        self.options, self.llama, self.folder, self.scratch = options, llama, folder, scratch
        self.opened, self.first = library.Library(options.library), options.written  # logits are compared from there on
        self.config = load_config(folder)
        weights = Weights(folder, self.config)
        import make_tiny
        self.tensors = {name: np.asarray(weights[name], np.float32) for name, _ in make_tiny.tensor_shapes(self.config)}
        model = library.Model(self.opened, str(options.model or ROOT / "models/embedded.dsm"), options.backend, max(512, 2 * options.window))
        self.tokens, self.bos, self.eos = vocabulary(folder, model), model.bos, int(model.info["tokens"]["eos"])
        begun = [np.concatenate([[self.bos], model.tokenize(data)[:self.first - 1]]) for data in self.documents() if self.first]
        self.written = [written(model, ids, options.window, self.eos) for ids in begun]
        model.close()

    def documents(self):
        if not self.options.docs:
            return [(ROOT / path).read_bytes() for path in TEXTS]
        return [next(d.data for d in documents.read_docs(path) if len(d.data) >= 8 * self.options.window) for path in self.options.docs]

    def write(self, kind, layout, wide):
        import gguf_files
        c, tensors = widened(self.config, self.tensors) if wide else (self.config, self.tensors)
        numbers_of, (deep, all_tensors) = set(tensors), deepened(c, tensors)
        path, stated = self.scratch / "model.gguf", self.scratch / "stated"
        path.unlink(missing_ok=True)

        def more(writer):
            gguf_files.add_vocabulary(writer, *self.tokens, self.bos, self.eos, True)

        store = storing(self.llama, kind, self.config.num_hidden_layers)
        numbers = gguf_files.write(path, deep, all_tensors, kind, layout, (), more, store)
        raw = gguf_files.json.loads((self.folder / "config.json").read_text())
        raw.update(hidden_size=c.hidden_size, moe_intermediate_size=c.moe_intermediate_size, rms_norm_eps=c.rms_norm_eps)
        gguf_files.checkpoint(stated, raw, {name: numbers[name] for name in numbers_of})
        return path, stated

    def judge(self, kind, layout, wide):
        path, stated = self.write(kind, layout, wide)
        window = self.options.window
        llama = llama_library.Model(self.llama, path, window)
        mine = library.Model(self.opened, str(path), self.options.backend, 2 * window)
        n, same, ids = 0, 0, []
        for data in self.documents():
            cut = [model.tokenize(data) for model in (mine, llama)]
            n += len(cut[0])
            same += len(cut[0]) == len(cut[1]) and bool((cut[0] == cut[1]).all())
            ids.append(np.concatenate([[self.bos], cut[1][:window - 1]]))
        mine.close()
        ids = self.written or ids
        wanted = theirs(llama, ids, self.first)
        itself = differ(wanted, theirs(llama, ids, self.first, 1))
        llama.close()
        found = ours(self.opened, path, self.options.backend, ids, window, self.first)
        truth = ours(self.opened, stated, "ref", ids, window, self.first)
        clear = sure(wanted, GAP)
        clear_share = differ(wanted[clear], found[clear])[2]
        pairs = differ(wanted, found), itself, differ(truth, wanted), differ(truth, found)
        close = agree(kind, len(truth), *[top for *_, top in pairs])
        good = same == len(ids) and close and np.isfinite(pairs[0][0])
        figures = " | ".join(f"{mean:.1e}, {most:.1e} | {100 * top:.2f}%" for mean, most, top in pairs)
        print(f"| {kind}{', wide' if wide else ''}, {layout} | {n} in {same} of {len(ids)} | {len(truth)} | {figures} | {100 * clear_share:.2f}% of {clear.sum()} |"
              f"{'' if good else ' FAILED'}", flush=True)
        return not good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--model", type=Path, help="a folder with tokenizer.json; default: the embedded model")
    parser.add_argument("--docs", nargs="*", default=[])
    parser.add_argument("--backend", default="onednn")
    parser.add_argument("--written", type=int, default=0, metavar="N", help="compare what the model writes behind N tokens of each document")
    parser.add_argument("--window", type=int, default=256, help="tokens of each document")
    options = parser.parse_args()
    llama = llama_library.load()
    if not llama or not importlib.util.find_spec("gguf"):
        print("no Python package with llama.cpp's library is installed" if not llama else "the Python package gguf is not installed")
        return 77
    sys.path.insert(0, str(ROOT / "tests/oracle"))
    print("| file | tokens, equal documents | positions | KL of ours from llama.cpp's: mean, most | same choice | "
          "llama.cpp's token by token from its own | | llama.cpp's from ref on the file's numbers | | ours from that | | "
          f"same choice where llama.cpp's leads by {GAP} nats |\n|{'---|' * 12}")
    with tempfile.TemporaryDirectory() as name:
        scratch, folder, failed = Path(name), options.model, 0
        if not folder:
            folder = scratch / "exported"
            folder.mkdir()
            subprocess.run([options.tool, "export", ROOT / "models/embedded.dsm", folder], check=True)
        comparison = Comparison(options, llama, folder, scratch)
        for case in FILES:
            failed += comparison.judge(*case)
    print(f"llama.cpp: {llama.origin.name} of the package {llama.origin.parent.name}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
