#!/usr/bin/env python3
"""bindings/abi.json is what the headers say, and what breaks old programs is found: planted changes of the headers."""
import copy
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "cmake" / "tools"
sys.path.insert(0, str(TOOLS))

import abi_check  # noqa: E402
import abi_dump  # noqa: E402

COMMITTED = json.loads((ROOT / abi_dump.OUTPUT).read_text(encoding="utf-8"))


class Planted(unittest.TestCase):
    """Copies of the headers, changed."""

    def describe(self, header, *changes):
        """The description after replacing texts of one header, each of which must stand there once."""
        with tempfile.TemporaryDirectory() as folder:
            include = Path(folder) / "include"
            shutil.copytree(ROOT / "include", include)
            path = include / "deepseam" / header
            text = path.read_text(encoding="utf-8")
            for old, new in changes:
                self.assertEqual(text.count(old), 1, f"{header}: {old}")
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
            return abi_dump.describe(include)

    def breaks(self, header, *changes):
        return abi_check.breaks(COMMITTED, self.describe(header, *changes))


class Description(Planted):
    def test_it_is_what_the_headers_say(self):
        self.assertEqual(abi_dump.difference(ROOT), [], "write it again with: python3 cmake/tools/abi_dump.py")

    def test_a_changed_header_makes_it_differ(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("include", "bindings"):
                shutil.copytree(ROOT / name, Path(folder) / name)
            path = Path(folder) / "include/deepseam/types.h"
            text = path.read_text(encoding="utf-8").replace("DS_INPUT_FIM 3u", "DS_INPUT_FIM 9u")
            path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, "-B", str(TOOLS / "abi_dump.py"), folder, "--check"],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn('+   {"name": "DS_INPUT_FIM", "value": 9, "type": "uint32_t"}', done.stdout)
            self.assertIn("python3 cmake/tools/abi_dump.py", done.stdout)

    def test_a_function_without_a_thread_class_is_refused(self):
        with self.assertRaisesRegex(abi_dump.Unreadable, "ds_device_count has no thread class"):
            self.describe("deepseam.h", ("/* Devices of all usable backends. [any-thread] */", "/* Devices. */"))

    def test_a_struct_must_say_that_it_is_frozen(self):
        with self.assertRaisesRegex(abi_dump.Unreadable, "ds_token_logprob: its comment and its fields differ"):
            self.describe("types.h", ("/* Frozen. */", "/* Melts. */"))

    def test_a_struct_of_the_backend_must_say_so_too(self):
        with self.assertRaisesRegex(abi_dump.Unreadable, "dsb_bias: its comment and its fields differ"):
            self.describe("backend.h", ("/* Added to the logit of a token. Frozen. */", "/* Added to a logit. */"))

    def test_a_macro_without_a_number_is_refused(self):
        with self.assertRaisesRegex(abi_dump.Unreadable, "the macro DS_STOP is no integer"):
            self.describe("types.h", ("#define DS_STOP 1", "#define DS_STOP puts"))

    def test_a_header_that_no_section_has_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(ROOT / "include", folder, dirs_exist_ok=True)
            (Path(folder) / "deepseam/more.h").write_text("void ds_more(void);\n", encoding="utf-8")
            with self.assertRaisesRegex(abi_dump.Unreadable, "more.h: is in no section"):
                abi_dump.describe(folder)

    def test_thread_classes_come_from_every_place_where_the_header_has_them(self):
        threads = {item["name"]: item["thread"] for item in COMMITTED["user"]["functions"]}
        self.assertEqual(threads["ds_job_wait"], ["any-thread"])  # above
        self.assertEqual(threads["ds_cancel_release"], ["any-thread", "callback-safe"])  # behind
        self.assertEqual(threads["ds_info_get_text"], ["any-thread", "callback-safe"])  # above the group
        self.assertEqual(threads["ds_result_ids"], ["any-thread", "callback-safe"])  # in the heading
        self.assertEqual(threads["ds_generate_batch"], ["session-serial", "each"])

    def test_what_a_description_has_in_it(self):
        user, backend = COMMITTED["user"], COMMITTED["backend"]
        constants = {item["name"]: item["value"] for item in user["constants"]}
        self.assertEqual((constants["DS_STRLEN"], constants["DS_E_BUFFER"]), (2**64 - 1, 106))
        grows = {item["name"]: item["grows"] for item in user["structs"] + backend["structs"]}
        self.assertEqual([grows[name] for name in ("ds_text", "ds_fim_input", "dsb_row", "dsb_bias")],
                         ["never", "struct_size", "stride", "never"])
        self.assertEqual({"ds_" + slot for slot in user["table"]["slots"]} | {"ds_get_api"},
                         {item["name"] for item in user["functions"]})


class WhatIsAdded(Planted):
    def assert_kept(self, new, name):
        self.assertIn(name, json.dumps(new))
        self.assertEqual(abi_check.breaks(COMMITTED, new), [])

    def test_a_field_at_the_end(self):
        new = self.describe("types.h", ("} ds_job_options;", "  uint64_t patience_ns;\n} ds_job_options;"))
        self.assert_kept(new, '"patience_ns"')

    def test_a_slot_at_the_end(self):
        last = "DS_SLOT_VOID(cache_release, (ds_cache *cache))"
        new = self.describe("api.def", (last, last + "\nDS_SLOT_VOID(cache_warm, (void))"))
        self.assertEqual(new["user"]["table"]["slots"][-1], "cache_warm")
        self.assert_kept(new, '"cache_warm"')

    def test_a_function_a_constant_and_a_wider_class(self):
        old = "/* Devices of all usable backends. [any-thread] */"
        function = "#define DS_NEW 7u\n/* New. [any-thread] */\nDS_API void DS_CALL ds_new(void);\n"
        new = self.describe("deepseam.h", (old, function + "/* Devices. [any-thread, callback-safe] */"))
        self.assert_kept(new, '"ds_new"')


class WhatBreaks(Planted):
    def test_a_field_in_the_middle(self):
        found = self.breaks("types.h", ("  uint32_t top_k;           /* 0: off */", "  float warmth;\n  uint32_t top_k;"))
        self.assertIn("user: ds_params: the new field warmth lies at offset 32, "
                      "expected at or behind 208, the size it had", found)
        self.assertIn("user: ds_params.top_k: its offset is 36, expected 32", found)

    def test_a_field_in_old_tail_padding(self):
        end, one, two = "} ds_job_options;", "  uint32_t patience;\n", "  uint32_t more;\n"
        old = self.describe("types.h", (end, one + end))
        self.assertEqual(abi_check.breaks(old, self.describe("types.h", (end, one + two + end))), [
            "user: ds_job_options: the new field more lies at offset 36, expected at or behind 40, the size it had"])

    def test_a_frozen_struct_that_grows(self):
        self.assertIn("user: ds_token_logprob: its size is 12, expected 8",
                      self.breaks("types.h", ("} ds_token_logprob;", "  uint32_t rank;\n} ds_token_logprob;")))

    def test_constants(self):
        found = self.breaks("status.h", ("#define DS_E_BUSY 500 ", "#define DS_E_BUSY 508 "),
                            ("#define DS_E_FORKED 505 ", "#define DS_E_SPOON 505 "))
        self.assertEqual(found, ["user: the constant DS_E_FORKED is missing",
                                 "user: the value of DS_E_BUSY is 508, expected 500"])

    def test_a_type_behind_a_name(self):
        found = self.breaks("status.h", ("typedef int32_t ds_status;", "typedef int64_t ds_status;"))
        self.assertIn("user: ds_status is int64_t, expected int32_t", found)

    def test_functions(self):
        found = self.breaks(
            "deepseam.h", ("DS_API ds_status DS_CALL ds_cache_flush(ds_cache *cache, ds_error *error);\n", ""),
            ("ds_session_rewind(ds_session *session, uint64_t length,",
             "ds_session_rewind(ds_session *session, uint32_t size,"),
            ("/* *state gets DS_JOB_*. [any-thread, callback-safe] */", "/* [any-thread] */"))
        self.assertEqual(found, [
            "user: the function ds_cache_flush is missing",
            "user: ds_session_rewind is ds_status (ds_session *, uint32_t, ds_error *), "
            "expected ds_status (ds_session *, uint64_t, ds_error *)",
            "user: the thread class of ds_job_poll is [any-thread], expected [any-thread, callback-safe] or a wider one"])

    def test_a_slot_in_the_middle(self):
        old = "DS_SLOT_VOID(info_release, (ds_info *info))"
        self.assertEqual(self.breaks("api.def", (old, "DS_SLOT_VOID(info_warm, (void))\n" + old)), [
            "user: slot 21 of ds_api is info_warm, expected info_release; new slots belong at the end"])

    def test_a_backend_slot_in_the_middle(self):
        old = "  void(DS_CALL *group_close)(dsb_group *group);\n"
        found = self.breaks("backend.h", (old, "  void(DS_CALL *warm)(void);\n" + old))
        self.assertEqual(len(found), 1, found)
        self.assertIn("of dsb_api is warm, expected group_close", found[0])

    def test_another_major_number(self):
        self.assertIn("user: the ABI's major number is 1, expected 0",
                      self.breaks("version.h", ("#define DS_ABI_MAJOR 0", "#define DS_ABI_MAJOR 1")))


class Releases(unittest.TestCase):
    def test_the_program_tells_by_its_exit_status(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "new.json"
            for change, status in ((0, 0), (1, 1)):
                new = copy.deepcopy(COMMITTED)
                new["user"]["constants"][0]["value"] += change
                path.write_text(json.dumps(new), encoding="utf-8")
                command = [sys.executable, "-B", str(TOOLS / "abi_check.py"), str(ROOT / abi_dump.OUTPUT), str(path)]
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)

    def test_every_release_is_kept(self):
        self.assertEqual(abi_check.breaks_of_releases(ROOT / "bindings/releases", COMMITTED), [])

    def test_a_release_that_is_not_kept(self):
        old = copy.deepcopy(COMMITTED)
        old["embedded"]["functions"][0]["name"] = "ds_embedded_size"
        with tempfile.TemporaryDirectory() as folder:
            for name, content in (("1.0.json", COMMITTED), ("1.1.json", old)):
                (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
            self.assertEqual(abi_check.breaks_of_releases(folder, COMMITTED),
                             ["1.1.json: embedded: the function ds_embedded_size is missing"])


if __name__ == "__main__":
    unittest.main()
