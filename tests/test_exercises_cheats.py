"""Known ways to pass an exercise without doing it fail, for every exercise; honest work of unusual style passes.

What a cheat returns is judged in this process, through the same encoding as between processes; what it may read and import
is tried in a real check. HYPOTHESIS_PROFILE=proof tries the latter for every exercise.
"""

import re
import subprocess
import sys

import hostile
import numpy as np
import pytest

from tinydx.exercises import Gradients, all_exercises, check_file, find, worker
from tinydx.exercises.honest import refused
from tinydx.gradcheck.calling import Stop

OF_GRADIENTS = [e for e in all_exercises() if any(isinstance(c, Gradients) for c in e.checks)]
CHECKS = [(e, c) for e in all_exercises() for c in e.checks]
EACH = pytest.mark.parametrize(("exercise", "check"), CHECKS, ids=lambda v: getattr(v, "name", ""))


def written(folder, exercise, text):
    path = folder / exercise.file
    path.write_text(text, "utf-8")
    return path


# ---- what a cheat returns ------------------------------------------------------------------------------------------


class Cheat:
    """Calls cheat(right, arguments) in place of the learner's function; right() computes what is right."""

    def __init__(self, exercise, cheat):
        self.module, self.cheat, self.warnings = {}, cheat, []
        exec(exercise.solution, self.module)

    def call(self, name, arguments, source=""):
        if source:
            exec(source, self.module)
        answer = self.cheat(lambda: self.module[name](*arguments), arguments)
        return worker.decode(worker.encode(answer))


def like(answer, fill):
    """The same shapes, filled."""
    if isinstance(answer, tuple):
        return tuple(like(a, fill) for a in answer)
    return fill(np.asarray(answer))


class Liar(np.ndarray):
    """An array that equals everything, is close to everything, and has no difference from anything."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __sub__(self, other):
        return 0 * np.asarray(self)

    __rsub__ = __sub__
    __hash__ = None

    def __array__(self, *a, **k):
        return np.zeros(3)

    def __array_ufunc__(self, *a, **k):
        return np.zeros(self.shape)

    def __array_function__(self, *a, **k):
        return True

    def __bool__(self):
        return True


class Pretender:
    """No array at all, which becomes what is asked for."""

    dtype, shape, size = np.dtype(float), (), 1

    def __array__(self, *a, **k):
        return np.zeros(())

    def __eq__(self, other):
        return True

    __hash__ = None


def changes_its_inputs(right, arguments):
    answer = like(right(), np.zeros_like)
    for a in arguments:
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            a[...] = 0
    return answer


RETURNED = {
    "zeros": lambda right, arguments: like(right(), np.zeros_like),
    "ones": lambda right, arguments: like(right(), np.ones_like),
    "nothing": lambda right, arguments: None,
    "not a number": lambda right, arguments: like(right(), lambda a: np.full(a.shape, np.nan)),
    "infinity": lambda right, arguments: like(right(), lambda a: np.full(a.shape, np.inf)),
    "empty": lambda right, arguments: like(right(), lambda a: np.zeros((0, *a.shape))),
    "True": lambda right, arguments: True,
    "arrays that lie": lambda right, arguments: like(right(), lambda a: (a + 1.0).view(Liar)),
    "an object that lies": lambda right, arguments: Pretender(),
    "changed inputs": changes_its_inputs,
    "an argument": lambda right, arguments: next((a for a in arguments if isinstance(a, np.ndarray)), 0.0),
    "random numbers": lambda right, arguments: like(right(), lambda a: np.random.default_rng().normal(size=a.shape)),
    "as float32": lambda right, arguments: like(right(), lambda a: a.astype("float32") * np.float32(1.0000001)),
}


USUAL = ("arrays that lie", "changed inputs")  # the others under HYPOTHESIS_PROFILE=proof


@EACH
def test_no_made_up_answer_passes(exercise, check, proof):
    for cheat in RETURNED if proof else USUAL:
        for seed in (1, 1234) if proof else (7,):
            try:
                with np.errstate(all="ignore"):  # of infinity
                    report = check.judge(Cheat(exercise, RETURNED[cheat]), [], seed)
            except Stop as told:
                assert str(told)
                continue
            assert not report.ok, (cheat, str(report))


@EACH
def test_no_table_of_answers_passes(exercise, check):
    """The answers to one seed's data, in order, are wrong for another seed's."""
    table, turn = [], iter(range(10**6))

    def record(right, arguments):
        table.append(right())
        return table[-1]

    def replay(right, arguments):
        answer, true = table[next(turn) % len(table)], right()
        same = isinstance(answer, tuple) == isinstance(true, tuple) and np.shape(answer) == np.shape(true)
        return answer if same else like(true, np.zeros_like)

    assert check.judge(Cheat(exercise, record), [], 1).ok
    try:
        assert not check.judge(Cheat(exercise, replay), [], 77).ok
    except ValueError as error:
        assert "inhomogeneous" in str(error)  # shapes of a tuple cannot be compared


# ---- what a source shows -------------------------------------------------------------------------------------------

NUMERIC = hostile.sections("numeric")


@pytest.mark.parametrize("style", NUMERIC)
def test_a_numeric_derivative_is_no_formula(style, tmp_path):
    """It is refused with the line in which it stands, in each exercise that asks for a gradient."""
    for exercise in OF_GRADIENTS:
        name = next(c for c in exercise.checks if isinstance(c, Gradients)).function.__name__
        text = f"import numpy as np\n\nh = 2.0**-17\n\n\ndef f(x):\n    return np.tanh(x)\n\n\ndef {name}(dy, x):\n"
        text += NUMERIC[style]
        why = refused(exercise, written(tmp_path, exercise, text))
        assert re.search(r"^line \d+: (differences|complex numbers|\w+ (with a computed name )?hides)", why), (exercise.name, why)


SILENT = hostile.sections("silent")


@pytest.mark.parametrize("way", SILENT)
def test_a_hidden_warning_is_no_stable_formula(way, tmp_path):
    exercise = find("stable_sigmoid")
    text = exercise.solution.replace("    e = np.exp(-np.abs(x))\n    return np.where(x >= 0, 1, e) / (1 + e)\n", SILENT[way])
    result = check_file(exercise, written(tmp_path, exercise, text))
    assert result.status == "error" and re.search(r"^line \d+: .*(hides)", result.message), result.text()


# ---- what a check's process lets through ---------------------------------------------------------------------------

def search(exercise):
    """28 ways to find the solution, a library that differentiates, or the checker; those that find something say so."""
    places = {"ENGINE": hostile.ENGINE, "NAME": exercise.checks[0].function.__name__, "FILE": f"{exercise.name}.py"}
    return hostile.sections("search", **places)["28 ways"]


def test_the_answer_is_not_in_reach(tmp_path, proof):
    for exercise in all_exercises() if proof else map(find, ("relu", "stable_sigmoid", "engine_tape")):
        text = exercise.solution + "\n" + search(exercise)
        result = check_file(exercise, written(tmp_path, exercise, text))
        assert result.ok and result.output == "searched 28", result.text()


def test_the_search_finds_what_is_in_reach(tmp_path):
    """The search is no straw man: where nothing stops it, most ways find the solution."""
    code = search(find("relu"))
    code = re.sub(r"def by_the_patched_system.*?\n\n", "", code, flags=re.DOTALL).replace(", by_the_patched_system", "")
    code = re.sub(r"    lambda: \((os.symlink|os.link).*\n", "", code)  # which would leave links behind
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    out = run.stdout.splitlines()
    assert len(out) >= 10, run.stdout + run.stderr


@pytest.mark.parametrize("patch", ["allclose", "array_equal", "isclose", "abs", "max", "isnan"])
def test_a_patched_numpy_judges_nothing(patch, tmp_path):
    text = find("relu").solution.replace("(x > 0)", "(x > 1)") + f"\n\nnp.{patch} = lambda *a, **k: True\n"
    result = check_file(find("relu"), written(tmp_path, find("relu"), text))
    assert result.status == "wrong", result.text()


GARBAGE = [*(f'{{"array": ["<f8", [{n}], ""]}}' for n in ("1e30", "9" * 30)), '{"array": ["O", [1], ""]}', "[" * 10**5]


@pytest.mark.parametrize("value", GARBAGE, ids=["a float", "too long", "objects", "too deep"])
def test_a_forged_answer_is_one_sentence(value, tmp_path):
    forged = f'{{"kind": "value", "value": {value}, "changed": {{}}, "warnings": []}}\n'
    text = "import os\nimport numpy as np\n\n\ndef relu_backward(dy, x):\n    for i in range(3, 20):\n        try:\n"
    text += f"            os.write(i, {forged.encode()!r})\n        except OSError:\n            pass\n    return dy * (x > 0)\n"
    result = check_file(find("relu"), written(tmp_path, find("relu"), text))
    assert result.status == "crash" and "garbled" in result.message


# ---- honest work ---------------------------------------------------------------------------------------------------

HONEST = hostile.sections("honest")


@pytest.mark.parametrize("style", HONEST)
def test_honest_work_of_unusual_style_passes(style, tmp_path):
    exercise, text = find(style.split(":")[0]), HONEST[style]
    alone = f"def {exercise.checks[0].function.__name__}" in text
    text = text if alone else exercise.solution + "\n\n" + text
    result = check_file(exercise, written(tmp_path, exercise, text))
    assert result.ok, result.text()


def test_no_solution_looks_like_a_cheat(tmp_path):
    for exercise in all_exercises():
        assert refused(exercise, written(tmp_path, exercise, exercise.solution)) == "", exercise.name
        for bug in exercise.bugs:
            assert refused(exercise, written(tmp_path, exercise, exercise.with_bug(bug))) == "", (exercise.name, bug.name)
