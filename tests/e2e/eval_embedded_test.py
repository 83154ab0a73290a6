#!/usr/bin/env python3
"""The embedded model holds the context that it states. eval_embedded_test.py LIBDEEPSEAM MODEL

The last tokens of a full context must cost less than the same tokens with little before them. A model that states more
than it was trained with has several times the cost there.
"""
import sys
from pathlib import Path

from eval import library, perplexity

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("lib/session/job.cpp", "lib/session/model.cpp", "lib/session/plan.cpp", "lib/session/device_model.cpp")
LAST, BEFORE = 1024, 512


def test_the_last_tokens_of_a_full_context_gain_by_what_lies_before():
    model = library.Model(library.Library(sys.argv[1]), sys.argv[2])
    text = b"".join((REPOSITORY / source).read_bytes() for source in SOURCES)
    ids = model.tokenize(text)[: model.context - 1]
    assert len(ids) == model.context - 1, f"{len(ids)} tokens of text, expected {model.context - 1}"
    whole = perplexity.token_nats(model, ids, len(ids), len(ids))[-LAST:].mean()
    short = perplexity.token_nats(model, ids[-LAST - BEFORE :], LAST + BEFORE, LAST)[-LAST:].mean()
    model.close()
    assert whole < short, f"{whole:.3f} nats a token in a context of {model.context}, {short:.3f} in a short one"


test_the_last_tokens_of_a_full_context_gain_by_what_lies_before()
