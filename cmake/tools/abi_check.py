#!/usr/bin/env python3
"""What would break old programs: `abi_check.py OLD.json NEW.json`. Exits with 1 if anything would.

Compares two descriptions that abi_dump.py wrote, section by section. What OLD has must be in NEW with the same numbers and
types; NEW may have more functions, constants, structs and callbacks, fields at or behind a struct's old size, and slots at
a table's end. Names of arguments are no part of the ABI; names of fields are, because programs are compiled again.
"""
import json
import sys
from pathlib import Path


def named(section, key):
    return {item["name"]: item for item in section.get(key, [])}


def spelled(item):
    """A function or callback type as one text, without the names of its arguments."""
    types = [argument["type"] if isinstance(argument, dict) else argument for argument in item["arguments"]]
    return f"{item['returns']} ({', '.join(types)})"


def versions(where, old, new):
    if old["abi"]["major"] != new["abi"]["major"]:
        yield f"{where}: the ABI's major number is {new['abi']['major']}, expected {old['abi']['major']}"
    elif new["abi"]["minor"] < old["abi"]["minor"]:
        yield f"{where}: the ABI's minor number is {new['abi']['minor']}, expected at least {old['abi']['minor']}"


def missing(where, old, new):
    for key, noun in (("functions", "function"), ("structs", "struct"), ("callbacks", "callback type"),
                      ("constants", "constant"), ("aliases", "type")):
        for name in named(old, key):
            if name not in named(new, key):
                yield f"{where}: the {noun} {name} is missing"
    for name in old.get("handles", []):
        if name not in new.get("handles", []):
            yield f"{where}: the handle {name} is missing or no longer opaque"


def both(old, new, key):
    """(name, old item, new item) of what both sides have."""
    there = named(new, key)
    return [(name, item, there[name]) for name, item in named(old, key).items() if name in there]


def values(where, old, new):
    for name, was, now in both(old, new, "constants"):
        for key in ("value", "type"):
            if was[key] != now[key]:
                yield f"{where}: the {key} of {name} is {now[key]}, expected {was[key]}"
    for name, was, now in both(old, new, "aliases"):
        if was["type"] != now["type"]:
            yield f"{where}: {name} is {now['type']}, expected {was['type']}"


def calls(where, old, new):
    for key in ("functions", "callbacks"):
        for name, was, now in both(old, new, key):
            if spelled(was) != spelled(now):
                yield f"{where}: {name} is {spelled(now)}, expected {spelled(was)}"
            if was.get("header") != now.get("header"):
                yield f"{where}: {name} is declared in {now['header']}, expected {was['header']}"
            # Every word of a class is a permission but session-serial, which takes the one of any-thread away.
            lost = set(was.get("thread", [])) - set(now.get("thread", [])) - {"session-serial"}
            if lost:
                yield (f"{where}: the thread class of {name} is [{', '.join(now.get('thread', []))}], expected "
                       f"[{', '.join(was['thread'])}] or a wider one")


def fields(where, was, now):
    """What breaks in one struct that both sides have."""
    name = f"{where}: {was['name']}"
    for key in ("alignment", "grows"):
        if was[key] != now[key]:
            yield f"{name}: its {key} is {now[key]}, expected {was[key]}"
    if now["size"] < was["size"] or was["grows"] == "never" and now["size"] != was["size"]:
        yield f"{name}: its size is {now['size']}, expected {'' if was['grows'] == 'never' else 'at least '}{was['size']}"
    before, after = named(was, "fields"), named(now, "fields")
    for field in before:
        if field not in after:
            yield f"{name}: the field {field} is missing"
            continue
        for key in ("type", "offset", "size"):
            if before[field][key] != after[field][key]:
                yield f"{name}.{field}: its {key} is {after[field][key]}, expected {before[field][key]}"
    for field in after:
        if field not in before and after[field]["offset"] < was["size"]:
            yield (f"{name}: the new field {field} lies at offset {after[field]['offset']}, expected at or behind "
                   f"{was['size']}, the size it had")


def layouts(where, old, new):
    table = old.get("table", {}).get("struct")
    for name, was, now in both(old, new, "structs"):
        slots = (old.get("table", {}).get("slots"), new.get("table", {}).get("slots", []))
        if name == table and slots[0] != slots[1][: len(slots[0])]:
            at = next((i for i, pair in enumerate(zip(*slots)) if pair[0] != pair[1]), len(slots[1]))
            found = slots[1][at] if at < len(slots[1]) else "nothing"
            yield f"{where}: slot {at} of {name} is {found}, expected {slots[0][at]}; new slots belong at the end"
        else:
            yield from fields(where, was, now)


def breaks(old, new):
    """A sentence for each thing of `old` that `new` does not keep."""
    found = []
    if old["target"] != new["target"]:
        found.append(f"the target is {new['target']}, expected {old['target']}")
    for where, section in old.items():
        if not isinstance(section, dict):
            continue
        if where not in new:
            found.append(f"{where}: the whole section is missing")
            continue
        for rule in (versions, missing, values, calls, layouts):
            found += rule(where, section, new[where])
    return found


def breaks_of_releases(folder, new):
    """The same for each description in a folder, with the file's name in front."""
    return [f"{path.name}: {sentence}" for path in sorted(Path(folder).glob("*.json"))
            for sentence in breaks(json.loads(path.read_text(encoding="utf-8")), new)]


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.splitlines()[0])
        return 2
    old, new = (json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments)
    found = breaks(old, new)
    print("\n".join(found) if found else f"{arguments[1]} keeps all that {arguments[0]} promises")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
