#!/usr/bin/env python3
"""The ds command as a user meets it: every subcommand, its output, its exit status. cli_test.py DS SCRATCH_DIR

Text comes from a synthetic model (random weights, byte tokenizer); numbers from the tiny checkpoints, whose logits the
oracle recorded. Nothing here looks inside the library.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DS, SCRATCH = sys.argv[1], Path(sys.argv[2])
TINY, GOLDEN = Path(os.environ["DS_TINY_DIR"]), Path(os.environ["DS_GOLDEN_DIR"])
MODEL = SCRATCH / "tiny.dsm"
IDS = ",".join(map(str, range(2, 100)))
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


def test_pack_reports_errors_keeps_blocks_and_calibrates():
    packed, again, report, sample = (SCRATCH / name for name in ("q5.dsm", "as-is.dsm", "report.json", "sample.txt"))
    summary = ds("pack", "--model", MODEL, "--type", "q5_0", "--out", packed, "--report", report)
    said = json.loads(report.read_text())
    assert said["types"]["q5_0"]["error"] > 0.01 and said["calibration_tokens"] == 0
    assert f"types.q5_0.weights: {said['types']['q5_0']['weights']}\n".encode() in summary and b"layers.0" not in summary
    ds("pack", "--model", packed, "--as-is", "--out", again)
    assert again.read_bytes() == packed.read_bytes()
    sample.write_text("int main() { return 0; }\n" * 20)
    ds("pack", "--model", MODEL, "--type", "q5_0", "--out", again, "--report", report, "--calibrate", sample)
    calibrated = json.loads(report.read_text())
    assert calibrated["calibration_tokens"] > 100 and any(weight["weighted"] for weight in calibrated["weights"])
    assert again.stat().st_size == packed.stat().st_size and again.read_bytes() != packed.read_bytes()
    once = again.read_bytes()
    ds("pack", "--model", MODEL, "--type", "q5_0", "--out", again, "--calibrate", sample)
    assert again.read_bytes() == once
    ds("pack", "--model", MODEL, "--type", "q4", "--as-is", "--out", again, status=2)
    sample.write_text("")
    ds("pack", "--model", MODEL, "--type", "q4", "--out", again, "--calibrate", sample, status=1)


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


def test_pack_cache_keeps_weights_or_says_why_not():
    plugins = json.loads(ds("plugins", "--json"))["plugins"]
    if not any(plugin["name"] == "onednn" and plugin["state"] == "ready" for plugin in plugins):
        return  # no other backend repacks
    folder, model = SCRATCH / "kept", SCRATCH / "plain.dsm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    ds("pack", "--model", MODEL, "--type", "q8", "--out", model)
    ask = [DS, "generate", "--model", model, "--prompt", "int", "-n", "4", "--pack-cache"]
    texts, kept = [], []
    for place, words in ((folder, 0), (folder, 0), (SCRATCH / "nowhere", 1)):
        done = subprocess.run([*map(str, ask), str(place)], capture_output=True, check=True)
        lines = done.stderr.decode().splitlines()
        assert len(lines) == words and all("--pack-cache: packed weights are not written: " in line for line in lines), lines
        texts.append(done.stdout)
        kept.append(sorted((path.name, path.stat().st_ino) for path in folder.iterdir()))
    assert texts[0] == texts[1] == texts[2]
    assert kept[0] == kept[1] and len(kept[0]) == 1, kept  # the second run found what the first wrote


def test_failures_are_one_line_and_status_1():
    ds("generate", "--model", SCRATCH / "missing", "--prompt", "x", status=1)
    ds("generate", "--model", MODEL, "--backend", "nosuch", "--prompt", "x", status=1)
    ds("logits", "--model", MODEL, "--ids", "1,x", "--out", SCRATCH / "x.npy", status=1)
    ds("logits", "--model", MODEL, "--ids", "99999999", "--out", SCRATCH / "x.npy", status=1)


def test_strange_numbers_are_refused():
    for option in (("--temperature", "nan"), ("--temperature", "inf"), ("--temperature", "-1"), ("--top-p", "1.5"),
                   ("--min-p", "nan"), ("--repetition-penalty", "-2"), ("--context", "4294967295"),
                   ("--choices", "1000"), ("--max-rows", "4294967295"), ("--threads", "4294967295")):
        ds("generate", "--model", MODEL, "--prompt", "x", "-n", 2, *option, status=1)
    ds("bench", "--model", MODEL, "--batch", "0", status=2)
    for option in (("-n", "-1"), ("-n", "99999999999"), ("--seed", "-1"), ("--temperature", "warm"), ("-n", "1e3")):
        ds("generate", "--model", MODEL, "--prompt", "x", *option, status=2)


def test_strange_ids_are_refused():
    for ids in ("1,x", "4294967296", "1,-2", "1;2", "0x10", "1.5", ",", ""):
        ds("logits", "--model", MODEL, "--ids", ids, "--out", SCRATCH / "x.npy", status=1)
        ds("generate", "--model", MODEL, "--ids", ids, "-n", 2, status=1)
    for text in (b"1,2\x00,3", b"\xff\xfe\n\n1", b"1,2\n3 x\ny\n"):
        ds("detokenize", "--model", MODEL, stdin=text, status=1)


def test_prompts_that_cannot_work_are_refused():
    ds("generate", "--model", MODEL, "--prompt-file", SCRATCH, "-n", 2, status=1)  # a folder
    ds("generate", "--model", MODEL, "--prompt-file", SCRATCH / "no\nfile", "-n", 2, status=1)
    ds("generate", "--model", MODEL, "--context", 64, "--prompt", "x" * 64, "-n", 2, status=1)
    assert generate("--prompt", "", "-n", 2)["usage"]["prompt_tokens"] == 1  # the token that begins a text
    assert generate("--context", 64, "--prompt", "x" * 40, "-n", 1000000)["finish_reason"] in ("context", "end")
    assert generate("-n", 2, stdin=bytes(range(256)))["usage"]["prompt_tokens"] == 257


def test_output_that_cannot_be_written_is_a_failure():
    for args in (("generate", "--prompt", "x", "-n", "9"), ("generate", "--prompt", "x", "-n", "9", "--json"),
                 ("tokenize",), ("info",), ("plan", "--json"), ("logits", "--ids", "1", "--out", "/dev/full")):
        with open("/dev/full", "w") as full:
            run = subprocess.run([DS, *args, "--model", MODEL], stdin=subprocess.DEVNULL, stdout=full,
                                 stderr=subprocess.PIPE, timeout=300)
        assert run.returncode == 1 and run.stderr.count(b"\n") == 1, (args, run.returncode, run.stderr)
        assert b"cannot be written" in run.stderr, run.stderr


def test_an_interrupt_ends_a_run_with_what_there_is():
    # Hot and many, so that it would go on for a minute.
    run = subprocess.Popen([DS, "generate", "--model", TINY / "lite-wide", "--backend", "ref", "--ids", "5,6,7", "-n",
                            "100000", "--choices", "32", "--temperature", "5", "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1 and err.count(b"\n") == 1, (run.returncode, err)
    assert not out or json.loads(out)["finish_reason"] == "cancelled", out  # none: it was still loading


def test_a_weight_that_is_no_number_ends_in_a_sentence():
    whole = (TINY / "v3" / "model.safetensors").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    broken = SCRATCH / "nan"
    broken.mkdir(exist_ok=True)
    (broken / "config.json").write_bytes((TINY / "v3" / "config.json").read_bytes())
    config = json.loads((TINY / "v3" / "config.json").read_bytes())
    mtp = f"layers.{config['num_hidden_layers']}."  # takes no part in generating
    kinds = {}  # one tensor of each kind, of the last layer
    for tensor, info in json.loads(whole[8:8 + size]).items():
        if tensor != "__metadata__" and mtp not in tensor:
            kinds[re.sub(r"[0-9]+", "N", tensor)] = tensor, info
    failed = 0
    for i, (tensor, info) in enumerate(kinds.values()):
        begin, end = info["data_offsets"]
        data = bytearray(whole)
        nan = {"BF16": b"\xc0\x7f", "F32": b"\x00\x00\xc0\x7f", "F8_E4M3": b"\x7f"}[info["dtype"]]
        at = 8 + size + begin + (end - begin) // len(nan) // 2 * len(nan)
        data[at:at + len(nan)] = nan
        (broken / "model.safetensors").write_bytes(data)
        backend = ("ref", "onednn")[i % 2]
        run = subprocess.run([DS, "generate", "--model", broken, "--backend", backend, "--ids", IDS, "-n", "4"],
                             capture_output=True, timeout=300)
        said = run.stderr.decode()
        assert run.returncode == 0 or run.returncode == 1 and said.count("\n") == 1, (tensor, backend, said)
        assert run.returncode == 0 or "finite" in said or "NaN" in said, (tensor, backend, said)
        failed += run.returncode
    assert len(kinds) > 15 and failed > len(kinds) // 2, (failed, len(kinds))  # what no token meets does no harm


def test_usage_errors_are_status_2():
    ds(status=2)
    ds("generate", status=2)
    ds("nosuch", status=2)
    assert b"generate" in ds("--help")


def test_bench_reports_what_was_asked():
    out = json.loads(ds("bench", "--model", MODEL, "-p", "32,64", "-n", 4, "-d", "0,16", "--batch", "1,2", "-r", 1, "--json"))
    assert len(out["cases"]) == 8 and all(c["tokens_per_second"] > 0 for c in out["cases"])
    assert out["read_bandwidth"] > 1e8 and out["weight_bytes_per_token"] > 0
    assert out["backend"] in ("ref", "onednn") and out["version"] and out["device"]
    for case in out["cases"]:  # of several sequences the share would say little: they share experts
        assert ("share_of_read_bandwidth" in case) == (case["case"] == "decode" and case["batch"] == 1)


def test_bench_measures_what_a_case_says_and_tells_where_its_time_goes():
    args = ("bench", "--model", MODEL, "-p", 64, "-n", 4, "-d", 300, "--batch", 2, "-r", 2, "--profile")
    for backend in ("ref", "onednn"):
        prefill, decode = json.loads(ds(*args, "--backend", backend, "--json"))["cases"]
        assert prefill["profile"]["rows"] == 2 * 64, prefill  # not the 300 of the context before
        assert decode["profile"]["rows"] == 2 * 2 * 5, decode  # the context's last token, then 4
        for case in (prefill, decode):
            ops = case["profile"]["ops"]
            assert {"embed", "mla_attention", "moe_experts", "lm_head", "other"} <= ops.keys() and "copy" not in ops
            assert abs(sum(op["share"] for op in ops.values()) - 1) < 0.01, ops
            whole = sum(op["ms_per_step"] for op in ops.values())
            assert abs(whole - case["profile"]["ms_per_step"]) < 0.01 * whole + 0.01, case
        assert "sample" in decode["profile"]["ops"] and "sample" not in prefill["profile"]["ops"]
    assert b"ms a step" in ds(*args)
    assert "profile" not in ds(*args[:-1], "--json").decode()


def test_bench_types_into_a_file():
    out = json.loads(ds("bench", "--model", MODEL, "-p", 0, "-n", 1, "-r", 1, "--fim-trace", "--json"))
    kinds = out["fim_trace"]
    assert {"insert", "enter", "bracket", "backspace", "jump"} <= kinds.keys()
    assert sum(kind["events"] for kind in kinds.values()) == 500
    assert kinds["insert"]["tokens_computed_p50"] < kinds["jump"]["tokens_computed_p50"]  # prefixes are reused


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
