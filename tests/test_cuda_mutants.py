"""The tests of the CUDA kernels notice mistakes: a sample of what cuda_mutants.py runs, with HYPOTHESIS_PROFILE=proof."""

import pytest

from tinydx_kernels.emulator.build import compiler

try:
    compiler()
except OSError as error:
    pytest.skip(str(error), allow_module_level=True)

from cuda_cases import KERNELS
from cuda_mutants import EQUIVALENT, PROPERTIES, RATE, _of_launchers, reason, score_of

from tinydx_kernels.cuda.programs import HERE
from tinydx_kernels.emulator.mutate import Score, mutants


def test_every_file_has_properties():
    assert set(PROPERTIES) == {path.name for path in HERE.glob("*.cu*")} - {"ptx.cuh"}  # which runs on GPUs only
    assert all(PROPERTIES.values())


def test_a_new_file_gets_the_properties_of_its_launcher():
    rules = _of_launchers()
    assert [rule.args for rule in rules["embedding.cu"]] == [("embedding",), ("embedding",)]
    assert {rule.args[0] for rule in rules["update.cu"]} == {name for name in KERNELS if name.endswith("_update")}


@pytest.mark.parametrize("file", sorted(EQUIVALENT))
def test_what_is_called_equivalent_is_a_mutant(file):
    """Where a kernel has changed, its list of equivalent mutants must be checked again."""
    changed = [m.after for m in mutants((HERE / file).read_text())]
    assert [part for part in EQUIVALENT[file] if not any(part in after for after in changed)] == []


def test_a_sample_of_all_mutants_is_noticed(proof):
    if not proof:
        pytest.skip("mutation test: set HYPOTHESIS_PROFILE=proof")
    total = Score([v for file in sorted(PROPERTIES) for v in score_of(file, every=100, first=7).verdicts])
    assert total.rate >= RATE, str(total)


def test_survivors_are_counted(monkeypatch, capsys):
    """With properties that see nothing, mutants survive, and are printed."""
    monkeypatch.setitem(PROPERTIES, "update.cu", [lambda data: None])
    score = score_of("update.cu", every=20)
    assert score.rate == 0 and len(score.survivors) == len(score.verdicts) > 1
    assert capsys.readouterr().out.count("update.cu line") == len(score.verdicts)
    assert reason("update.cu", score.survivors[0]) is None
