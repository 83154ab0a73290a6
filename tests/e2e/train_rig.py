"""What the tests of models/train share: which need torch, a tiny model, and the runner."""
import importlib.util
import types

HAS_TORCH = importlib.util.find_spec("torch") is not None


def needs_torch(test):
    test.needs_torch = True
    return test


def tiny_config(**change):
    from model import Config
    return Config(**{"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "kv_lora_rank": 64,
                     "intermediate_size": 64, "moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2,
                     **change})


def run(found):
    """Runs all test_* of a module's globals; the exit status."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, test in [item for item in found.items() if isinstance(item[1], types.FunctionType)]:
        if not name.startswith("test_"):
            continue
        if getattr(test, "needs_torch", False) and not HAS_TORCH:
            counts["skipped"] += 1
            print(f"skipped: {name}: the Python package torch is not installed")
            continue
        try:
            test()
            counts["passed"] += 1
        except Exception as error:  # report all of them
            counts["failed"] += 1
            print("FAILED", name, repr(error)[:2000])
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0
