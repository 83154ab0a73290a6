# Owns: the vocabulary of the small code model: training it, writing its files, checking them.
# Leaves to others: the text it learns from (corpus.py), and reading these files at inference (the library's tokenizer).
"""Train a byte-level BPE vocabulary with DeepSeek's pre-tokenizer and special tokens.

  python3 tokenizer.py compare --docs train.docs --test valid.docs --reference V3/tokenizer.json
      trains small vocabularies with the V2 and the V3 pre-tokenizer and prints bytes per token by language.
  python3 tokenizer.py train --docs train.docs --reference V3/tokenizer.json --family v3 --out DIR
      writes tokenizer.json, tokenizer_config.json and special_tokens.json.
  python3 tokenizer.py released --library LIB --model embedded.dsm --reference V3/tokenizer.json --out DIR
      writes the same files from a released model: a vocabulary learnt anew is another one, and its weights would not fit.
  python3 tokenizer.py check --docs train.docs --out DIR [--library LIB --model embedded.dsm]
      round trip on 20 MB, all bytes present, no merge spells a special token, bytes per token by language; with a model,
      that it cuts the same text into the same tokens.

Needs: tokenizers (any 0.2x); for `released` numpy and the library. The reference is a DeepSeek V3 tokenizer.json: its pre-tokenizer and decoder are copied unchanged.
"""
import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))  # `eval`, for a model's own tokens
from corpus import SHARE, iter_docs  # noqa: E402

MB = 1_000_000
VOCAB = 16384
BAR, LOW = "\uff5c", "\u2581"
# (content, special, normalized): names, order and flags are DeepSeek's; they follow the base vocabulary as in V2.
SPECIALS = [(f"<{BAR}begin{LOW}of{LOW}sentence{BAR}>", True, False), (f"<{BAR}end{LOW}of{LOW}sentence{BAR}>", True, False),
            (f"<{BAR}{LOW}pad{LOW}{BAR}>", True, False), (f"<{BAR}fim{LOW}hole{BAR}>", False, True),
            (f"<{BAR}fim{LOW}begin{BAR}>", False, True), (f"<{BAR}fim{LOW}end{BAR}>", False, True),
            (f"<{BAR}User{BAR}>", False, True), (f"<{BAR}Assistant{BAR}>", False, True), ("<|EOT|>", True, True)]
# The cased letters of the V2 family's second split, as hexadecimal ranges.
V2_LETTERS = """41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C 38E-3A1
3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15
1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3
1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F
2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF
FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF
1E900-1E943"""


def v2_pre_tokenizer():
    letters = "".join("-".join(chr(int(h, 16)) for h in r.split("-")) for r in V2_LETTERS.split())
    patterns = ["[\r\n]", f"\\s?[{letters}]+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                "\\s+$", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"]
    splits = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
    return {"type": "Sequence", "pretokenizers": splits + [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def skeleton(reference, family):
    """A tokenizer.json without a vocabulary."""
    with open(reference, encoding="utf-8") as f:
        ref = json.load(f)
    pre = ref["pre_tokenizer"] if family == "v3" else v2_pre_tokenizer()
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": ref["normalizer"],
            "pre_tokenizer": pre, "post_processor": ref["post_processor"], "decoder": ref["decoder"],
            "model": {**ref["model"], "vocab": {}, "merges": []}}


def balanced(path, total):
    """Texts of a .docs file (already shuffled), up to each language's share of total."""
    left = {lang: share * total for lang, share in SHARE.items()}
    with open(path, "rb") as f:
        for lang, _, _, data in iter_docs(f):
            if left[lang] > 0:
                left[lang] -= len(data)
                yield data.decode("utf-8")
            elif not any(v > 0 for v in left.values()):
                return


def train_model(base, texts, size):
    """Learn vocabulary and merges; returns the completed tokenizer.json tree."""
    from tokenizers import Tokenizer, pre_tokenizers, trainers
    tok = Tokenizer.from_str(json.dumps(base))
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  special_tokens=[], show_progress=False)
    tok.train_from_iterator(texts, trainer)
    model = json.loads(tok.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return {**base, "model": {**base["model"], "vocab": model["vocab"], "merges": merges}}


def with_specials(tree):
    first = len(tree["model"]["vocab"])
    tree["added_tokens"] = [{"id": first + i, "content": c, "single_word": False, "lstrip": False, "rstrip": False,
                             "normalized": n, "special": s} for i, (c, s, n) in enumerate(SPECIALS)]
    return tree


def bytes_per_token(tok, path, limit):
    size, tokens = Counter(), Counter()
    with open(path, "rb") as f:
        for lang, _, _, data in iter_docs(f):
            size[lang] += len(data)
            tokens[lang] += len(tok.encode(data.decode("utf-8"), add_special_tokens=False).ids)
            if sum(size.values()) > limit:
                break
    out = {lang: round(size[lang] / tokens[lang], 3) for lang in sorted(size)}
    return {**out, "all": round(sum(size.values()) / sum(tokens.values()), 3)}


def compare(args):
    from tokenizers import Tokenizer
    for family in ("v2", "v3"):
        tree = train_model(skeleton(args.reference, family), balanced(args.docs, args.mb * MB), VOCAB - len(SPECIALS))
        print(family, json.dumps(bytes_per_token(Tokenizer.from_str(json.dumps(tree)), args.test, 10 * MB)), flush=True)


def config():
    def token(content):
        return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"add_bos_token": True, "add_eos_token": False, "bos_token": token(SPECIALS[0][0]), "eos_token": token(SPECIALS[1][0]),
            "pad_token": token(SPECIALS[1][0]), "unk_token": None, "clean_up_tokenization_spaces": False, "legacy": True,
            "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizerFast"}


def save(path, tree, indent=None):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(tree, f, ensure_ascii=False, indent=indent)
        f.write("\n")


def train(args):
    save_all(args.out, train_model(skeleton(args.reference, args.family), balanced(args.docs, args.mb * MB), VOCAB - len(SPECIALS)))


def opened(args):
    from eval import library
    return library.Model(library.Library(args.library), args.model, "ref", 64)


def compare_with_model(args, tok):
    model, documents, tokens, wrong = opened(args), 0, 0, 0
    with open(args.docs, "rb") as f:
        for _, _, _, data in iter_docs(f):
            ids = model.tokenize(data).tolist()
            wrong += ids != tok.encode(data.decode("utf-8"), add_special_tokens=False).ids
            documents, tokens = documents + 1, tokens + len(ids)
    model.close()
    assert not wrong, wrong
    print(f"{documents} documents, {tokens} tokens as {args.model} cuts them")


def released(args):
    """The order of ids is that of the merges, so that they can be told from the tokens."""
    from llama_compare import vocabulary_of_model
    model = opened(args)
    tokens, _, merges = vocabulary_of_model(model)
    model.close()
    assert tokens[-len(SPECIALS):] == [content for content, _, _ in SPECIALS], tokens[-len(SPECIALS):]
    tree = skeleton(args.reference, args.family)
    tree["model"].update(vocab={token: i for i, token in enumerate(tokens[:-len(SPECIALS)])}, merges=merges)
    save_all(args.out, tree)


def save_all(out, tree):
    tree = with_specials(tree)
    os.makedirs(out, exist_ok=True)
    save(os.path.join(out, "tokenizer.json"), tree, 1)
    save(os.path.join(out, "tokenizer_config.json"), config(), 2)
    save(os.path.join(out, "special_tokens.json"), {t["content"]: t["id"] for t in tree["added_tokens"]}, 2)


def check(args):
    from tokenizers import Tokenizer, pre_tokenizers
    path = os.path.join(args.out, "tokenizer.json")
    tok = Tokenizer.from_file(path)
    with open(path, encoding="utf-8") as f:
        tree = json.load(f)
    vocab = tree["model"]["vocab"]
    assert tok.get_vocab_size(with_added_tokens=True) == VOCAB and sorted(vocab.values()) == list(range(len(vocab)))
    assert all(c in vocab for c in pre_tokenizers.ByteLevel.alphabet()) and len(pre_tokenizers.ByteLevel.alphabet()) == 256
    plain = Tokenizer.from_str(json.dumps({**tree, "added_tokens": []}))
    for i, (content, _, _) in enumerate(SPECIALS):
        assert tok.encode(f"a{content}b").ids[1] == len(vocab) + i == tok.token_to_id(content), content
        spelled = plain.encode(content).ids
        assert len(spelled) > 1 and max(spelled) < len(vocab), content
    seen = wrong = 0
    with open(args.docs, "rb") as f:
        for _, _, _, data in iter_docs(f):
            text = data.decode("utf-8")
            wrong += tok.decode(tok.encode(text).ids, skip_special_tokens=False) != text
            seen += len(data)
            if seen > 20 * MB:
                break
    assert not wrong, wrong
    if args.model:
        compare_with_model(args, tok)
    print(f"vocabulary {VOCAB}, round trip of {seen} bytes ok; bytes per token:")
    print(json.dumps(bytes_per_token(tok, args.test or args.docs, 10 * MB)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("stage", choices=["compare", "train", "released", "check"])
    for name in ("docs", "test", "reference", "out", "library", "model"):
        p.add_argument("--" + name)
    p.add_argument("--family", choices=["v2", "v3"], default="v3")
    p.add_argument("--mb", type=int, default=160, help="training text")
    args = p.parse_args()
    {"compare": compare, "train": train, "released": released, "check": check}[args.stage](args)


if __name__ == "__main__":
    main()
