#!/usr/bin/env python3
"""DS_E_UNSUPPORTED comes only from what CHANGELOG.md lists.

Every source file that answers it is named here with the words of that list which cover its answers. A new place needs its
line in the list and here; the list has no row that no file stands behind.
"""
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Words of a row of the list -> the files whose answers it covers.
COVERS = {
    "`ds_model_adapter_load`": {"lib/format/lora.cpp", "lib/model/adapter.cpp", "lib/session/adapter.cpp",
                                "lib/session/adapter_slots.cpp"},
    "`ds_cache_open`": {"lib/capi/api_cache.cpp"},
    "`cpus`, on systems that do not pin threads": {"lib/capi/host.cpp"},
    "plugins for another system, C library, driver or GPU": {"lib/runtime/platform.cpp", "lib/runtime/manifest.cpp"},
    "more than one device": {"lib/session/plan.cpp"},
    "models that were opened with `DS_MODEL_NO_WEIGHTS`": {"lib/session/session.cpp"},
    "number types that a kind of file cannot hold": {"lib/format/blocks.cpp", "lib/format/safetensors.cpp"},
    "GGUF files that are big-endian": {"lib/format/gguf.cpp"},
    ".dsm files of a newer version": {"lib/format/dsm_read.cpp"},
    "pre-tokenizers outside of the family": {"lib/text/families.cpp", "lib/text/regex.cpp", "lib/text/hf_tokenizer.cpp",
                                             "lib/session/vocabulary.cpp", "lib/text/vocab_tokenizer.cpp"},
    "tensor types and scales that are not read": {"lib/format/hf_join.cpp", "lib/format/tensor_read.cpp",
                                                  "lib/format/repack.cpp", "backends/onednn/pack.cpp"},
    "Ollama's adapters": {"lib/format/ollama.cpp", "lib/format/open_model.cpp"},
    "Hugging Face folders of other quantisations": {"lib/format/quant_config.cpp"},
    "on a model whose files hold no tokenizer": {"lib/session/model.cpp", "lib/session/tools.cpp"},
    "vocabularies without the marks": {"lib/session/request.cpp", "lib/text/chat.cpp"},
    "slots that a backend leaves out": {"lib/runtime/slots.cpp"},
    "graphs and options that it cannot run": {
        "lib/graph/segments.cpp", "lib/model/mtp.cpp", "lib/runtime/executor.cpp", "lib/runtime/layout.cpp",
        "backends/sdk/adapter.cpp", "backends/sdk/layout.cpp", "backends/sdk/move_ops.cpp"},
    "groups of several devices in one process": {"backends/sdk/slots_device.cpp"},
}
NAMES_IT_ONLY = {"lib/base/status.cpp"}


def files_that_answer():
    found = set()
    for folder in ("lib", "backends"):
        for path in sorted((ROOT / folder).rglob("*.cpp")):
            if "DS_E_UNSUPPORTED" in path.read_text(encoding="utf-8"):
                found.add(path.relative_to(ROOT).as_posix())
    return found - NAMES_IT_ONLY


class Unsupported(unittest.TestCase):
    def setUp(self):
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        self.rows = re.findall(r"^\| (?!where|---)(.*) \|$", text.split("### What answers DS_E_UNSUPPORTED")[1], re.M)

    def test_every_file_that_answers_it_is_covered(self):
        covered = set().union(*COVERS.values())
        self.assertEqual(sorted(files_that_answer() - covered), [], "add what it refuses to CHANGELOG.md, and the file here")

    def test_the_list_says_it(self):
        for words in COVERS:
            self.assertTrue(any(words in row for row in self.rows), f"the list in CHANGELOG.md no longer says \"{words}\"")

    def test_no_row_is_idle(self):
        answering = files_that_answer()
        for row in self.rows:
            files = set().union(*(files for words, files in COVERS.items() if words in row))
            self.assertTrue(files & answering, f"nothing answers DS_E_UNSUPPORTED for the row: {row}")


if __name__ == "__main__":
    unittest.main()
