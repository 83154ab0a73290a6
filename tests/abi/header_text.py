"""What the user header promises about itself, checked on its text.

Every function states its thread class; every function has its slot in api.def, in the same order; no name is a keyword
of C++, C#, Go or Rust, or a macro of windows.h; structs hold fixed-width fields only; the function table's file has no
line twice. usage: header_text.py INCLUDE_DIR
"""
import pathlib
import re
import sys

CPP = """alignas alignof and asm auto bool break case catch char class compl concept const consteval constexpr constinit
continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto if
inline int long mutable namespace new noexcept not nullptr operator or private protected public register requires
return short signed sizeof static struct switch template this throw true try typedef typeid typename union unsigned using
virtual void volatile while xor"""
CSHARP = """abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is lock
long namespace new null object operator out override params private protected public readonly ref return sbyte sealed
short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe ushort using
virtual void volatile while"""
GO = """break case chan const continue default defer else fallthrough for func go goto if import interface map package range
return select struct switch type var"""
RUST = """as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl in let
loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof unsafe
unsized use virtual where while yield"""
WINDOWS = """near far small hyper interface min max pascal cdecl ERROR DELETE IN OUT OPTIONAL CONST VOID TRUE FALSE IGNORE
INFINITE ABSOLUTE RELATIVE STRICT"""
RESERVED = set((CPP + CSHARP + GO + RUST + WINDOWS).split())
ALLOWED_TYPES = re.compile(r"^(const )?(u?int(8|32|64)_t|float|double|char|void|ds_\w+|struct dsb_root)( \*+(const )?)*$")


def comments_removed(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def names_of(text):
    """Parameter and field names of plain C declarations."""
    for part in re.split(r"[;,(){}]", comments_removed(text)):
        found = re.search(r"(?:\w|\*|\s)[\s*]+(\w+)(?:\[\w+\])?\s*$", part)
        if found and not part.strip().startswith("#"):
            yield found.group(1)


def check_names(text, problems):
    for name in names_of(text):
        if name in RESERVED and name not in ("const", "void", "int", "struct", "double", "float", "char"):
            problems.append(f"the name {name} is reserved in a host's language")


def check_thread_classes(text, problems):
    """The comment before a function (or before its group, or at its section) has a class in brackets."""
    said = ""
    functions = []
    for line in text.splitlines():
        if line.startswith("/*"):
            said = ""
        said += line + "\n"
        found = re.match(r"DS_API .*?DS_CALL (ds_\w+)\(", line)
        if not found:
            continue
        functions.append(found.group(1))
        if not re.search(r"\[(any-thread|session-serial)", said):
            section = re.findall(r"/\* ----.*?\*/", text[: text.index(line)], flags=re.S)[-1]
            if "[any-thread" not in section:
                problems.append(f"{found.group(1)} states no thread class")
    return functions


def check_slots(functions, api, problems):
    slots = ["ds_" + name for name in re.findall(r"DS_SLOT\w*\((?:[^,(]+, )?(\w+),\s", comments_removed(api))]
    expected = [name for name in functions if name != "ds_get_api"]
    if len(set(slots)) != len(slots):
        problems.append("api.def has a slot twice")
    for name in expected:
        if name not in slots:
            problems.append(f"{name} has no slot in api.def")
    for name in slots:
        if name not in expected:
            problems.append(f"api.def has {name}, which the header does not declare")


def check_fields(text, problems):
    for name, body in re.findall(r"typedef struct (ds_\w+) \{(.*?)\n\}", comments_removed(text), flags=re.S):
        for field in body.split(";"):
            field = " ".join(field.split())
            if not field or "(DS_CALL" in field or field.startswith("#"):
                continue
            field_type = re.sub(r"(\w+)(\[\d+\])?$", "", field).strip()
            if not ALLOWED_TYPES.match(field_type):
                problems.append(f"{name}: the field '{field}' is of no fixed width")


def main():
    include = pathlib.Path(sys.argv[1]) / "deepseam"
    header, types = (include / "deepseam.h").read_text(), (include / "types.h").read_text()
    problems = []
    functions = check_thread_classes(header, problems)
    if len(functions) < 60:
        problems.append(f"only {len(functions)} functions were found: the check does not see the header")
    check_slots(functions, (include / "api.def").read_text(), problems)
    for text in (header, types):
        check_names(text, problems)
        check_fields(text, problems)
    print("\n".join(problems) or f"{len(functions)} functions, nothing wrong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
