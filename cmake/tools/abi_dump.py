#!/usr/bin/env python3
"""Writes bindings/abi.json from the public headers: `abi_dump.py [ROOT]`; with `--check` only compares, 1 if it differs.

Reads the headers as clang does: its syntax tree for declarations, its constants for numbers. The same headers
give the same bytes. Header order is kept everywhere, because a table's slots and a struct's fields are in an order that
means something and the rest reads best beside the header. What the headers promise in words (thread classes, frozen
structs) is read from their comments, and a declaration without its promise is an error. What changes are allowed is
abi_check.py's business.
"""
import difflib
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ABOUT = ("The public headers, as data for bindings. Written by cmake/tools/abi_dump.py; do not edit. Sizes, alignments "
         "and offsets are in bytes and those of the target. A struct that grows by struct_size or by stride gets new fields "
         "at its end only; one that never grows is frozen.")
TARGET = "x86_64-linux-gnu"
OUTPUT = "bindings/abi.json"
# One section for each library or contract, and the headers that declare it.
SECTIONS = {"user": ("status.h", "version.h", "types.h", "deepseam.h"), "embedded": ("embedded.h",),
            "backend": ("backend.h",)}
NOT_DESCRIBED = {"export.h", "loader.h"}  # macros for compilers; code that is compiled into its user
VERSIONS = {"user": "DS", "embedded": "DS", "backend": "DSB"}
TABLES = {"user": "ds_api", "backend": "dsb_api"}
THREAD = re.compile(r"\[((?:any-thread|session-serial)(?:, (?:callback-safe|each))*)\]")
SCALARS = {"int": "int32_t", "unsigned int": "uint32_t", "long": "int64_t", "unsigned long": "uint64_t"}


class Unreadable(Exception):
    """The headers hold something that the description has no form for; the text says what and where."""


def clang(include, source, *flags):
    """What clang 14 prints about C text that sees the headers in `include`. Freestanding: needs no libc of the target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "abi.c"
        headers = "".join(f"#include <deepseam/{name}>\n" for names in SECTIONS.values() for name in names)
        path.write_text(headers + source, encoding="utf-8")
        command = ["clang", "-target", TARGET, "-std=c99", "-ffreestanding", "-I", str(include), *flags, str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            raise Unreadable("there is no clang; expected the one of the package clang") from None
    if done.returncode:
        raise Unreadable(f"clang refused the headers:\n{done.stderr}")
    return done.stdout


def syntax_tree(include):
    """Top-level declarations. Every place gets the key `file`, which clang prints only where it changes."""
    tree = json.loads(clang(include, "", "-Xclang", "-ast-dump=json", "-fsyntax-only"))
    current = None

    def visit(node):
        nonlocal current
        if isinstance(node, list):
            for item in node:
                visit(item)
        elif isinstance(node, dict):
            if "offset" in node:
                current = node["file"] = node.get("file", current)
            for key, value in node.items():
                if key != "includedFrom":
                    visit(value)

    visit(tree["inner"])
    return tree["inner"]


def place(node, edge):
    """Where the text of a declaration begins or ends: offset in bytes, in the file that a reader sees it in."""
    found = node["range"][edge]
    return found.get("expansionLoc", found)


def public(path):
    """The name of a public header by its path; None for any other file."""
    found = re.fullmatch(r"(?:.*/)?deepseam/(\w+\.\w+)", path)
    return found and found[1]


def header_of(node):
    """The public header that declares a node; None for anything else."""
    return public(place(node, "begin").get("file") or "")


def section_of(name, header):
    if name.startswith("DSB_"):
        return "backend"
    return next((section for section, names in SECTIONS.items() if header in names), None)


def macros(include):
    """(name, header) of each macro that is an integer, in header order."""
    known, found, header = set(), [], None
    for line in clang(include, "", "-E", "-dD").splitlines():
        if marker := re.match(r'# \d+ "([^"]*)"', line):
            header = public(marker[1])
        macro = re.match(r"#define (DSB?_\w+)(\(?)(.*)", line)
        if not macro or not header or macro[2]:
            continue
        name, body = macro[1], macro[3].strip()
        if not body or body.startswith(('"', "__attribute__")) or name.startswith("DS_VERSION_"):
            continue  # no number, or one that says nothing about the ABI
        words = set(re.findall(r"\b[A-Za-z_]\w*", body))
        if not all(word in known or re.fullmatch(r"U?INT\d+_MAX", word) for word in words):
            raise Unreadable(f"{header}: the macro {name} is no integer that can be described: {body}")
        known.add(name)
        found.append((name, header))
    return found


def evaluate(include, expressions):
    """{expression: (value, C type)}; expressions are integer constants of C. From initial values in LLVM's text."""
    kinds = ", ".join(f"{kind}: {i}" for i, kind in enumerate(SCALARS))
    source = "".join(f"const unsigned long abi_value_{i} = (unsigned long)({text});\n"
                     f"const int abi_type_{i} = _Generic(({text}), {kinds});\n" for i, text in enumerate(expressions))
    module = clang(include, source, "-S", "-emit-llvm", "-o", "-", "-Wno-c11-extensions")
    found = {name: int(value) for name, value in re.findall(r"^@(abi_\w+) = .*constant i\d+ (-?\d+)", module, re.MULTILINE)}
    values = {}
    for i, text in enumerate(expressions):
        kind = list(SCALARS.values())[found[f"abi_type_{i}"]]
        value = found[f"abi_value_{i}"]  # printed as signed, whatever it is
        values[text] = (value % 2**64 if kind.startswith("u") else value, kind)
    return values


def comment_above(text, floor, begin):
    """The last comment between two places in a header, other than one on the first line; "" if there is none."""
    gap = text[floor:begin]
    same_line = re.match(rb"[ \t]*/\*.*?\*/", gap) if floor else None  # belongs to the prototype that ends there
    comments = re.findall(rb"/\*.*?\*/", gap[same_line.end() if same_line else 0:], re.DOTALL)
    return comments[-1].decode() if comments else ""


def thread_class(text, node, before, floor):
    """The words of a function's thread class: from the comment behind its prototype, else above it, else that of the
    prototype directly before it (whose class is `before` and whose text ends at `floor`), else the section's heading."""
    begin, end = place(node, "begin")["offset"], place(node, "end")["offset"]
    behind = re.match(rb"\);[ \t]*(/\*.*?\*/)", text[end:])
    above = comment_above(text, floor, begin)
    headings = re.findall(rb"/\* -{4} .*?\*/", text[:begin], re.DOTALL)
    heading = headings[-1].decode() if headings else ""
    if before and text[floor:begin].strip() == b"" and not behind and b"\n\n" not in text[floor:begin]:
        return before
    for comment in (behind[1].decode() if behind else "", above, heading):
        if found := THREAD.findall(comment):
            return found[-1].split(", ")
    raise Unreadable(f"{header_of(node)}: {node['name']} has no thread class, expected [any-thread] or [session-serial] "
                     "in the comment above it")


def functions(nodes, texts, section):
    """Each with its name, header, result, thread class and arguments."""
    found, before, floor = [], None, 0
    for node in nodes:
        name = node.get("name", "")
        if node["kind"] != "FunctionDecl" or section_of(name, header_of(node)) != section:
            continue
        header = header_of(node)
        returns, _ = re.match(r"(.*?)\s*\((.*)\)$", node["type"]["qualType"]).groups()
        entry = {"name": name, "header": header, "returns": returns}
        if section != "backend":  # whose fourth convention is one class for all
            entry["thread"] = before = thread_class(texts[header], node, before, floor)
            floor = place(node, "end")["offset"] + 2
        entry["arguments"] = [{"name": item["name"], "type": item["type"]["qualType"]}
                              for item in node.get("inner", []) if item["kind"] == "ParmVarDecl"]
        found.append(entry)
    return found


def signature(text):
    """{"returns", "arguments"} of a pointer to a function as clang spells it; None for any other type."""
    found = re.fullmatch(r"(.*?)\s*\(\*\)\((.*)\)", text)
    if not found:
        return None
    arguments = [] if found[2] == "void" else re.split(r",\s*(?![^()]*\))", found[2])
    return {"returns": found[1], "arguments": arguments}


def growth(name, fields, strided, by_name):
    """How elements of a struct may grow: by the size they begin with, by their array's stride, or never."""
    first = fields[0]
    if first["name"] == "struct_size":
        return "struct_size"
    head = by_name.get(first["type"])
    if head and head["inner"] and any(item.get("name") == "struct_size" for item in head["inner"]):
        return "struct_size"
    return "stride" if name in strided else "never"


def records_of(nodes):
    """{name: its field nodes} of each struct that is defined."""
    found = {node["name"]: [item for item in node["inner"] if item["kind"] == "FieldDecl"]
             for node in nodes if node["kind"] == "RecordDecl" and node.get("completeDefinition")}
    for name, fields in found.items():
        if any(item.get("isBitfield") or not item.get("name") for item in fields):
            raise Unreadable(f"{name} has a bit field or a field without a name; expected fields with addresses")
    return found


def questions_of(records):
    """The expressions whose values are the layout of the structs."""
    for name, fields in records.items():
        yield from (f"sizeof({name})", f"_Alignof({name})")
        for item in fields:
            yield from (f"__builtin_offsetof({name}, {item['name']})", f"sizeof((({name} *)0)->{item['name']})")


def strided_of(records):
    """Structs whose arrays carry a stride: those that a field like `rows` beside a `row_stride` points to."""
    found = set()
    for fields in records.values():
        names = {item["name"] for item in fields}
        found |= {item["type"]["qualType"].removeprefix("const ").removesuffix(" *") for item in fields
                  if item["name"][:-1] + "_stride" in names}
    return found


def growth(name, records, strided):
    """How a struct may grow: by the size that it (or its head) begins with, by its array's stride, or never."""
    first = records[name][0]
    head = records.get(first["type"]["qualType"])
    if first["name"] == "struct_size" or head and head[0]["name"] == "struct_size":
        return "struct_size"
    return "stride" if name in strided else "never"


def structs(nodes, values, texts, section):
    """Each with its size, alignment, way to grow, and fields."""
    records = records_of(nodes)
    strided = strided_of(records)
    found = []
    for node in nodes:
        name = node.get("name")
        if (node["kind"] != "RecordDecl" or not node.get("completeDefinition")
                or section_of(name, header_of(node)) != section):
            continue
        fields = [{"name": item["name"], "type": item["type"]["qualType"],
                   "offset": values[f"__builtin_offsetof({name}, {item['name']})"][0],
                   "size": values[f"sizeof((({name} *)0)->{item['name']})"][0]} for item in records[name]]
        grows = growth(name, records, strided)
        if (grows == "never") != is_frozen(texts[header_of(node)], node):
            raise Unreadable(f"{header_of(node)}: {name}: its comment and its fields differ on whether it is frozen; "
                             "expected either a struct_size or a stride, or the word Frozen")
        size, alignment = (values[f"{what}({name})"][0] for what in ("sizeof", "_Alignof"))
        found.append({"name": name, "size": size, "alignment": alignment, "grows": grows, "fields": fields})
    return found


def is_frozen(text, node):
    """Whether the comment directly above a struct says Frozen."""
    above = text[:place(node, "begin")["offset"]].removesuffix(b"typedef ")
    comment = above[above.rfind(b"/*"):]
    return comment.rstrip(b" \n").endswith(b"*/") and above.endswith(b"*/\n") and b"Frozen." in comment


def types(nodes, section):
    """(opaque handles, aliases of scalars, callback types) that a section's headers declare."""
    complete = {node["name"] for node in nodes if node["kind"] == "RecordDecl" and node.get("completeDefinition")}
    handles, aliases, callbacks = [], [], []
    for node in nodes:
        name = node.get("name", "")
        if node["kind"] != "TypedefDecl" or section_of(name, header_of(node)) != section:
            continue
        target = node["type"]["qualType"]
        if signature(target):
            callbacks.append({"name": name, **signature(target)})
        elif target != f"struct {name}":
            aliases.append({"name": name, "type": target})
        elif name not in complete:
            handles.append(name)
    return handles, aliases, callbacks


def describe(include):
    """The description of the headers in `include`/deepseam."""
    known = NOT_DESCRIBED.union(*SECTIONS.values())
    for path in sorted((Path(include) / "deepseam").glob("*.h")):
        if path.name not in known:
            raise Unreadable(f"{path.name}: is in no section of abi_dump.py; expected one, or a reason to leave it out")
    with ThreadPoolExecutor() as pool:  # two processes that do not need each other
        tree, names = pool.submit(syntax_tree, include), pool.submit(macros, include).result()
    nodes = [node for node in tree.result() if header_of(node)]
    texts = {name: (Path(include) / "deepseam" / name).read_bytes() for names in SECTIONS.values() for name in names}
    if enums := [node for node in nodes if node["kind"] == "EnumDecl"]:
        raise Unreadable(f"{header_of(enums[0])}: has an enum, whose size compilers choose; expected macros")
    values = evaluate(include, [name for name, _ in names] + list(questions_of(records_of(nodes))))
    description = {"about": ABOUT, "target": TARGET}
    for section in SECTIONS:
        handles, aliases, callbacks = types(nodes, section)
        records = structs(nodes, values, texts, section)
        prefix = VERSIONS[section]
        content = {
            "abi": {word: values[f"{prefix}_ABI_{word.upper()}"][0] for word in ("major", "minor", "version")},
            "handles": handles, "aliases": aliases,
            "constants": [{"name": name, "value": values[name][0], "type": values[name][1]} for name, header in names
                          if section_of(name, header) == section and "_ABI_" not in name],
            "structs": records, "callbacks": callbacks, "functions": functions(nodes, texts, section)}
        if section in TABLES:
            slots = [field["name"] for record in records if record["name"] == TABLES[section]
                     for field in record["fields"] if signature(field["type"])]
            content["table"] = {"struct": TABLES[section], "slots": slots}
        description[section] = {key: value for key, value in content.items() if value}
    return description


def printed(value, indent=0):
    """JSON with each value that fits on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    pad = " " * (indent + 1)
    if indent > 1 and len(flat) + indent < 118 or not isinstance(value, (dict, list)):
        return flat
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {printed(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(pad + line for line in inner) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + printed(item, indent + 1) for item in value) + "\n" + " " * indent + "]"


def difference(root):
    """Lines of difference between the committed description and the headers; empty if there is none."""
    path = Path(root) / OUTPUT
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    said = printed(describe(Path(root) / "include"))
    return list(difflib.unified_diff(committed.splitlines(), said.splitlines(), OUTPUT, "the headers", lineterm="", n=0))


def main(arguments):
    root = Path(next((item for item in arguments if not item.startswith("-")), Path(__file__).parents[2]))
    try:
        if "--check" in arguments:
            if lines := difference(root):
                print("\n".join([*lines[:40], "", f"{OUTPUT} is not what the headers say; write it again with: "
                                                  "python3 cmake/tools/abi_dump.py"]))
            return 1 if lines else 0
        (root / OUTPUT).parent.mkdir(exist_ok=True)
        (root / OUTPUT).write_text(printed(describe(root / "include")) + "\n", encoding="utf-8")
    except Unreadable as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
