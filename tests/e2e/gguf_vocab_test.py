"""A GGUF file's own tokenizer through `ds`: gguf_vocab_test.py DS

The small tokenizer of tests/unit/text becomes GGUF arrays in a tiny model, once sound and once as old converters wrote it:
FIM marks and User marks as normal text. Both must give the ids that the tokenizer.json gives in a folder, `ds verify` must say
what was taken otherwise, and the ends of a text must be where the file says.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import gguf  # noqa: F401
except ImportError:
    print("the Python package gguf is not installed")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
import gguf_files  # noqa: E402
import make_tiny  # noqa: E402
import numpy as np  # noqa: E402
from oracle import Weights, load_config  # noqa: E402

DS = sys.argv[1]
TOKENIZER = Path(__file__).parents[1] / "unit/text/data/tokenizer.json"
TEXTS = ["def fibonacci(n):\n    return n", "12345 caf\u00e9 \u4e2d\u6587\n\n  x", "<\uff5cfim\u2581begin\uff5c>a<\uff5cfim\u2581hole\uff5c>b<\uff5cfim\u2581end\uff5c>"]


def run(*arguments, text=None):
    done = subprocess.run([DS, *map(str, arguments)], input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"ds {arguments[0]}: {done.stderr}")
    return done.stdout


def write(path, folder, types_of):
    config = load_config(folder)
    weights = Weights(folder, config)
    tensors = {name: np.asarray(weights[name], np.float64) for name, _ in make_tiny.tensor_shapes(config)}
    tokens, types, merges = gguf_files.vocabulary_of(TOKENIZER)

    def more(writer):  # no begin-of-text token, as in the folder, which has no tokenizer_config.json
        gguf_files.add_vocabulary(writer, tokens, types_of(tokens, types), merges, tokens.index("<\uff5cbegin\u2581of\u2581sentence\uff5c>"),
                                  tokens.index("<\uff5cend\u2581of\u2581sentence\uff5c>"), False)

    gguf_files.write(path, config, tensors, "BF16", "new", more=more)


def old_types(tokens, types):
    return [1 if text.startswith("<\uff5c") else kind for text, kind in zip(tokens, types)]


def check_ollama(folder):
    """A store of Ollama's with the sound file: its parameters count where they are asked for, its template never."""
    def blob(content):
        digest = hashlib.sha256(content).hexdigest()
        (folder / "models/blobs" / f"sha256-{digest}").write_bytes(content)
        return digest

    def layer(kind, content):
        return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{blob(content)}", "size": len(content)}

    def ask(*arguments):
        return json.loads(run("generate", "--model", "coder:16b", "--ollama-models", folder / "models", "--prompt", "def", "-n", 12, "--json", *arguments))

    (folder / "models/blobs").mkdir(parents=True)
    manifest = folder / "models/manifests/registry.ollama.ai/library/coder/16b"
    manifest.parent.mkdir(parents=True)
    model, template = layer("model", (folder / "sound.gguf").read_bytes()), layer("template", b"{{ .Nonsense")

    def store(**parameters):
        layers = [model, template, layer("params", json.dumps(parameters).encode())]
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))

    store()
    plain = ask()
    stop = plain["text"][3:5]
    store(stop=[stop, "never"], num_predict=5000)
    assert ask()["text"] == plain["text"]  # a request says everything itself
    found = ask("--model-defaults")
    assert found["finish_reason"] == "stop" and found["text"] == plain["text"][:plain["text"].index(stop)], (found, plain)
    store(num_predict=3)
    found = run("generate", "--model", "coder:16b", "--ollama-models", folder / "models", "--prompt", "def", "--model-defaults", "--json")
    assert json.loads(found)["finish_reason"] == "length" and plain["text"].startswith(json.loads(found)["text"]), found
    store(temperature=100)
    seeds = [ask("--model-defaults", "--seed", seed)["text"] for seed in (1, 2)]
    assert seeds[0] != seeds[1] and ask("--seed", 1)["text"] == plain["text"], (seeds, plain)


def main():
    tokens = gguf_files.vocabulary_of(TOKENIZER)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = dict(make_tiny.LITE, vocab_size=len(tokens))
        make_tiny.write_model(folder / "hf", config, 21)
        shutil.copy(TOKENIZER, folder / "hf/tokenizer.json")
        write(folder / "sound.gguf", folder / "hf", lambda _, types: types)
        write(folder / "old.gguf", folder / "hf", old_types)
        for text in TEXTS:
            for special in ((), ("--special",)):
                wanted = run("tokenize", "--model", folder / "hf", "--json", *special, text=text)
                for file in ("sound.gguf", "old.gguf"):
                    found = run("tokenize", "--model", folder / file, "--json", *special, text=text)
                    assert found == wanted, f"{file}: {text!r}: {found}, expected {wanted}"
        for file, notes in (("sound.gguf", 0), ("old.gguf", 1)):
            report = json.loads(run("verify", "--model", folder / file, "--json", "--quiet"))
            assert report["ok"] == 1, report
            found = report.get("notes", 0)
            found = len(found) if isinstance(found, (list, dict)) else found
            assert found == notes, report
        check_ollama(folder)
        plan = json.loads(run("plan", "--model", folder / "sound.gguf", "--json"))
        assert plan["bytes"]["stored"] > 0, plan
    print("the same ids from a folder and from GGUF arrays, sound and old")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
