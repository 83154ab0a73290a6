#!/usr/bin/env python3
"""The ds command as a user meets it: every subcommand, its output, its exit status. cli_test.py DS SCRATCH_DIR

Text comes from a synthetic model (random weights, byte tokenizer); numbers from the tiny checkpoints, whose logits the
oracle recorded. Nothing here looks inside the library.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

DS, SCRATCH = sys.argv[1], Path(sys.argv[2])
TINY, GOLDEN = Path(os.environ["DS_TINY_DIR"]), Path(os.environ["DS_GOLDEN_DIR"])
MODEL = SCRATCH / "tiny.dsm"
CODE = 'int main(void) {\n  return 0;\n}\n// ünïcödé 漢字 \U0001f600\n'


def ds(*args, stdin=b"", status=0):
    run = subprocess.run([DS, *map(str, args)], input=stdin, capture_output=True, timeout=300)
    assert run.returncode == status, (args, run.returncode, run.stderr.decode())
    if status == 1:
        assert run.stderr.count(b"\n") == 1, run.stderr.decode()
    return run.stdout


def generate(*args, **kw):
    return json.loads(ds("generate", "--model", MODEL, "--json", *args, **kw))


def test_generate_prints_one_json_object():
    out = generate("--prompt", CODE, "-n", 8)
    assert {"text", "ids", "finish_reason", "usage", "timings"} <= out.keys()
    assert out["finish_reason"] in ("length", "end") and len(out["ids"]) <= 8
    assert out["usage"]["completion_tokens"] in (len(out["ids"]), len(out["ids"]) + 1)
    assert out["usage"]["prompt_tokens"] == len(CODE.encode()) + 1
    assert {"load_ms", "prefill_ms", "decode_ms", "ttft_ms", "tokens_per_second"} <= out["timings"].keys()


def test_plain_output_is_the_text_and_a_line_end():
    text = generate("--prompt", CODE, "-n", 8)["text"]
    assert ds("generate", "--model", MODEL, "--prompt", CODE, "-n", 8) == text.encode() + b"\n"


def test_prompt_comes_from_option_file_or_stdin():
    file = SCRATCH / "prompt.txt"
    file.write_text(CODE)
    ids = generate("--prompt", CODE, "-n", 6)["ids"]
    assert generate("--prompt-file", file, "-n", 6)["ids"] == ids
    assert generate("-n", 6, stdin=CODE.encode())["ids"] == ids


def test_seeds_fix_the_text_and_choices_differ():
    hot = ("--prompt", CODE, "-n", 12, "--temperature", 1.5)
    one, two = generate(*hot, "--seed", 5), generate(*hot, "--seed", 5)
    assert one["ids"] == two["ids"] and one["seed"] == 5
    choices = generate(*hot, "--seed", 5, "--choices", 3)["choices"]
    assert len(choices) == 3 and len({tuple(c["ids"]) for c in choices}) > 1


def test_logprobs_are_sorted_and_hold_the_chosen_token():
    out = generate("--prompt", CODE, "-n", 5, "--logprobs", 3)
    for token, row in zip(out["ids"], out["logprobs"]):
        assert row[0]["id"] == token and len(row) == 4
        assert all(a["logprob"] >= b["logprob"] for a, b in zip(row[1:], row[2:]))


def test_stop_string_ends_the_text_before_it():
    whole = generate("--prompt", CODE, "-n", 24)["text"]
    stop = next((c for c in whole[3:] if c not in whole[:3]), None)
    assert stop, "the model repeats three characters only"
    out = generate("--prompt", CODE, "-n", 24, "--stop", stop)
    assert out["finish_reason"] == "stop" and out["text"] == whole[: whole.index(stop)]


def test_fim_and_chat():
    out = json.loads(ds("fim", "--model", MODEL, "--prefix", "int f(", "--suffix", ") {}", "-n", 4, "--json"))
    assert out["usage"]["prompt_tokens"] == 1 + 3 + len("int f(") + len(") {}")
    anchored = json.loads(ds("fim", "--model", MODEL, "--layout", "anchored", "--prefix", CODE * 3, "--suffix", CODE,
                             "-n", 4, "--json"))
    assert anchored["usage"]["completion_tokens"] >= 1
    out = json.loads(ds("chat", "--model", MODEL, "--prompt", "hello", "--system", "short", "-n", 4, "--json"))
    assert out["usage"]["prompt_tokens"] > 5


def test_tokenize_and_detokenize_are_inverse():
    for data in (CODE.encode(), bytes(range(256)), b"", b"<|x|>"):
        ids = ds("tokenize", "--model", MODEL, stdin=data)
        listed = json.loads(ds("tokenize", "--model", MODEL, "--json", stdin=data))
        assert ids.decode().strip() == ",".join(map(str, listed))
        if data != bytes(range(256)):  # text out is valid UTF-8, so lone bytes come back as U+FFFD
            assert ds("detokenize", "--model", MODEL, stdin=ids) == data
        assert ds("detokenize", "--model", MODEL, stdin=json.dumps(listed).encode()).decode()  or not data


def test_logits_match_the_oracle_for_both_backends():
    for name in ("lite", "v2", "v3"):
        golden = np.load(GOLDEN / f"{name}-064.npz")
        ids = ",".join(map(str, golden["ids"]))
        for backend in ("ref", "onednn"):
            for extra in ((), ("--chunk", 17), ("--deterministic",)):
                out = SCRATCH / "logits.npy"
                ds("logits", "--model", TINY / name, "--backend", backend, "--ids", ids, "--all", "--out", out, *extra)
                got = np.load(out)
                assert got.dtype == np.float32 and got.shape == (64, golden["logits"].shape[1])
                worst = np.abs(got[golden["positions"]] - golden["logits"]).max()
                assert worst < 5e-4, (name, backend, extra, worst)


def test_pack_keeps_float_types_bit_for_bit():
    packed, out = SCRATCH / "lite.dsm", SCRATCH / "a.npy"
    ds("pack", "--model", TINY / "lite", "--out", packed)
    for model in (TINY / "lite", packed):
        ds("logits", "--model", model, "--backend", "ref", "--ids", "5,6,7,8", "--all", "--out", out)
        values = np.load(out)
        first = values if model != packed else first
    assert (values.view(np.uint32) == first.view(np.uint32)).all()


def test_pack_takes_a_card_and_types_by_name_and_exports():
    card, packed, folder = SCRATCH / "card.md", SCRATCH / "mixed.dsm", SCRATCH / "exported"
    card.write_text("# A model\n\nMade in a test: ü.\n")
    ds("pack", "--model", TINY / "lite", "--type", "q4", "--keep", "q8=o,shared", "--keep", "f16=experts.down",
       "--card", card, "--out", packed)
    assert json.loads(ds("info", "--model", packed, "--json"))["card"] == card.read_text()
    assert b"card:\n# A model\n" in ds("info", "--model", packed)
    assert "card" not in json.loads(ds("info", "--model", TINY / "lite", "--json"))
    ds("pack", "--model", TINY / "lite", "--keep", "q8=nosuch", "--out", packed, status=1)
    ds("export", "--model", packed, "--out", folder)
    values = []
    for model in (packed, folder):
        ds("logits", "--model", model, "--backend", "ref", "--ids", "5,6,7,8", "--all", "--out", SCRATCH / "a.npy")
        values.append(np.load(SCRATCH / "a.npy"))
    assert np.abs(values[0] - values[1]).max() < 1e-4  # the same numbers, not the same order of sums


def test_info_plan_verify_plugins():
    info = json.loads(ds("info", "--model", MODEL, "--json"))
    assert info["layers"] >= 1 and info["vocab"] >= 264
    plan = json.loads(ds("plan", "--model", MODEL, "--json"))
    assert plan["bytes"]["total"] > 0 and plan["fits"] == 1
    assert json.loads(ds("verify", "--model", MODEL, "--json"))["ok"] == 1
    names = {p["name"] for p in json.loads(ds("plugins", "--json"))["plugins"]}
    assert {"ref", "onednn"} <= names
    assert b"vocab: " in ds("info", "--model", MODEL)


def test_verify_finds_a_flipped_bit():
    data = bytearray(MODEL.read_bytes())
    data[len(data) // 2] ^= 4
    broken = SCRATCH / "broken.dsm"
    broken.write_bytes(data)
    found = ds("verify", "--model", broken, "--json", status=1)
    assert b"differs from the hash" in found


def test_failures_are_one_line_and_status_1():
    ds("generate", "--model", SCRATCH / "missing", "--prompt", "x", status=1)
    ds("generate", "--model", MODEL, "--backend", "nosuch", "--prompt", "x", status=1)
    ds("logits", "--model", MODEL, "--ids", "1,x", "--out", SCRATCH / "x.npy", status=1)
    ds("logits", "--model", MODEL, "--ids", "99999999", "--out", SCRATCH / "x.npy", status=1)


def test_usage_errors_are_status_2():
    ds(status=2)
    ds("generate", status=2)
    ds("nosuch", status=2)
    assert b"generate" in ds("--help")


def test_bench_reports_what_was_asked():
    out = json.loads(ds("bench", "--model", MODEL, "-p", "32,64", "-n", 4, "-d", "0,16", "--batch", "1,2", "-r", 1, "--json"))
    assert len(out["cases"]) == 8 and all(c["tokens_per_second"] > 0 for c in out["cases"])
    assert out["read_bandwidth"] > 1e8


def main():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    ds("synth", "--shape", "tiny", "--out", MODEL)
    failed = 0
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
            print("ok    ", name)
        except Exception as error:  # report all of them
            failed += 1
            print("FAILED", name, repr(error)[:2000])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
