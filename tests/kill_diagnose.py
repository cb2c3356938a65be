"""Kill `diagnose` at any moment, resume it, and compare what comes out with a run that nobody disturbed.

    python tests/kill_diagnose.py --kills 1000 [--seed 0]   runs of several kinds, killed at random times and operations
    python tests/kill_diagnose.py --protocol                the result's folder alone, killed before each of its operations

A run is a process forked from this one, which has imported everything, so that a kill costs a fraction of a second. It is killed
by SIGKILL: after a random time, or just before a random one of its operations on files. Right after each kill the output must be
the complete earlier result, a complete new one, or nothing (where there was nothing, or between the two renames, where both
results lie beside it). In the end the run is resumed to its end: every file must be that of the undisturbed run, bit for bit
but for measured seconds, and nothing else may lie beside it. The page is a digest of what it shows, except in every fortieth
round; nothing waits for the disk, since a kill, unlike a power cut, loses nothing that was written.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # no threads before the fork

import numpy as np  # noqa: E402

import tinydx  # noqa: E402
from tinydx.diagnosis.result import FILES, OURS, ResultFolder  # noqa: E402
from tinydx.files import atomic_write  # noqa: E402

CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod")  # audit events; opening a file to write is one, too
WORDS = {"sick": ["fever", "cough", "chills", "pain"], "well": ["rested", "cheerful", "hungry", "strong"]}
PRELOADED = (  # what a run imports late
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "safetensors.numpy",
    "sklearn.linear_model",
    "sklearn.preprocessing",
    "tinydx.diagnosis.kinds.image",
    "tinydx.diagnosis.kinds.sound",
    "tinydx.diagnosis.kinds.text",
)
RUNS: dict[str, dict[str, Any]] = {
    "text": {"data": "t.csv", "network": "linear", "epochs": 6, "steps": 2, "batch": 4},
    "members": {"data": "t.csv", "network": "linear", "epochs": 2, "steps": 2, "batch": 4, "members": 2, "also": ["t.csv"]},
    "choice": {"data": "t.csv", "epochs": 1, "steps": 1, "batch": 4, "choose": True},
    "images": {"data": "images", "network": "small", "size": 16, "epochs": 5, "steps": 2, "batch": 4},
    "sounds": {"data": "sounds", "network": "linear", "size": 1, "epochs": 3, "steps": 2, "batch": 4},
}


# ---- processes that end before their time --------------------------------------------------------------------------


class Child:
    """A forked process that does some work; before its operation number stop_before it kills itself (None: never)."""

    def __init__(self, work: Callable[[], Any], log: Path, stop_before: int | None = None):
        sys.stdout.flush()
        self.log, self.pid = log, os.fork()
        if self.pid == 0:
            self._do(work, stop_before)

    def _do(self, work: Callable[[], Any], stop_before: int | None) -> None:
        try:
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            _count_operations(stop_before)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the process was killed: by itself, or by this one after some seconds (None: never). Its errors are ours."""
        if seconds is not None:
            time.sleep(seconds)
            os.kill(self.pid, signal.SIGKILL)  # one that has ended is still there until waitpid
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status not in (0, -signal.SIGKILL):
            raise AssertionError(f"the run failed:\n{self.log.read_text(errors='replace')[-3000:]}")
        return status != 0


def _count_operations(stop_before: int | None) -> None:
    """Kill this process before that one of its operations."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            count += 1
            if count == stop_before:
                os.kill(os.getpid(), signal.SIGKILL)

    if stop_before is not None:
        sys.addaudithook(hook)


def contents(folder: Path) -> dict[str, Any] | None:
    """The files of a folder: bytes, or of JSON the value without measured seconds; None where there is no folder."""
    if not folder.exists():
        return None
    return {path.name: _timeless(path) for path in sorted(folder.iterdir())}


def _timeless(path: Path) -> Any:
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("seconds", "time")}
        return [strip(v) for v in value] if isinstance(value, list) else value

    data = path.read_bytes()
    if path.suffix == ".safetensors" and len(data) > 8:  # the library writes the two entries of its header in any order
        end = 8 + int.from_bytes(data[:8], "little")
        return json.loads(data[8:end]), data[end:]
    if path.name == "card.md":  # its third line says when it was made
        return data.splitlines()[:2] + data.splitlines()[3:]
    return strip(json.loads(data)) if path.suffix == ".json" else data


def check_after_kill(output: Path, earlier: Any, new: Any) -> None:
    """The output is the earlier result, the new one, or for a moment none of the two while both lie beside it."""
    found = contents(output)
    if found in (new, earlier):
        return
    work = output.with_name(f"{output.name}.unfinished")
    assert found is None and contents(work / "replaced") == earlier and contents(work / "result") == new, (
        f"{output} is neither the earlier result nor the new one; different from it: {_different(found, new)}"
    )


def _different(found: Any, new: Any) -> list[str]:
    return [name for name in sorted({*(found or {}), *new}) if (found or {}).get(name) != new.get(name)]


def check_at_end(output: Path, new: Any) -> None:
    """The output is the new result, and nothing else is left."""
    found = contents(output)
    assert found is not None and sorted(found) == sorted(FILES), f"the result has the files {sorted(found or [])}"
    assert found == new, f"not those of the undisturbed run: {_different(found, new)}"
    beside = sorted(path.name for path in output.parent.iterdir() if path != output)
    assert not beside, f"left beside the result: {beside}"


# ---- the folder alone ----------------------------------------------------------------------------------------------


def every_operation_of_the_folder(root: Path) -> int:
    """Kill a run that trains nothing before each of its operations, with and without an earlier result; returns the kills.

    A next run that ends as soon as it has looked at the folder, as for bad data, has put a whole result into its place.
    """
    bodies = {name: OURS.get(name, b'"new"') for name in FILES}
    new: dict[str, Any] = {}
    kills = 0

    def work(output: Path, resume: bool) -> None:
        with ResultFolder(output) as place:
            place.begin({"seed": 0}, resume)
            atomic_write(place.work / "seed-0.run", b"state")
            for name in FILES:
                atomic_write(place.draft / name, bodies[name])
            place.publish()

    work(root / "new" / "out", False)
    new |= contents(root / "new" / "out") or {}

    for before in ("nothing", "empty", "earlier"):
        for resume in (True, False):
            stop, killed = 0, True
            while killed:
                stop += 1
                output = root / f"{before}-{resume}-{stop}" / "out"
                output.parent.mkdir()
                if before != "nothing":
                    output.mkdir()
                for name in FILES if before == "earlier" else ():
                    (output / name).write_bytes(OURS.get(name, b'"old"'))
                earlier = contents(output)
                killed = Child(lambda out=output: work(out, False), root / "log", stop).wait()
                check_after_kill(output, earlier, new)
                Child(lambda out=output: ResultFolder(out), root / "log").wait()
                assert contents(output) in (earlier, new), f"{output} was not put into its place: {contents(output)}"
                Child(lambda out=output, again=resume: work(out, again), root / "log").wait()
                check_at_end(output, new)
                kills += killed
    return kills


# ---- whole runs ----------------------------------------------------------------------------------------------------


def make_data(root: Path) -> None:
    """A table of texts, folders of images and of sounds, small enough to learn from in no time."""
    rng = np.random.default_rng(0)
    rows = [f"{' '.join(rng.choice(words, 3))} {i},{label}" for i in range(16) for label, words in WORDS.items()]
    (root / "t.csv").write_text("\n".join(["text,label", *rows]))
    from PIL import Image

    try:
        import soundfile
    except ImportError:
        RUNS.pop("sounds", None)
    for k, label in enumerate(WORDS):
        for kind in ("images", "sounds"):
            (root / kind / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 120, (16, 16)) + 100 * k
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / label / f"{i}.png")
            if "sounds" in RUNS:
                tone = np.sin(np.arange(2000) * (0.2 + 0.2 * k)) + rng.normal(0, 0.1, 2000)
                soundfile.write(root / "sounds" / label / f"{i}.wav", 0.4 * tone, 2000)


def cheap_page(page: Any) -> bytes:
    """In the place of the picture: a digest of what it shows."""
    return hashlib.sha256(repr((page.title, page.subtitle, page.history, page.true, page.table)).encode()).digest()


class Campaign:
    """Rounds of kills; counts by where the run was, and says after each hundred how many there were."""

    def __init__(self, root: Path, seed: int):
        from tinydx import evaluation
        from tinydx.diagnosis import choose, report
        from tinydx.diagnosis.diagnose import diagnose

        for module in PRELOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        evaluation.evaluate_diagnosis.__kwdefaults__["samples"] = 20  # of the intervals: the time is for kills
        choose.DRAWS = 20
        self.root, self.rng, self.report, self.diagnose = root, random.Random(seed), report, diagnose
        self.real_page, self.where = report._png, collections.Counter[str]()
        self.known: dict[tuple[str, int, bool], tuple[Any, float]] = {}

    def run(self, kind: str, seed: int, output: Path, real: bool, resume: bool = False) -> None:
        """In a child: one run."""
        self.report._png = self.real_page if real else cheap_page
        options = dict(RUNS[kind])
        options["also"] = [str(self.root / path) for path in options.get("also", ())]
        self.diagnose(str(self.root / options.pop("data")), **options, seed=seed, output=output, resume=resume)

    def undisturbed(self, kind: str, seed: int, real: bool) -> tuple[Any, float]:
        """The result of a run that nobody disturbs, and its seconds."""
        if (kind, seed, real) not in self.known:
            output = self.root / f"{kind}-{seed}-{real}" / "diagnosis"
            began = time.perf_counter()
            Child(lambda: self.run(kind, seed, output, real), self.root / "log").wait()
            self.known[kind, seed, real] = contents(output), time.perf_counter() - began
        return self.known[kind, seed, real]

    def round(self, number: int) -> int:
        """One output, its run killed a few times and resumed to the end; returns the kills."""
        kind, real = self.rng.choice([*RUNS, "text", "images"]), number % 40 == 39
        new, seconds = self.undisturbed(kind, 0, real)
        place = self.root / f"round-{number}"
        place.mkdir()
        output, earlier, kills = place / "diagnosis", None, 0
        if self.rng.random() < 0.5:
            earlier, _ = self.undisturbed(kind, 1, real)
            shutil.copytree(self.root / f"{kind}-1-{real}" / "diagnosis", output)
        for attempt in range(self.rng.randint(4, 10)):
            resume = attempt > 0 and self.rng.random() < 0.9
            at_operation = self.rng.random() < 0.5
            stop = self.rng.randint(1, 90) if at_operation else None
            child = Child(lambda again=resume: self.run(kind, 0, output, real, again), place / "log", stop)
            killed = child.wait(None if at_operation else self.rng.uniform(0, 1.1 * seconds))
            (place / "log").unlink(missing_ok=True)  # killed before it began to write
            check_after_kill(output, earlier, new)
            if not killed:
                break
            kills += 1
            self.where[_where(output, new)] += 1
        Child(lambda: self.run(kind, 0, output, real, True), self.root / "log").wait()
        check_at_end(output, new)
        shutil.rmtree(place)
        return kills


def _where(output: Path, new: Any) -> str:
    """What the killed run was doing, by what it left."""
    work = output.with_name(f"{output.name}.unfinished")
    if contents(output) == new:
        return "removing what it kept"
    if not work.exists():
        return "reading data"
    if (work / "replaced").exists():
        return "between the renames"
    if (work / "result" / "metrics.json").exists():
        return "writing the report"
    if (work / "result" / "model.safetensors").exists():
        return "testing the model"
    return "training" if list(work.glob("[cs]*.run")) else "beginning"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--protocol", action="store_true", help="only the result's folder, before each of its operations")
    a = parser.parse_args()
    os.fsync = lambda descriptor: None
    root, began = Path(tempfile.mkdtemp(prefix="kill-diagnose-")), time.perf_counter()
    try:
        if a.protocol:
            print(f"{every_operation_of_the_folder(root)} kills, every one recovered")
            return 0
        tinydx.use("numpy")
        make_data(root)
        campaign, kills, number = Campaign(root, a.seed), 0, 0
        while kills < a.kills:
            kills += campaign.round(number)
            number += 1
            if number % 20 == 0 or kills >= a.kills:
                print(f"{kills} kills in {time.perf_counter() - began:.0f} s, all resumed: {dict(campaign.where)}", flush=True)
    except AssertionError:
        print(f"the folders of the failure are in {root}", file=sys.stderr)
        raise
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
