#!/usr/bin/env python3
"""Adds up what ctest wrote: `count_results.py RESULTS_XML NAME`.

Prints failed tests with the end of their output and skipped tests with their reason; the last line is
"PASSED FAILED SKIPPED". A test program that counts its own cases (doctest, unittest) counts as these cases; any other
as one. A program that Wine saw crash has failed, whatever its exit status is. No results at all are an error.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped")
UNITTEST = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
OWN_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
CRASH = re.compile(r"^wine: Unhandled .*$", re.MULTILINE)
SKIPPED_CASE = re.compile(r"^.*\bskipped\b(?::| ['\"]).*$", re.MULTILINE)


def own_counts(output):
    """(passed, failed, skipped) as a program's own summary has them; None without a summary."""
    lines = DOCTEST.findall(output)
    if lines:
        # Cases that a filter leaves out were not wanted: only those count that say why they did not run, be it from
        # within (then doctest calls them passed) or because they are listed.
        passed, failed, left_out = (sum(int(line[i]) for line in lines) for i in (1, 2, 3))
        reasons = len(SKIPPED_CASE.findall(output))
        return passed - max(0, min(passed, reasons - left_out)), failed, reasons
    lines = OWN_LINE.findall(output)
    if lines:
        return tuple(int(number) for number in lines[-1])
    ran = UNITTEST.search(output)
    if ran:
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output[ran.end():]))
        skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output[ran.end():]))
        return int(ran[1]) - bad - skipped, bad, skipped
    return None


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def count(case):
    """(passed, failed, skipped, notes) of one test program."""
    name, output = case.get("name"), case.findtext("system-out") or ""
    skipped = case.find("skipped")
    if case.get("status") in ("notrun", "disabled") or skipped is not None:
        missing = skipped is not None and "SKIP" not in (skipped.get("message") or "SKIP")
        if missing and case.get("status") == "notrun":  # its program does not exist, or its fixture failed
            return 0, 1, 0, [f"FAILED  {name}: {skipped.get('message')}"]
        return 0, 0, 1, [f"skipped {name}: {last_line(output)}"]
    counts = own_counts(output) or (1, 0, 0)
    notes = [f"skipped a case of {name}: {line.strip()}" for line in SKIPPED_CASE.findall(output)] if counts[2] else []
    crashed = CRASH.search(output)  # of a thread other than the first one: the exit status was seen to be 0
    if crashed or case.get("status") == "fail" or case.find("failure") is not None:
        counts = own_counts(output) or (0, 1, 0)
        if counts[1] == 0:  # all cases passed and yet: a leak, a crash at the end, a time limit
            counts = (counts[0], 1, counts[2])
        notes.append(f"FAILED  {name}: {crashed[0]}" if crashed else f"FAILED  {name}")
        notes += ["        " + line for line in output.splitlines()[-40:]]
    return (*counts, notes)


def main():
    try:
        cases = ElementTree.parse(sys.argv[1]).getroot().findall("testcase")
    except (OSError, ElementTree.ParseError) as problem:
        print(f"{sys.argv[1]}: {problem}", file=sys.stderr)
        return 1
    if not cases:
        print(f"{sys.argv[2]}: no test was found", file=sys.stderr)
        return 1
    results = [count(case) for case in cases]
    for result in results:
        for note in result[3]:
            print(note)
    print(*(sum(result[i] for result in results) for i in range(3)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
