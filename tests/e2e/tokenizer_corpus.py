"""Strings to tokenize: made from a seed, so every run and every machine compares the same ones.

Code in ten languages, prose in many scripts, mixtures of both, control characters, long runs, special-token texts inside
text, and random characters from all of Unicode that are assigned in version 14.
"""
import random
import unicodedata

CODE = {
    "c": ["#include <stdio.h>\n", "static int %s(const char *%s, size_t n) {\n", "\tfor (int i = 0; i < %d; ++i) {\n",
          "\t\t%s[i] ^= 0x%xu << 3;\n", "\t}\n", "\treturn %s ? -1 : %d;\n}\n", "/* %s -> %s */\n", "#define %s(x) ((x) & ~0x%xUL)\n"],
    "cpp": ["template <typename T, int N>\n", "std::vector<std::pair<int, %s>> %s{{1, 2}};\n", "auto f = [&](auto &&x) { return x->%s(); };\n",
            "namespace %s::detail {\n", "if (auto it = m.find(\"%s\"); it != m.end()) return it->second;\n", "constexpr auto k%s = 1'000'000ull;\n"],
    "python": ["def %s(self, %s: dict[str, int] = None) -> list:\n", "    return [x**2 for x in range(%d) if x %% 2 == 0]\n",
               "    \"\"\"%s of %s.\n\n    >>> 1 + 1\n    2\n    \"\"\"\n", "@property\n", "        raise ValueError(f'{%s!r}: %d')\n", "if __name__ == '__main__':\n    %s()\n"],
    "java": ["public final class %s extends %s<String> {\n", "    @Override public String toString() { return \"%s=\" + %s; }\n",
             "    private static final long %s = %dL;\n", "    List<? super Integer> %s = new ArrayList<>();\n}\n"],
    "go": ["package %s\n\nimport (\n\t\"fmt\"\n)\n", "func (s *%s) %s(ctx context.Context) (int, error) {\n", "\tif err != nil {\n\t\treturn %d, fmt.Errorf(\"%s: %%w\", err)\n\t}\n",
           "\tch := make(chan struct{}, %d)\n", "\tgo func() { ch <- struct{}{} }()\n}\n"],
    "rust": ["pub fn %s<'a, T: Clone + 'a>(x: &'a [T]) -> Option<&'a T> {\n", "    let mut %s = vec![0u8; %d];\n", "    match %s { Some(v) if v > %d => v, _ => unreachable!() }\n",
             "#[derive(Debug, Clone)]\nstruct %s(u32);\n", "impl Drop for %s { fn drop(&mut self) {} }\n"],
    "js": ["const %s = async ({ a, ...%s }) => {\n", "  await fetch(`/api/${%s}?n=%d`);\n", "  return a?.b ?? null;\n};\n", "export default %s;\n", "document.querySelector('#%s > .x').innerHTML = \"<b>%s</b>\";\n"],
    "csharp": ["public record %s(int Id, string? Name);\n", "var q = from x in %s where x.Id > %d select x;\n", "    [DllImport(\"%s\")] static extern IntPtr %s(int n);\n"],
    "sql": ["SELECT %s, COUNT(*) FROM %s WHERE id >= %d GROUP BY 1 HAVING COUNT(*) > 2;\n", "-- %s\n", "INSERT INTO %s VALUES (%d, 'it''s', NULL);\n"],
    "html": ["<div class=\"%s\" id='%s'>\n", "  <a href=\"https://example.org/%s?x=%d&amp;y=2\">%s</a>\n", "</div><!-- %s -->\n", "<style>.%s { margin: 0 %dpx; }</style>\n"],
    "sh": ["#!/bin/sh\nset -eu\n", "for f in *.%s; do echo \"$f\" | sed 's/%s/x/g' > /dev/null; done\n", "[ -z \"${%s:-}\" ] && exit %d\n"],
}
PROSE = ["The quick brown fox jumps over the lazy dog.", "It's 9 o'clock; they've said we'll go, I'd stay.", "naïve façade, Übergröße, señor, Straße",
         "Добро пожаловать, друзья! Съешь ещё этих мягких булок.", "Καλημέρα κόσμε, τι κάνεις;", "日本語テキストのトークン化。カタカナとひらがな混じり", "中文字符测试，标点“引号”、句号。！？",
         "한국어 문장을 토큰화합니다.", "مرحبا بالعالم، كيف حالك؟", "שלום עולם", "नमस्ते दुनिया, कैसे हो?", "สวัสดีชาวโลก", "Cửa Việt, tiếng Việt có dấu", "ქართული ენა", "Հայերեն լեզու", "ᏣᎳᎩ ꮳꮃꭹ",
         "😀😃 🤷🏽‍♀️ 👨‍👩‍👧‍👦 🇩🇪🇯🇵 ✅ ☕️", "½ ⅓ ² ³ ① ② Ⅳ ४५६ ٣٤٥ 一二三", "x² + y² = z², ∑ ∫ √ ≤ ≥ ≠ ∞ → ⇒ α β γ", "e\u0301 a\u0308 \u200b\u200d\ufeff\u00ad zero\u200bwidth",
         "£100 €50 ¥9000 $1,234.56 50% §3 ¶ ©®™", "„deutsch“ «français» ‘single’ “double” … – —", "\u3000全角　スペース\u3000", "ａｂｃ ＡＢＣ １２３ ！＃％"]
NAMES = ["foo", "barBaz", "HTTPServer", "snake_case_name", "x", "kMax", "_private", "URLParser2", "i18n", "größe", "变量", "переменная", "tmp123", "a1b2c3"]
SPACES = [" ", "  ", "    ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\x0b", "\x0c", "\u180e", "\u200b", "\u1680"]
MARKS = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<|EOT|>", "<｜tool▁calls▁begin｜>",
         "<|begin_of_sentence|>", "<｜fim▁hole|>", "<｜place▁holder▁no▁12｜>", "<｜place▁holder▁no▁1｜>", "<｜▁pad▁｜>", "<think>", "</think>", "<", "<｜", "｜>", "▁"]


def assigned():
    """Code points that a text may hold: assigned, no surrogates."""
    return [c for c in range(0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def code(rng):
    lines = CODE[rng.choice(sorted(CODE))]
    text = ""
    for _ in range(rng.randint(1, 8)):
        line = rng.choice(lines)
        text += rng.choice(["", "", "    ", "\t", "        "])
        parts = line.split("%")
        out, i = parts[0], 1
        while i < len(parts):
            part = parts[i]
            if part == "":  # "%%"
                out += "%" + (parts[i + 1] if i + 1 < len(parts) else "")
                i += 2
                continue
            value = {"s": lambda: rng.choice(NAMES), "d": lambda: str(rng.randint(0, 10 ** rng.randint(1, 12))), "x": lambda: "%x" % rng.getrandbits(32)}[part[0]]()
            out += value + part[1:]
            i += 1
        text += out
    return text


def strings(count=6000, seed=20240607):
    rng = random.Random(seed)
    points = assigned()
    low = [c for c in points if c < 0x250]
    # What Python's tables do not know: later versions of Unicode gave many of them a category.
    unknown = sorted(set(range(0x32000)) - set(points) - set(range(0xD800, 0xE000)))
    fixed = ["", " ", "\n", "\x00", "\x7f", " Hello World!", "    Hello\n    Hello", "\n\n\n", "\t\n", "333333333", "' era", "it's", "foo(12345)", "foo.bar(1234567)", "\r\n",
             "3 1 33 4444 55555", "'''''''", "\ufffd", "~", " ~", "~a", "a~", "The capital of France is", "User: hi\n\nAssistant:", "Assistant: "]
    fixed += [s * n for s in (" ", "\t", "\n", "a", "1", "=", "é", "字", "🙂", " \n", "ab ", "- ") for n in (2, 3, 7, 16, 63, 64, 65, 127, 300)]
    fixed += ["".join(map(chr, points[i:i + 64])) for i in range(0, len(points), 64 * 37)]
    fixed += [" ".join(chr(c) for c in points[i:i + 32]) for i in range(11, len(points), 32 * 149)]
    fixed += [f"ab{chr(c)}1{chr(c)} {chr(c)}." for c in (*unknown[:9000:13], *unknown[9000::400])]
    out = list(fixed)
    while len(out) < count:
        kind = rng.randrange(8)
        if kind == 0:
            text = code(rng)
        elif kind == 1:
            text = rng.choice(SPACES[:8]).join(rng.sample(PROSE, rng.randint(1, 4)))
        elif kind == 2:  # everything mixed
            text = "".join(rng.choice(rng.choice([NAMES, PROSE, SPACES, SPACES, ["(", ")", "{", "}", ";", "::", "->", "!=", "'", "\"", "\\", "/", "0", "42", "3.14"]]))
                           for _ in range(rng.randint(2, 16)))
        elif kind == 3:  # any characters
            text = "".join(chr(rng.choice(points)) for _ in range(rng.randint(1, 40)))
        elif kind == 4:
            text = "".join(chr(rng.choice(low)) for _ in range(rng.randint(1, 60)))
        elif kind == 5:  # runs
            text = "".join(rng.choice([" ", "\n", "\t", "7", "x", "_", "#", ".", "é", "你"]) * rng.randint(1, 40) for _ in range(rng.randint(1, 6)))
        elif kind == 6:  # control tokens in text
            text = "".join(rng.choice(rng.choice([MARKS, NAMES, SPACES, PROSE])) for _ in range(rng.randint(2, 8)))
        else:  # random ASCII
            text = "".join(chr(rng.randrange(128)) for _ in range(rng.randint(1, 80)))
        out.append(text)
    return out
