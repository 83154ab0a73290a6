#!/usr/bin/env python3
"""Measures a code model through the C library: `eval_code.py MEASUREMENT --model M ...`; docs/guides/evaluation.md
says how.

The modules in eval/ do the work, one a measurement; this file is the command line. Data goes to stdout (a few lines,
or one object with --json), progress to stderr. Exit status 0, 1 (failed, one line on stderr), 2 (usage), 77 (a package
that this measurement needs is not installed). Needs numpy; `infill --multi-line` needs tree-sitter. """
import argparse
import sys
from pathlib import Path

from eval import baselines, infill, library, needle, nextline, passk, perplexity, repetition, report, sandbox, syntax

RUNS = {"perplexity": perplexity.run, "baselines": baselines.run, "infill": infill.run, "repetition": repetition.run,
        "passk": passk.run, "nextline": nextline.run, "needle": needle.run}


def numbers(kind):
    """A type for argparse: a comma separated list."""
    def parse(text):
        return [kind(part) for part in text.split(",") if part]

    return parse


def size(text):
    """Tokens or bytes: 4096, 64k, 16M (powers of two)."""
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    unit = units.get(text[-1:].lower())
    return int(text[:-1]) * unit if unit else int(text)


def add_model(command, needed=True):
    command.add_argument("--model", required=needed, help="a folder, a .dsm file or `embedded`")
    command.add_argument("--library", help="libdeepseam.so; found by the linker if left out")
    command.add_argument("--backend", default="", help="such as onednn; the best one if left out")
    command.add_argument("--context", type=size, default=0, help="tokens; the model's if left out")
    command.add_argument("--batch", type=int, default=8, help="requests at once")
    command.add_argument("--threads", type=int, default=0, help="one a core if left out")
    command.add_argument("--deterministic", action="store_true", help="the same bits for any batch")


def add_common(command):
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--limit", type=int, default=0, help="at most so many documents, holes, prompts or problems")
    command.add_argument("--quiet", action="store_true", help="no progress on stderr")
    command.add_argument("--examples", type=int, default=3, help="answers shown in the JSON for each language")


def add_documents(command):
    command.add_argument("--docs", type=Path, nargs="+", default=[], help=".docs files")
    command.add_argument("--files", type=Path, nargs="+", default=[], help="plain source files")
    command.add_argument("--languages", type=numbers(str), default=[], help="only these, such as c,python")
    command.add_argument("--limit-bytes", type=size, default=0, help="a seeded choice of documents of each language")


def add_documents_commands(commands):
    command = commands.add_parser("perplexity", help="nats a token, bits a byte")
    add_model(command), add_common(command), add_documents(command)
    command.add_argument("--window", type=size, default=0, help="tokens; the model's context if left out")
    command.add_argument("--stride", type=size, default=0, help="tokens; half a window if left out")

    command = commands.add_parser("baselines", help="xz, zstd and n-grams on the same bytes")
    add_model(command, False), add_common(command), add_documents(command)
    command.add_argument("--train", type=Path, nargs="+", default=[], help=".docs files that the n-grams learn from")
    command.add_argument("--train-bytes", type=size, default=64 << 20, help="of them, shared among the languages")
    command.add_argument("--order", type=int, default=5)

    command = commands.add_parser("infill", help="fill-in-the-middle")
    add_model(command), add_common(command), add_documents(command)
    command.add_argument("--lines", type=int, default=1000, help="holes for each language")
    command.add_argument("--hole", choices=("line", "rest", "both"), default="both")
    command.add_argument("--multi-line", action="store_true", help="2 to 6 lines; does the file still parse?")
    command.add_argument("--min-chars", type=int, default=8, help="that are not blank, in a line worth a question")
    command.add_argument("--prefix-bytes", type=size, default=3072)
    command.add_argument("--suffix-bytes", type=size, default=1024)
    command.add_argument("--max-tokens", type=int, default=0, help="64, or 256 with --multi-line, if left out")

    command = commands.add_parser("repetition", help="endless repetition at temperature 0")
    add_model(command), add_common(command), add_documents(command)
    command.add_argument("--prompts", type=int, default=200)
    command.add_argument("--min-bytes", type=size, default=128)
    command.add_argument("--max-bytes", type=size, default=2048)
    command.add_argument("--max-tokens", type=int, default=0, help="256 if left out")
    command.add_argument("--tail", type=int, default=96, help="tokens that must be a cycle")
    command.add_argument("--period", type=int, default=48, help="longest cycle")

    command = commands.add_parser("needle", help="a fact in a long text")
    add_model(command), add_common(command), add_documents(command)
    command.add_argument("--lengths", type=numbers(size), default=[1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072])
    command.add_argument("--depths", type=numbers(float), default=[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    command.add_argument("--repeat", type=int, default=1, help="questions for each length and depth")
    command.add_argument("--mark", default="# ", help="what begins a comment")


def add_problem_commands(commands):
    command = commands.add_parser("passk", help="problems whose answers are executed")
    add_model(command), add_common(command)
    command.add_argument("--problems", type=Path, required=True, help=".jsonl or .jsonl.gz")
    command.add_argument("--format", choices=("humaneval", "mbpp", "infilling"), required=True)
    command.add_argument("-n", type=int, default=1, help="samples for each problem")
    command.add_argument("-k", type=numbers(int), default=[1], help="such as 1,10")
    command.add_argument("--temperature", type=float, default=0.0)
    command.add_argument("--top-p", type=float, default=0.0)
    command.add_argument("--max-tokens", type=int, default=0, help="512 if left out")
    command.add_argument("--samples", type=Path, help="write every answer and its outcome there")
    command.add_argument("--task-ids", default="", help="mbpp: such as 11-510")
    command.add_argument("--shots", type=int, default=3, choices=range(4), help="mbpp: examples in front")
    command.add_argument("--template", type=Path, help="mbpp: a prompt with {task}, {tests} and {code}")
    command.add_argument("--timeout", type=int, default=10, help="seconds for each program")
    command.add_argument("--memory", type=int, default=1024, help="MiB for each program")
    command.add_argument("--python", help="the interpreter of the programs")
    command.add_argument("--allow-network", action="store_true", help="run even where the network cannot be cut off")

    command = commands.add_parser("nextline", help="the next line, with other files of the repository")
    add_model(command), add_common(command)
    command.add_argument("--problems", type=Path, required=True, help=".jsonl or .jsonl.gz")
    command.add_argument("--language", default="python")
    command.add_argument("--prompt-tokens", type=size, default=0, help="with the answer; the context if left out")
    command.add_argument("--max-tokens", type=int, default=0, help="64 if left out")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="eval_code.py", description="Measures a code model through the C library.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_documents_commands(commands)
    add_problem_commands(commands)
    options = parser.parse_args(arguments)
    options.argv = arguments
    return options


def measure(options):
    """The whole report."""
    opened = model = None
    if options.model:
        opened = library.Library(options.library)
        model = library.Model(opened, options.model, options.backend, options.context, options.batch, options.threads,
                              options.deterministic)
    try:
        head = report.header(options, model, opened)
        return {**head, **RUNS[options.command](options, model)}
    finally:
        if model:
            model.close()


def main():
    options = parse(sys.argv[1:])
    try:
        result = measure(options)
    except syntax.Unavailable as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 77
    except (library.LibraryError, sandbox.Refused, ValueError, OSError) as error:
        print(f"eval_code: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    report.print_report(result, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
