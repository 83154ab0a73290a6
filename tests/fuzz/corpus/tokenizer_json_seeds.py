"""Writes the seeds in tokenizer_json/: small tokenizers, each with another feature. Run again only to change them."""
import json
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer_json")


def alphabet():
    other, chars = 0x100, []
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xFF and byte != 0xAD:
            chars.append(chr(byte))
        else:
            chars.append(chr(other))
            other += 1
    return chars


def tree(pre, **model):
    vocab = {c: i for i, c in enumerate(alphabet())}
    vocab.update({"ab": 256, "abc": 257, "Ġt": 258, "he": 259})
    added = [{"id": 260, "content": "<s>", "special": True, "normalized": False, "lstrip": True, "rstrip": True, "single_word": False},
             {"id": 261, "content": "cat", "special": False, "normalized": True, "lstrip": False, "rstrip": False, "single_word": True}]
    return {"added_tokens": added, "normalizer": None, "pre_tokenizer": pre, "post_processor": None, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", "ab c", ["Ġ", "t"], ["h", "e"]], **model}}


def split(pattern, behavior="Isolated", kind="Regex", invert=False):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": [*steps, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}


V3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
SEEDS = {
    "plain": tree({"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}),
    "v3": tree(sequence(split("\\p{N}{1,3}"), split("[一-龥]+"), split(V3))),
    "v2": tree(sequence(split("[\r\n]"), split("\\s?[A-Za-zµ]+"), split("\\s?[!-/:-~]+"), split("\\s+$"), {"type": "Digits", "individual_digits": True})),
    "behaviors": tree(sequence(split("a", "Removed", "String"), split("b", "MergedWithPrevious"), split("c", "MergedWithNext"), split(" ", "Contiguous"), split("\\w+", invert=True), {"type": "Punctuation"})),
    "ignore_merges": tree(sequence(), ignore_merges=True),
}


def main():
    os.makedirs(HERE, exist_ok=True)
    for name, value in SEEDS.items():
        with open(os.path.join(HERE, name), "wb") as file:
            file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
            file.write(b"\0abc the <s> cat 123 \xff\xc3\xa9\n\n  b")


if __name__ == "__main__":
    main()
