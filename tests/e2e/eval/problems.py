"""Files of programming problems: what the model is asked, and what program its answer makes.

Formats (JSON lines, .gz or not), with the field names of the published files:
  humaneval   task_id, prompt, entry_point, test                      the answer goes on after prompt
  infilling   task_id, prompt, suffix, entry_point, test, canonical_solution      the answer stands between both;
              files without `test` (other languages) are scored by exact match alone
  mbpp        task_id, text (or prompt), code, test_list, test_setup_code (or test_imports)     the answer is a program
"""
import gzip
import json
from dataclasses import dataclass

# A top-level statement after the function's body ends the answer: as the HumanEval paper cuts samples.
HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MBPP_END = "[DONE]"
MBPP_TEMPLATE = "Write a Python function. Task: {task}\nIt must pass:\n{tests}\n[BEGIN]\n{code}"
MBPP_SHOTS = ("2", "3", "4")


@dataclass(frozen=True)
class Problem:
    """One question. suffix None: plain continuation. program(answer) is None where nothing can be run."""
    name: str
    prompt: str
    suffix: str
    expected: str
    stops: tuple
    kind: str
    before: str
    after: str
    one_line: bool = False

    def program(self, answer):
        return None if self.after is None else self.before + answer + self.after


def read_rows(path):
    """The objects of a .jsonl or .jsonl.gz file; ValueError names the line that is none."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = []
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}: line {number}: {error}") from None
    return rows


def field(row, *names):
    """The first of the fields that the row has; ValueError names them all."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise ValueError(f"{row.get('task_id', 'a problem')}: expected the field {' or '.join(names)}, found {sorted(row)}")


def humaneval(row):
    prompt = field(row, "prompt")
    test = "\n" + field(row, "test") + f"\ncheck({field(row, 'entry_point')})\n"
    return Problem(str(field(row, "task_id")), prompt, None, row.get("canonical_solution"), HUMANEVAL_STOPS,
                   "humaneval", prompt, test)


def infilling(row):
    name, prompt, suffix = str(field(row, "task_id", "name")), field(row, "prompt"), field(row, "suffix")
    after = None
    if row.get("test") is not None:
        after = suffix + "\n" + row["test"] + f"\ncheck({field(row, 'entry_point')})\n"
    return Problem(name, prompt, suffix, field(row, "canonical_solution"), (), "infilling", prompt, after,
                   one_line=after is None or name.startswith("SingleLine"))


def mbpp_text(row, template, code):
    tests = "\n".join(field(row, "test_list"))
    return template.replace("{task}", field(row, "text", "prompt")).replace("{tests}", tests).replace("{code}", code)


def mbpp(row, shots, template):
    """shots: rows whose code is shown before the question."""
    parts = [mbpp_text(shot, template, field(shot, "code").strip() + f"\n{MBPP_END}\n\n") for shot in shots]
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or [])
    after = "\n" + setup + "\n" + "\n".join(field(row, "test_list")) + "\n"
    return Problem(str(field(row, "task_id")), "".join(parts) + mbpp_text(row, template, ""), None, row.get("code"),
                   (MBPP_END,), "mbpp", "", after)


def in_range(name, chosen):
    """Whether a task number lies in "first-last"; everything does in "". """
    if not chosen:
        return True
    first, _, last = chosen.partition("-")
    return name.isdigit() and int(first) <= int(name) <= int(last or first)


def read(path, form, task_ids="", n_shots=3, template=MBPP_TEMPLATE):
    """The problems of a file. mbpp: the examples in front of each question are the tasks 2, 3 and 4 of the same file,
    and these are not asked."""
    rows = read_rows(path)
    if form == "humaneval":
        return [humaneval(row) for row in rows]
    if form == "infilling":
        return [infilling(row) for row in rows]
    shots = [row for row in rows if str(field(row, "task_id")) in MBPP_SHOTS[:n_shots]]
    if len(shots) < n_shots:
        raise ValueError(f"{path}: expected the tasks {', '.join(MBPP_SHOTS[:n_shots])} as examples, found "
                         f"{len(shots)}; --shots 0 asks without examples")
    asked = [row for row in rows if row not in shots and in_range(str(field(row, "task_id")), task_ids)]
    return [mbpp(row, shots, template) for row in asked]


def indented(problem, answer):
    """The answer as it compiles behind the prompt: as it is; else with the prompt's indentation before its first line;
    else before all lines. Models leave it out where a prompt ends with it."""
    if problem.kind != "humaneval" or not answer.strip():
        return answer
    last = next((line for line in reversed(problem.prompt.split("\n")) if line.strip()), "")
    indent = last[: len(last) - len(last.lstrip())]
    bare = answer.lstrip("\n")
    everywhere = "\n".join(indent + line if line.strip() else line for line in bare.split("\n"))
    for candidate in (answer, indent + bare, everywhere):
        try:
            compile(problem.prompt + candidate, problem.name, "exec", dont_inherit=True)
            return candidate
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return answer


def cut_to_line(text):
    """The first line with its line break."""
    end = text.find("\n")
    return text if end < 0 else text[: end + 1]


def prepared(problem, text):
    """The part of what a model generated that is the answer."""
    if problem.one_line:
        return cut_to_line(text)
    if problem.kind == "mbpp":
        return text.split(MBPP_END, 1)[0].removeprefix("\n")
    return indented(problem, text)
