"""Several processes by MPI: n ranks compute what one computes, and whatever happens to one of them ends all, in one line."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from tinydx import distributed
from tinydx.distributed.world import World
from tinydx.tasks import scale

HERE = Path(__file__).parent
MPIRUN = shutil.which("mpirun", path=sysconfig.get_path("scripts")) or shutil.which("mpirun")
MISSING = importlib.util.find_spec("mpi4py") is None or MPIRUN is None
needs_mpi = pytest.mark.skipif(MISSING, reason="no mpi4py, or no mpirun: pip install 'tinydx[mpi]'")
ranks = pytest.mark.parametrize("n", [2, 3])

EQUAL = ("arrays", "batches_of_a_generator", "several_inputs", "padded_sequences")
EQUAL += ("augmented_images", "single_batches", "decisions_of_callbacks")


def start(n, *call, **environment):
    """python CALL on n ranks, or alone for 0."""
    before = [] if n == 0 else [str(MPIRUN), "-n", str(n)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*before, sys.executable, *map(str, call)], env=environment, start_new_session=True, **pipes)


def run(n, *call, **environment):
    """(status, stdout, stderr) of python CALL on n ranks."""
    process = start(n, *call, **environment)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def numbers(told):
    """All numbers in nested lists and dicts, in order."""
    if isinstance(told, dict):
        return [v for key in sorted(told) for v in numbers(told[key])]
    return [v for part in told for v in numbers(part)] if isinstance(told, list) else [] if told is None else [told]


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """What ranks_alike.py tells on one process, and on 2 and 3 ranks."""
    found = {}
    for n in (0, 2, 3):
        status, output, errors = run(n, HERE / "ranks_alike.py", tmp_path_factory.mktemp(f"ranks{n}"))
        assert status == 0, errors
        assert len(output.splitlines()) == 1, "only the first rank prints"
        found[n] = json.loads(output)
    return found


# ---- equal to one process ------------------------------------------------------------------------------------------------


@needs_mpi
@ranks
@pytest.mark.parametrize("name", EQUAL)
def test_ranks_compute_what_one_process_computes(alike, name, n):
    one, several = numbers(alike[0][name]), numbers(alike[n][name])
    assert len(one) == len(several) > 10
    np.testing.assert_allclose(several, one, rtol=1e-12, atol=1e-12)


@needs_mpi
def test_the_cases_can_fail(alike):
    """The last batches are uneven, masks and weights count: plain means over the ranks would differ by more than rounding."""
    losses = alike[0]["arrays"]["history"]["loss"]
    assert len(set(losses)) == 3 and len(alike[0]["decisions_of_callbacks"]["history"]["loss"]) < 30
    assert alike[0]["decisions_of_callbacks"]["history"]["learning_rate"][-1] < 0.5


# ---- of several ranks ----------------------------------------------------------------------------------------------------


@needs_mpi
@ranks
def test_weights_have_the_same_bits_after_100_steps(alike, n):
    assert len(set(alike[n]["the_same_bits"]["fingerprints"])) == 1


@needs_mpi
@ranks
def test_random_numbers_of_a_step_differ_by_rank_and_come_again(alike, n):
    first, again, other = alike[n]["own_random_numbers"]["steps"]
    assert first == again and len({*first, *other}) == 2 * n
    assert len(set(alike[n]["own_random_numbers"]["outside"])) == 1


@needs_mpi
@ranks
def test_moving_statistics_agree(alike, n):
    """The mean is that of the whole batch; the variance is the mean of those within the ranks."""
    told = alike[n]["moving_statistics"]
    assert len(set(told.pop("alike"))) == 1 and all(told.values()), told


@needs_mpi
@ranks
def test_factored_gradients_are_gathered_or_added_up(alike, n):
    told = alike[n]["factored_gradients"]
    kinds = {name: part["kind"] for name, part in told.items()}
    assert kinds.pop("none") == "NoneType"
    assert kinds == {
        "few rows": "FactoredGradient",
        "fewer rows than ranks": "FactoredGradient",
        "many rows": "ndarray",
        "an array on one rank": "ndarray",
    }
    assert all(part["error"] < 1e-14 for part in told.values())
    assert alike[n]["a_gradient_of_one_rank_only"]["kind"] == "ndarray"


@needs_mpi
@ranks
def test_only_the_first_rank_writes_and_decisions_hold_for_all(alike, n):
    told = alike[n]["files_and_callbacks"]
    assert told["names"] == ["fit.run", "log.csv", "model.tdx", "rank-0.tdx"]
    assert told["steps"] == [2] * n
    assert told["errors"] == [f"rank {n - 1} of {n}: the disk is gone"] * (n - 1) + ["the disk is gone"]


@needs_mpi
@ranks
def test_arrays_on_gpus_are_added_up_there(alike, n):
    told = alike[n]["sums_on_gpus"]
    assert told["apart"] < 1e-15 and told["reads"] == [] and told["device"]


# ---- failing -------------------------------------------------------------------------------------------------------------

LINES = {
    "outside": "ValueError: rank 2 of 3: a file is missing ({here}/ranks_fail.py, line ",
    "after": "tinydx: rank 2 of 3: after training ({here}/ranks_fail.py, line ",
    "long work": "tinydx: rank 2 of 3: a file is missing ({here}/ranks_fail.py, line ",
    "exit": "RuntimeError: the ranks do not do the same, but a check and the end of the program: let all ranks call it, alike",
    "nan": "ValueError: rank 1 of 3: the input has NaN or infinite numbers in batch 1 of epoch 1, example 2 of the batch",
}


@needs_mpi
@ranks
def test_an_error_is_raised_on_all_ranks(alike, n):
    told = alike[n]["errors"]
    begins = {
        "data": "RuntimeError: the ranks differ in the data at the beginning: build ",
        "batches": "RuntimeError: the ranks have different batches: give all of them the same data in the same order ",
        "weights": "RuntimeError: the ranks differ in the weights after epoch 2: build ",
        "overflow": "FloatingPointError: loss is inf in batch 1 of epoch 1; no weight was changed",
        "none": "none",
    }
    for what, begin in begins.items():
        assert len(told[what]) == n and len(set(told[what])) == 1 and told[what][0].startswith(begin), told[what]


@needs_mpi
@pytest.mark.parametrize("what", LINES)
def test_an_error_on_one_rank_ends_all_with_its_line(what):
    status, output, errors = run(3, HERE / "ranks_fail.py", what)
    told = [line for line in errors.splitlines() if "Error: " in line or line.startswith("tinydx: ")]
    assert status == 1 and len(told) == 1, errors
    assert told[0].startswith(LINES[what].format(here=HERE))
    assert "losses" not in output or what == "after"


def test_an_abort_waits_until_mpirun_has_read_the_line(monkeypatch):
    """mpirun throws away what lies in its pipes when a rank aborts: here it reads late, and an abort that comes first loses."""

    class Aborted(Exception):
        pass

    def abort(status):
        raise Aborted(f"with {len(read)} lines read")

    comm = types.SimpleNamespace(rank=0, size=2)
    mpi = types.SimpleNamespace(COMM_WORLD=types.SimpleNamespace(Dup=lambda: comm, Abort=abort))
    monkeypatch.setattr("tinydx.distributed.world._silence", lambda: None)
    end, begin = os.pipe()
    read = []
    with os.fdopen(begin, "w") as errors:
        timer = threading.Timer(0.3, lambda: read.append(os.read(end, 1000)))
        timer.start()
        print("tinydx: rank 0 of 2: a file is missing", file=errors)
        with pytest.raises(Aborted, match="with 1 lines read"):
            World(mpi, errors)._abort(1)
        timer.join()
        monkeypatch.setattr("tinydx.distributed.world.READ", 0.1)
        print("nobody reads this", file=errors)
        with pytest.raises(Aborted):
            World(mpi, errors)._abort(1)
    os.close(end)


@needs_mpi
def test_a_killed_rank_ends_the_run_which_goes_on_with_the_same_result(tmp_path):
    """With the same number of ranks to the same bits; with another number dropout differs, and it goes on all the same."""
    _, whole, _ = run(2, HERE / "ranks_fail.py", "nothing")
    began = time.monotonic()
    status, output, _ = run(2, HERE / "ranks_fail.py", "kill", tmp_path / "fit.run")
    assert status != 0 and "losses" not in output and time.monotonic() - began < 60
    shutil.copy(tmp_path / "fit.run", tmp_path / "other.run")
    status, output, errors = run(2, HERE / "ranks_fail.py", "nothing", tmp_path / "fit.run")
    assert status == 0, errors
    assert losses(output) == losses(whole) and "Epoch 1" not in output
    status, output, errors = run(3, HERE / "ranks_fail.py", "nothing", tmp_path / "other.run")
    assert status == 0, errors
    assert losses(output)[0] == losses(whole)[0] and losses(output)[-1] != losses(whole)[-1]


def losses(output):
    return json.loads(output.splitlines()[-1].removeprefix("losses "))


@needs_mpi
def test_ctrl_c_ends_all():
    process = start(2, HERE / "ranks_fail.py", "slow")
    assert "Epoch 1" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "losses" not in output


# ---- the command ---------------------------------------------------------------------------------------------------------


@needs_mpi
def test_diagnose_on_two_ranks_reports_once(tmp_path):
    """One report, one printout; a finished run is not done again."""
    options = ["-m", "tinydx", "diagnose", "--kind", "table", "--network", "linear", "--epochs", "2", "--limit", "20"]
    options += ["--output", tmp_path / "result", "--resume"]
    environment = {"TINYDX_HOME": str(tmp_path / "home"), "NUMBA_DISABLE_JIT": "1"}
    status, output, errors = run(2, *options, **environment)
    assert status == 0, errors
    assert output.count("Data: ") == output.count("Look at ") == output.count("Epoch 2/2") == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["result"]
    assert len(json.loads((tmp_path / "result" / "history.json").read_text())["loss"]) == 2
    assert (tmp_path / "result" / "report.png").exists()
    status, output, errors = run(2, *options, **environment)
    assert status == 0 and output.count("nothing is left to do") == 1, errors


@needs_mpi
def test_other_commands_are_done_once_and_errors_are_told_once():
    status, output, errors = run(2, "-m", "tinydx", "card", "relu")
    assert status == 0 and output.count(output.splitlines()[0] + "\n") == 1, errors
    status, output, errors = run(2, "-m", "tinydx", "diagnose", "--data", "/no/such/folder")
    assert status == 1 and errors.startswith("tinydx: ") and errors.count("\n") == 1


@needs_mpi
def test_what_a_rank_starts_is_no_rank():
    program = "import subprocess, sys; from tinydx import distributed as d; d.start(); print(d.size(), flush=True)"
    again = "; sys.argv[1:] or subprocess.run([sys.executable, '-c', PROGRAM, 'again'])".replace("PROGRAM", repr(program))
    status, output, errors = run(2, "-c", program + again)
    assert (status, output) == (0, "2\n1\n"), errors


@needs_mpi
def test_ranks_compile_kernels_into_one_cache(tmp_path):
    """All ranks of a first run compile the same kernel at the same time; what they keep is whole, and loads at the next start."""
    if importlib.util.find_spec("numba") is None:
        pytest.skip("no Numba")
    program = (
        "import numpy as np, tinydx\n"
        "from tinydx import distributed, ops\n"
        "distributed.start()\n"
        "x = np.linspace(-1, 1, 5000, dtype='float32')\n"
        "distributed.any_rank(True)\n"  # all begin at once
        "y = ops.relu(x)\n"
        "good = not distributed.any_rank(bool((y != np.maximum(x, 0)).any()))\n"
        "print(good)\n"
    )
    for _ in range(2):
        status, output, errors = run(2, "-c", program, NUMBA_CACHE_DIR=str(tmp_path))
        assert (status, output) == (0, "True\n"), errors
    assert list(tmp_path.rglob("*.nbi"))


# ---- without mpirun ------------------------------------------------------------------------------------------------------


def test_without_mpirun_nothing_changes():
    program = "import sys; from tinydx import distributed as d; d.start(); print(d.size(), 'mpi4py' in sys.modules)"
    assert run(0, "-c", program)[1] == "1 False\n"
    assert distributed.share("a batch") == "a batch" and distributed.as_one(lambda: 3) == 3


def test_an_mpirun_without_mpi4py_is_one_line(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'tinydx\[mpi\]'"):
        distributed.start()


def test_rows_are_divided_evenly():
    for n in range(20):
        for size in range(1, 8):
            parts = [distributed.sharing.rows_of(n, rank, size) for rank in range(size)]
            assert [i for part in parts for i in range(n)[part]] == list(range(n))
            lengths = [part.stop - part.start for part in parts]
            assert max(lengths) - min(lengths) <= 1


# ---- the model of cost ---------------------------------------------------------------------------------------------------


def test_the_model_of_cost():
    c = scale.Constants(0.01, 0.001, 0.0005, 1e-5, 1e9, 2e9, 1.1)
    b = scale.Bytes(added=10**6, row=10**5, array=10**8)
    assert scale.step_time(c, b, 32, 1) == pytest.approx(0.042)
    gathered = 1.1 * (0.026 + 0.0005 * 16) + 3e-5 + 10**6 / 1e9 + 0.5 * 32 * 10**5 / 2e9
    assert scale.step_time(c, b, 32, 2) == pytest.approx(gathered)
    added = 1.1 * 0.11 + 3e-5 + (10**6 + 10**8) / 1e9
    assert scale.step_time(c, b, 200, 2) == pytest.approx(added), "too many rows to gather"
    assert scale.bytes_of("document") == (4 * (19_034_177 - 36992 * 512), 4 * (36992 + 512), 4 * 36992 * 512)
