"""The command `tinydx`: parses the command line, and calls the module that does the work.

Everything heavy is imported by the subcommand that needs it, so that `tinydx --help` answers at once. An error that a
user can do something about is one line on stderr and exit status 1, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a pipe in another encoding must not crash
    arguments = build_parser().parse_args(argv)
    if not hasattr(arguments, "run"):
        build_parser().print_help()
        return 0
    try:
        return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        print("tinydx: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing more to say
        return 1
    except (ValueError, TypeError, OSError, ImportError, LookupError, ArithmeticError) as error:
        if os.environ.get("TINYDX_TRACEBACK"):
            raise
        print(f"tinydx: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="tinydx", description="Learn how diagnosis by deep learning works, from the equations to a diagnosis."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_diagnose(commands)
    _add_predict(commands)
    _add_translate(commands)
    _add_data(commands)
    _add_card(commands)
    _add_lesson(commands)
    _add_exercise(commands)
    _add_bench(commands)
    _add_cuda(commands)
    _add_doctor(commands)
    return parser


def _version() -> str:
    from tinydx import __version__

    return f"tinydx {__version__}"


def _add_diagnose(commands: Any) -> None:
    from tinydx.diagnosis import kinds

    p = commands.add_parser(
        "diagnose",
        help="train the document's network on images, sounds or texts, evaluate it on unseen ones, and write a report",
        description="Train the document's network, evaluate it on examples that training never saw, and write a folder with "
        "the model, its history, its metrics and one picture page. Without --data it makes synthetic examples first.",
    )
    p.add_argument("--kind", choices=kinds.names(), help="what the data is (default: what its files are; image without --data)")
    p.add_argument(
        "--data",
        metavar="PATH",
        help="a folder of class folders (or train/val/test of them), a MedMNIST .npz, or a table of texts (.csv .tsv)",
    )
    p.add_argument(
        "--size",
        type=_positive,
        metavar="N",
        help="images: height and width in pixels (default 150; npz: its own);"
        " sounds: seconds of each (default 10); texts: subwords that are kept (default 160)",
    )
    p.add_argument("--epochs", type=_positive, help="passes over the training examples")
    p.add_argument("--steps", type=_positive, help="batches in an epoch (default: one pass)")
    p.add_argument("--batch", type=_positive, help="examples in a batch (default 32; texts: 128)")
    p.add_argument(
        "--augment",
        choices=("document", "none"),
        default="document",
        help="the document's augmentation (of sounds: noisy, masked pieces), or none",
    )
    p.add_argument("--limit", type=_positive, metavar="N", help="use at most N examples of each class and split")
    p.add_argument("--seed", type=int, default=0, help="the same seed gives the same result (default 0)")
    p.add_argument("--output", default="diagnosis", metavar="FOLDER", help="where the results go (default: diagnosis)")
    p.set_defaults(run=_diagnose)


def _diagnose(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.diagnose import diagnose

    options = {k: getattr(a, k) for k in ("kind", "size", "epochs", "steps", "batch", "augment", "limit", "seed", "output")}
    diagnose(a.data, **options)
    return 0


def _add_predict(commands: Any) -> None:
    p = commands.add_parser("predict", help="name the class of each input, with its probability")
    p.add_argument("model", help="a model file, such as diagnosis/model.safetensors")
    p.add_argument("inputs", nargs="+", help="image or .txt files, or texts: what the model was trained on")
    p.set_defaults(run=_predict)


def _predict(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.diagnose import predict

    return predict(a.model, a.inputs)


def _add_translate(commands: Any) -> None:
    p = commands.add_parser("translate", help="write what a sequence to sequence model makes of texts")
    p.add_argument("model", help="a model file, such as `python -m tinydx.tasks.translation lay --output FILE` wrote")
    p.add_argument("texts", nargs="+", help='such as "broken collar bone"')
    p.add_argument("--beam", type=_positive, default=4, metavar="N", help="width of the beam (default 4; 1: greedy)")
    p.set_defaults(run=_translate)


def _translate(a: argparse.Namespace) -> int:
    from tinydx.text.translation import translate_texts

    translate_texts(a.model, a.texts, a.beam)
    return 0


def _add_data(commands: Any) -> None:
    p = commands.add_parser("data", help="list and fetch the MedMNIST data sets")
    actions = p.add_subparsers(title="actions", metavar="ACTION", required=True)
    get = actions.add_parser("get", help="fetch a data set: resumes, and checks what arrived")
    get.add_argument("name", help="such as pneumoniamnist")
    get.add_argument("--to", metavar="FOLDER", help="where it goes (default: the data folder that `tinydx doctor` names)")
    get.set_defaults(run=_data_get)
    actions.add_parser("list", help="the sets that can be fetched").set_defaults(run=_data_list)


def _data_get(a: argparse.Namespace) -> int:
    from tinydx.datasets import data_home, fetch

    path = fetch(a.name, a.to or data_home())
    print(f"{path}\ntinydx diagnose --data {path}")
    return 0


def _data_list(a: argparse.Namespace) -> int:
    from tinydx.datasets import describe_sets

    print(describe_sets())
    return 0


def _add_card(commands: Any) -> None:
    p = commands.add_parser("card", help="the reference card of an equation: `tinydx card conv2d`")
    p.add_argument("name", nargs="?", help="an op; without it, all are listed")
    p.set_defaults(run=_card)


def _card(a: argparse.Namespace) -> int:
    from tinydx import ops
    from tinydx.cards import card
    from tinydx.op import TABLE

    assert ops  # importing it fills the table
    if a.name:
        print(card(a.name))
    else:
        width = max(map(len, TABLE))
        print("\n".join(f"{name:<{width}}  {record.shapes}" for name, record in TABLE.items()))
    return 0


def _add_lesson(commands: Any) -> None:
    p = commands.add_parser(
        "lesson",
        help="the course: list the lessons, or open one in the browser",
        description="List the lessons, with the minutes each takes, or open one in the browser. Nothing is fetched: a lesson "
        "works offline. Begin with: tinydx lesson 1",
    )
    p.add_argument("name", nargs="?", metavar="LESSON", help="such as 1 or convolution (default: list them)")
    p.add_argument("--edit", action="store_true", help="open a copy in this folder, to change its code")
    p.add_argument("--check", action="store_true", help="run it with its assertions, without a browser (default: all of them)")
    p.add_argument("--html", metavar="OUT", help="write its handout to this file (default: all, and an index, to this folder)")
    p.add_argument("--data", metavar="PATH", help="your own data in place of the lesson's; the list says which lesson takes what")
    p.add_argument("--port", type=_positive, help="where the browser finds it (default: a free one)")
    p.add_argument("--no-browser", action="store_true", help="serve it, and open no browser")
    p.set_defaults(run=_lesson)


def _lesson(a: argparse.Namespace) -> int:
    from tinydx.lessons import commands

    return commands.lesson(a)


def _add_exercise(commands: Any) -> None:
    p = commands.add_parser(
        "exercise",
        help="write gradients yourself, and be told what is wrong with them",
        description="Exercises in the order of the document. Begin with: tinydx exercise start exercises",
    )
    actions = p.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, function: str, help: str, seconds: float | None = None, here: bool = True) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        if here:
            action.add_argument("--dir", metavar="FOLDER", help="the folder with the exercises (default: here or above)")
        if seconds:
            limit = f"how long the code may compute (default {seconds:g})"
            action.add_argument("--seconds", type=_seconds, default=seconds, help=limit)
        action.set_defaults(run=lambda a: _exercise(function, a))
        return action

    add("start", "start", "copy the exercises into a folder; what is there stays as it is", here=False).add_argument("folder")
    add("list", "list_exercises", "list the exercises, and which of them passed")
    check = add("check", "check", "check an exercise (default: the first that has not passed)", seconds=10)
    check.add_argument("names", nargs="*", metavar="NAME", help="such as relu, 2 or 02_relu.py")
    check.add_argument("--all", action="store_true", help="check all exercises")
    check.add_argument("--json", action="store_true", help="print the results as JSON")
    add("watch", "watch", "check whenever a file is saved", seconds=10)
    add("hint", "hint", "give one more hint, up to three").add_argument("name", nargs="?", metavar="NAME")
    add("reset", "reset", "put the starter back; your work is kept beside it").add_argument("names", nargs="+", metavar="NAME")
    solution = add("solution", "solution", "show the solution of an exercise that passed")
    solution.add_argument("name", metavar="NAME")
    solution.add_argument("--spoil", action="store_true", help="even if it has not passed")
    grade = add("grade", "grade", "score many students: a folder with one folder for each", seconds=5, here=False)
    grade.add_argument("folder")
    grade.add_argument("--csv", required=True, metavar="FILE", help="the table to write")
    grade.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: one a core)")


def _exercise(function: str, a: argparse.Namespace) -> int:
    from tinydx.exercises import commands

    return getattr(commands, function)(a)


def _add_bench(commands: Any) -> None:
    p = commands.add_parser(
        "bench",
        help="measure how fast the kernels are on this machine, beside NumPy and PyTorch",
        description="Measure one op of the table, forward and backward: every backend is checked against the NumPy reference "
        "first, then timed in turn with the others. Or measure `step`: the document's whole training step and inference, "
        "beside PyTorch and Keras where they are installed. Writes bench.json, bench.md and bench.png. `errors` measures no "
        "time: it prints how exact each kernel is, against float64.",
    )
    p.add_argument("op", nargs="?", metavar="OP", help="an op of the table, such as conv2d (see `tinydx card`), or: step, errors")
    p.add_argument("--threads", type=_positive, nargs="+", metavar="N", help="threads to measure with (default: all cores)")
    p.add_argument("--rounds", type=_positive, metavar="N", help="samples of each contestant (default 12; step: 10)")
    p.add_argument("--output", metavar="FOLDER", help="where the results go (default: bench/OP)")
    p.add_argument("--from", dest="source", metavar="FILE", help="measure nothing: show the result in this bench.json again")
    of_op = p.add_argument_group("for an op")
    of_op.add_argument(
        "--shapes",
        action="extend",
        nargs="+",
        metavar="CASE",
        help='such as "16x56x56x64, 3x3x64x64, padding=same": the sizes of its arrays, then constants',
    )
    of_op.add_argument("--backends", nargs="+", metavar="NAME", help="of numpy, numba, torch (default: all)")
    of_op.add_argument("--seconds", type=_seconds, help="of measuring for each row (default 0.25)")
    of_step = p.add_argument_group("for step")
    of_step.add_argument("--peers", metavar="NAMES", help="of torch,keras (default: both, where installed)")
    of_step.add_argument("--batch", type=_positive, help="images in a batch (default 32)")
    p.set_defaults(run=_bench)


def _bench(a: argparse.Namespace) -> int:

    from tinydx.bench.commands import bench

    return bench(a)


def _add_cuda(commands: Any) -> None:
    p = commands.add_parser("cuda", help="run CUDA kernels on the CPU, and be told what is wrong with them")
    actions = p.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="find races, missing barriers, accesses out of bounds and slow ones in a .cu file",
        description="Run the kernels of a .cu file on the CPU, every access checked: races, missing barriers, indices out of "
        "bounds, values that nobody wrote, misaligned vectors; and say which lines use memory badly. What to launch stands in "
        "the file, in a comment such as: // check: saxpy<<<4, 256>>>(n=1000, a=2.0f, x=random(n), y=random(n)). "
        "Exit status 1 if there are mistakes.",
    )
    check.add_argument("file", metavar="FILE.cu")
    check.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="define a macro")
    check.add_argument("--seed", type=int, default=0, help="of the order in which threads run (default 0)")
    check.add_argument("--counters", action="store_true", help="print how each line used memory")
    by_hand = check.add_argument_group("one launch, instead of those in the file")
    by_hand.add_argument("--kernel", metavar="NAME")
    by_hand.add_argument("--grid", default="1", metavar="SIZES", help="such as 4, or 4,4 (default 1)")
    by_hand.add_argument("--block", default="256", metavar="SIZES", help="such as 256, or 16,16 (default 256)")
    by_hand.add_argument("--shared", default="0", metavar="BYTES", help="of dynamic shared memory (default 0)")
    by_hand.add_argument("--args", default="", metavar="VALUES", help='such as "n=1000, a=2.0f, x=random(n), y=empty(n)"')
    check.set_defaults(run=_cuda_check)
    gate = actions.add_parser(
        "gate",
        help="compile tinydx's own kernels with NVIDIA's compiler, without a GPU, and compare them with their budget",
        description="Compile tinydx's own kernels with NVIDIA's compiler for every architecture, without a GPU, and compare "
        "registers, shared memory and spills with the budget. Exit status 1 if a kernel exceeds it. "
        "Needs: pip install 'tinydx[kernel-check]'.",
    )
    gate.add_argument("--write", action="store_true", help="make what was found the new budget")
    gate.set_defaults(run=_cuda_gate)


def _cuda_check(a: argparse.Namespace) -> int:

    from tinydx_kernels.emulator.check import command

    return command(a)


def _cuda_gate(a: argparse.Namespace) -> int:
    from tinydx_kernels.cuda.gate import command

    return command(a)


def _add_doctor(commands: Any) -> None:
    p = commands.add_parser("doctor", help="what was found on this machine, and what to install for more")
    p.add_argument("--warm", action="store_true", help="compile all CPU kernels now, so that nobody waits for them later")
    p.set_defaults(run=_doctor)


def _doctor(a: argparse.Namespace) -> int:
    from tinydx.doctor import report, warm

    print(report())
    if a.warm:
        print(warm())
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
