"""pass@k: answers to programming problems, executed in the sandbox.

pass@k is the unbiased estimate from n samples, averaged over problems; n 1 with temperature 0 is the greedy pass@1.
Sample i of every problem has the seed `seed + i`. Infilling problems also get the exact match, blanks at both ends
aside. """
import json
from collections import Counter

from . import problems, report, sandbox, scoring
from .library import Request

PROTOCOL = {
    "humaneval": "pass@k of HumanEval: continuation of the prompt, cut at the next top-level statement",
    "mbpp": "pass@k of MBPP: tasks 11 to 510, three examples (tasks 2, 3, 4) in front",
    "infilling": "pass@k and exact match of HumanEval-Infilling: single-line, multi-line, random-span",
}


def requests_for(asked, options):
    made = []
    for problem in asked:
        for sample in range(options.n):
            shared = dict(max_tokens=options.max_tokens or 512, temperature=options.temperature, top_p=options.top_p,
                          seed=options.seed + sample, stops=problem.stops)
            if problem.suffix is None:
                made.append(Request(text=problem.prompt.encode(), **shared))
            else:
                made.append(Request(prefix=problem.prompt.encode(), suffix=problem.suffix.encode(), **shared))
    return made


def judge(asked, texts, n, execute):
    """One row a problem: answers, how many are right, the reasons of all, exact matches."""
    rows = []
    answers = [problems.prepared(problem, texts[i * n + s]) for i, problem in enumerate(asked) for s in range(n)]
    programs = [asked[i // n].program(answer) for i, answer in enumerate(answers)]
    outcomes = iter(execute([p for p in programs if p is not None]))
    for index, problem in enumerate(asked):
        mine = answers[index * n : (index + 1) * n]
        ran = [next(outcomes) for p in programs[index * n : (index + 1) * n] if p is not None]
        rows.append({"task_id": problem.name, "n": n, "correct": sum(o.passed for o in ran) if ran else None,
                     "reasons": [o.reason for o in ran],
                     "exact": sum(problem.expected is not None and a.strip() == problem.expected.strip() for a in mine),
                     "walls": ran[0].walls if ran else [], "answers": mine})
    return rows


def summary(rows, ks):
    """The row of a report for some problems."""
    ran = [row for row in rows if row["correct"] is not None]
    found = {"problems": len(rows)}
    for k in ks:
        if ran and k <= ran[0]["n"]:
            found[f"pass@{k}"] = sum(scoring.pass_at_k(row["n"], row["correct"], k) for row in ran) / len(ran)
    if ran and ran[0]["n"] == 1:
        found["greedy_or_single"] = scoring.share(sum(row["correct"] for row in ran), len(ran))
    found["exact"] = scoring.share(sum(row["exact"] for row in rows), sum(row["n"] for row in rows))
    return found


def reason_kinds(rows):
    """How often programs ended how: the first word of each reason, as it tells the kind."""
    return dict(Counter(reason.split(":")[0] for row in rows for reason in row["reasons"]).most_common())


def run(options, model):
    template = problems.MBPP_TEMPLATE
    if options.template:
        with open(options.template, encoding="utf-8") as file:
            template = file.read()
    asked = problems.read(options.problems, options.format, options.task_ids, options.shots, template)
    asked = asked[: options.limit] if options.limit else asked
    if not asked:
        raise ValueError(f"{options.problems}: no problem is left to ask")
    limits = sandbox.Limits(seconds=options.timeout, memory=options.memory << 20)
    if any(problem.after is not None for problem in asked):  # before the model works for an hour
        sandbox.run("pass", limits, options.python, options.allow_network)
    progress = report.Progress("generate", len(asked) * options.n, options.quiet)
    answers = model.generate(requests_for(asked, options), progress)

    def execute(programs):
        return sandbox.run_many(programs, limits, options.python, options.allow_network,
                                progress=report.Progress("execute", len(set(programs)), options.quiet))

    rows = judge(asked, [a.text for a in answers], options.n, execute)
    if options.samples:
        with open(options.samples, "w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    kinds = sorted({row["task_id"].split("/")[0] for row in rows}) if options.format == "infilling" else []
    results = {kind: summary([r for r in rows if r["task_id"].split("/")[0] == kind], options.k) for kind in kinds[:8]}
    results["all"] = summary(rows, options.k)
    ran = any(row["reasons"] for row in rows)
    return {"protocol": PROTOCOL[options.format], "problems": str(options.problems), "samples_each": options.n,
            "temperature": options.temperature, "top_p": options.top_p, "max_tokens": options.max_tokens or 512,
            "sandbox": {"walls": next((r["walls"] for r in rows if r["walls"]), []), **vars(limits),
                        "python": sandbox.interpreter(options.python) if ran else None},
            "results": results, "reasons": reason_kinds(rows),
            "failed": [row["task_id"] for row in rows if row["correct"] == 0]}
