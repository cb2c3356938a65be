"""Milestones: the learner's functions run in the engine, and nothing that is wrong, slow or missing goes in unnoticed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import PHONE

from tinydx import cli, language
from tinydx.exercises import find
from tinydx.exercises.folder import Folder, Progress
from tinydx.exercises.milestones.assembly import CLOSE, Calls, Outcome, Stage, assemble
from tinydx.exercises.milestones.engine import Engine, EngineError
from tinydx.exercises.milestones.milestone import all_milestones, find_milestone
from tinydx.exercises.milestones.page import page
from tinydx.exercises.milestones.training import Run

ROOT = Path(__file__).parents[1]
MILESTONES = pytest.mark.parametrize("milestone", all_milestones(), ids=lambda m: m.name)


class InProcess:
    """A learner's file in this process, with the interface of `Learner`; called lists what was called."""

    def __init__(self, text):
        self.module, self.warnings, self.called, self.seconds = {}, [], [], 60.0
        exec(compile(text, "learner.py", "exec"), self.module)

    def call(self, name, arguments, source=""):
        if source:
            exec(source, self.module)
        self.called.append(name)
        return self.module[name](*arguments)


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.start()
    return folder


def write(folder, **texts):
    """Write these files; True stands for the solution."""
    for name, text in texts.items():
        folder.file(find(name)).write_text(find(name).solution if text is True else text, "utf-8")


def apart(run, alone):
    return float(np.max(np.abs(run.numbers - alone.numbers)) / np.abs(alone.numbers).max())


# ---- whose code runs -----------------------------------------------------------------------------------------------


@MILESTONES
def test_with_all_solutions_the_learners_functions_train_as_tinydx_does(milestone):
    learners = {name: InProcess(find(name).solution) for name in milestone.names}
    engines = Engine({}), Engine(learners)
    alone, run = (milestone.train(engine) for engine in engines)
    assert apart(run, alone) < CLOSE
    assert alone.losses[-1] < 0.8 * alone.losses[0] and alone.accuracy > 0.6
    for engine, yours in zip(engines, (False, True), strict=True):
        assert {name for name, _ in engine.calls} == set(milestone.names), "every exercise counts"
        assert all(c.yours is yours and c.n for c in engine.calls.values())
    for name, learner in learners.items():
        assert learner.called, name
        assert len(learner.called) == sum(c.n for (exercise, _), c in engines[1].calls.items() if exercise == name)


def test_a_wrong_adam_changes_the_result_and_its_check_names_it(folder):
    adam, milestone = find("adam"), find_milestone("text")
    wrong = adam.with_bug(adam.bugs[0])
    assert apart(milestone.train(Engine({"adam": InProcess(wrong)})), milestone.train(Engine({}))) > 1e-3
    write(folder, adam=wrong)
    outcome = assemble(milestone, folder, 60, tell=lambda told: None)
    assert outcome.left["adam"] == f"wrong: {adam.bugs[0].name}" and not outcome.yours
    assert len(outcome.stages) == 1 and outcome.stages[0].gap == 0
    with language.speaking("zh"):
        assert language.said(outcome.left["adam"]).startswith("错误：")


def test_an_ops_gradient_of_another_shape_names_the_function_and_the_shapes():
    relu = InProcess("def relu_backward(dy, x):\n    return dy[0]")
    with pytest.raises(EngineError, match=r"relu_backward\(dy \(24, 8\), x \(24, 8\)\): .* shapes \(8,\), expected \(24, 8\)"):
        find_milestone("1").train(Engine({"relu": relu}))
    with pytest.raises(EngineError, match=r"relu_backward.*returned None"):
        find_milestone("1").train(Engine({"relu": InProcess("def relu_backward(dy, x):\n    pass")}))


# ---- the command ---------------------------------------------------------------------------------------------------


def milestone(folder, capsys, *arguments):
    status = cli.main(["exercise", "milestone", *arguments, "--dir", str(folder.path)])
    return status, capsys.readouterr()


def test_a_milestone_is_reached_by_all_its_exercises_and_lost_by_one_that_is_wrong(folder, capsys):
    one = find_milestone("1")
    write(folder, **dict.fromkeys(one.names, True))
    status, out = milestone(folder, capsys, "1", "--json")
    data = json.loads(out.out)
    assert status == 0 and data["done"] and data["yours"] == list(one.names) and data["tinydx"] == []
    assert [stage["exercise"] for stage in data["stages"]] == [None, *one.names]
    assert {f["whose"] for f in data["functions"]} == {"yours"} and all(stage["gap"] < CLOSE for stage in data["stages"])
    assert folder.progress().milestones == {"dense"} and folder.progress().passed == set(one.names)
    cli.main(["exercise", "milestone", "--dir", str(folder.path)])
    listed = capsys.readouterr().out
    assert re.search(r"✓\s+milestone 1\s+7/7\s+A dense network", listed) and "still needs adam, dropout, conv_sum" in listed

    sgd = find("sgd")
    write(
        folder, sgd=sgd.with_bug(sgd.bugs[-1]), quantise="import torch", relu=find("relu").solution + "# </pre><script>alert()\n"
    )
    status, out = milestone(folder, capsys, "dense")
    assert status == 1 and "sgd" not in folder.progress().passed and not folder.progress().milestones
    assert f"15_sgd.py: wrong: {sgd.bugs[-1].name}" in out.out and "without torch" in out.out
    assert re.search(r"yours +relu_backward +60 x +02_relu.py", out.out) and "5 of 7 exercises are yours" in out.out
    page = (folder.path / "milestone_1.html").read_text("utf-8")
    assert "&lt;/pre&gt;&lt;script&gt;alert()" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert page.count('class="en"') == page.count('class="zh"') and "运行的是谁的代码" in page
    assert language.in_chinese(sgd.bugs[-1].name) in page


@MILESTONES
def test_a_phone_shows_the_whole_page(milestone, folder, browser, tmp_path):
    """As long as it gets: every exercise has a row, and a reason why it is left out."""
    classes = len(milestone.classes)
    run = Run([2.0, 1.0], np.full((6, classes), 1 / classes), np.zeros(6, int), {language.sentence("accuracy"): 0.5})
    calls = [Calls(e, check.function.__name__, False, 1040, 1.0) for e in milestone.exercises for check in e.checks]
    told = "its calls take more than {seconds:g} seconds in all: fewer loops, or more time with --seconds"
    left = dict.fromkeys(milestone.names, language.sentence(told, seconds=60))
    stages = [Stage(e, run, 2.3e-16, 1.0, calls) for e in (None, *milestone.exercises)]
    path = tmp_path / "page.html"
    path.write_text(page(Outcome(milestone, {}, stages, left), folder), "utf-8")
    browser.look(PHONE)
    browser.open(path.as_uri())
    for _ in ("English", "Chinese"):
        assert browser.cut() == []
        browser.js("document.querySelector('.language > summary').click()")


def test_without_any_exercise_all_is_tinydxs(folder, capsys):
    status, out = milestone(folder, capsys, "dense", "--json")
    data = json.loads(out.out)
    assert status == 1 and data["yours"] == [] and {f["whose"] for f in data["functions"]} == {"tinydx"}
    assert {t["why"] for t in data["tinydx"]} == {"not written yet"} and len(data["stages"]) == 1
    assert folder.progress() == Progress(), "nothing was reached"


def test_what_fails_inside_the_engine_is_named_and_left_out(folder):
    """Files that pass their check, and do something else on the sizes of the milestone."""
    dense, relu, sgd, bce = (find(name).solution for name in ("dense", "relu", "sgd", "sigmoid_bce"))
    write(
        folder,
        dense=dense.replace("    return dy @ w.T", "    while w.size == 512: w = w * 1.0\n    return dy @ w.T"),
        relu=relu.replace("    return dy", "    dy = dy if x.size < 150 else dy[999]\n    return dy"),
        sgd=sgd.replace("    return p + m, m", "    return (p + m)[: 64 - p.size // 16], m"),
        sigmoid_bce=bce.replace("/ z.size", "/ (z.size - (z.size == 24))"),
        roc_area=True,
    )
    told = []
    outcome = assemble(find_milestone("1"), folder, 4, told.append)
    left = outcome.left
    assert [e.name for e in outcome.yours] == ["roc_area"] and len(outcome.stages) == 2
    assert re.match(r"relu_backward\(dy \(24, 8\), x \(24, 8\)\): IndexError.*\(line \d+: dy = dy if x.size", left["relu"])
    assert "its calls take more than 4 seconds in all" in left["dense"] and "dense_backward(dy (24, 8)" in left["dense"]
    assert left["sigmoid_bce"].startswith("with it the loss of step 2 is ")
    assert left["sgd"].startswith("with it the engine stops: ")
    assert "02_relu.py: " + left["relu"] in told


def test_a_figure_that_differs_is_seen_where_no_loss_is(folder):
    write(folder, roc_area=find("roc_area").solution.replace("    return np.mean(", "    return (len(ill) == 64) / 9 + np.mean("))
    outcome = assemble(find_milestone("1"), folder, 60, lambda told: None)
    assert outcome.left["roc_area"] == "with it the trained network answers otherwise than with tinydx's own"


def test_exercise_alone_lists_exercises_and_milestones(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.path)
    monkeypatch.setenv(language.VARIABLE, "en")  # which --lang changes
    assert cli.main(["exercise"]) == 0
    out = capsys.readouterr().out
    assert "02_relu.py" in out and "milestone 6" in out and "still needs" in out
    assert cli.main(["exercise", "list", "--lang", "zh"]) == 0
    assert "里程碑 6" in capsys.readouterr().out


def test_the_folder_called_exercises_is_found_from_the_one_above(tmp_path):
    Folder(tmp_path / "exercises").start()
    (tmp_path / "exercises" / "notes").mkdir()
    for place in (tmp_path, tmp_path / "exercises", tmp_path / "exercises" / "notes"):
        assert Folder.find(place).path == (tmp_path / "exercises").resolve()


def test_a_milestone_is_found_by_number_or_name():
    assert [find_milestone(name).name for name in ("1", "02", "sound")] == ["dense", "network", "sound"]
    with pytest.raises(ValueError, match="no milestone 'sond'; did you mean 'sound'"):
        find_milestone("sond")


def test_the_table_in_the_docs_is_that_of_the_milestones():
    page = (ROOT / "docs" / "exercises.md").read_text("utf-8").partition("## Milestones")[2]
    rows = re.findall(r"^\| (\d) \| .+ \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(str(m.number), ", ".join(m.names)) for m in all_milestones()]


def test_progress_files_without_milestones_are_read():
    assert Progress.from_text('{"passed": ["relu"], "hints": {}}').milestones == set()
    assert Progress.from_text(Progress({"relu"}, {}, {"dense"}).as_text()).milestones == {"dense"}


def test_a_run_compares_losses_answers_and_figures():
    run = Run([2.0, 1.0], np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0, 0]), {language.sentence("accuracy"): 0.5})
    assert run.accuracy == 0.5 and run.numbers.tolist() == [2.0, 1.0, 0.9, 0.1, 0.3, 0.7, 0.5]
