#!/usr/bin/env python3
"""Every .fbs file can still read what was written with the schemas that are kept: `schema_test.py FLATC`.

bindings/releases/schemas has a copy of each schema as the last release had it, or until there is one, the files that ship.
flatc says whether a schema conforms to its copy: fields are only appended, none changes its type, no value of an enum moves.
It lets the end of a struct go, whose size is part of every table that holds one, so structs are compared as they are written.
"""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "bindings/releases/schemas"
FLATC = sys.argv.pop(1)


def structs(path):
    """Name -> fields, as written."""
    return dict(re.findall(r"^struct (\w+) \{([^}]*)\}", path.read_text(encoding="utf-8"), re.MULTILINE))


def conforms(old, new):
    """(whether, what flatc says)."""
    done = subprocess.run([FLATC, "--conform", str(old), str(new)], capture_output=True, text=True)
    if changed := [name for name, fields in structs(old).items() if structs(new).get(name) != fields]:
        return False, f"{new.name}: structs never change, but these do: {', '.join(changed)}"
    return done.returncode == 0, done.stdout + done.stderr


class Schemas(unittest.TestCase):
    def test_each_has_a_copy_and_conforms_to_it(self):
        schemas = sorted((ROOT / "lib").rglob("*.fbs"))
        self.assertEqual({path.name for path in schemas}, {path.name for path in KEPT.glob("*.fbs")})
        for path in schemas:
            with self.subTest(path.name):
                good, said = conforms(KEPT / path.name, path)
                self.assertTrue(good, said)

    def planted(self, *changes):
        """Whether model.fbs conforms after replacing patterns, each of which must be there."""
        text = (ROOT / "lib/format/model.fbs").read_text(encoding="utf-8")
        for old, new in changes:
            text, n = re.subn(old, new, text, count=1)
            self.assertEqual(n, 1, old)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.fbs"
            path.write_text(text, encoding="utf-8")
            return conforms(KEPT / "model.fbs", path)[0]

    def test_an_appended_field_is_fine(self):
        self.assertTrue(self.planted((r"  scales:Section;\n", "  scales:Section;\n  more:uint;\n")))

    def test_what_breaks_is_found(self):
        self.assertFalse(self.planted((r"  dtype:uint; ", "  first:uint;\n  dtype:uint; ")), "a field in the middle")
        self.assertFalse(self.planted((r"  dtype:uint; ", "  dtype:ulong; ")), "another type")
        self.assertFalse(self.planted((r"struct Hash { low:ulong; high:ulong; }", "struct Hash { low:ulong; }")), "a struct")


if __name__ == "__main__":
    unittest.main()
