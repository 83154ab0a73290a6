#!/usr/bin/env python3
"""What the embedded model computes, by two implementations that know nothing of this library, as records for the tests.

    make_golden.py --ds BUILD/bin/ds [--model models/embedded.dsm] [--out tests/golden/embedded]

The weights that the packed model multiplies with are exported as float32; `transformers` (float32) and the oracle
(float64) run on them; if the two differ by more than float32 explains, nothing is written. The records hold the oracle's
numbers and how far transformers was from them; tests/golden/embedded_test.cpp compares the backends. How far `ref` and
`onednn` are is printed for the model card.

Needs torch, transformers, numpy. Versions of transformers before 5.23 leave out YaRN's factor of the softmax scale for
DeepSeek-V2 and are refused.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
import oracle  # noqa: E402

OLDEST_TRANSFORMERS = (5, 23)
COLUMNS, TOP = 64, 16
MAX_ABS, MAX_KL = 5e-4, 1e-8  # float32, any order of summation: tests/oracle/README.md


def fim(text, begin, end):
    return f"<｜fim▁begin｜>{text[:begin]}<｜fim▁hole｜>{text[end:]}<｜fim▁end｜>"


def prompts():
    """Name -> text with special tokens written out. Taken from this repository, which no training has seen."""
    c = (ROOT / "samples/c/02_stream.c").read_text(encoding="utf-8")
    cpp = (ROOT / "lib/text/utf8.h").read_text(encoding="utf-8")
    python = (ROOT / "cmake/tools/count_results.py").read_text(encoding="utf-8")
    return {"c": c[:1200], "python": python[:1600], "fim": fim(cpp[:1800], 1000, 1060)}


def run(*command, stdin=b""):
    return subprocess.run([*map(str, command)], input=stdin, check=True, capture_output=True).stdout


def by_transformers(folder, prompt_ids):
    """[S, V] float32 logits of each prompt."""
    import torch
    import transformers

    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    if version < OLDEST_TRANSFORMERS:
        raise SystemExit(f"transformers {transformers.__version__} is older than 5.23: its softmax scale is wrong")
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, float32, eager attention")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0].numpy() for ids in prompt_ids]


def by_backend(ds, model, backend, ids, folder):
    out = Path(folder) / "logits.npy"
    run(ds, "logits", "--model", model, "--backend", backend, "--ids", ",".join(map(str, ids)), "--all", "--out", out,
        "--deterministic")
    return np.load(out)


def difference(reference, other):
    """Largest difference of logits; largest and median KL(reference || other) of a row; rows with the same best token."""
    p, q = oracle.log_softmax(reference), oracle.log_softmax(other)
    kl = np.maximum((np.exp(p) * (p - q)).sum(-1), 0)
    return dict(max_abs=float(np.abs(reference - other).max()), kl_max=float(kl.max()), kl_median=float(np.median(kl)),
                top1=float((reference.argmax(-1) == other.argmax(-1)).mean()))


def make_record(name, ids, logits, other, fingerprint):
    """The numbers of one prompt that tests/golden/embedded_test.cpp reads; logits [S, V] are the oracle's."""
    vocab = logits.shape[1]
    columns = np.sort(np.random.default_rng(len(name)).choice(vocab, COLUMNS, replace=False))
    top = np.argsort(-logits, axis=-1, kind="stable")[:, :TOP]
    return dict(
        fingerprint=np.frombuffer(bytes.fromhex(fingerprint), np.uint8).astype(np.int32),
        ids=np.array(ids, np.int32), columns=columns.astype(np.int32), logits=logits[:, columns].astype(np.float32),
        top_ids=top.astype(np.int32), top_logits=np.take_along_axis(logits, top, -1).astype(np.float32),
        top_logprobs=np.take_along_axis(oracle.log_softmax(logits), top, -1).astype(np.float32),
        transformers_max_abs=np.array([np.abs(logits - other).max()], np.float32),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ds", required=True, help="the built command")
    parser.add_argument("--model", default=ROOT / "models" / "embedded.dsm", type=Path)
    parser.add_argument("--out", default=ROOT / "tests" / "golden" / "embedded", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(args.ds, "export", "--model", args.model, "--out", folder)
        fingerprint = json.loads(run(args.ds, "info", "--model", args.model, "--json"))["fingerprint"]
        ids = {name: json.loads(run(args.ds, "tokenize", "--model", args.model, "--special", "--json",
                                    stdin=text.encode())) for name, text in prompts().items()}
        model = oracle.Model(folder)
        failed, records = False, {}
        for (name, prompt), other in zip(ids.items(), by_transformers(folder, ids.values())):
            reference = model.logits(model.forward(prompt).hidden[-1])
            figures = difference(reference, other)
            failed = failed or figures["max_abs"] > MAX_ABS or figures["kl_max"] > MAX_KL
            print(f"{name:7} {len(prompt):4} tokens, oracle against transformers {figures}")
            for backend in ("ref", "onednn"):
                figures = difference(reference, by_backend(args.ds, args.model, backend, prompt, folder))
                print(f"{name:7} {len(prompt):4} tokens, oracle against {backend:12} {figures}")
            records[name] = make_record(name, prompt, reference, other, fingerprint)
    if failed:
        print("transformers and the oracle do not agree: nothing is written")
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    for name, record in records.items():
        np.savez(args.out / f"{name}.npz", **{key: np.ascontiguousarray(value) for key, value in record.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
