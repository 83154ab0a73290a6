#!/usr/bin/env python3
"""The checks of cmake/tools, each shown to fail on a planted violation and to pass without it."""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "cmake" / "tools"
sys.path[:0] = [str(TOOLS), str(Path(__file__).parent)]

import check_imports  # noqa: E402
import check_layers  # noqa: E402
import check_size  # noqa: E402
import check_symbols  # noqa: E402
import check_words  # noqa: E402
import count_results  # noqa: E402
import quiet_test  # noqa: E402


class Planted(unittest.TestCase):
    """A tree of its own for each test."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def compile(self, name, source, *flags):
        path, output = self.plant(name, source), (self.root / name).with_suffix(".o")
        subprocess.run(["c++", "-std=c++20", "-fPIC", "-c", "-o", str(output), *flags, str(path)], check=True)
        return output


class Layers(Planted):
    def setUp(self):
        super().setUp()
        for name in ("lib/base/status.h", "lib/graph/graph.h", "lib/graph/op.def", "lib/runtime/device.h",
                     "lib/model/config.h", "lib/base/half.h", "lib/session/engine.h", "lib/graph/graph.fbs",
                     "include/deepseam/deepseam.h", "include/deepseam/backend.h", "include/deepseam/status.h",
                     "backends/sdk/plugin.h", "backends/ref/ops.h"):
            self.plant(name, "")

    def verdict(self, name, include):
        """What the check says about one include in one new file."""
        self.plant(name, f"// a file\n#include {include}\n")
        return check_layers.check(self.root)

    def assert_allowed(self, name, include):
        self.assertEqual(self.verdict(name, include), [])

    def assert_refused(self, name, include, reason):
        lines = self.verdict(name, include)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"{name}:2: ", lines[0])
        self.assertIn(reason, lines[0])

    def test_allowed_edges(self):
        self.assert_allowed("lib/model/deepseek.cpp", '"graph/graph.h"')
        self.assert_allowed("lib/session/a.cpp", '"runtime/device.h"')
        self.assert_allowed("lib/capi/b.cpp", '"deepseam/deepseam.h"')
        self.assert_allowed("lib/runtime/c.cpp", '"graph_generated.h"')
        self.assert_allowed("lib/graph/d.cpp", "<vector>")
        self.assert_allowed("backends/sdk/e.h", '"graph/op.def"')
        self.assert_allowed("backends/sdk/e2.h", '"graph_generated.h"')
        self.assert_allowed("backends/ref/f.cpp", '"sdk/plugin.h"')
        self.assert_allowed("backends/ref/g.cpp", '"deepseam/backend.h"')
        self.assert_allowed("samples/c/h.c", '"deepseam/deepseam.h"')

    def test_graph_knows_no_device(self):
        self.assert_refused("lib/graph/x.cpp", '"runtime/device.h"', "lib/graph may not include lib/runtime")

    def test_model_knows_no_runtime(self):
        self.assert_refused("lib/model/x.cpp", '"runtime/device.h"', "lib/model may not include lib/runtime")

    def test_base_includes_nothing(self):
        self.assert_refused("lib/base/x.cpp", '"graph/graph.h"', "lib/base may not include lib/graph")

    def test_capi_reaches_only_sessions(self):
        self.assert_refused("lib/capi/x.cpp", '"model/config.h"', "lib/capi may not include lib/model")

    def test_core_includes_no_vendor_header(self):
        self.assert_refused("lib/runtime/x.cpp", "<cuda_runtime.h>", "no vendor header")
        (self.root / "lib/runtime/x.cpp").unlink()
        self.assert_refused("lib/graph/x.cpp", '"oneapi/dnnl/dnnl.hpp"', "no vendor header")

    def test_only_capi_sees_the_user_header(self):
        self.assert_refused("lib/session/x.cpp", '"deepseam/deepseam.h"', "may not see this public header")

    def test_graph_may_not_see_the_backend_header(self):
        self.assert_refused("lib/graph/x.h", '"deepseam/backend.h"', "may not see this public header")

    def test_a_plugin_sees_no_core(self):
        self.assert_refused("backends/ref/x.cpp", '"base/half.h"', "backends/ref may include only")

    def test_the_sdk_sees_only_base_and_graph(self):
        self.assert_refused("backends/sdk/x.h", '"runtime/device.h"', "backends/sdk may include only")

    def test_a_plugin_sees_no_user_header(self):
        self.assert_refused("backends/ref/x.cpp", '"deepseam/deepseam.h"', "a plugin sees only deepseam/backend.h")

    def test_samples_see_no_internals(self):
        self.assert_refused("samples/cli/x.cpp", '"base/status.h"', "samples see only public headers")
        (self.root / "samples/cli/x.cpp").unlink()
        self.assert_refused("samples/c/y.c", '"../../lib/base/status.h"', "samples see only public headers")

    def test_includes_without_folder_or_upwards(self):
        self.assert_refused("lib/graph/x.cpp", '"graph.h"', "name their folder")
        (self.root / "lib/graph/x.cpp").unlink()
        self.assert_refused("lib/graph/y.cpp", '"graph/../runtime/device.h"', "no such header")

    def test_public_headers_include_libc_only(self):
        self.assert_refused("include/deepseam/x.h", "<vector>", "libc headers only")


class Sizes(Planted):
    LONG = "int g;\nint long_one(int x) {\n" + "  x += 1;  // }\n" * 70 + "  return x;\n}\n"

    def test_a_long_file(self):
        self.plant("lib/a.cpp", "int x;\n" * 601)
        errors, _ = check_size.check(self.root, {})
        self.assertEqual(errors, ["lib/a.cpp: 601 lines, limit 600"])

    def test_a_long_function(self):
        self.plant("lib/a.cpp", self.LONG)
        errors, _ = check_size.check(self.root, {})
        self.assertEqual(errors, ["lib/a.cpp:2: long_one has 73 lines, limit 70"])

    def test_a_long_python_function(self):
        self.plant("tests/a.py", "def f():\n" + "    x = 1\n" * 71)
        errors, _ = check_size.check(self.root, {})
        self.assertEqual(errors, ["tests/a.py:1: f has 72 lines, limit 70"])

    def test_what_is_allowed(self):
        self.plant("lib/a.cpp", "int x;\n" * 600)
        self.plant("lib/b.h", "namespace n {\nclass C {\n" + "  int f() const { return 0; }\n" * 100 + "};\n}\n")
        self.plant("backends/k.cu", "__global__ void k() {\n" + "  f();\n" * 190 + "}\n")
        self.assertEqual(check_size.check(self.root, {}), ([], []))

    def test_an_excuse_is_printed_and_a_stale_one_is_an_error(self):
        self.plant("lib/a.cpp", self.LONG)
        errors, notes = check_size.check(self.root, {"lib/a.cpp:long_one": "a table", "lib/b.cpp": "gone"})
        self.assertEqual(len(errors), 1)
        self.assertIn("lib/b.cpp: excused", errors[0])
        self.assertIn("(a table)", notes[0])

    def test_an_excuse_without_a_reason_is_none(self):
        self.plant("lib/a.cpp", self.LONG)
        self.assertEqual(len(check_size.check(self.root, {"lib/a.cpp:long_one": ""})[0]), 1)

    def test_shapes_of_functions(self):
        text = """
            #define LIST(x) \\
              { x }
            static const int table[] = {1, 2};
            const char *text = "}{";
            struct S : Base<int> { S() : a_{1}, b_{2} { f(); } ~S(); int operator()(int x) const noexcept { return x; } };
            template <typename T> auto S::f(T x) const -> int { auto g = [&](int y) { return y; }; return g(x); }
            extern "C" { int c(void) { if (1) { return 0; } return 1; } }
            enum class E { kA };
            int d(int x, const S &s = {}, int y = f({1, 2})) { return x; }
            S::~S() { }
        """
        names = [name for name, *_ in check_size.functions(text)]
        self.assertEqual(names, ["S", "operator()", "S::f", "c", "d", "S::~S"])


class Imports(Planted):
    def reasons(self, source, *flags):
        return check_imports.check([self.compile("lib/x.cpp", source, *flags)])

    def assert_refused(self, source, reason, *flags):
        self.assertTrue(any(reason in line for line in self.reasons(source, *flags)), source)

    def test_clean_code_passes(self):
        self.assertEqual(self.reasons("#include <cstdio>\nint f(char *b) { return std::snprintf(b, 4, \"%d\", 1); }\n"), [])

    def test_each_forbidden_import(self):
        for call, reason in (
            ('(void)std::getenv("X")', "imports getenv"), ("std::abort()", "imports abort"), ("std::exit(1)", "imports exit"),
            ('std::puts("x")', "imports puts"), ('std::fprintf(stderr, "%d", 1)', "imports stderr"),
            ("assert(b == nullptr)", "imports __assert_fail"), ('(void)std::strtod(b, nullptr)', "imports strtod"),
            ('std::setlocale(LC_ALL, "")', "imports setlocale"), ("std::signal(2, SIG_IGN)", "imports signal"),
            ("(void)std::rand()", "imports rand"), ('(void)std::system("x")', "imports system"),
            ('(void)chdir("/")', "imports chdir"),
        ):
            headers = "cassert clocale csignal cstdio cstdlib unistd.h".split()
            source = "".join(f"#include <{name}>\n" for name in headers) + "void f(char *b) { (void)b; " + call + "; }\n"
            self.assert_refused(source, reason, "-UNDEBUG")

    def test_streams(self):
        self.assert_refused("#include <iostream>\nvoid f() { std::cout << 1; }\n", "imports _ZSt4cout")

    def test_code_at_load(self):
        self.assert_refused("#include <string>\nstd::string s(40, 'x');\n", "has a section .init_array")

    def test_thread_local_with_destructor(self):
        self.assert_refused("struct S { S(); ~S(); };\nvoid g(S &);\nvoid f() { thread_local S s; g(s); }\n",
                            "imports __cxa_thread_atexit")

    def test_code_at_unload(self):
        source = "__attribute__((destructor)) static void end() {}"
        self.assert_refused(source, "code that runs at unload")
        self.assertEqual(check_imports.check([self.compile("lib/base/unload.cpp", source)]), [])

    def test_mutable_statics_of_plugins(self):
        source = "int counter; thread_local int mine; static const int kTable[2] = {1, 2};\n" \
                 "const int *next() { static int calls; counter += ++calls + ++mine; return &kTable[counter & 1]; }"
        self.assertEqual(self.reasons(source), [])
        found = check_imports.check([self.compile("backends/x/x.cpp", source)])
        self.assertEqual(len(found), 3, found)
        self.assertIn("counter: a plugin has no mutable statics", "".join(found))

    def test_unique_symbols(self):
        source = "template <int N> struct S { static inline int x = N; };\nint *f() { return &S<1>::x; }\n"
        self.assert_refused(source, "unique symbol", "-fgnu-unique")
        self.assertEqual(self.reasons(source, "-fno-gnu-unique"), [])

    def test_objects_are_found_by_their_source(self):
        output = self.compile("lib/x.cpp", "int x;\n")
        self.plant("compile_commands.json", f'[{{"directory": "{self.root}", "file": "{self.root}/lib/x.cpp", '
                   f'"command": "c++ -o {output.name} -c x", "output": "lib/x.o"}}]')
        self.assertEqual(list(check_imports.library_objects(self.root)), [output])


BOUND = ["-shared", "-fPIC", "-Wl,-Bsymbolic,-z,now,-z,relro"]


class Symbols(Planted):
    def setUp(self):
        super().setUp()
        self.plant("include/deepseam/deepseam.h", "/* DS_API int ds_comment(void); */\nDS_API int DS_CALL ds_one(void);\n"
                   "DS_API const char *DS_CALL ds_two(int a,\n  int b);\n#define DS_API_X DS_API int ds_macro(void);\n")
        self.plant("include/deepseam/version.h", "#define DS_ABI_MAJOR 0\n")

    def library(self, source, node="DEEPSEAM_0", soname="libdeepseam.so.0", *flags):
        script = self.plant("map", node + " { global: ds_*; local: *; };\n")
        output = self.root / "libdeepseam.so.0.1.0"
        subprocess.run(["cc", *BOUND, "-o", str(output), f"-Wl,--version-script={script}",
                        f"-Wl,-soname,{soname}", *flags, str(self.plant("x.c", source))], check=True)
        return output

    def verdict(self, output, static_runtime=True):
        declared = check_symbols.declared_functions(self.root)
        return list(check_symbols.check_library(output, declared, check_symbols.abi_major(self.root), static_runtime))

    def test_declarations_are_read(self):
        self.assertEqual(check_symbols.declared_functions(self.root), {"ds_one", "ds_two"})

    def test_exactly_what_is_declared(self):
        self.assertEqual(self.verdict(self.library("int ds_one(void){return 1;} int ds_two(void){return 2;}")), [])

    def test_missing_and_extra(self):
        lines = self.verdict(self.library("int ds_one(void){return 1;} int ds_three(void){return 2;}"))
        self.assertEqual(len(lines), 2)
        self.assertIn("declared but not exported: ds_two", lines[0])
        self.assertIn("exported but not declared: ds_three", lines[1])

    def test_wrong_node_and_soname(self):
        lines = self.verdict(self.library("int ds_one(void){return 1;} int ds_two(void){return 2;}", "OTHER", "other.so"))
        self.assertEqual(len(lines), 3)
        self.assertIn('version node "OTHER"', lines[0])
        self.assertIn('soname is "other.so"', lines[2])

    def test_a_library_it_needs(self):
        source = "int ds_one(void){return 1;} int ds_two(void){return 2;}"
        output = self.library(source, "DEEPSEAM_0", "libdeepseam.so.0", "-Wl,--no-as-needed", "-lstdc++")
        self.assertTrue(any("needs libstdc++" in line for line in self.verdict(output)))
        self.assertFalse(any("needs libstdc++" in line for line in self.verdict(output, static_runtime=False)))

    def test_a_plugin_exports_one_symbol(self):
        output = self.root / "deepseam-x.so"
        for source, expected in (("int ds_backend_main(void){return 0;}", 0),
                                 ("int ds_backend_main(void){return 0;} int other(void){return 0;}", 1)):
            subprocess.run(["cc", *BOUND, "-o", str(output), str(self.plant("p.c", source))], check=True)
            self.assertEqual(len(list(check_symbols.check_plugin(output, True))), expected)

    def test_how_it_is_bound(self):
        output, source = self.root / "deepseam-x.so", self.plant("p.c", "int ds_backend_main(void){return 0;}")
        for flags, expected in ((["-Wl,-z,now"], "-Bsymbolic"), (["-Wl,-Bsymbolic"], "-z now"),
                                ([*BOUND, "-Wl,-z,norelro"], "-z relro")):
            subprocess.run(["cc", "-shared", "-fPIC", *flags, "-o", str(output), str(source)], check=True)
            self.assertIn(f"deepseam-x.so: was linked without {expected}", list(check_symbols.check_plugin(output, True)))

    def test_the_static_library_shows_the_api_alone(self):
        good = self.compile("one.cpp", 'extern "C" int ds_one() { return 1; } extern "C" int ds_two() { return 2; }')
        more = self.compile("two.cpp", "int three() { return 3; }")
        archive = self.root / "libdeepseam.a"
        subprocess.run(["ar", "rc", str(archive), str(good)], check=True)
        self.assertEqual(list(check_symbols.check_archive(archive, {"ds_one", "ds_two"})), [])
        subprocess.run(["ar", "rc", str(archive), str(more)], check=True)
        self.assertEqual(list(check_symbols.check_archive(archive, {"ds_one", "ds_two", "ds_four"})), [
            "libdeepseam.a: declared but not shown: ds_four", "libdeepseam.a: shown but not declared: _Z5threev",
            "libdeepseam.a: has 2 objects, expected one"])

    def test_the_embedded_model_is_bytes_and_an_accessor(self):
        output, node = self.root / "libdeepseam-embedded.so.0.1.0", "DEEPSEAM_EMBEDDED_0"
        script = self.plant("m.map", node + " { global: *; };\n")
        flags = [*BOUND, f"-Wl,--version-script={script}", "-Wl,-soname,libdeepseam-embedded.so.0"]
        for source, expected in (("int ds_embedded_model(void){return 0;}", 0),
                                 ("int ds_embedded_model(void){return 0;} int other(void){return 0;}", 1)):
            subprocess.run(["cc", *flags, "-o", str(output), str(self.plant("e.c", source))], check=True)
            self.assertEqual(len(list(check_symbols.check_embedded(output, 0))), expected)


class Words(Planted):
    def assert_refused(self, text, reason):
        self.plant("lib/a.cpp", text)
        lines = check_words.check(self.root)
        self.assertEqual(len(lines), 1, (text, lines))
        self.assertIn(reason, lines[0])

    def test_clean_text_passes(self):
        self.plant("lib/a.cpp", "// Fine, see lib/work/x.cpp and the iss" "ue at hand.\nint x;\n")
        self.assertEqual(check_words.check(self.root), [])

    def test_each_violation(self):
        for text, reason in (
            ("// TO" "DO: x\n", "unfinished"), ("// FIX" "ME\n", "unfinished"), ("// not imple" "mented\n", "unfinished"),
            ("// a place" "holder\n", "unfinished"), ("// for " "now\n", "unfinished"), ("// see /wo" "rk/x\n", "one machine"),
            ("// iss" "ue 12\n", "came to be"), ("int x; \n", "blanks"), ("\tint x;\n", "tab"), ("int x;", "line break"),
            ("a\r\n", "carriage return"), ("<<<<<" "<< x\n", "conflict"), ("// deb.deb" "ian.org\n", "host"),
        ):
            self.assert_refused(text, reason)

    def test_bytes_that_are_no_text(self):
        (self.root / "a.txt").write_bytes(b"\xff\n")
        self.assertIn("not UTF-8", check_words.check(self.root)[0])

    def test_large_files(self):
        self.plant("tests/data/big.bin", "x" * ((1 << 20) + 1))
        self.assertIn("the limit is", check_words.check(self.root)[0])

    def test_the_model_that_ships_is_excused_by_name_and_only_so_far(self):
        path = self.plant("models/embedded.dsm", "")
        path.write_bytes(b"\xff" * (2 << 20))
        self.assertEqual(check_words.check(self.root), [])
        path.write_bytes(b"\xff" * ((24 << 20) + 1))
        self.assertIn("the limit is", check_words.check(self.root)[0])


class Counting(Planted):
    def count(self, *cases):
        """What the counter says about a results file with these test cases."""
        text = "<testsuite>" + "".join(cases) + "</testsuite>"
        case_list = count_results.ElementTree.fromstring(text).findall("testcase")
        results = [count_results.count(case) for case in case_list]
        return [sum(result[i] for result in results) for i in range(3)], [note for result in results for note in result[3]]

    def case(self, status, output="", extra=""):
        return f'<testcase name="t" status="{status}">{extra}<system-out>{output}</system-out></testcase>'

    DOCTEST = "[doctest] test cases:  12 |  {} passed | {} failed | 3 skipped"

    def test_programs_that_count_count_as_their_cases(self):
        passed = self.case("run", self.DOCTEST.format(12, 0))
        failed = self.case("fail", self.DOCTEST.format(10, 2), "<failure/>")
        self.assertEqual(self.count(passed, failed)[0], [22, 2, 0])
        self.assertEqual(self.count(self.case("run", "Ran 38 tests in 2s\n\nOK (skipped=1)"))[0], [37, 0, 1])
        self.assertEqual(self.count(self.case("run", "...\n7 passed, 0 failed, 2 skipped\n"))[0], [7, 0, 2])

    def test_a_case_that_says_why_it_did_not_run_is_skipped(self):
        within = self.case("run", "a_test.cpp:7: MESSAGE: skipped: only root can\n" + self.DOCTEST.format(12, 0))
        self.assertEqual(self.count(within)[0], [12, 0, 1])  # one of the three that are listed as skipped
        text = "".join(f"skipped: case {i}: why\n" for i in range(5)) + self.DOCTEST.format(12, 0)
        self.assertEqual(self.count(self.case("run", text))[0], [10, 0, 5])

    def test_other_programs_count_as_one(self):
        self.assertEqual(self.count(self.case("run", "hello"), self.case("fail", "no", "<failure/>"))[0], [1, 1, 0])

    def test_a_crash_after_all_cases_passed_is_a_failure(self):
        self.assertEqual(self.count(self.case("fail", self.DOCTEST.format(12, 0), "<failure/>"))[0], [12, 1, 0])

    def test_a_skip_has_its_reason(self):
        skip = self.case("notrun", "skipped: no compiler for Windows\n", '<skipped message="SKIP_RETURN_CODE=77"/>')
        self.assertEqual(self.count(skip), ([0, 0, 1], ["skipped t: skipped: no compiler for Windows"]))

    def test_a_crash_under_wine_is_a_failure_whatever_the_exit_status(self):
        counts, notes = self.count(self.case("run", "wine: Unhandled page fault on write access, starting debugger...\nModules:"))
        self.assertEqual(counts, [0, 1, 0])
        self.assertIn("FAILED  t: wine: Unhandled page fault on write access, starting debugger...", notes)

    def test_a_program_that_is_not_there_is_a_failure(self):
        missing = self.case("notrun", "", '<skipped message="Unable to find executable"/>')
        fixture = self.case("notrun", "", '<skipped message="Fixture dependency failed"/>')
        self.assertEqual(self.count(missing, fixture)[0], [0, 2, 0])


class Quiet(unittest.TestCase):
    def test_what_a_library_must_not_ask_of_the_system(self):
        for call, arguments, reason in (
            ("openat", 'AT_FDCWD, "model.dsm", O_RDONLY) = 3', "relative"),
            ("openat", 'AT_FDCWD, "/x/y", O_RDWR|O_CREAT, 0600) = 3', "for writing"),
            ("getcwd", '"/", 4096) = 2', "state of the process"), ("chdir", '"/") = 0', "state of the process"),
            ("write", '5, "x", 1) = 1', "writes"), ("vfork", ") = 5", "starts a process"),
            ("clone", "child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 5", "starts a process"),
            ("rt_sigaction", "SIGPIPE, {sa_handler=SIG_IGN, sa_mask=[]}, NULL, 8) = 0", "signal handler"),
            ("unlink", '"/x") = 0', "file system"),
        ):
            self.assertIn(reason, quiet_test.reason(call, arguments) or "", call)

    def test_what_it_may(self):
        for call, arguments in (
            ("openat", 'AT_FDCWD, "/lib/x.so", O_RDONLY|O_CLOEXEC) = 3'), ("openat", '5</x>, "a", O_RDONLY) = 6'),
            ("write", '1, "text", 4) = 4'), ("clone3", "{flags=CLONE_VM|CLONE_THREAD}, 88) = 7"),
            ("rt_sigaction", "SIGRT_1, {sa_handler=0x1, sa_mask=[]}, NULL, 8) = 0"),
            ("rt_sigaction", "SIGPIPE, NULL, {sa_handler=SIG_DFL, sa_mask=[]}, 8) = 0"),
            ("newfstatat", '3, "", {st_mode=S_IFREG|0644}, AT_EMPTY_PATH) = 0'),
        ):
            self.assertIsNone(quiet_test.reason(call, arguments), call)


class Documents(unittest.TestCase):
    def test_the_c_code_of_the_readme_is_code_of_a_sample(self):
        blocks = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        samples = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "samples/c").glob("*.c"))
        self.assertTrue(blocks)
        for block in blocks:
            self.assertIn(block, samples)

    def test_links_of_documents_lead_somewhere(self):
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "backends").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
                self.assertTrue((path.parent / target).exists(), f"{path.name}: {target}")

    def test_the_architecture_names_every_layer(self):
        text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
        for folder in check_layers.LAYERS:
            self.assertIn(f"`lib/{folder}/`", text)
        self.assertLess(text.count("\n"), 300)

    def test_decisions_have_numbers_of_their_own(self):
        numbers = [path.name[:4] for path in (ROOT / "docs/decisions").glob("[0-9]*.md")]
        self.assertEqual(len(numbers), len(set(numbers)))


if __name__ == "__main__":
    unittest.main()
