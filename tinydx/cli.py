"""The command `tinydx`: parse the command line, and call the module that does the work.

Each subcommand imports what it needs, so that `tinydx --help` answers at once. An error that a user can fix is one line on stderr
and exit status 1, never a traceback (`tinydx.command`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinydx import command, language
from tinydx.help import Formatter, asked_language
from tinydx.language import said
from tinydx.suggestions import did_you_mean


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Arguments: argv, its arguments (None: those of this process).
    Returns: the exit status.
    """
    command.prepare_streams()
    return command.run(lambda: _on_all_ranks(argv) if command.ranks() > 1 else _run(argv))


def _on_all_ranks(argv: Sequence[str] | None) -> int:
    """The work of a command that mpirun started several times: those that share it say so, others are done by the first."""
    from tinydx import distributed

    distributed.start()
    return distributed.as_command(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    """The work of a command: writes_files, it goes on after its reader is gone; keeps_order, Ctrl-C is an exception for it;
    shared, several processes that mpirun started work on it together."""
    command.advice = ""
    language.choose(asked_language(sys.argv[1:] if argv is None else argv))  # --help prints while it is parsed
    arguments = build_parser().parse_args(argv)
    if not hasattr(arguments, "run"):
        build_parser().print_help()
        return 0
    distributed = sys.modules.get("tinydx.distributed")  # imported only where there are several processes
    if distributed and not arguments.shared and not distributed.is_first():
        return 0
    if arguments.keeps_order:
        command.raise_on_signals()
    if arguments.writes_files and argv is None:
        command.outlast_readers()
    return arguments.run(arguments) or 0


class _Parser(argparse.ArgumentParser):
    """A parser of a command; with takes_columns, options that it does not know are columns of a table: `--age 63 --sex=f`."""

    takes_columns = False

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **{"formatter_class": Formatter, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """A word that is none of the choices ends with those that are close to it."""
        if action.choices is not None and value not in action.choices:
            close = did_you_mean(value, map(str, action.choices))
            raise argparse.ArgumentError(action, said("unknown {name!r}{close}", name=value, close=close))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.takes_columns:
            return super().parse_known_args(args, namespace)
        rest, columns = self._without_columns(list(args))
        namespace, others = super().parse_known_args(rest, namespace)
        namespace.columns = columns
        return namespace, others

    def _without_columns(self, args: list[str]) -> tuple[list[str], dict[str, str]]:
        """The other arguments, and the cell of each column."""
        rest, columns = list[str](), dict[str, str]()
        while args:
            arg = args.pop(0)
            name, equals, value = arg[2:].partition("=")
            if arg == "--":
                return [*rest, arg, *args], columns
            if not arg.startswith("--") or f"--{name}" in self._option_string_actions:
                rest.append(arg)
                continue
            if not equals and (not args or args[0].startswith("--")):
                self.error(f"--{name}: expected a value; '' where it is not known")
            if name in columns:
                self.error(f"--{name} is given twice")
            columns[name] = value if equals else args.pop(0)
        return rest, columns


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = _Parser(prog="tinydx", description="Learn how diagnosis by deep learning works, from the equations to a diagnosis.")
    parser.add_argument("--version", action="version", version=_version())
    parser.set_defaults(writes_files=False, keeps_order=False, shared=False)  # see `_run`
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    _add_diagnose(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_personalise(commands)
    _add_quantize(commands)
    _add_explain(commands)
    _add_translate(commands)
    _add_data(commands)
    _add_card(commands)
    _add_lesson(commands)
    _add_exercise(commands)
    _add_gradcheck(commands)
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
        help="train a network on images, sounds, texts or tables, test it on unseen ones, and write a report",
        description="Train a network, test it on examples that training never saw, and write a folder with the model, its "
        "history, its metrics, a report on one page and a model card. Without --data, it learns from synthetic images, sounds or "
        "patients, which it makes first, or from the terms of ICD-10-CM (--kind text).",
    )
    p.add_argument(
        "--kind", choices=kinds.names(), help="kind of the data (default: the kind of most files; without --data: image)"
    )
    p.add_argument(
        "--data",
        metavar="PATH",
        help="a folder with one folder for each class (or train, val and test with such folders), a MedMNIST .npz file, or a "
        "table (.csv, .tsv) with the column label, and image, sound, text, numbers or words in others",
    )
    p.add_argument(
        "--size",
        type=_positive,
        metavar="N",
        help="images: height and width in pixels (default 48; .npz: the file's own; synthetic, or the document's program: 150); "
        "sounds: seconds of each recording "
        "(default 10; synthetic: 5); texts: subwords of each text (default 160)",
    )
    p.add_argument(
        "--network",
        metavar="NAME",
        help="images: blocks (default; convolution, batch normalisation, a mean over all places), document (the document's; "
        "default for synthetic images), small or linear; texts: mean (default), linear or lstm; sounds: standard (default) "
        "or linear; tables: mlp (default) or linear",
    )
    p.add_argument(
        "--fusion",
        choices=("early", "intermediate", "late", "all"),
        help="tables of several modalities, such as image and age: late (default; a model of each, log-odds added), intermediate "
        "(networks joined, trained together), early (plain features side by side), or all, which keeps the best on validation",
    )
    p.add_argument(
        "--augment",
        choices=("framing", "document", "none"),
        help="images: framing (default: cut out, turned and exposed anew, as other hospitals do) or document (the document's; "
        "default for synthetic images); sounds: document (noisy and masked pieces); or none. `--network document --augment "
        "document` is the document's program as it stands",
    )
    p.add_argument("--epochs", type=_positive, help="number of epochs (default: depends on the data)")
    p.add_argument("--steps", type=_positive, help="batches in an epoch (default: depends on the data; with --epochs: one pass)")
    p.add_argument(
        "--batch", type=_positive, help="examples in a batch (default 64; the document's program and sounds 32; texts 128)"
    )
    p.add_argument(
        "--sensitivity",
        type=_share,
        metavar="SHARE",
        help="two classes: choose the threshold on the validation part so that this share of the diseased is found, such as 0.95 "
        "(default: the threshold is 0.5)",
    )
    p.add_argument("--limit", type=_positive, metavar="N", help="use at most N examples of each class in each split")
    p.add_argument("--seed", type=int, default=0, help="the same seed gives the same result (default 0)")
    p.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="PATH",
        help="test the finished model on this data, too, such as another hospital's (may be given several times)",
    )
    p.add_argument(
        "--members",
        type=_positive,
        default=1,
        metavar="N",
        help="train N models from different seeds and average them (default 1)",
    )
    p.add_argument(
        "--snapshots",
        action="store_true",
        help="with --members N: stations of one training, each a share of its epochs, which takes the time of a single model",
    )
    p.add_argument(
        "--choose",
        action="store_true",
        help="compare the kind's networks first, each trained three times on folds of the training part, and take the smallest "
        "that cannot be told from the best",
    )
    p.add_argument(
        "--folds",
        type=_positive,
        metavar="N",
        help="cross-validate instead: divide all examples into N folds of patients, testing each with a model of the others; "
        "with --choose each fold chooses its network",
    )
    p.add_argument(
        "--site",
        nargs="?",
        const="",
        metavar="COLUMN_OR_PATTERN",
        help="cross-validate instead: leave out one site at a time, such as a hospital; of a table the column (default: site), "
        "of files a regular expression as for --patient (default: by the naming schemes of public sets)",
    )
    p.add_argument(
        "--patient",
        "--groups",
        metavar="COLUMN_OR_PATTERN",
        help="whose each example is, so that a patient's stay in one split or fold: of a table the column (default: patient); of "
        "files a regular expression with one group, the patient, on the path of each file below the data folder, such as "
        "'/([^/_]+)_[^/]*$' (default: by the naming schemes of public sets)",
    )
    p.add_argument(
        "--from",
        dest="start",
        metavar="FILE",
        help="begin from the weights of this trained model; its last layer is replaced by one for the classes of the data, and "
        "inputs are read as it reads them (default: random weights)",
    )
    p.add_argument(
        "--freeze",
        type=_layers,
        metavar="N",
        help="with --from: its first N layers keep their weights, or all but the last one: all (default: none is frozen, so that "
        "all weights adapt to the new data)",
    )
    p.add_argument(
        "--resume", action="store_true", help="continue this run where it was interrupted; the result is the same, bit for bit"
    )
    p.add_argument(
        "--output",
        metavar="FOLDER",
        help="folder for the results, which replace earlier ones when they are complete (default: diagnosis; with --folds or "
        "--site, which keep no model: validation)",
    )
    p.set_defaults(run=_diagnose, writes_files=True, shared=True)


def _diagnose(a: argparse.Namespace) -> int:
    command.advice = "; the same command with --resume continues"
    options = {k: v for k, v in vars(a).items() if k not in ("data", "run", "writes_files", "keeps_order", "shared")}
    if fusion := options.pop("fusion"):
        options["network"] = _network_of(a, fusion)
    single = a.folds is None and a.site is None
    options["output"] = a.output or ("diagnosis" if single else "validation")
    if single:
        from tinydx.diagnosis.diagnose import diagnose

        diagnose(a.data, **{k: v for k, v in options.items() if k not in ("folds", "site")})
        return 0
    from tinydx.diagnosis.folds import diagnose_folds

    single_only = {"also": [], "snapshots": False, "members": 1, "sensitivity": None, "start": None, "freeze": None}
    for option, unused in single_only.items():
        if options.pop(option) != unused:
            name = {"start": "from"}.get(option, option)
            raise ValueError(f"--{name} is for a single training: leave it out, or --folds and --site")
    diagnose_folds(a.data, **options)
    return 0


def _network_of(a: argparse.Namespace, fusion: str) -> str:
    """The network that --fusion names, which is that of patients of several modalities.

    Raises: ValueError for other data, beside --network or --choose, and for all of them in folds.
    """
    from tinydx.diagnosis import kinds

    if (name := a.kind or kinds.guess(a.data)) != "fused":
        raise ValueError(f"--fusion is for tables of several modalities, but this is data of kind {name}: leave it out")
    if a.network or a.choose:
        raise ValueError(f"--fusion and {'--network' if a.network else '--choose'} both name the fusion: give one of them")
    if fusion == "all" and (a.folds or a.site is not None or a.members > 1):
        raise ValueError("--fusion all is for a single training: with --folds, --site or --members name one fusion, or --choose")
    return fusion


def _add_evaluate(commands: Any) -> None:
    p = commands.add_parser(
        "evaluate",
        help="test a finished model on other folders, such as those of another hospital",
        description="Test a finished model on other data with the same classes. Before the figures it says where the data "
        "differs from what the model was trained on, and where the model is no better than chance.",
    )
    p.add_argument("model", type=_model, help="a model file, such as diagnosis/model.safetensors")
    p.add_argument("paths", nargs="+", metavar="PATH", help="data as `tinydx diagnose --data` takes it, with the model's classes")
    p.add_argument("--split", choices=("train", "val", "test"), help="of data with these parts (default: all of it)")
    p.add_argument("--seed", type=int, default=0, help="of the intervals (default 0)")
    p.add_argument("--output", metavar="FOLDER", help="write the figures and ROC curves into this folder (default: nowhere)")
    p.set_defaults(run=_evaluate, writes_files=True)


def _evaluate(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.elsewhere import evaluate

    evaluate(a.model, a.paths, split=a.split, seed=a.seed, output=a.output)
    return 0


def _add_predict(commands: Any) -> None:
    p = commands.add_parser(
        "predict",
        help="print the class of each input, and its probability",
        description="Print the class of each input, and its probability. Of a model of tables, a patient may be given by its "
        "columns instead, as in `tinydx predict MODEL --age 63 --sex f`; an option that is none of those below is a column.",
    )
    p.takes_columns = True
    p.add_argument("model", type=_model, help="a model file, such as diagnosis/model.safetensors")
    p.add_argument(
        "inputs", nargs="*", help="images, recordings, .txt files, tables, folders of them, or texts, as in the training"
    )
    p.add_argument(
        "--refer",
        type=_share,
        metavar="SHARE",
        help="name the classes that cannot be ruled out, so that the true one is left out in at most this share of inputs, such "
        "as 0.05; where it is not one class alone, a doctor should look",
    )
    p.add_argument("--page", metavar="PAGE.png", help="also write a picture of each input with its answer, and what warns of it")
    p.add_argument("--explain", metavar="PAGE.png", help="write the page of `tinydx explain` for them, too")
    p.set_defaults(run=_predict)


def _predict(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.predicting import predict

    status = predict(a.model, a.inputs, refer=a.refer, page=a.page, columns=a.columns)
    if a.explain:
        from tinydx.diagnosis.explaining import explain_files

        said: list[str] = []
        explain_files(a.model, a.inputs, output=a.explain, columns=a.columns, say=said.append)
        print(said[-1], file=sys.stderr)  # the page; stdout has its lines from predict
    return status


def _add_personalise(commands: Any) -> None:
    p = commands.add_parser(
        "personalise",
        help="fit a finished model to one patient, from labelled recordings of that patient",
        description="Fit the last layer of a finished model to labelled inputs of a patient, near to the model of all, and write "
        "a model file that `tinydx predict` takes. Without inputs it answers as before, bit for bit.",
    )
    p.add_argument("model", type=_model, help="a model file, such as diagnosis/model.safetensors")
    p.add_argument(
        "inputs",
        nargs="*",
        metavar="FILE",
        help="the patient's inputs: folders named after the classes, or files in such folders",
    )
    p.add_argument("--label", metavar="CLASS", help="the class of all inputs (default: the folder that each lies in)")
    p.add_argument("--output", required=True, metavar="PERSONAL.safetensors", help="the patient's model")
    p.add_argument(
        "--strength",
        type=float,
        metavar="S",
        help="how near the patient's model stays to the model of all: 0.01 hardly, 0.25 (default), 10 almost at it",
    )
    p.add_argument(
        "--patients", metavar="FOLDER", help="choose the strength on these labelled inputs of other patients, unseen by the model"
    )
    p.add_argument("--patient", metavar="PATTERN", help="with --patients: whose each file is, as for `tinydx diagnose`")
    p.set_defaults(run=_personalise)


def _personalise(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.personalising import personalise

    options = {"label": a.label, "strength": a.strength, "patients": a.patients, "patient": a.patient}
    personalise(a.model, a.inputs, a.output, **options)
    return 0


def _add_quantize(commands: Any) -> None:
    p = commands.add_parser(
        "quantize",
        help="store a finished model's Dense weights in 16 or 8 bits",
        description="Write a model file whose Dense weights are stored in 16 bits (bf16) or 8 (int8): a half or a quarter of "
        "their bytes; one image is faster where they are most of the work. The model predicts as before, but does not train.",
    )
    p.add_argument("model", type=_model, help="a model file, such as diagnosis/model.safetensors")
    p.add_argument("--to", dest="kind", choices=("bf16", "int8"), default="int8", help="how weights are stored (default int8)")
    p.add_argument("--output", required=True, metavar="SMALL.safetensors", help="the file to write")
    p.set_defaults(run=_quantize)


def _quantize(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.quantizing import quantize

    quantize(a.model, a.output, a.kind)
    return 0


def _add_explain(commands: Any) -> None:
    p = commands.add_parser(
        "explain",
        help="show what in an input speaks for a model's answer",
        description="Write a page that shows, for each input, which parts speak for the class and which against it: a PNG, and "
        "beside it an HTML page that sorts and zooms and has a threshold to move.",
    )
    p.add_argument("model", type=_model, help="a model file, such as diagnosis/model.safetensors")
    p.takes_columns = True
    p.add_argument("inputs", nargs="*", metavar="FILE", help="images, recordings, .txt files, tables, folders of them, or texts")
    p.add_argument(
        "--method",
        metavar="NAME",
        help="grad_cam (default for images), integrated_gradients (default for the rest), gradient, gradient_times_input, "
        "occlusion, or guided_backpropagation, which is not to be believed",
    )
    p.add_argument("--target", metavar="CLASS", help="the class to explain (default: the one that the model calls)")
    p.add_argument("--output", default="explanation.png", metavar="PAGE.png", help="the page (default: explanation.png)")
    p.set_defaults(run=_explain)


def _explain(a: argparse.Namespace) -> int:
    from tinydx.diagnosis.explaining import explain_files

    explain_files(a.model, a.inputs, method=a.method, target=a.target, output=a.output, columns=a.columns)
    return 0


def _add_translate(commands: Any) -> None:
    p = commands.add_parser("translate", help="translate texts with a sequence-to-sequence model")
    p.add_argument("model", type=_model, help="a model file, written by `python -m tinydx.tasks.translation TASK --output FILE`")
    p.add_argument("texts", nargs="+", help='such as "broken collar bone"')
    p.add_argument("--beam", type=_positive, default=4, metavar="N", help="width of the beam search (default 4; 1: greedy)")
    p.set_defaults(run=_translate)


def _translate(a: argparse.Namespace) -> int:
    from tinydx.text.translation import translate_texts

    translate_texts(a.model, a.texts, a.beam)
    return 0


def _add_data(commands: Any) -> None:
    p = commands.add_parser("data", help="list and download the MedMNIST data sets")
    actions = p.add_subparsers(title="actions", metavar="ACTION", required=True)
    get = actions.add_parser("get", help="download a data set, or resume its download, and verify it")
    get.add_argument("name", help="such as pneumoniamnist")
    get.add_argument(
        "--to", metavar="FOLDER", help="folder for the file (default: the data folder, which `tinydx doctor` prints)"
    )
    get.set_defaults(run=_data_get, writes_files=True)
    actions.add_parser("list", help="list the data sets that can be downloaded").set_defaults(run=_data_list)


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
    p = commands.add_parser("card", help="print the reference card of an op, such as conv2d: its equation, shapes and gradient")
    p.add_argument("name", nargs="?", help="an op (default: list all ops)")
    p.set_defaults(run=_card)


def _card(a: argparse.Namespace) -> int:
    from tinydx import ops
    from tinydx.cards import card
    from tinydx.op import TABLE

    assert ops  # importing ops fills the table
    if a.name:
        print(card(a.name))
    else:
        width = max(map(len, TABLE))
        print("\n".join(f"{name:<{width}}  {op.shapes}" for name, op in TABLE.items()))
    return 0


def _add_lesson(commands: Any) -> None:
    p = commands.add_parser(
        "lesson",
        help="list the lessons of the course, or open one in the browser",
        description="List the lessons, with the minutes that each takes, or open one in the browser. Lessons work offline. Begin "
        "with: tinydx lesson 1",
    )
    p.add_argument("name", nargs="?", metavar="LESSON", help="such as 1 or convolution (default: list them)")
    p.add_argument(
        "--edit", action="store_true", help="copy the lesson into this folder and open the copy, whose code you can change"
    )
    p.add_argument("--check", action="store_true", help="run a lesson (default: all) with its assertions, without a browser")
    p.add_argument(
        "--html",
        metavar="OUT",
        help="write the lesson's handout to this file; without LESSON, all handouts and an index to this folder",
    )
    p.add_argument("--slides", metavar="OUT", help="the same as slides, for a teacher to show (docs/teaching.md)")
    p.add_argument("--data", metavar="PATH", help="use your own data; the list of lessons says which data each one takes")
    p.add_argument("--port", type=_positive, help="port of the local server (default: a free one)")
    p.add_argument("--no-browser", action="store_true", help="start the local server without opening a browser")
    _add_language(p)
    p.set_defaults(run=_lesson, keeps_order=True)


def _model(path: str) -> str:
    """The path of a model file; for a folder that `tinydx diagnose` wrote, of the model in it."""
    inside = Path(path) / "model.safetensors"
    return str(inside) if inside.is_file() else path


def _add_language(parser: argparse.ArgumentParser) -> None:
    about = "language, English or Chinese (default: the environment's)"
    parser.add_argument("--lang", choices=("en", "zh"), help=about)


def _lesson(a: argparse.Namespace) -> int:
    from tinydx.lessons import commands

    language.choose(a.lang)
    return commands.lesson(a)


def _add_exercise(commands: Any) -> None:
    p = commands.add_parser(
        "exercise",
        help="write gradients yourself, and get an explanation of your mistakes",
        description="Exercises in the order of the lessons. Begin with: tinydx exercise start exercises",
    )
    p.set_defaults(run=lambda a: _exercise("list_exercises", a), keeps_order=True, dir=None)  # without an action
    _add_language(p)
    actions = p.add_subparsers(title="actions", metavar="ACTION")

    def add(name: str, function: str, help: str, seconds: float | None = None, in_folder: bool = True) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        if in_folder:
            action.add_argument(
                "--dir", metavar="FOLDER", help="folder with the exercises (default: this folder or one above it)"
            )
        if seconds:
            limit = f"seconds of computing for your code (default {seconds:g})"
            action.add_argument("--seconds", type=_seconds, default=seconds, help=limit)
        if name != "grade":
            _add_language(action)
        action.set_defaults(run=lambda a: _exercise(function, a), keeps_order=True)
        return action

    add("start", "start", "copy the exercises into a folder; existing files stay unchanged", in_folder=False).add_argument(
        "folder"
    )
    add("list", "list_exercises", "list the exercises, and show which of them have passed")
    check = add("check", "check", "check an exercise (default: the first that has not passed)", seconds=10)
    check.add_argument("names", nargs="*", metavar="NAME", help="such as relu, 2 or 02_relu.py")
    check.add_argument("--all", action="store_true", help="check all exercises")
    check.add_argument("--json", action="store_true", help="print the results as JSON")
    add("watch", "watch", "check an exercise whenever you save it", seconds=10)
    of_all = "train an engine made of your exercises, and see whose code ran (default: list the milestones)"
    milestone = add("milestone", "milestone", of_all, seconds=60)
    milestone.add_argument("name", nargs="?", metavar="N", help="such as 1 or dense")
    milestone.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add("hint", "hint", "print the next of three hints").add_argument("name", nargs="?", metavar="NAME")
    add("reset", "reset", "restore the starting file, and keep your work beside it").add_argument(
        "names", nargs="+", metavar="NAME"
    )
    solution = add("solution", "solution", "print the solution of an exercise that has passed")
    solution.add_argument("name", metavar="NAME")
    solution.add_argument("--why", action="store_true", help="explain it, and say what to read next")
    solution.add_argument("--spoil", action="store_true", help="print it even if the exercise has not passed")
    solutions = add("solutions", "", "write all solutions with commentary, for teachers, as one HTML file", in_folder=False)
    solutions.add_argument("file", metavar="FILE")
    solutions.set_defaults(run=_solutions)
    grade = add("grade", "grade", "score the folders of many students, which lie in one folder", seconds=5, in_folder=False)
    grade.add_argument("folder")
    grade.add_argument("--csv", required=True, metavar="FILE", help="the table to write")
    grade.add_argument("--junit", metavar="FILE", help="also write the results in JUnit's format")
    grade.add_argument("--rubric", metavar="FILE", help="points for exercises and mistakes, as docs/teaching/rubric.csv has them")
    grade.add_argument("--jobs", type=_positive, metavar="N", help="number of processes (default: one for each core)")


def _add_gradcheck(commands: Any) -> None:
    parser = commands.add_parser(
        "gradcheck",
        help="check the gradients of a file of yours",
        description="Find forward and backward functions in a file, check them, and name mistakes. "
        "Exit status: 0 right, 1 wrong, 2 cannot tell.",
    )
    parser.add_argument("file", metavar="FILE.py")
    parser.add_argument("--shapes", default="", help="shapes of the arrays, such as 'x=3,4 w=4,2'")
    parser.add_argument("--seed", type=int, help="repeats a check (default: new numbers each time)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    _add_language(parser)
    parser.set_defaults(run=_gradcheck)


def _gradcheck(a: argparse.Namespace) -> int:
    from tinydx import ops  # noqa: F401  the table of ops
    from tinydx.gradcheck.files import run

    language.choose(a.lang)
    return run(Path(a.file), a.shapes, a.seed, a.json)


def _exercise(function: str, a: argparse.Namespace) -> int:
    from tinydx.exercises import commands

    language.choose(getattr(a, "lang", None))  # `grade` has none: its table is one for all
    return getattr(commands, function)(a)


def _solutions(a: argparse.Namespace) -> int:
    from tinydx import language
    from tinydx.lessons import solutions

    language.choose(a.lang)
    print(solutions.write(a.file))
    return 0


def _add_bench(commands: Any) -> None:
    p = commands.add_parser(
        "bench",
        help="measure the speed of the kernels on this machine, and compare it with NumPy and PyTorch",
        description="Measure one op, forward and backward: every backend is first checked against the NumPy reference, then "
        "timed in turn with the others. `step` measures a training step and the inference of the document's network, and "
        "compares them with the peers that are installed: PyTorch, Keras and tinygrad. `models` does so for small networks, in "
        "training and in predicting one example. `shapes` measures the shapes that small and well-known networks give to ops, "
        "beside PyTorch. `flat` says whether an example costs the same in every size of batch, and whether memory stays as it "
        "is. All write bench.json, bench.md and bench.png. `errors` measures no time: it prints the rounding error of each "
        "kernel against float64.",
    )
    p.add_argument(
        "op", nargs="?", metavar="OP", help="an op (`tinydx card` lists them), or step, models, shapes, flat or errors"
    )
    p.add_argument(
        "--threads", type=_positive, nargs="+", metavar="N", help="numbers of threads to measure with (default: all cores)"
    )
    p.add_argument(
        "--rounds", type=_positive, metavar="N", help="measurements of each backend (default 12; step and models: 10, flat: 7)"
    )
    p.add_argument("--output", metavar="FOLDER", help="folder for the results (default: bench/OP)")
    p.add_argument("--from", dest="source", metavar="FILE", help="show the result in this bench.json again, without measuring")
    of_op = p.add_argument_group("for an op")
    of_op.add_argument(
        "--shapes",
        action="extend",
        nargs="+",
        metavar="CASE",
        help='shapes of the arrays, then constants, such as "16x56x56x64, 3x3x64x64, padding=same"',
    )
    of_op.add_argument("--backends", nargs="+", metavar="NAME", help="numpy, numba or torch (default: all)")
    of_op.add_argument("--seconds", type=_seconds, help="measuring time for each row, in seconds (also for shapes; default 0.25)")
    of_race = p.add_argument_group("for step, models, shapes and flat")
    of_race.add_argument(
        "--peers", metavar="NAMES", help="such as torch,keras (step and models; default: all that are installed)"
    )
    of_race.add_argument("--batch", type=_positive, help="images in a batch (step; default 32)")
    of_race.add_argument("--only", nargs="+", metavar="NAME", help="models such as lenet, or families of shapes such as dense")
    p.set_defaults(run=_bench, writes_files=True, keeps_order=True)


def _bench(a: argparse.Namespace) -> int:
    from tinydx.bench.commands import bench

    return bench(a)


def _add_cuda(commands: Any) -> None:
    p = commands.add_parser("cuda", help="run CUDA kernels on the CPU, and find their mistakes")
    actions = p.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="find races, missing barriers, out-of-bounds and slow accesses in a .cu file",
        description="Run the kernels of a .cu file on the CPU and check every access: races, missing barriers, indices out of "
        "bounds, reads of unwritten values, misaligned vectors; and list the lines that use memory inefficiently. Comments in "
        "the file say what to launch: // check: saxpy<<<4, 256>>>(n=1000, a=2.0f, x=random(n), y=random(n)). "
        "The exit status is 1 if there are mistakes.",
    )
    check.add_argument("file", metavar="FILE.cu")
    check.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="define a macro")
    check.add_argument("--seed", type=int, default=0, help="seed of the order in which threads run (default 0)")
    check.add_argument("--counters", action="store_true", help="print the memory accesses of each line")
    by_hand = check.add_argument_group("one launch, instead of those in the file")
    by_hand.add_argument("--kernel", metavar="NAME")
    by_hand.add_argument("--grid", default="1", metavar="SIZES", help="blocks, such as 4, or 4,4 (default 1)")
    by_hand.add_argument(
        "--block", default="256", metavar="SIZES", help="threads of a block, such as 256, or 16,16 (default 256)"
    )
    by_hand.add_argument("--shared", default="0", metavar="BYTES", help="bytes of dynamic shared memory (default 0)")
    by_hand.add_argument(
        "--args", default="", metavar="VALUES", help='arguments, such as "n=1000, a=2.0f, x=random(n), y=empty(n)"'
    )
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
    p = commands.add_parser("doctor", help="print what this machine has, and what to install for more")
    p.add_argument("--warm", action="store_true", help="compile all CPU kernels now, instead of at their first use")
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
        raise argparse.ArgumentTypeError(said("{text!r} is not a number of seconds above 0", text=text))
    return seconds


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, above 0 and at most 1")
    return share


def _layers(text: str) -> int | str:
    if text != "all" and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of layers nor all")
    return text if text == "all" else int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(said("{text!r} is not a whole number above 0", text=text))
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
