"""The exercises: right work passes, wrong work is named, and every fault in a learner's file gives one plain message."""

import ast
import csv
import inspect
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinydx import cli
from tinydx.course import all_lessons, lesson_of
from tinydx.exercises import Gradients, Values, all_exercises, check_file, find, sandbox, worker
from tinydx.exercises.checks import DRAWS, _Turn
from tinydx.exercises.commands import commentary
from tinydx.exercises.exercise import CATALOG, NOT_WRITTEN
from tinydx.exercises.folder import PROGRESS, Folder
from tinydx.exercises.grade import fingerprint, grade
from tinydx.exercises.learner import Learner
from tinydx.exercises.values import value_patterns
from tinydx.gradcheck import gradcheck
from tinydx.language import LANGUAGES
from tinydx.op import TABLE, RandomDraw

ROOT = Path(__file__).parents[1]
EXERCISES = pytest.mark.parametrize("exercise", all_exercises(), ids=lambda e: e.name)
BUGS = pytest.mark.parametrize(
    ("exercise", "bug"), [(e, b) for e in all_exercises() for b in e.bugs], ids=lambda v: v.name.replace(" ", "_")
)
CHECKS = [(e, c) for e in all_exercises() for c in e.checks]
OF_GRADIENTS = [(e, c) for e, c in CHECKS if isinstance(c, Gradients)]
OF_VALUES = [(e, c) for e, c in CHECKS if isinstance(c, Values)]
OWN_OPS = [(e, c) for e, c in OF_GRADIENTS if c.of.name not in TABLE]


def named(pairs):
    """Test each (exercise, check), under the exercise's name."""
    return pytest.mark.parametrize(("exercise", "check"), pairs, ids=lambda v: getattr(v, "name", ""))


class InProcess:
    """A learner's file in this process, with the interface of `Learner`, for quick checks that need no isolation."""

    def __init__(self, text, change=lambda function: function):
        self.module, self.change, self.warnings = {}, change, []
        exec(compile(text, "learner.py", "exec"), self.module)

    def call(self, name, arguments, source=""):
        if source:
            exec(source, self.module)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = self.change(self.module[name])(*arguments)
        self.warnings += [str(w.message) for w in caught]
        return value


def judge(exercise, text, **change):
    learner = InProcess(text, **change)
    return [check.judge(learner, exercise.slips(check)) for check in exercise.checks]


def written(folder, exercise, text):
    path = folder / exercise.file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def tinydx(*arguments, cwd=None, encoding="utf-8", **options):
    """Run the command in a process of its own; its output is decoded strictly."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tinydx", "exercise", *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL, "timeout": 120} | options
    run = subprocess.run(command, capture_output=True, check=False, cwd=cwd, env=environment, **options)
    return run.returncode, run.stdout.decode(encoding), run.stderr.decode(encoding)


@pytest.fixture
def started(tmp_path):
    folder = Folder(tmp_path / "exercises")
    folder.start()
    return folder


# ---- each exercise -------------------------------------------------------------------------------------------------


@EXERCISES
def test_the_solution_passes(exercise, tmp_path):
    result = check_file(exercise, written(tmp_path, exercise, exercise.solution))
    assert result.ok, result.text()
    assert result.right == result.of > 0 and not result.warnings


@EXERCISES
def test_the_starter_is_not_written_yet_or_has_its_bug(exercise, tmp_path):
    result = check_file(exercise, written(tmp_path, exercise, exercise.starter))
    if exercise.planted:
        assert result.status == "wrong" and exercise.bugs[0].name in result.mistakes
    else:
        assert result.status == "not written" and result.message == "not written yet"


@BUGS
def test_every_planted_bug_gets_its_own_name(exercise, bug):
    reports = judge(exercise, exercise.with_bug(bug))
    names = [name for r in reports for name in r.mistakes.values() or [p.name for p in r.problems]]
    assert Counter(names).most_common(1)[0][0] == bug.name, "\n".join(map(str, reports))


def test_no_option_of_the_arguments_is_left_out_by_chance():
    """A matrix of few columns does not show that a loop never moves on."""
    exercise = find("tiled_product")
    bug = next(b for b in exercise.bugs if b.name == "always the first step")
    for seed in range(1000):
        options = [_Turn(seed, i).choice("abc") for i in range(DRAWS)]
        assert set(options) == set("abc")
    learner = InProcess(exercise.with_bug(bug))
    assert not exercise.checks[0].judge(learner, exercise.slips(exercise.checks[0]), 5).ok


@EXERCISES
def test_a_learner_gets_all_that_is_needed_and_not_the_answer(exercise):
    head, *rest = exercise.starter.splitlines()
    assert head.startswith(f'"""{exercise.number:02d} ') and re.search("[\u4e00-\u9fff]", head)
    assert rest[0] == f"lesson {lesson_of(exercise.name).number}, {lesson_of(exercise.name).title}"
    assert f"\n第 {lesson_of(exercise.name).number} 课，{lesson_of(exercise.name).chinese}\n" in exercise.header_in("zh")
    assert "\\" not in exercise.header_in("en") and "tinydx" not in exercise.code and len(rest) < 90
    assert all(len(line) <= 140 for line in rest)
    assert all(check.function.__name__ in exercise.starter for check in exercise.checks if not getattr(check, "driver", False))
    assert len(exercise.hints) == 3 and len(exercise.bugs) >= 3
    assert len({bug.name for bug in exercise.bugs}) == len(exercise.bugs)
    if not exercise.planted:
        missing = Counter(exercise.solution.splitlines()) - Counter(exercise.starter.splitlines())
        assert NOT_WRITTEN in exercise.starter and missing.total() >= exercise.starter.count(NOT_WRITTEN)
    compile(exercise.starter, exercise.file, "exec")


@EXERCISES
def test_a_learner_gets_the_same_program_in_chinese(exercise):
    programs = []
    for starter in map(exercise.starter_in, LANGUAGES):
        tree = ast.parse(starter)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body[0].value.value = ""
        programs.append(ast.dump(tree))
    assert programs[0] == programs[1]


@EXERCISES
def test_an_op_s_record_names_no_argument_that_the_exercise_does_not_have(exercise):
    """Such as groups or a mask: the head of the file is the op's record where the exercise states no shapes of its own."""
    op = next((check.of for check in exercise.checks if isinstance(check, Gradients)), None)
    words = set() if exercise.shapes or op is None else set(re.findall("[a-z_]{3,}", op.shapes.split("->")[0]))
    assert words - {"number", "bool", "int"} <= set(re.findall("[a-z_]+", exercise.code))


def test_the_exercises_follow_the_lessons():
    names = [e.name for e in all_exercises()]
    assert sorted(names) == sorted(file.stem for file in CATALOG.glob("[!_]*.py")), "each belongs to one lesson"
    assert all(lesson.exercises for lesson in all_lessons()) and len(names) >= 24
    assert sum(e.planted for e in all_exercises()) == 3


# ---- the references that live with their exercises -----------------------------------------------------------------


@named(OWN_OPS)
def test_own_references_are_safe_for_the_complex_step(exercise, check):
    """A reference that loses the imaginary part would disagree with central differences, which the checker would then use."""
    arrays, _ = check.of.samples(RandomDraw(3))
    module = {}
    exec(exercise.solution, module)
    if check.driver:
        exec(inspect.getsource(check.function), module)
    report = gradcheck(check.of.forward, *arrays, backward=check.as_backward(module[check.function.__name__]))
    assert report and report.method == "complex step", report


def lstm_by_hand(x, h, c, w, u, b):
    """Number by number, Keras's gate order i, f, c, o."""
    n, units = h.shape
    new_h, new_c = np.zeros((n, units)), np.zeros((n, units))
    for r in range(n):
        for j in range(units):
            i, f, g, o = (
                b[k * units + j]
                + sum(x[r, d] * w[d, k * units + j] for d in range(x.shape[1]))
                + sum(h[r, m] * u[m, k * units + j] for m in range(units))
                for k in range(4)
            )
            new_c[r, j] = c[r, j] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            new_h[r, j] = np.tanh(new_c[r, j]) / (1 + np.exp(-o))
    return new_h, new_c


def gru_by_hand(x, h, w, u, b):
    """Number by number, Keras's gate order z, r, h and reset_after=True."""
    n, units = h.shape
    new = np.zeros((n, units))
    for r in range(n):
        for j in range(units):
            from_x = [b[0, k * units + j] + sum(x[r, d] * w[d, k * units + j] for d in range(x.shape[1])) for k in range(3)]
            from_h = [b[1, k * units + j] + sum(h[r, m] * u[m, k * units + j] for m in range(units)) for k in range(3)]
            z, reset = (1 / (1 + np.exp(-from_x[k] - from_h[k])) for k in range(2))
            new[r, j] = z * h[r, j] + (1 - z) * np.tanh(from_x[2] + reset * from_h[2])
    return new


@pytest.mark.parametrize(("name", "by_hand"), [("lstm_step", lstm_by_hand), ("gru_step", gru_by_hand)])
def test_gated_steps_are_those_of_keras(name, by_hand):
    op = find(name).checks[0].of
    for seed in range(3):
        arrays, _ = op.samples(RandomDraw(seed))
        np.testing.assert_allclose(op.forward(*arrays)[0], by_hand(*arrays), rtol=1e-12, atol=1e-14)


# ---- what is said about the result ---------------------------------------------------------------------------------


@EXERCISES
def test_after_a_pass_the_commentary_advises_on_every_usual_mistake(exercise):
    lines = commentary(exercise)
    told = dict(line.strip().split(": ", 1) for line in lines[3 : lines.index("Read next")])
    assert list(told) == [bug.name for bug in exercise.bugs] and all(len(advice) > 20 for advice in told.values())
    assert "the network that the check builds" not in "".join(lines)


def test_results_of_several_functions_stand_under_their_functions(tmp_path):
    sgd = find("sgd")
    lines = check_file(sgd, written(tmp_path, sgd, sgd.solution)).text().splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["sgd", "✓"] and "  sgd_with_momentum" in lines[3:]


def test_numbers_that_are_almost_right_are_not_in_wrong_places():
    true = np.array([1.0, -2.0, 3.0])
    for got, name in ((true * (1 + np.array([0, 3e-8, 0])), "almost right"), (true[[1, 0, 2]], "right numbers in wrong places")):
        assert [found.name for found in value_patterns("S", got, true, ())] == [name]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("dy @ w, x.T @ dy, dy.sum(axis=0)", r"a @ b needs as many rows of b as columns of a, here \d and \d: .* \(line "),
        ("dy^2, x.T @ dy, dy.sum(axis=0)", r"\^ is not a power in Python: write \*\* instead \(line "),
    ],
)
def test_what_beginners_ask_of_numpy_is_answered_in_plain_words(tmp_path, wrong, told):
    dense = find("dense")
    result = check_file(dense, written(tmp_path, dense, dense.solution.replace("dy @ w.T, x.T @ dy, dy.sum(axis=0)", wrong)))
    assert result.status == "error" and re.match(told, result.message)


# ---- weak work -----------------------------------------------------------------------------------------------------


def cotangents(check):
    """How many of the function's first arguments are incoming gradients."""
    names = list(inspect.signature(check.function).parameters)
    return sum(n not in check.of.signature.parameters and n != "y" for n in names)


def as_list(value):
    return list(value) if isinstance(value, tuple) else [value]


def with_ones(function, check):
    return lambda *a: function(*(np.ones_like(dy) for dy in a[: cotangents(check)]), *a[cotangents(check) :])


def with_first_example(function, check):
    def first(dy):
        return dy * (np.arange(len(dy)) == 0).reshape(-1, *[1] * (dy.ndim - 1)) if np.ndim(dy) else 0 * dy

    return lambda *a: function(*map(first, a[: cotangents(check)]), *a[cotangents(check) :])


def averaged(function, check):
    return lambda *a: tuple(g / 2 for g in as_list(function(*a)))


def a_little_off(function, check):
    return lambda *a: tuple(1.001 * g for g in as_list(function(*a)))


def one_number_off(function, check):
    def wrong(*a):
        gradients = [np.array(g) for g in as_list(function(*a))]
        gradients[-1].flat[-1] += 1e-6 * max(np.max(np.abs(gradients[-1])), 1e-3)
        return tuple(gradients)

    return wrong


def always_the_first(function, check):
    known = []

    def memory(*a):
        known.append(function(*a))
        return known[0]

    return memory


@pytest.mark.parametrize("weakness", [with_ones, with_first_example, averaged, a_little_off, one_number_off])
@named(OF_GRADIENTS)
def test_weak_gradients_do_not_pass(exercise, check, weakness):
    learner = InProcess(exercise.solution, change=lambda function: weakness(function, check))
    assert not check.judge(learner, [])


@pytest.mark.parametrize("weakness", [averaged, a_little_off, one_number_off, always_the_first])
@named(OF_VALUES)
def test_weak_values_do_not_pass(exercise, check, weakness):
    wrong = {}  # one changed version of each function, because always_the_first has a state
    learner = InProcess(exercise.solution, change=lambda f: wrong.setdefault(f, weakness(f, check)))
    assert not check.judge(learner, [])


def test_the_data_tell_batch_rows_and_columns_apart():
    """No draw has a batch of one, and the sides of images and kernels are not all equal."""
    for exercise, check in CHECKS:
        if isinstance(check, Gradients):
            for seed in range(12):
                arrays, _ = (check.samples or check.of.samples)(RandomDraw(1 + seed))
                if check.of.shapes.startswith(("x (N", "h (N", "q (N", "z (N")):
                    assert len(arrays[0]) > 1, exercise.name


# ---- what a learner's file can do ----------------------------------------------------------------------------------

RIGHT = "import numpy as np\n\n\ndef relu_backward(dy, x):\n    return dy * (x > 0)\n"


def body(*lines):
    head = "import os, subprocess, sys\nimport numpy as np\ndef relu_backward(dy, x):\n"
    return head + "".join(f"    {line}\n" for line in lines)


CATCHES_ALL = body("while True:", "    try:", "        print('x' * 999)", "    except BaseException:", "        pass")
GARBLES = body("for fd in range(3, 20):", "    try: os.write(fd, b'ok')", "    except OSError: pass", "return dy")
STRANGE = "class E(Exception):\n    def __str__(self):\n        raise E\nraise E\n"


FAULTS = {
    "endless loop": (body("while True:", "    pass"), "timeout", "stopped after 1 seconds of computing.*endless loop.*line [45]"),
    "endless loop at import": ("while True:\n    pass\n", "timeout", "endless loop.*line [12]"),
    "loop that catches all": (CATCHES_ALL, "timeout", "stopped after"),  # it may wait until its prints are read
    "sleeps for ever": (body("while True:", "    __import__('time').sleep(1)"), "timeout", "after 6 seconds, most.*line 5"),
    "slow in every call": (body("__import__('time').sleep(0.2)", "return dy * (x > 0)"), "timeout", "after 6 seconds, most"),
    "loop in C": (body("return 10 ** 10 ** 9"), "timeout", "stopped after 1 seconds"),
    "os._exit": (body("os._exit(0)"), "crash", "status 0"),
    "os._exit at import": ("import os\nos._exit(3)\n", "crash", "status 3"),
    "segmentation fault": (body("__import__('faulthandler')._sigsegv()"), "crash", "SIGSEGV"),
    "sys.exit": (body("sys.exit(0)"), "error", "sys.exit.*line 4"),
    "sys.exit at import": ("import sys\nsys.exit(0)\n", "error", "sys.exit.*line 2"),
    "deleted function": ("def relu(x):\n    return x\n", "error", "no function relu_backward"),
    "renamed function": (RIGHT.replace("backward", "backwards"), "error", "one named relu_backwards"),
    "syntax error": ("def relu_backward(dy, x):\n    return dy *\n", "error", "SyntaxError: invalid syntax .line 2: return dy"),
    "wrong signature": (RIGHT.replace("(dy, x)", "(dy)"), "error", "called with 2 arguments.*relu_backward.dy."),
    "returns None": (RIGHT.replace("return ", ""), "wrong", "returned None.*return. missing"),
    "returns text": (body("return 'ok'"), "wrong", "of type str, expected one array"),
    "returns a list": (body("return [dy, 'ok']"), "wrong", "a list of ndarray, str"),
    "returns complex numbers": (body("return (dy * (x > 0)).astype('D')"), "wrong", "complex numbers"),
    "returns objects": (body("return np.array([None, {}])"), "wrong", "ndarray of object"),
    "returns far too much": (body("return np.zeros(10 ** 8)"), "error", "far too many"),
    "exception": (body("return dy * (X > 0)"), "error", "NameError: name 'X' is not defined .line 4: return"),
    "exception of a strange class": (STRANGE, "error", "E .line 4"),
    "no end of recursion": (body("return relu_backward(dy, x)"), "error", "RecursionError"),
    "too much memory": (body("return np.zeros(10 ** 13)"), "error", "MemoryError|Unable to allocate"),
    "forks for ever": (body("while True:", "    os.fork()"), "error", "needs no other process"),
    "other programs": (body("subprocess.run(['sleep', '100'])"), "error", "needs no other process"),
    "kills the checker": (body("os.kill(os.getppid(), 9)"), "error", "needs no other process"),
    "waits for input": (body("return dy * float(input())"), "error", "EOFError"),
    "looks the answer up": ("from tinydx import ops\n", "error", "with NumPy alone"),
    "garbles the answers": (GARBLES, "crash", "garbled"),
    "closes everything": (body("os.closerange(0, 50)", "return dy"), "crash", ""),
    "null bytes": (RIGHT.encode() + b"\0", "error", "null bytes"),
    "empty": ("", "error", "no function relu_backward"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_plain_message(fault, tmp_path):
    text, status, message = FAULTS[fault]
    result = check_file(find("relu"), written(tmp_path, find("relu"), text), seconds=1)
    assert (result.status, result.right) == (status, 0) and not result.ok
    assert re.search(message, result.message) and "\n" not in result.message and "Traceback" not in result.text()


@pytest.mark.parametrize(
    "fault", ["endless loop", "segmentation fault", "os._exit", "syntax error", "deleted function", "returns None"]
)
def test_a_fault_is_exit_status_1(fault, started):
    written(started.path, find("relu"), FAULTS[fault][0])
    status, out, err = tinydx("check", "relu", "--seconds", 1, cwd=started.path)
    assert status == 1 and not err and len(out.splitlines()) == 4
    assert re.search(FAULTS[fault][2], out)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (body("dy[x <= 0] = 0", "return dy"), "inputs changed"),
        (body("x[:] = x > 0", "return dy * x"), "inputs changed"),
        ("n = 0\n" + body("global n", "n += 1", "return dy * (x > 0) * n"), "constant factor"),
        (body("return (dy * (x > 0)).astype('float32')"), "float32"),
        (body("return (dy * (x > 0))[0]"), "wrong shape"),
        (body("return dy * np.nan"), "NaN"),
        (body("print('ok', '{\"kind\": \"value\"}')", "return dy"), "gate forgotten"),
    ],
)
def test_wrong_work_in_a_process_is_named(text, mistake, tmp_path):
    assert check_file(find("relu"), written(tmp_path, find("relu"), text)).mistakes == [mistake]


@pytest.mark.parametrize(
    "text",
    [RIGHT.encode("utf-8-sig"), RIGHT.replace("\n", "\r\n"), RIGHT + "import sys\nsys.stdout = None\n", RIGHT + "# 中文\n"],
    ids=["bom", "crlf", "no stdout", "chinese"],
)
def test_right_work_passes_however_it_was_saved(text, tmp_path):
    assert check_file(find("relu"), written(tmp_path, find("relu"), text)).ok


def test_half_written_work_counts_what_is_there(tmp_path):
    exercise = find("stable_sigmoid")
    written_so_far = exercise.starter.replace(NOT_WRITTEN, exercise.code.split("# solution\n")[1].split("\n\n")[0].strip(), 1)
    result = check_file(exercise, written(tmp_path, exercise, written_so_far))
    assert (result.status, result.right, result.of) == ("not written", 1, 2)
    assert re.search(r"✓    y .*\n  ✗    not written yet\n  1/2 values", result.text())


def test_a_flood_of_prints_is_cut(tmp_path):
    text = RIGHT.replace("    return", "    for i in range(10 ** 4):\n        print(i, 'and so on')\n    return")
    result = check_file(find("relu"), written(tmp_path, find("relu"), text))
    assert result.ok and len(result.output) < 5000 and "left out" in result.output
    assert "0 and so on" in result.text() and len(result.text().splitlines()) < 30


def test_what_was_started_does_not_outlive_the_check(tmp_path):
    """Threads, and anything else that the code started, end with the process."""
    thread = "import os, threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()\n"
    written(tmp_path, find("relu"), thread + RIGHT + "print(os.getpid())\n")
    result = check_file(find("relu"), tmp_path / find("relu").file)
    assert result.ok
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.output), 0)


# ---- its time ------------------------------------------------------------------------------------------------------


def test_the_time_limit_is_of_the_learners_code_alone(tmp_path):
    """Starting Python and NumPy takes longer than this limit."""
    written(tmp_path, find("relu"), RIGHT)
    with Learner(tmp_path / find("relu").file, seconds=0.05) as learner:
        assert (learner.call("relu_backward", [np.ones(2), np.array([1.0, -1.0])]) == [1, 0]).all()


def test_a_pause_takes_nothing_from_the_time_limit(tmp_path):
    """The process stands still for twice its limit, as on a machine that sleeps or has much else to do."""
    written(tmp_path, find("relu"), RIGHT)
    with Learner(tmp_path / find("relu").file, seconds=1) as learner:
        os.kill(learner._process.pid, signal.SIGSTOP)
        threading.Timer(2, os.kill, (learner._process.pid, signal.SIGCONT)).start()
        assert (learner.call("relu_backward", [np.ones(2), np.array([1.0, -1.0])]) == [1, 0]).all()


FORKS = body("if os.fork() == 0:", "    while True: pass", "os.wait()", "return dy * (x > 0)")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell it")
def test_what_other_processes_compute_counts(tmp_path, monkeypatch):
    """Where the hook would let the code start one, which computes while the code itself waits."""
    unrestricted, code = tmp_path / "worker.py", Path(worker.__file__).read_text("utf-8")
    unrestricted.write_text(code.replace("    restrict(os.path.dirname(path))\n", ""), "utf-8")
    monkeypatch.setattr(worker, "__file__", str(unrestricted))
    result = check_file(find("relu"), written(tmp_path, find("relu"), FORKS), seconds=1)
    assert result.status == "timeout" and result.message.startswith("stopped after 1 seconds of computing")


def test_the_fence_hides_no_computing(tmp_path):
    """Of what runs behind bubblewrap, too: Python computes this without a look at its threads."""
    if why := sandbox.without_fence():
        pytest.skip(why)
    folder = tmp_path / "tinydx-grade-x"
    folder.mkdir()
    path = written(folder, find("relu"), FAULTS["loop in C"][0])
    result = check_file(find("relu"), path, seconds=1, fence=sandbox.fence(folder))
    assert result.status == "timeout" and result.message.startswith("stopped after 1 seconds of computing")


def test_a_file_that_is_not_there_is_said(tmp_path):
    result = check_file(find("relu"), tmp_path / "02_relu.py")
    assert result.status == "missing" and "tinydx exercise reset relu" in result.message


# ---- what goes between the processes -------------------------------------------------------------------------------

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
numbers = hnp.arrays(st.sampled_from(["<f8", ">f4", "<i8", "u1", "?", "<c16"]), shapes)
simple = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=20)
values = st.recursive(simple | numbers, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner))


def equal(a, b):
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") and b.flags.writeable
    return a == b or (a != a and b != b)


@given(values)
def test_values_survive_the_pipe(value):
    assert equal(value, worker.decode(json.loads(json.dumps(worker.encode(value)))))


FORGED = [{"array": ["O", [1], ""]}, {"array": ["<f8", [9], ""]}, {"code": "print()"}, {"a": 1, "b": 2}, {"array": 5}]


@pytest.mark.parametrize("data", FORGED)
def test_forged_data_are_refused(data):
    with pytest.raises((ValueError, TypeError)):
        worker.decode(data)


# ---- the folder ----------------------------------------------------------------------------------------------------


def test_start_never_overwrites_and_adds_what_is_new(started, capsys):
    written(started.path, find("relu"), "mine")
    started.file(find("tanh")).unlink()
    assert cli.main(["exercise", "start", str(started.path)]) == 0
    assert "1 new exercise in" in capsys.readouterr().out
    assert started.file(find("relu")).read_text() == "mine" and started.file(find("tanh")).read_text() == find("tanh").starter


def test_a_file_keeps_its_number_when_exercises_are_renumbered(started):
    mine = started.path / "77_relu.py"
    started.file(find("relu")).rename(mine)
    assert started.file(find("relu")) == mine and started.start() == []


def test_commands_find_the_folder_from_below_and_by_dir(started, tmp_path, monkeypatch, capsys):
    (started.path / "notes" / "deep").mkdir(parents=True)
    monkeypatch.chdir(started.path / "notes" / "deep")
    assert cli.main(["exercise", "list"]) == 0
    monkeypatch.chdir(tmp_path)  # the folder above the one that is called exercises
    assert cli.main(["exercise", "list"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli.main(["exercise", "list"]) == 1
    assert "tinydx exercise start" in capsys.readouterr().err
    assert cli.main(["exercise", "list", "--dir", str(started.path)]) == 0
    (started.path / PROGRESS).unlink()
    assert cli.main(["exercise", "list", "--dir", str(started.path)]) == 0


def test_reset_keeps_the_work(started):
    file = written(started.path, find("relu"), "first")
    assert started.reset(find("relu")).read_text() == "first" and file.read_text() == find("relu").starter
    assert started.reset(find("relu")) is None
    file.write_text("second")
    assert started.reset(find("relu")).read_text() == "second"
    assert sorted(p.read_text() for p in started.path.glob("*.old*")) == ["first", "second"]


DAMAGED = ["", "{", "[]", '"x"', '{"passed": 3, "hints": {}}', '{"passed": [[]], "hints": {}}', b"\xff\xfe\0"]


@pytest.mark.parametrize("text", [*DAMAGED, '{"passed": [], "hints": {"relu": "x"}}'])
def test_a_damaged_progress_file_is_put_aside(text, started, capsys):
    (started.path / PROGRESS).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["exercise", "hint", "relu", "--dir", str(started.path)]) == 0
    captured = capsys.readouterr()
    assert "hint 1/3" in captured.out and "damaged" in captured.err
    assert started.progress().hints == {"relu": 1} and (started.path / f"{PROGRESS}.damaged").exists()


def test_progress_is_written_whole_or_not_at_all(started, monkeypatch):
    started.mark(find("relu"), passed=True)

    def full(*a):
        raise OSError("disk full")

    with monkeypatch.context() as m:
        m.setattr("tinydx.files.os.replace", full)
        with pytest.raises(OSError, match="disk full"):
            started.mark(find("tanh"), passed=True)
    assert started.progress().passed == {"relu"}
    assert not list(started.path.glob(".*.tmp"))


def test_progress_follows_the_last_check_and_says_what_is_next(started):
    relu, sigmoid = find("relu"), find("sigmoid")
    assert started.current().name == "conv_sum"
    started.mark(find("conv_sum"), True)
    started.mark(relu, True)
    assert started.current() is started.current(after=all_exercises()[-1]) is sigmoid
    assert started.count() == f"2/{len(all_exercises())}"
    started.mark(relu, False)
    assert started.current() is relu and started.current(after=relu) is sigmoid


# ---- the commands --------------------------------------------------------------------------------------------------


def test_check_says_it_as_specified(started, capsys):
    exercise = find("conv_backward")
    written(started.path, exercise, exercise.with_bug(exercise.bugs[1]))
    assert cli.main(["exercise", "check", "9", "--dir", str(started.path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("09 The convolution: its three gradients  09_conv_backward.py\n")
    assert re.search(r"✓    dx .* numbers agree   worst relative gap \de-1\d", out)
    assert re.search(r"✗    dw .* numbers wrong   worst relative gap (5|7)e-01   averaged over the batch", out)
    assert re.search(r"dw\[\d, \d, \d, \d\]: yours -?\d+\.\d+   true -?\d+\.\d+", out)
    assert re.search(r"  1/3 gradients · \d+ ms\nprogress 0/\d+ · tinydx exercise hint conv_backward\n$", out)


def test_check_without_a_name_takes_the_next_one(started, capsys):
    written(started.path, find("conv_sum"), find("conv_sum").solution)
    assert cli.main(["exercise", "check", "--dir", str(started.path)]) == 0
    assert "next: 02_relu.py" in capsys.readouterr().out
    assert cli.main(["exercise", "check", "--dir", str(started.path)]) == 1
    assert "02_relu.py" in capsys.readouterr().out


def test_check_all_as_json(started, capsys):
    for e in all_exercises():
        written(started.path, e, e.solution if e.number % 2 else e.starter)
    assert cli.main(["exercise", "check", "--all", "--json", "--dir", str(started.path)]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [r["ok"] for r in data["results"]] == [e.number % 2 == 1 for e in all_exercises()]
    assert not data["ok"] and data["of"] == len(all_exercises()) and data["passed"] == sum(r["ok"] for r in data["results"])
    assert started.progress().passed == {e.name for e in all_exercises() if e.number % 2}


@pytest.mark.parametrize("name", ["relu", "2", "02", "02_relu", "02_relu.py", "some/where/02_relu.py"])
def test_an_exercise_has_many_names(name):
    assert find(name).name == "relu"


def test_hints_come_one_by_one_and_the_solution_after_a_pass(started, capsys):
    def run(*arguments):
        status = cli.main(["exercise", *arguments, "--dir", str(started.path)])
        return status, capsys.readouterr()

    for level in (1, 2, 3, 3):
        _, captured = run("hint", "relu")
        assert len(re.findall(r"^hint ./3", captured.out, re.M)) == level
        assert ("--spoil" in captured.out) == (level == 3)
    status, captured = run("solution", "relu")
    assert status == 1 and "not passed" in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert run("solution", "relu", "--spoil")[1].out.strip() == find("relu").solution.strip()
    written(started.path, find("relu"), RIGHT)
    assert run("check", "relu")[0] == 0
    assert run("solution", "relu")[0] == 0
    assert run("check", "nonsense")[0] == 1 and run("reset", "relu")[0] == 0
    assert run("solution", "relu")[0] == 1


@pytest.mark.parametrize("encoding", ["utf-8", "cp936", "ascii"])
def test_output_in_any_encoding(encoding, started):
    exercise = find("relu")
    written(started.path, exercise, exercise.with_bug(exercise.bugs[0]) + "print('中文 σ')\n")
    status, out, err = tinydx("check", "relu", cwd=started.path, encoding=encoding)
    assert status == 1 and not err
    mark, dot, block = {"utf-8": ("✗", "·", "█"), "cp936": ("x", "·", "#"), "ascii": ("x", "-", "#")}[encoding]
    assert f"  {mark} " in out and f" {dot} " in out and block in out and "gate forgotten" in out
    status, out, err = tinydx("list", cwd=started.path, encoding=encoding)
    assert status == 0 and not err and ("线性整流函数" in out) == (encoding != "ascii") and "??" not in out
    status, out, err = tinydx("solution", "adam", "--spoil", cwd=started.path, encoding=encoding)
    assert status == 0 and "def adam" in out
    status, out, err = tinydx("watch", cwd=started.path, encoding=encoding, input=b"h\nq\n", stdin=None)
    assert status == 0 and not err and "hint 1/3" in out and f" {dot} q quit" in out


# ---- watch ---------------------------------------------------------------------------------------------------------

SHELL = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests that run in the background inherit that it is ignored
job = subprocess.Popen([sys.executable, "-m", "tinydx", "exercise", "watch"], process_group=0)
os.tcsetpgrp(0, job.pid)
print(f"job {job.pid}.", flush=True)
while True:
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    os.tcsetpgrp(0, os.getpgrp())
    print("suspended, echo", bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
"""  # a minimal shell with job control


class Terminal:
    """A learner at a terminal: `watch` under a small shell in a real pseudo-terminal."""

    def __init__(self, folder):
        self.own, self.other = os.openpty()
        self.before = termios.tcgetattr(self.other)
        self.seen = ""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), self.other)
        self.shell = subprocess.Popen([sys.executable, "-c", SHELL], cwd=folder, env=environment, **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.shell.kill()
        self.shell.wait()
        for descriptor in (self.own, self.other):
            os.close(descriptor)

    def until(self, text, seconds=60):
        """Wait for this text; returns the output up to and including it."""
        end = time.monotonic() + seconds
        data = b""
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} does not come after:\n{self.seen}"
            if select.select([self.own], [], [], 0.1)[0]:
                data += os.read(self.own, 65536)
                self.seen, data = self.seen + data.decode(errors="ignore"), b""
        said, self.seen = self.seen.split(text, 1)
        return said + text

    def press(self, keys):
        os.write(self.own, keys)

    def ready(self):
        return self.until("q quit")

    def restored(self):
        return termios.tcgetattr(self.other) == self.before

    def single_keys(self):
        return not termios.tcgetattr(self.other)[3] & (termios.ICANON | termios.ECHO)


def test_watch_keys_and_saves(started):
    relu, sigmoid = find("relu"), find("sigmoid")
    with Terminal(started.path) as terminal:
        said = terminal.ready()
        assert "not written yet" in said and "h hint · r run again · l list · s skip" in said and terminal.single_keys()
        terminal.press(b"h")
        assert "hint 1/3 for 01_conv_sum.py" in terminal.ready()
        terminal.press(b"hl")
        assert "hint 2/3" in terminal.ready()
        assert "12_engine_layers.py" in terminal.ready()
        terminal.press(b"s")
        assert "02_relu.py" in terminal.ready()
        terminal.press(b"\x1bOQ")  # a function key is not q
        terminal.ready()
        written(started.path, relu, relu.with_bug(relu.bugs[0]))
        assert "gate forgotten" in terminal.ready()
        other = written(started.path / "..", relu, relu.solution)  # some editors save like this: a new file takes the name
        os.replace(other, started.file(relu))
        said = terminal.ready()
        assert "passed, next: 03_sigmoid.py" in said and "not written yet" in said and "\x1b" not in said
        terminal.press(b"r")
        assert "03_sigmoid.py" in terminal.ready()
        written(started.path, sigmoid, body("while True:", "    pass"))
        started.file(find("tanh")).unlink()
        written(started.path, sigmoid, sigmoid.solution)
        assert "next: 04_tanh.py" in terminal.until("reset tanh") and terminal.ready()
        terminal.press(b"q")
        assert terminal.shell.wait(30) == 0 and terminal.restored()
    assert started.progress().passed == {"relu", "sigmoid"} and started.progress().hints == {"conv_sum": 2}


def test_watch_restores_the_terminal_when_interrupted(started):
    with Terminal(started.path) as terminal:
        terminal.ready()
        terminal.press(b"\x03")
        assert terminal.shell.wait(30) == 130 and terminal.restored()


def test_watch_restores_the_terminal_when_terminated(started):
    with Terminal(started.path) as terminal:
        job = int(re.search(r"job (\d+)", terminal.ready())[1])
        os.kill(job, signal.SIGTERM)
        assert terminal.shell.wait(30) == 128 + signal.SIGTERM and terminal.restored()


def test_watch_restores_the_terminal_while_suspended(started):
    with Terminal(started.path) as terminal:
        terminal.ready()
        terminal.press(b"\x1a")
        assert terminal.until("suspended, echo True") and terminal.restored()
        terminal.press(b"fg\n")
        end = time.monotonic() + 30
        while not terminal.single_keys():
            assert time.monotonic() < end, "the terminal was not taken again"
            time.sleep(0.05)
        terminal.press(b"h")
        assert "hint 1/3" in terminal.ready()
        terminal.press(b"\x04")
        assert terminal.shell.wait(30) == 0 and terminal.restored()


def test_watch_restores_the_terminal_after_an_exception(started):
    with Terminal(started.path) as terminal:
        terminal.ready()
        (started.path / PROGRESS).unlink()
        (started.path / PROGRESS).mkdir()  # can no longer be read or written
        terminal.press(b"h")
        assert terminal.shell.wait(30) == 1 and terminal.restored()


def test_watch_on_plain_pipes(started):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "tinydx", "exercise", "watch"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=started.path, env=environment, **pipes) as process:

        def ready():
            lines = []
            while "q quit (and Enter)" not in (lines or [""])[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1]
            return "".join(lines)

        def type_line(text):
            process.stdin.write(text + "\n")
            process.stdin.flush()

        assert "not written yet" in ready()
        type_line("")
        type_line("hint please")
        assert "hint 1/3" in ready()
        written(started.path, find("conv_sum"), find("conv_sum").solution)
        assert "passed, next: 02_relu.py" in ready()
        type_line("l")
        assert "12_engine_layers.py" in ready()
        process.stdin.close()  # the end of the input is the end of watching
        assert process.wait(30) == 0


# ---- grade ---------------------------------------------------------------------------------------------------------

KINDS = {
    "ok": lambda e, rng: e.solution,
    "not written": lambda e, rng: e.starter,
    "wrong": lambda e, rng: e.with_bug(e.bugs[rng.integers(len(e.bugs))]),
    "timeout": lambda e, rng: e.solution + "\nwhile True:\n    pass\n",
    "crash": lambda e, rng: e.solution + "\nimport os\nos._exit(0)\n",
    "error": lambda e, rng: e.solution + "\nprint(\n",
    "missing": lambda e, rng: None,
}


def make_students(folder, count, rng):
    """Student folders with known results: student -> exercise -> expected cell."""
    expected = {}
    for i in range(count):
        student = folder / f"student {i:03d} 学生"
        where = student / "exercises" if i % 3 == 0 else student
        where.mkdir(parents=True)
        expected[student.name] = {}
        for e in all_exercises():
            kind = str(rng.choice(list(KINDS), p=[0.5, 0.25, 0.15, 0.02, 0.02, 0.03, 0.03]))
            kind = "wrong" if kind == "not written" and e.planted else kind
            expected[student.name][e.name] = kind
            text = KINDS[kind](e, rng)
            if text is not None:
                written(where, e, f"{text}# {student.name}\n")
    return expected


def test_grade_scores_every_student(tmp_path, proof):
    rng = np.random.default_rng(5)
    expected = make_students(tmp_path / "class", 5 if proof else 2, rng)
    table = tmp_path / "scores.csv"
    grade(tmp_path / "class", table, seconds=4, jobs=2)  # enough for right work on a busy machine
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert [r["student"] for r in rows] == sorted(expected)
    for row in rows:
        cells = expected[row["student"]]
        assert {e: row[e].split(" ")[0] for e in cells} == {e: kind.split(" ")[0] for e, kind in cells.items()}
        assert int(row["passed"]) == sum(kind == "ok" for kind in cells.values()) and int(row["of"]) == len(all_exercises())
        assert float(row["percent"]) == round(100 * int(row["passed"]) / len(all_exercises()), 1)


def test_grade_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written_to = tmp_path / "class" / "ann"
    written_to.mkdir(parents=True)
    written(written_to, find("relu"), RIGHT)
    assert cli.main(["exercise", "grade", "class", "--csv", "s.csv", "--jobs", "1"]) == 0
    assert f"1/{len(all_exercises())}" in capsys.readouterr().out
    assert (tmp_path / "s.csv").read_text().splitlines()[1].startswith(f"ann,1,{len(all_exercises())},")


def test_hidden_files_and_folders_are_nobodys_work(tmp_path):
    wrong = RIGHT.replace("0", "1")
    for place in ("ann", "ann/.ipynb_checkpoints", "__MACOSX/ann", "@eaDir", ".git", "bob/__MACOSX", "bob/@eaDir"):
        (tmp_path / "class" / place).mkdir(parents=True)
        written(tmp_path / "class" / place, find("relu"), RIGHT if place == "ann" else wrong)
    (tmp_path / "class" / "ann" / "._02_relu.py").write_bytes(b"\0\5\x16\7")
    (tmp_path / "class" / ".DS_Store").write_bytes(b"\0")
    scores = grade(tmp_path / "class", tmp_path / "s.csv", jobs=1)
    assert [(s.student, s.cells["relu"]) for s in scores] == [("ann", "ok"), ("bob", "missing")]


@pytest.mark.parametrize(
    ("folder", "table", "words"),
    [("nowhere", "s.csv", "no folder"), ("empty", "s.csv", "no folders in it"), ("class", "no/s.csv", "cannot write")],
)
def test_grade_says_what_is_missing(folder, table, words, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "class" / "ann").mkdir(parents=True)
    assert cli.main(["exercise", "grade", str(tmp_path / folder), "--csv", str(tmp_path / table)]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_only_equal_programs_share_a_result(tmp_path):
    texts = ["x = '\\d'", "x = '\\d'  # mine", "x='\\d'", "x = 2", "x = (", "x = ( "]
    prints = []
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.py").write_text(text)
        prints.append(fingerprint(tmp_path / f"{i}.py"))
    assert prints[0] == prints[1] == prints[2] and len(set(prints)) == 4
