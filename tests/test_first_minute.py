"""What a first run needs is compiled together, by several processes, counted, and with the same bits as later runs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="it is about Numba's kernels")

import tinydx
from tinydx import dispatch, random, rehearsal

assert dispatch.load_kernels("numba") is None
import numba  # noqa: E402

from tinydx_kernels.cpu import ahead, cache, notice  # noqa: E402

ROOT = Path(__file__).parents[1]
KERNELS = """
from tinydx_kernels.cpu.simd import inline, jit

@inline
def half(x):
    return x * 0.5
""" + "".join(f"\n@jit\ndef kernel_{k}(x):\n    for i in range(len(x)):\n        x[i] = half(x[i]) + {k}\n" for k in range(5))

TWINS = """
from numba import prange
from tinydx_kernels.cpu.ahead import kernels
from tinydx_kernels.cpu.simd import jit, parallel

def double(x):
    for i in prange(len(x)):
        x[i] *= 2

pair = [jit(double), kernels[-1], parallel(double), kernels[-1]][1::2]
"""


@pytest.fixture
def module(tmp_path):
    """A module of five kernels, not compiled yet, whose code is kept in tmp_path; helpers find it, too."""
    name = f"kernels_{os.path.basename(tmp_path)}"
    (tmp_path / f"{name}.py").write_text(KERNELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
        numba.config.reload_config()
        patch.setattr(cache, "not_kept", [])
        patch.setattr(ahead, "not_kept", cache.not_kept)
        patch.setattr(cache, "kept_in", set())
        patch.setattr(ahead, "kept_in", cache.kept_in)
        patch.setattr(ahead, "_at_work", None)
        patch.setattr(ahead, "_foreseen", [])
        patch.setattr(cache, "changed_code", lambda: "")
        patch.setattr(ahead, "kernels", list(ahead.kernels))
        patch.setattr(ahead, "_cores", lambda: 2)
        patch.setattr(notice, "compilation", notice.Compilation())
        yield __import__(name)
        del sys.modules[name]
    numba.config.reload_config()


def all_of(module):
    return [getattr(module, f"kernel_{k}") for k in range(5)]


def wanted_of(module):
    return [ahead.Wanted(k, (k.typeof_pyval(np.ones(3, np.float32)),)) for k in all_of(module)]


def call_all(module):
    """What the kernels make of 1.0, one after the other."""
    x = np.ones(3, np.float32)
    for k in all_of(module):
        k(x)
    return x


def right():
    x = 1.0
    for k in range(5):
        x = x * 0.5 + k
    return np.full(3, x, np.float32)


def test_a_helper_compiles_what_this_process_then_finds_on_disk(module):
    left = deque([w] for w in wanted_of(module))
    with ahead.Helper(left) as helper:
        helper.thread.join()
    assert not left and all(w.is_there() for w in wanted_of(module))
    assert (call_all(module) == right()).all()
    assert all(sum(k.stats.cache_misses.values()) == 0 for k in all_of(module))
    assert helper.process.returncode is not None


def test_work_that_says_what_it_is_has_all_its_kernels_compiled_at_the_first(module, monkeypatch):
    monkeypatch.setattr(ahead, "WORTH", 100)
    together = []
    monkeypatch.setattr(ahead, "compile_all", lambda wanted: together.append(list(dict.fromkeys(wanted))))
    with rehearsal.of(lambda: call_all(module)):
        assert (call_all(module) == right()).all()
    assert [w.kernel for w in together[0]] == all_of(module)
    assert [w.types for w in together[0]] == [w.types for w in wanted_of(module)]


def test_kernels_of_one_function_are_told_apart_by_helpers_and_on_disk(tmp_path, module):
    (tmp_path / f"{module.__name__}_twins.py").write_text(TWINS)
    pair = __import__(f"{module.__name__}_twins").pair
    left = deque([ahead.Wanted(k, (k.typeof_pyval(np.ones(3, np.float32)),))] for k in pair)
    wanted = [w for group in left for w in group]
    with ahead.Helper(left) as helper:
        helper.thread.join()
    assert all(w.is_there() for w in wanted)
    assert len({w.kernel._cache._cache_file._index_path for w in wanted}) == 2


def test_a_rehearsal_calls_no_kernel_not_even_compiled_ones(module):
    call_all(module)
    x = np.ones(3, np.float32)
    seen = []
    noted = ahead._rehearsed(lambda: [(k(x), seen.append(x.any())) for k in all_of(module)])
    assert len(noted) == 5 and not any(seen)  # the stand-in writes zeros
    assert (x == 1).all()  # an array that outlives the rehearsal, such as a table of a kernel's file, holds what it held
    assert (call_all(module) == right()).all()
    assert all(len(k.signatures) == 1 for k in all_of(module))


def test_what_can_be_foreseen_is_compiled_while_this_process_does_other_things(module, monkeypatch):
    ahead.begin(lambda: call_all(module))
    helper = ahead._at_work
    helper.thread.join()
    assert all(w.is_there() for w in wanted_of(module))
    assert helper.process.wait(60) == 0  # nothing is left for it
    monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit(1)")
    ahead.compile_all(wanted_of(module))
    assert (call_all(module) == right()).all()
    assert all(sum(k.stats.cache_misses.values()) == 0 for k in all_of(module))
    monkeypatch.setattr(ahead, "_at_work", None)
    ahead.begin(lambda: call_all(module))  # kernels are kept here: it is not a first run
    assert ahead._at_work is None


def two_works(module):
    """What calls the first two kernels, and what calls the other three."""
    x = np.ones(3, np.float32)
    return [lambda ks=ks: [k(x) for k in ks] for ks in (all_of(module)[:2], all_of(module)[2:])]


def test_the_helper_goes_on_with_what_later_works_need_and_nothing_waits_for_it(module, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(ahead, "compilation", notice.compilation)
    ahead.begin(*two_works(module))
    helper, wanted = ahead._at_work, wanted_of(module)
    with helper.changed:
        assert [w for group in (helper.at, *helper.later) for w in group] == wanted
    ahead.compile_all(wanted[:2])
    assert all(w.is_there() for w in wanted[:2])
    capsys.readouterr()
    helper.thread.join()
    assert all(w.is_there() for w in wanted[2:]) and helper.process.wait(60) == 0
    assert capsys.readouterr().err == ""  # the bar of a training is left alone
    assert (call_all(module) == right()).all()


def test_a_foreseen_kernel_that_is_missing_has_its_whole_work_compiled(module, monkeypatch):
    monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit(1)")  # the helper has got to nothing
    monkeypatch.setattr(ahead, "WORTH", 100)
    ahead.begin(*two_works(module))
    ahead._at_work.thread.join()
    together, compile_all = [], ahead.compile_all
    monkeypatch.setattr(ahead, "compile_all", lambda wanted: (together.append(list(dict.fromkeys(wanted))), compile_all(wanted)))
    assert (call_all(module) == right()).all()
    assert together == [wanted_of(module)[:2], wanted_of(module)[2:]]


@pytest.mark.parametrize("plant", ["killed", "not started", "answers nonsense"])
def test_a_helper_that_fails_costs_nothing_but_time(module, monkeypatch, plant):
    monkeypatch.setattr(ahead, "WORTH", 1)
    if plant == "killed":
        start = ahead.Helper.__enter__
        monkeypatch.setattr(ahead.Helper, "__enter__", lambda self: (self.process.kill(), start(self))[1])
    elif plant == "not started":
        monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit(1)")
    else:
        monkeypatch.setattr(ahead, "PROGRAM", "import sys; sys.stdout.write('.' * 99); sys.stdout.flush(); sys.stdin.read()")
    ahead.compile_all(wanted_of(module))
    assert (call_all(module) == right()).all()


def test_one_process_compiles_all_types_of_a_kernel(module):
    k = module.kernel_0
    wanted = [ahead.Wanted(k, (k.typeof_pyval(np.ones(3, kind)),)) for kind in (np.float32, np.float64)]
    assert ahead._missing([*wanted, *wanted_of(module), wanted[1]]) == [wanted, *([w] for w in wanted_of(module)[1:])]
    assert ahead._missing(wanted, begun=wanted[:1]) == [wanted[1:]]


def test_what_takes_longest_is_compiled_first(tmp_path, module):
    calls = "\n\n@jit\ndef caller(x):\n    kernel_0(x)\n    kernel_1(x)\n"
    (tmp_path / f"{module.__name__}_long.py").write_text(f"from {module.__name__} import *\n{calls}")
    short, long = wanted_of(module)[:2], __import__(f"{module.__name__}_long").caller
    assert ahead._missing([*short, ahead.Wanted(long, short[0].types)])[0][0].kernel is long


def test_without_a_place_on_disk_there_is_no_helper(module, monkeypatch):
    def no_process(*_, **__):
        raise AssertionError("a helper could not hand over what it compiles")

    monkeypatch.setattr(ahead.subprocess, "Popen", no_process)
    monkeypatch.setattr(ahead, "WORTH", 1)
    cache.not_kept.append("a full disk")
    ahead.compile_all(wanted_of(module))
    assert (call_all(module) == right()).all()


def test_a_kernel_on_disk_that_is_cut_short_is_compiled_again(module):
    ahead.compile_all(wanted_of(module)[:3])
    for file in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbi"):
        file.write_bytes(file.read_bytes()[:20])
    assert not any(w.is_there() for w in wanted_of(module) if w.types not in w.kernel.overloads)
    assert (call_all(module) == right()).all()


def test_the_count_is_of_kernels_and_not_of_their_parts(module, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    counted = notice.compilation
    monkeypatch.setattr(ahead, "compilation", counted)
    monkeypatch.setattr(ahead, "WORTH", 100)
    with numba.core.event.install_listener("numba:compile", counted):
        ahead.compile_all(wanted_of(module))
    shown = re.findall(r"kernel (\d+) of (\d+)", capsys.readouterr().err)
    assert counted.kernels == 5
    assert shown[0] == ("1", "5") and shown[-1] == ("5", "5")
    assert [int(n) for n, _ in shown] == sorted(int(n) for n, _ in shown)


SLOW = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np, tinydx
from tinydx import dispatch
dispatch.load_kernels("numba")
from tinydx_kernels.cpu import ahead
import kernels_slow as m
ahead._cores = lambda: 2
types = (m.kernel_0.typeof_pyval(np.ones(3, np.float32)),)
made = ahead.Helper.__enter__
ahead.Helper.__enter__ = lambda self: (print(self.process.pid, flush=True), made(self))[1]
while True:
    for k in range(5):
        getattr(m, f"kernel_{k}").recompile()
    ahead.compile_all([ahead.Wanted(getattr(m, f"kernel_{k}"), types) for k in range(5)])
    time.sleep(0.1)
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_helpers_end_with_the_process_they_help_and_leave_whole_files(tmp_path, number):
    (tmp_path / "kernels_slow.py").write_text(KERNELS)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "env": env, "start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], **how)
    helper = int(process.stdout.readline())
    time.sleep(1)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.kill()
    process.wait(60)
    process.stdout.close()
    until = time.monotonic() + 60
    while is_running(helper) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(helper)
    if number == signal.SIGINT:
        assert not [f for f in (tmp_path / "cache").rglob("*") if f.is_file() and f.suffix not in (".nbi", ".nbc")]


# ---- a model ------------------------------------------------------------------------------------------------------------


def tiny_model():
    from tinydx.layers import Dense, Dropout
    from tinydx.models import Sequential

    tinydx.set_seed(0)
    model = Sequential([Dense(8, activation="relu", input_shape=(6,)), Dropout(0.5), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def test_a_rehearsal_changes_neither_the_model_nor_the_random_numbers():
    from tinydx.training.data import Batch
    from tinydx.training.rehearsing import rehearse_step

    model, x, y = tiny_model(), np.ones((4, 6), np.float32), np.ones((4, 1), np.float32)
    before, state = [w.copy() for w in model.get_weights()], random.state()
    with tinydx.use("numpy"):
        rehearse_step(model, x, Batch(x, y))
    assert random.state() == state and x.all() and y.all()
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0


def test_what_a_diagnosis_foresees_is_what_it_calls(monkeypatch):
    """Kernels are only noted, none is compiled."""
    from tinydx.diagnosis import foreseeing, kinds
    from tinydx.diagnosis.kind import Options
    from tinydx.diagnosis.sections import evidence

    works, state, nothing = [], random.state(), Options(None, None, None, None, None)
    monkeypatch.setattr(ahead, "is_first_run", lambda: True)
    monkeypatch.setattr(ahead, "begin", lambda *given: works.extend(given))
    image = kinds.get("image")
    foreseeing.begin_compiling(image, None, 150, nothing)
    assert random.state() == state
    noted = {w for work in works for w in ahead._rehearsed(work)}
    model = image.build(image.foresee(None, 150, nothing), image.plan(image.foresee(None, 150, nothing), nothing))
    model.class_names, model.preprocessing = ["abnormal", "normal"], {"kind": "image", **image_reading()}
    called = ahead._rehearsed(lambda: [evidence.on_phantoms(model, 4, [method]) for method in evidence.METHODS])
    assert len(set(called)) > 8 and set(called) <= noted
    works.clear()
    foreseeing.begin_compiling(image, "a folder", 150, nothing)  # its images decide on the network's inputs
    assert works == []


def image_reading():
    """How images of 150 pixels are read."""
    return {"target_size": [150, 150], "color_mode": "rgb", "interpolation": "bilinear", "rescale": 1 / 255}


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_first_minute import tiny_model
from tinydx_kernels.cpu import ahead, notice
rehearsed = []
compile_all = ahead.compile_all
def noted(wanted):
    rehearsed.append(len({w for w in wanted if not w.is_there()}))
    compile_all(wanted)
ahead.compile_all = noted
x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
model = tiny_model()
model.fit(x, (x[:, :1] > 0).astype(np.float32), epochs=2, batch_size=8, verbose=0)
digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
print(digest, len(rehearsed), sum(rehearsed), notice.compilation.kernels)
"""


def test_a_first_run_has_the_bits_of_the_second_and_compiles_what_it_told(tmp_path):
    """No `if __name__ == "__main__"`, and the cache is empty at first."""
    (tmp_path / "program.py").write_text(PROGRAM)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = []
    for _ in range(2):
        how = {"capture_output": True, "text": True, "env": env, "timeout": 200, "cwd": tmp_path}
        result = subprocess.run([sys.executable, "program.py", str(Path(__file__).parent)], check=False, **how)
        assert result.returncode == 0, result.stderr
        said.append(result.stdout.split())
    (first, groups, told, compiled), (second, *nothing) = said
    assert first == second
    assert groups == "1"  # a rehearsal that ended early would leave kernels for a second group, without a helper
    assert int(told) == int(compiled) > 3 and nothing == ["0"] * 3
