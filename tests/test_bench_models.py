"""Races of models, teaching shapes and flatness at tiny sizes: what is compared, what is void, and what the results say."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

from tinydx.bench import backends, commands, compare, flat, folder, measure, race, results, shapes, subjects  # noqa: E402
from tinydx.cli import main  # noqa: E402
from tinydx.dispatch import Implementation, load_kernels  # noqa: E402
from tinydx.layers import Dense, Dropout  # noqa: E402
from tinydx.models import Sequential  # noqa: E402
from tinydx.op import TABLE  # noqa: E402

assert load_kernels("numba") is None


def tiny():
    return Sequential([Dense(4, activation="relu", input_shape=(3,)), Dropout(0.5), Dense(1, activation="sigmoid")])


@pytest.fixture(scope="module")
def run():
    """A race of two models against a stand-in that is right and one that is wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(race, "WORKER", (str(Path(__file__).with_name("stand_in_worker.py")),))
        patch.setattr(race, "PEERS", {"torch": ("right", "wrong"), "nobody": ("nobody",)})
        patch.setattr(race, "_missing", lambda name: "not installed: pip install nobody" if name == "nobody" else None)
        patch.setattr(race, "BLOCK", 0.001)
        patch.setattr(subjects, "MODELS", (subjects.Subject("tiny", "a tiny MLP", tiny, 8),))
        return race.race_models(["tiny"], threads=[1], rounds=6)


def test_a_contestant_whose_losses_disagree_is_void(run):
    """The right one agrees although the model drops numbers: nothing is dropped while losses are compared."""
    ours, right, wrong = run["races"][0]["rows"]
    assert ours["void"] is None and right["void"] is None and right["difference"] < 1e-6
    assert wrong["void"].startswith("VOID") and wrong["difference"] == pytest.approx(0.01, rel=1e-3)
    assert len({len(row["train"]) for row in run["races"][0]["rows"]}) == 1
    for row in results.compared(run):
        assert row.label == "right"


def test_the_result_of_a_race_is_whole(run, tmp_path, capsys):
    folder.save(run, tmp_path)
    read = folder.read_whole(tmp_path / "bench.json")
    assert set(read) == {
        "format", "kind", "command", "machine", "missing", "measures", "checked_steps", "tolerance", "races",
    }  # fmt: skip
    (found,) = read["races"]
    assert set(found) == {"subject", "words", "batch", "parameters", "threads", "rows"} and found["parameters"] == 21
    assert {"label", "ours", "losses", "difference", "void", "environment", "train", "infer_one"} <= set(found["rows"][0])
    assert main(["bench", "--from", str(tmp_path / "bench.json"), "--output", str(tmp_path)]) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert first.startswith("training step, 1 thread:") and "of 1 rows lose" in first
    text = (tmp_path / "bench.md").read_text()
    assert "a tiny MLP, batch 8" in text and "nobody: not installed: pip install nobody" in text and "VOID" in text
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_race_without_a_peer_gives_no_ratios(run):
    alone = {**run, "races": [{**found, "rows": found["rows"][:1]} for found in run["races"]]}
    assert results.compared(alone) == [] and results.glance([]) == [] and results.tables(alone) == []


@pytest.mark.parametrize("subject", subjects.MODELS, ids=lambda s: s.name)
def test_each_model_has_batches_that_fit(subject):
    model = subject.build()
    x, y = subjects.draw_batches(model, 2, subject.length)
    assert x.shape[:2] == y.shape[:2] == (subjects.BATCHES, 2)
    model.check_input(x.shape[1:])
    if x.dtype.kind == "i":
        assert (x[:, :, 0] > 0).all(), "a text of padding only has no mean"


def test_a_models_name_is_unique_and_a_wrong_one_is_one_line(capsys):
    assert len({s.name for s in subjects.MODELS}) == len(subjects.MODELS)
    for arguments in (
        ["models", "--only", "lennet"],
        ["shapes", "--only", "dens"],
        ["models", "--shapes", "3x3"],
        ["flat", "--peers", "torch"],
    ):
        assert main(["bench", *arguments]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "did you mean" in line or "has no --" in line


def test_the_models_in_pytorch_are_the_same():
    torch = pytest.importorskip("torch", reason="compares models with PyTorch's: pip install torch")
    from tinydx.bench.torch_model import translate

    for subject in subjects.MODELS:
        model = subject.build()
        x = subjects.draw_batches(model, 2, subject.length)[0][0]
        t = torch.from_numpy(np.int64(x) if x.dtype.kind == "i" else x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)
        for tuned in (False, True):
            net, last = translate(model, tuned)
            net.eval()
            order = torch.channels_last if tuned and x.ndim == 4 else torch.contiguous_format
            with torch.inference_mode():
                y = last(net(t.contiguous(memory_format=order))).numpy()
            np.testing.assert_allclose(model.predict_on_batch(x), y, atol=2e-5, err_msg=subject.name)


# ---- teaching shapes ---------------------------------------------------------------------------------------------------


def test_there_are_shapes_of_every_kind():
    found = shapes.teaching_cases()
    assert len(found) >= 60 and len({case.text for _, case in found}) == len(found)
    assert {case.shapes[0][0] for op, case in found if op.name == "correlate2d"} >= {1, 128}
    assert any(case.first for _, case in found)


def test_shapes_are_raced_against_a_stand_in(monkeypatch, tmp_path, capsys):
    reference = backends.Backend("torch", lambda: "stand-in", lambda: None, backends._prepare_numpy)
    monkeypatch.setitem(backends.BACKENDS, "torch", reference)
    monkeypatch.setitem(backends.BACKENDS, "torch_contiguous", backends.Backend("torch_contiguous", str, lambda: "gone", None))
    monkeypatch.setitem(
        shapes.CONVOLUTIONS, "lenet", (("LeNet", "1x6x6x1, 3x3x1x2, 2", shapes.FIRST), ("LeNet", "1x6x6x2, 3x3x2x2"))
    )
    arguments = ["bench", "shapes", "--only", "lenet", "loss", "--seconds", "0.001", "--rounds", "6", "--threads", "1"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    assert "forward + backward, 1 thread:" in capsys.readouterr().out
    run = folder.read_whole(tmp_path / "bench.json")
    assert {row["op"] for row in run["rows"]} == {"correlate2d", *(name for name, *_ in shapes.OTHERS["loss"])}
    assert all(row["seconds"] and row["error"] < 1e-5 for row in run["rows"]) and run["missing"] == {"torch_contiguous": "gone"}
    assert len(results.compared(run)) == 2 + len(shapes.OTHERS["loss"])
    assert "first layer" in (tmp_path / "bench.md").read_text()


def test_nobody_computes_the_gradient_of_a_first_layers_input(monkeypatch):
    right, asked = TABLE["correlate2d"].kernels["numba"], []

    def backward(dy, saved, needs):
        asked.append(needs)
        return right.backward(dy, saved, needs)

    spy = Implementation("numba", right.forward, backward, right.supports)
    monkeypatch.setitem(TABLE["correlate2d"].kernels, "numba", spy)
    monkeypatch.setitem(shapes.CONVOLUTIONS, "lenet", (("LeNet", "1x6x6x1, 3x3x1x2, 2", shapes.FIRST),))
    monkeypatch.setattr(compare, "OF_SHAPES", ["tinydx"])
    run = compare.compare_shapes(["lenet"], compare.Timing([1], 0.001, 2))
    assert set(asked) == {(False, True, True)} and run["rows"][0]["error"] < 1e-5


# ---- flatness --------------------------------------------------------------------------------------------------------


def test_flatness_is_measured_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(flat, "SECONDS", 0.001)
    run = flat.measure_flatness(["mlp-small"], threads=[1], rounds=1, batches=(8, 16), steps=120)
    folder.save(run, tmp_path)
    assert main(["bench", "--from", str(tmp_path / "bench.json"), "--output", str(tmp_path)]) == 0
    assert "for each example" in capsys.readouterr().out
    (row,) = run["rows"]
    assert set(row["seconds"]) == {"8", "16"} and (not row["resident"] or row["steps"] == list(range(10, 121, 10)))


def test_what_is_not_flat_is_missed():
    line = {str(n): [1e-3 + 1e-4 * n] for n in flat.BATCHES}
    cost = measure.fitted(line)
    assert cost.held and cost.fixed == pytest.approx(1e-3) and cost.each == pytest.approx(1e-4)
    bent = measure.fitted({**line, "512": [1.6 * line["512"][0]]})
    assert not bent.held
    leak = [1e8 + 2e4 * k for k in range(100)]
    assert measure.growth(list(range(10, 1010, 10)), leak) > measure.GROWTH
    row = {
        "words": "a net",
        "threads": 1,
        "seconds": {**line, "512": [1.0]},
        "steps": list(range(10, 1010, 10)),
        "resident": leak,
    }
    limits = {"spread": measure.SPREAD, "growth": measure.GROWTH, "settled": measure.SETTLED}
    cost, memory = results.flat_facts({"rows": [row], "limits": limits})
    assert "cost MISSED" in cost and "memory MISSED" in memory
    (unknown,) = results.flat_facts({"rows": [{**row, "steps": [], "resident": []}], "limits": limits})[1:]
    assert "not measured" in unknown


def test_resident_memory_grows_with_what_is_kept():
    before = flat.resident_bytes()
    if before is None:
        pytest.skip("this system does not tell resident memory")
    kept = np.ones(1 << 24, np.float32)
    assert flat.resident_bytes() - before > 0.9 * kept.nbytes


def test_every_command_of_bench_says_what_it_takes():
    given = SimpleNamespace(op="shapes", **dict.fromkeys(commands.OPTIONS))
    given.peers = "torch"
    with pytest.raises(ValueError, match="shapes has no --peers"):
        commands._refuse(given, commands.TAKEN["shapes"])
    assert set().union(*commands.TAKEN.values(), commands.TAKEN_BY_OP) == set(commands.OPTIONS)
    json.dumps(commands.TAKEN)
