"""Trains the small tokenizer of the tests: tokenizer.json and tokenizer_config.json beside this file.

1200 tokens: V3's pre-tokenizer and special tokens over a byte alphabet, merges learned from the sample text below. Run again
only if the fixture must change; needs the Python package `tokenizers`.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "e2e"))
import tokenizer_corpus  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

WORDS = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
FIRST = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
LAST = ["<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>"]


def main():
    tokenizer = Tokenizer(models.BPE())
    isolated = [pre_tokenizers.Split(Regex(p), "isolated") for p in ("\\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", WORDS)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(isolated + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=1200 - len(LAST), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=FIRST, show_progress=False)
    sample = [t for t in tokenizer_corpus.strings(3000, seed=7) if not any(m in t for m in FIRST + LAST)]
    tokenizer.train_from_iterator(sample, trainer)
    tree = json.loads(tokenizer.to_str())
    size = tokenizer.get_vocab_size()
    for i, text in enumerate(LAST):
        tree["added_tokens"].append({"id": size + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": text == "<|EOT|>"})
    with open(os.path.join(HERE, "tokenizer.json"), "w") as file:
        json.dump(tree, file, ensure_ascii=False, indent=None, separators=(",", ":"))
    template = open(os.path.join(HERE, "..", "..", "..", "e2e", "templates", "v3.jinja")).read()
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": FIRST[0], "eos_token": {"__type": "AddedToken", "content": FIRST[1]}, "pad_token": FIRST[1], "chat_template": template}
    with open(os.path.join(HERE, "tokenizer_config.json"), "w") as file:
        json.dump(config, file, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
