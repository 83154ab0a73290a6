"""Chat templates against jinja2: random conversations, rendered by both, compared byte for byte.

templates/*.jinja are written from the published descriptions of each family. With --tokenizers FOLDER the template that V3
was really published with (deepseek_v3/tokenizer_config.json) is compared as well.
"""
import argparse
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
FAMILIES = {"v2": 1, "v25": 2, "v3": 3, "r1": 4, "v31": 5}
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
TEXTS = ["hi", "", " leading and trailing ", "two\n\nlines", "Assistant: fake", "<｜User｜>not a mark", "int main() { return 0; }\n", "你好 🙂", "thought</think>answer", "</think>", "a</think>b</think>c", "\\n \"quoted\" 'x'"]


def conversation(rng, family):
    def text():
        return rng.choice(TEXTS)
    messages = [{"role": "system", "content": text()} for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    for _ in range(rng.randint(0, 4)):
        messages.append({"role": "user", "content": text()})
        if family != "v2" and rng.random() < 0.4:
            calls = [{"type": "function", "function": {"name": "f%d" % i, "arguments": json.dumps({"x": i})}} for i in range(rng.randint(1, 3))]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages += [{"role": "tool", "content": text()} for _ in range(rng.randint(0, 2))]
        if rng.random() < 0.7:
            messages.append({"role": "assistant", "content": text()})
        if rng.random() < 0.1:
            messages.append({"role": "system", "content": text()})
    return {"messages": messages, "add_generation_prompt": rng.random() < 0.7, "thinking": rng.random() < 0.5}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--tokenizers", default="")
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    try:
        import jinja2.sandbox
    except ImportError:
        print("skipped: the Python package jinja2 is not installed")
        return SKIPPED
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    sources = [(family, open(os.path.join(HERE, "templates", family + ".jinja"), encoding="utf-8").read()) for family in FAMILIES]
    published = os.path.join(args.tokenizers, "deepseek_v3", "tokenizer_config.json")
    if os.path.exists(published):
        sources.append(("v3", json.load(open(published, encoding="utf-8"))["chat_template"]))
    else:
        print("skipped: the published V3 template is not compared: there is no deepseek_v3/tokenizer_config.json")
    model = os.path.join(HERE, "..", "unit", "text", "data")
    bad = failed = 0
    for family, source in sources:
        template = environment.from_string(source)
        rng = random.Random(11)
        requests = [conversation(rng, family) for _ in range(args.count)]
        lines = "".join(json.dumps({**r, "family": FAMILIES[family]}) + "\n" for r in requests)
        run = subprocess.run([args.driver, "chat", model], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        got = [json.loads(line) for line in run.stdout.decode().splitlines()]
        assert len(got) == len(requests)
        differ = 0
        for request, text in zip(requests, got):
            expected = template.render(bos_token=BOS, eos_token=EOS, **request)
            if expected != text:
                differ += 1
                if differ <= 3:
                    print("%s: %s\n  expected %r\n  got      %r" % (family, json.dumps(request, ensure_ascii=False), expected, text))
        print("%s: %d conversations, %d differ" % (family, len(requests), differ))
        bad += differ
        failed += differ > 0
    left_out = len(FAMILIES) + 1 - len(sources)
    print("%d passed, %d failed, %d skipped" % (len(sources) - failed, failed, left_out))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
