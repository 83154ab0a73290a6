"""Token ids against Hugging Face `tokenizers`: every string of the corpus, for each tokenizer at hand.

The small fixture in tests/unit/text is always compared. With --tokenizers FOLDER also deepseek_v3/tokenizer.json and the
deepseek-llm vocabulary of deepseek_v2/*.gguf, the latter twice: as GGUF arrays and as the tokenizer.json they amount to.
"""
import argparse
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import tokenizer_corpus  # noqa: E402

SKIPPED = 77
RESULTS = []  # of each comparison: whether all was equal

# Known ids, found by two independent implementations: (text, V2, V3), None where only one is known.
VECTORS = [
    ("Hello world", [17464, 1843], [19923, 2058]), (" Hello World!", [37727, 5427, 0], [45948, 4495, 3]), ("    Hello\n    Hello", [300, 37727, 185, 300, 37727], [361, 45948, 201, 361, 45948]),
    ("\n\n\n", [185] * 3, [6328]), ("\t\n", [184, 185], [7028]), ("333333333", [18] * 9, [11722] * 3), ("' era", [6, 2906], [9, 9861]), ("it's", [260, 6, 82], [279, 734]),
    ("C\u1eeda Vi\u1ec7t", [34, 32555, 242, 64, 23708, 32555, 216, 83], [37, 70712, 67, 19239, 96272]), ("ied 4 \u00bd months", [1052, 207, 19, 207, 19109, 4223], [1199, 223, 22, 223, 23951, 4447]),
    (" this is \U0001F999.cpp", [437, 317, 12356, 99, 234, 13, 14743], [566, 344, 7351, 102, 250, 16, 85525]), ("\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8", [10162, 13072, 239, 8550, 215, 50145, 52462], [88768, 109288]),
    ("foo(12345)", [12435, 7, 16, 17, 18, 19, 20, 8], None), ("foo.bar(1234567)", None, [40897, 6229, 287, 10, 6895, 18009, 25, 11]), ("\r\n", [188, 185], [204, 201]),
    ("The capital of France is", [549, 6077, 280, 7239, 317], [671, 6102, 294, 8760, 344]), ("User: hi\n\nAssistant:", [5726, 25, 2868, 185, 185, 77398, 25], None),
    ("User: write a quick sort algorithm in python.\n\nAssistant:", [5726, 25, 3708, 245, 3399, 3734, 6712, 279, 9934, 13, 185, 185, 77398, 25], None),
]


def read_gguf(path):
    """The metadata of a GGUF file as a dict."""
    data = open(path, "rb").read()
    at = 0

    def take(fmt):
        nonlocal at
        value = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return value[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode()

    scalar = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner = take("I")
            return [value(inner) for _ in range(take("Q"))]
        return take(scalar[kind])

    assert data[:4] == b"GGUF"
    at = 4
    take("I"), take("Q")
    pairs = take("Q")
    return {text(): value(take("I")) for _ in range(pairs)}


def llm_rules():
    """The pre-tokenizer of the deepseek-llm family, written as tokenizer.json has it."""
    letters = ("41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD "
               "1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC "
               "1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B "
               "2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB "
               "10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943")
    def cls(spec):
        return "[" + "".join("-".join(chr(int(x, 16)) for x in r.split("-")) for r in spec.split()) + "]"
    split = lambda p: {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
    return [split("[\r\n]"), split("\\s?" + cls(letters) + "+"), split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split("\\s+$"),
            split(cls("4E00-9FA5 800-4E00 AC00-D7FF") + "+"), {"type": "Digits", "individual_digits": True}]


def gguf_as_json(meta):
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    assert meta["tokenizer.ggml.pre"] == "deepseek-llm"
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": k == 3}
             for i, (t, k) in enumerate(zip(tokens, types)) if k in (3, 4)]
    kept = {t["id"] for t in added}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": llm_rules() + [byte_level]}, "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": {t: i for i, t in enumerate(tokens) if i not in kept and types[i] != 5}, "merges": meta["tokenizer.ggml.merges"]}}


def ours(driver, model, strings, flags):
    data = b"".join(struct.pack("<I", len(s)) + s for s in strings)
    run = subprocess.run([driver, "ids", model, *flags], input=data, stdout=subprocess.PIPE, check=True)
    at, out = 0, []
    for _ in strings:
        count, = struct.unpack_from("<I", run.stdout, at)
        out.append(list(struct.unpack_from("<%dI" % count, run.stdout, at + 4)))
        at += 4 + 4 * count
    assert at == len(run.stdout)
    return out


def compare(name, driver, model, reference, strings, flags):
    expected = [e.ids for e in reference.encode_batch(strings, add_special_tokens=False)]
    got = ours(driver, model, [s.encode() for s in strings], ["--special", *flags])
    bad = [i for i in range(len(strings)) if expected[i] != got[i]]
    for i in bad[:8]:
        print("%s: %r\n  expected %s\n  got      %s" % (name, strings[i], expected[i], got[i]))
    print("%s%s: %d strings, %d ids, %d differ" % (name, " " + " ".join(flags) if flags else "", len(strings), sum(map(len, expected)), len(bad)))
    RESULTS.append(not bad)
    return len(bad)


def compare_vectors(name, driver, model, column):
    cases = [(v[0], v[column]) for v in VECTORS if v[column] is not None]
    got = ours(driver, model, [text.encode() for text, _ in cases], [])
    bad = [(text, ids, mine) for (text, ids), mine in zip(cases, got) if ids != mine]
    for text, ids, mine in bad:
        print("%s: %r\n  expected %s\n  got      %s" % (name, text, ids, mine))
    print("%s: %d known vectors, %d differ" % (name, len(cases), len(bad)))
    RESULTS.append(not bad)
    return len(bad)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--tokenizers", default="", help="folder with deepseek_v2/ and deepseek_v3/")
    parser.add_argument("--count", type=int, default=6000)
    args = parser.parse_args()
    try:
        from tokenizers import Tokenizer
    except ImportError:
        print("skipped: the Python package `tokenizers` is not installed")
        return SKIPPED
    strings = tokenizer_corpus.strings(args.count)
    bad = skipped = 0
    small = os.path.join(HERE, "..", "unit", "text", "data")
    bad += compare("small", args.driver, small, Tokenizer.from_file(os.path.join(small, "tokenizer.json")), strings, [])
    v3 = os.path.join(args.tokenizers, "deepseek_v3")
    if os.path.exists(os.path.join(v3, "tokenizer.json")):
        bad += compare_vectors("V3", args.driver, v3, 2)
        bad += compare("V3", args.driver, v3, Tokenizer.from_file(os.path.join(v3, "tokenizer.json")), strings, [])
        bad += compare("V3", args.driver, v3, Tokenizer.from_file(os.path.join(v3, "tokenizer.json")), strings[:1000], ["--blob"])
    else:
        print("skipped: V3 is not compared: there is no tokenizer.json in deepseek_v3")
        skipped += 1
    vocab = glob.glob(os.path.join(args.tokenizers, "deepseek_v2", "*.gguf"))
    if vocab:
        meta = read_gguf(vocab[0])
        converted = gguf_as_json(meta)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tokenizer.json"), "w") as file:
                json.dump(converted, file)
            dump = os.path.join(folder, "vocab.json")
            with open(dump, "w") as file:
                json.dump({"tokens": meta["tokenizer.ggml.tokens"], "types": meta["tokenizer.ggml.token_type"],
                           "merges": meta["tokenizer.ggml.merges"], "pre": meta["tokenizer.ggml.pre"]}, file)
            reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
            bad += compare_vectors("V2", args.driver, dump, 1)
            bad += compare("V2", args.driver, folder, reference, strings, [])
            bad += compare("V2 (GGUF arrays)", args.driver, dump, reference, strings, [])
    else:
        print("skipped: V2 is not compared: there is no vocabulary in deepseek_v2")
        skipped += 1
    print("%d passed, %d failed, %d skipped" % (sum(RESULTS), len(RESULTS) - sum(RESULTS), skipped))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
