#!/usr/bin/env python3
"""The parts of the evaluation that need neither model nor sandbox: scores, n-grams, holes, problem formats, prompts.

Each figure is compared with a second way to compute it, or with one worked out by hand.
"""
import itertools
import math
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from eval import documents, holes, infill, needle, nextline, ngram, passk, problems, repetition, scoring
from eval.library import Answer

DATA = Path(__file__).parent / "data"
CODE = ("import os\n\n\ndef area(width, height):\n    # a comment of some length\n"
        "    product = width * height\n    return product\n")


def document(language="python", text=CODE, path="a.py"):
    return documents.Document(language, "sample", path, text.encode())


def test_pass_at_k_is_the_share_of_all_choices():
    for n, correct in ((5, 0), (5, 2), (6, 3), (4, 4), (1, 1), (1, 0)):
        results = [True] * correct + [False] * (n - correct)
        for k in range(1, n + 1):
            choices = list(itertools.combinations(results, k))
            assert abs(scoring.pass_at_k(n, correct, k) - sum(map(any, choices)) / len(choices)) < 1e-12
    for wrong in ((3, 4, 1), (3, 1, 4), (3, 1, 0)):
        try:
            scoring.pass_at_k(*wrong)
            raise AssertionError(wrong)
        except ValueError:
            pass


def test_wilson_interval_solves_its_equation():
    for hits, n in ((0, 10), (3, 10), (250, 1000), (10, 10)):
        z = 1.959963984540054
        for bound in scoring.wilson(hits, n):
            assert abs((hits / n - bound) ** 2 - z * z * bound * (1 - bound) / n) < 1e-12, (hits, n, bound)
    assert scoring.wilson(0, 0) == (0.0, 1.0)
    low, high = scoring.wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)


def test_cycles_at_the_end_are_found_and_nothing_else():
    noise = list(range(100, 200))
    for period in (1, 2, 7, 16):
        cycle = list(range(period))
        assert scoring.period_of_tail(noise + cycle * 70, 64, 16) == period
    assert scoring.period_of_tail(noise + list(range(17)) * 10, 64, 16) == 0
    assert scoring.period_of_tail([1] * 63, 64, 16) == 0
    assert scoring.period_of_tail(noise + [1] * 63, 64, 16) == 0
    assert scoring.period_of_tail([1] * 64 + [2], 64, 16) == 0


def test_exact_match_forgives_blanks_at_the_end_only():
    assert scoring.exact_match("return x  \n", "return x")
    assert not scoring.exact_match(" return x", "return x") and not scoring.exact_match("return x\n}", "return x")


def test_edit_similarity():
    assert scoring.edit_similarity("", "") == 100 and scoring.edit_similarity("abc", "") == 0
    assert scoring.edit_similarity("abcd", "abxd") == 75 and scoring.edit_similarity("kitten", "sitting") == 800 / 13


def test_log_softmax_at_large_logits():
    logits = np.array([[1000, 1001, 999], [-3, -3, -3]], np.float32)
    got = scoring.log_softmax_at(logits.copy(), np.array([1, 0]))
    expected = [-math.log(1 + math.exp(-1) + math.exp(-2)), -math.log(3)]
    assert np.abs(got - expected).max() < 1e-6


def kneser_ney_by_hand(texts, order, width, bos):
    """p(word | context) with dictionaries, as a function."""
    grams = [Counter() for _ in range(order + 1)]
    for text in texts:
        line = [bos] * (order - 1) + list(text)
        for at in range(order - 1, len(line)):
            grams[order][tuple(line[at - order + 1 : at + 1])] += 1
    for k in range(order - 1, 0, -1):
        # of the types one longer that end in a predicted word
        for gram in {g for text in texts for at in range(len(text))
                     for g in [tuple(([bos] * (order - 1) + list(text))[at + order - 1 - k : at + order])]}:
            grams[k][gram[1:]] += 1
    discounts = [None] + [ngram.discounts_of(np.array(list(g.values()))) for g in grams[1:]]

    def probability(context, word):
        result = 1 / width
        for k in range(1, order + 1):
            head = tuple(context[len(context) - k + 1 :])
            same = {g: c for g, c in grams[k].items() if g[:-1] == head}
            total = sum(same.values())
            if total:
                count = same.get(head + (word,), 0)
                taken = sum(discounts[k][min(c, 3)] for c in same.values())
                result = (count - discounts[k][min(count, 3)]) / total + taken / total * result
        return result

    return probability


def test_ngrams_agree_with_dictionaries_and_sum_to_one():
    draw, width, bos, order = random.Random(5), 8, 7, 3
    texts = [[min(6, int(draw.expovariate(0.6))) for _ in range(length)] for length in (60, 1, 35, 90)]
    model, by_hand = ngram.Model(texts, order, width, bos), kneser_ney_by_hand(texts, order, width, bos)
    test = [[0, 1, 0, 6, 6, 5, 2, 0, 0], [3], [6, 6, 6]]
    expected = []
    for text in test:
        line = [bos] * (order - 1) + text
        expected += [-math.log(by_hand(line[at : at + order - 1], line[at + order - 1])) for at in range(len(text))]
    assert np.abs(model.nats(test) - expected).max() < 1e-9
    for context in ([], [0], [0, 1], [6, 5], [5, 5, 5]):
        chances = [math.exp(-model.nats([context + [word]])[-1]) for word in range(width)]
        assert abs(sum(chances) - 1) < 1e-9, (context, sum(chances))


def test_documents_come_back_and_damage_is_named():
    with tempfile.TemporaryDirectory() as folder:
        path, data = Path(folder) / "x.docs", [b"a\nb", "ü\n".encode(), b"python\tx\ty\t3\n"]
        path.write_bytes(b"".join(b"C++\tp\tf%d\t%d\n" % (i, len(d)) + d + b"\n" for i, d in enumerate(data)))
        found = list(documents.read_docs(path))
        assert [d.data for d in found] == data and {d.language for d in found} == {"cpp"}
        path.write_bytes(path.read_bytes()[:-2])
        try:
            list(documents.read_docs(path))
            raise AssertionError("damage was not seen")
        except ValueError as error:
            assert "byte" in str(error) and "x.docs" in str(error)


def test_samples_are_seeded_and_whole():
    found = [document(path=f"{i}.py", text=CODE * (1 + i % 3)) for i in range(50)]
    one, two = documents.sample(found, 2000, 1), documents.sample(list(reversed(found)), 2000, 1)
    assert one == two and one != documents.sample(found, 2000, 2)
    assert 2000 <= documents.size_of(one) < 2000 + 3 * len(CODE) and documents.sample(found, 0, 1) == found


def test_a_line_too_short_to_be_begun_is_left_out_whole():
    made = holes.single_line([document(text="{\n}\nx\n")], 10, 1, min_chars=1, kind="rest")
    assert sorted((hole.kind, hole.middle) for hole in made) == [("line", "x"), ("line", "{"), ("line", "}")]


def test_single_line_holes_put_the_file_together():
    made = holes.single_line([document()], 10, 1)
    assert {hole.kind for hole in made} == {"line", "rest"} and len(made) == 4  # neither blank lines nor the comment
    for hole in made:
        assert hole.prefix + hole.middle + hole.suffix == CODE and "\n" not in hole.middle and hole.middle.strip()
        assert hole.suffix.startswith("\n") and not hole.middle.startswith("#")
        if hole.kind == "line":
            assert hole.middle in [line.strip() for line in CODE.split("\n")]
    assert made == holes.single_line([document()], 10, 1)
    assert holes.single_line([document(text="a\r\nb = 1234567\r\n")], 10, 1) == []


def test_multi_line_holes_are_two_to_six_lines():
    made = holes.multi_line([document(text=CODE * 20)], 30, 1)
    assert len(made) == 30 and {hole.middle.count("\n") + 1 for hole in made} == {2, 3, 4, 5, 6}
    for hole in made:
        assert hole.prefix + hole.middle + hole.suffix == CODE * 20
        assert not hole.middle[0].isspace() and hole.middle.split("\n")[-1].strip()


def test_windows_end_at_line_breaks():
    hole = holes.Hole(document(), "line", "ä" * 30 + "\nabc\nx = ", "1", "\nyy\nüüüü")
    assert holes.cut_windows(hole, 10, 6) == (b"abc\nx = ", b"\nyy\n")
    assert holes.cut_windows(hole, 1000, 1000) == (hole.prefix.encode(), hole.suffix.encode())
    prefix, suffix = holes.cut_windows(holes.Hole(document(), "line", "ä" * 30, "1", "ü" * 30), 5, 5)
    assert (prefix.decode(), suffix.decode()) == ("ää", "üü")


def test_infill_scores():
    made = [holes.Hole(document(), "line", "", "return 1", "\n"), holes.Hole(document(), "rest", "", "x + 1", "\n")]
    answers = [Answer("return 1 ", [1, 2], "end"), Answer("x + 1\ny", [1, 2, 3], "length")]
    shares = infill.line_shares(infill.score_lines(made, answers))
    assert (shares["exact"]["hits"], shares["first_line"]["hits"], shares["ended"]["hits"]) == (1, 2, 1)
    assert (shares["whole_lines"]["share"], shares["ends_of_lines"]["share"]) == (1, 0)
    assert shares["tokens_per_answer"] == 2.5


def test_repetition_prompts_are_beginnings_of_files():
    found = [document(text=CODE * 9, path=f"{i}") for i in range(3)]
    made = repetition.prompts(found, 7, 1, 64, 300)
    assert len(made) == 7 and len({d.path for d, _ in made[:3]}) == 3
    assert made == repetition.prompts(found, 7, 1, 64, 300)
    assert all(d.data.startswith(p) and p.endswith(b"\n") and len(p) >= 64 for d, p in made)


def test_humaneval_and_infilling_programs():
    for problem in problems.read(DATA / "humaneval.jsonl", "humaneval"):
        program = problem.program(problems.prepared(problem, problem.expected))
        exec(compile(program, problem.name, "exec"), {})
        assert problem.suffix is None and "\ndef" in problem.stops
    asked = problems.read(DATA / "infilling.jsonl", "infilling")
    for problem in asked:
        exec(compile(problem.program(problems.prepared(problem, problem.expected)), problem.name, "exec"), {})
    assert [p.one_line for p in asked] == [True, False, False]
    assert problems.prepared(asked[0], "    y = 2 * x\n    z = 0\n") == "    y = 2 * x\n"
    other = problems.infilling({"name": "java_1", "prompt": "int a = ", "suffix": ";", "canonical_solution": "1"})
    assert other.program("1") is None and other.one_line


def test_mbpp_shows_examples_and_asks_the_rest():
    asked = problems.read(DATA / "mbpp.jsonl", "mbpp", "11-510")
    assert [p.name for p in asked] == ["11", "12"]
    assert asked[0].prompt.count("[DONE]") == 3 and asked[0].prompt.endswith("[BEGIN]\n")
    for problem in asked:
        answer = problems.prepared(problem, problem.expected + "\n[DONE]\nnoise(")
        exec(compile(problem.program(answer), problem.name, "exec"), {})
    assert len(problems.read(DATA / "mbpp.jsonl", "mbpp", "", 0)) == 6


def test_indentation_is_put_back():
    problem = problems.read(DATA / "humaneval.jsonl", "humaneval")[2]
    good = problem.expected
    assert problems.prepared(problem, good) == good
    assert problems.prepared(problem, good.lstrip()) == good
    dedented = "\n".join(line[4:] for line in good.split("\n"))
    assert problems.prepared(problem, dedented) == good
    assert problems.prepared(problem, "!!") == "!!"


def test_judging_counts_samples():
    asked = problems.read(DATA / "infilling.jsonl", "infilling")[:2]
    texts = [asked[0].expected, "    y = x\n", asked[1].expected, asked[1].expected]

    class Ended:
        def __init__(self, passed):
            self.passed, self.reason, self.walls = passed, "passed" if passed else "AssertionError: ", []

    def execute(programs):
        assert len(programs) == 4
        return [Ended("y = x" not in program) for program in programs]

    rows = passk.judge(asked, texts, 2, execute)
    assert [(r["correct"], r["exact"]) for r in rows] == [(1, 1), (2, 2)]
    found = passk.summary(rows, [1, 2, 9])
    assert found["pass@1"] == 0.75 and found["pass@2"] == 1 and "pass@9" not in found and found["exact"]["hits"] == 3
    assert passk.reason_kinds(rows) == {"passed": 3, "AssertionError": 1}


def test_nextline_takes_the_first_code_line():
    assert nextline.code_line("\n  # note\n\n   x = 1  \ny", "python") == "x = 1"
    assert nextline.code_line("// a\n", "java") == ""
    rows = problems.read_rows(DATA / "nextline.jsonl")
    snippets, file = nextline.parts_of(rows[0], "python")
    assert len(snippets) == 2 and snippets[0].startswith("# Path: shop/prices.py\n")
    assert file.startswith("# Path: shop/cart.py\nfrom shop.prices") and file.endswith("for item in items:\n")
    answers = ["        result += price_of(item.name)\n", "return 1", "\nif level in LEVELS:"]
    results = nextline.score(rows, answers, "python")
    assert (results["all"]["exact"]["hits"], results["2k"]["exact"]["hits"]) == (2, 1)


def test_nextline_prompts_drop_what_does_not_fit():
    class Bytes:
        bos = 300

        @staticmethod
        def tokenize(data):
            return np.frombuffer(data, np.uint8).astype(np.int32)

    ids = nextline.prompt_ids(Bytes, ["first\n", "second\n"], "file\n", 13)
    assert ids[0] == 300 and bytes(ids[1:].astype(np.uint8)) == b"second\nfile\n"
    assert bytes(nextline.prompt_ids(Bytes, ["first\n"], "file\n", 4)[1:].astype(np.uint8)) == b"le\n"


def test_needle_answers():
    assert needle.found_in(" 12345.", 12345) and needle.found_in("is 12345", 12345)
    assert not any(needle.found_in(answer, 12345) for answer in ("123456", "", "1 2345"))


def main():
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
