#!/usr/bin/env python3
"""What packing costs a model: `pack_table.py --ds DS --library LIB --model FOLDER --docs FILE... [--packed FILE...]`.

For every recipe of RECIPES the model is packed by `ds pack`, opened, and run over the first --tokens tokens of one document
of each language. A line of a Markdown table says: size, bits a weight, bits per byte of those texts, KL divergence from the
model as it was (nats a token), how often the likeliest token is the same, and the relative error of the weights. "calibrated" recipes get a
text of other documents. `onednn` is what users run; `--backend ref` computes in float32 alone. --packed adds files that exist.
With the Python packages `gguf` and `xllamacpp` (or `llama_cpp`) the last lines are the same model with
the types and the very blocks that llama.cpp's Q4_K_M would give it, from its rules for rows that are not whole blocks.
Needs numpy. """
import argparse
import importlib.util
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import llama_library
from eval import documents, library

RECIPES = [  # name, arguments of ds pack
    ("bf16", ["--type", "bf16"]), ("f16", ["--type", "f16"]), ("fp8", ["--type", "fp8"]), ("q8", ["--type", "q8"]),
    ("q6", ["--type", "q6"]), ("q5", ["--type", "q5"]), ("q4", ["--type", "q4"]),
    ("q4, experts' down q4_0", ["--type", "q4", "--keep", "q4=experts.down"]),
    ("q4, experts' down q4_1", ["--type", "q4", "--keep", "q4_1=experts.down"]),
    ("q4, experts q4_1", ["--type", "q4", "--keep", "q4_1=experts"]),
    ("q4, q, o, shared and dense q8", ["--type", "q4", "--keep", "q8=q,o,shared,dense"]),
    ("q4 as decision 0083 had it", ["--type", "q4", "--keep", "q4=experts.down", "--keep", "q4_1=q,gate,up,shared",
                                    "--keep", "q8=o,down,shared.down"]),
    *((name, ["--type", name]) for name in ("q8_0", "q6_k", "q5_1", "q5_0", "q5_k", "q4_1", "q4_k", "q4_0", "q3_k")),
]
CALIBRATED = ("q5", "q4", "q4, experts' down q4_0", "q4 as decision 0083 had it", "q3_k")
Q4_K_M = "Q4_K_M by llama.cpp"


def read_tensors(folder):
    """name -> (float32 array) of a folder's one safetensors file in bf16 or f32."""
    raw = (Path(folder) / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, info in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        data = raw[8 + size + begin:8 + size + end]
        if info["dtype"] == "BF16":
            values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data, np.float32)
        tensors[name] = values.reshape(info["shape"])
    return tensors


def write_folder(source, folder, tensors):
    """The folder with these numbers as f32."""
    folder.mkdir()
    for file in Path(source).glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    at, header = 0, {}
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    head = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for values in tensors.values():
            out.write(np.ascontiguousarray(values, np.float32).tobytes())


def write_q4_k_m(source, folder):
    """-> (bytes, relative error), or None where the packages are missing."""
    llama = llama_library.load()
    if not llama or not importlib.util.find_spec("gguf"):
        return None
    from gguf import GGMLQuantizationType, quants
    layers = json.loads((Path(source) / "config.json").read_text())["num_hidden_layers"]
    size, error, norm, out = 0, 0.0, 0.0, {}
    for name, values in read_tensors(source).items():
        values = np.ascontiguousarray(values, np.float32)
        if values.ndim < 2 or name.endswith("mlp.gate.weight"):
            out[name] = values
            size += values.nbytes
            continue
        layer = int(name.split(".")[2]) if ".layers." in name else 0
        vocabulary = name in ("model.embed_tokens.weight", "lm_head.weight")
        quant = getattr(GGMLQuantizationType, llama_library.q4_k_m_type(vocabulary, "down_proj" in name, values.shape[-1], layer, layers))
        data = llama_library.quantise(llama, values, quant)
        out[name] = quants.dequantize(data, quant).astype(np.float32).reshape(values.shape)
        size += data.nbytes
        error += float(np.square(out[name].astype(np.float64) - values).sum())
        norm += float(np.square(values.astype(np.float64)).sum())
    write_folder(source, folder, out)
    return size, (error / norm) ** 0.5


class Comparison:
    """The reference's log-probabilities, and what others differ from them."""

    def __init__(self, options, windows):
        self.options, self.windows, self.reference = options, windows, None

    def log_probabilities(self, path):
        """Of each window: log-probabilities [tokens, V], bits of its text (each token from those before), bytes of it."""
        opened = library.Library(self.options.library)
        model = library.Model(opened, str(path), self.options.backend, 2 * self.options.tokens)
        try:
            for ids in self.windows(model):
                model.begin()
                logits = model.eval(ids, True)
                logits = logits - logits.max(axis=1, keepdims=True)
                logits -= np.log(np.exp(logits).sum(axis=1, dtype=np.float64, keepdims=True)).astype(np.float32)
                bits = -float(logits[np.arange(len(ids) - 1), ids[1:]].sum(dtype=np.float64)) / np.log(2)
                yield logits, bits, sum(len(model.token_bytes(int(token))) for token in ids[1:])
        finally:
            model.close()

    def measure(self, path):
        """-> bits per byte, mean KL, median KL, share of equal choices, positions."""
        if self.reference is None:
            self.reference = [(ours, np.exp(ours), ours.argmax(axis=1))
                              for ours, _, _ in self.log_probabilities(self.options.model)]
        kl, same, bits, size = [], 0, 0.0, 0
        for (ours, weights, choices), (theirs, text_bits, text_size) in zip(self.reference, self.log_probabilities(path)):
            same += int((choices == theirs.argmax(axis=1)).sum())
            bits, size = bits + text_bits, size + text_size
            kl.append(((ours - theirs) * weights).sum(axis=1, dtype=np.float64))
        kl = np.concatenate(kl)
        return bits / size, kl.mean(), np.median(kl), same / len(kl), len(kl)


def choose(options, temporary):
    """The windows that are measured, one a language, and a file with other documents to calibrate on."""
    tested, text = [], b""
    for path in options.docs:
        found = [d for d in documents.read_docs(path) if len(d.data) >= 8 * options.tokens]
        tested.append(found[options.document].data)
        text += b"".join(d.data[:2 * 1024] for d in found[1:3])
    sample = temporary / "sample.txt"
    sample.write_bytes(text)

    def windows(model):
        for data in tested:
            yield np.concatenate([[model.bos], model.tokenize(data)[:options.tokens - 1]])

    return windows, sample


def packed(options, arguments, temporary, calibrate=None):
    """-> path, what `ds pack --report` says."""
    path, report = temporary / "packed.dsm", temporary / "report.json"
    command = [options.ds, "pack", "--model", options.model, "--out", str(path), "--report", str(report), "-q", *arguments]
    subprocess.run(command + (["--calibrate", str(calibrate)] if calibrate else []), check=True, stdout=subprocess.DEVNULL)
    return path, json.loads(report.read_text())


def main():
    parser = argparse.ArgumentParser()
    for name in ("--ds", "--library", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--docs", nargs="+", required=True)
    parser.add_argument("--packed", nargs="*", default=[])
    parser.add_argument("--only", default="", help="recipes with this in their name")
    parser.add_argument("--backend", default="onednn")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--document", type=int, default=0, help="which one of those of a language that are long enough")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        windows, sample = choose(options, temporary)
        comparison = Comparison(options, windows)
        parameters = sum(values.size for values in read_tensors(options.model).values())
        print("| recipe | MB | bits a weight | bits per byte | KL, mean | median | same choice | error of the weights |\n" + "|---" * 8 + "|",
              flush=True)

        def row(name, size, path, error):
            bits, kl, median, same, n = comparison.measure(path)
            print(f"| {name} | {size / 1e6:.2f} | {8 * size / parameters:.2f} | {bits:.4f} | {kl:.5f} | {median:.5f} | "
                  f"{100 * same:.1f}% | {error} |", flush=True)
            return n

        for name, arguments in RECIPES:
            for calibrate in (None, sample) if name in CALIBRATED else (None,):
                full = name + (", calibrated" if calibrate else "")
                if options.only not in full:
                    continue
                path, report = packed(options, arguments, temporary, calibrate)
                n = row(full, report["bytes"], path, f"{report['error']:.4f}")
        for path in options.packed:
            n = row(Path(path).name, Path(path).stat().st_size, path, "")
        written = write_q4_k_m(options.model, temporary / "q4_k_m")
        if written:
            n = row(Q4_K_M, written[0], temporary / "q4_k_m", f"{written[1]:.4f}")
        print(f"\n{n} positions", file=sys.stderr)


if __name__ == "__main__":
    main()
