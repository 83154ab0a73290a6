#!/usr/bin/env python3
"""A second opinion on what breaks old programs, from another side: debug information instead of headers, abidiff instead of
abi_check.py. It knows neither macros nor comments. Compares the headers with those of each release (bindings/releases/N/
include), and shows that it finds planted changes. Skipped where abidiff is not there (package abigail-tools).
"""
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))

import recorder  # noqa: E402

FUNCTIONS = json.loads((ROOT / "bindings/abi.json").read_text(encoding="utf-8"))["user"]["functions"]


def compiled(include, folder, functions):
    """A library that has these functions as the headers in `include` declare them, with debug information."""
    source, library = folder / "stub.c", folder / "libdeepseam.so"
    source.write_text(recorder.HEAD + "".join(map(recorder.function, functions)), encoding="utf-8")
    subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-D_GNU_SOURCE", "-DDS_BUILD", '-DREAL_LIBRARY=""', "-w",
                    f"-I{include}", "-o", str(library), str(source)], check=True)
    return library


def differences(old_include, new_include, functions=None, old_functions=None):
    """What abidiff says; "" if nothing."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "old", Path(name) / "new"]
        for folder in folders:
            folder.mkdir()
        old = compiled(old_include, folders[0], old_functions or FUNCTIONS)
        new = compiled(new_include, folders[1], functions or FUNCTIONS)
        done = subprocess.run(["abidiff", "--no-added-syms", str(old), str(new)], capture_output=True, text=True)
    if done.returncode & 3:  # it failed, or was called wrongly
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout if done.returncode else ""


class SecondOpinion(unittest.TestCase):
    include = ROOT / "include"

    def planted(self, header, old, new):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.include, folder, dirs_exist_ok=True)
            path = Path(folder) / "deepseam" / header
            text = path.read_text(encoding="utf-8")
            self.assertEqual(text.count(old), 1, old)
            path.write_text(text.replace(old, new), encoding="utf-8")
            return differences(self.include, folder)

    def test_nothing_differs_from_itself(self):
        self.assertEqual(differences(self.include, self.include), "")

    def test_every_release_is_kept(self):
        for path in sorted((ROOT / "bindings/releases").glob("*/include")):
            description = json.loads(path.parent.with_suffix(".json").read_text(encoding="utf-8"))
            with self.subTest(path.parent.name):
                self.assertEqual(differences(path, self.include, old_functions=description["user"]["functions"]), "")

    def test_a_field_in_the_middle(self):
        said = self.planted("types.h", "  uint32_t top_k;           /* 0: off */", "  float warmth;\n  uint32_t top_k;")
        self.assertIn("float warmth", said)

    def test_another_type(self):
        self.assertIn("type of", self.planted("types.h", "  uint64_t total; /* 0: not known */", "  double total;"))

    def test_a_function_that_is_gone(self):
        left = [item for item in FUNCTIONS if item["name"] != "ds_cache_flush"]
        self.assertIn("ds_cache_flush", differences(self.include, self.include, functions=left))


if __name__ == "__main__":
    if not shutil.which("abidiff"):
        print("abidiff is not installed (package abigail-tools)")
        sys.exit(77)
    unittest.main()
