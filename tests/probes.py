"""The conformance probes: one small kernel for each primitive, run in the emulator, and on a GPU where there is one.

    python tests/probes.py docs/gpu/NAME/probes.json        on a GPU: stores its results and the version of its driver

The emulator can misread the layout of a fragment exactly as a kernel does; a GPU cannot. test_probes.py compares the emulator
with every stored file in docs/gpu. Arrays are stored as 32-bit words, so that equal means the same bits.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinydx  # noqa: F401 (so that tinydx_kernels is found)
from tinydx_kernels.cuda.programs import options
from tinydx_kernels.emulator import load_module

SOURCE = Path(__file__).parent / "conformance" / "probes.cu"
STORED = Path(__file__).parents[1] / "docs" / "gpu"


class Probe(NamedTuple):
    """A launch. arguments: of the kernel; outputs: which of them are results; tolerance: of sums with rounding errors."""

    kernel: str
    arguments: tuple
    outputs: tuple[int, ...]
    grid: int = 1
    block: int = 32
    tolerance: float = 0.0


def whole(seed: int, *shape: int) -> np.ndarray:
    """Small whole numbers: sums of products are exact in any order."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Normal numbers, whose last bits a tensor core drops."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bfloat16(x: np.ndarray) -> np.ndarray:
    """The bits of small whole numbers as BF16: the upper halves of the floats, since these numbers are exact."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def _zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def _short(bits: Callable[[np.ndarray], np.ndarray], bfloat: int) -> tuple:
    a, b = (bits(m).view(np.uint32) for m in (whole(0, 16, 16), whole(1, 16, 8)))
    return a, b, _zeros(16, 8), np.int32(bfloat)


COUNTS = np.random.default_rng(0).integers(-50, 50, 300).astype(np.int32)
FLOATS = np.concatenate([normal(2, 200) * np.float32(10) ** whole(3, 200), [0, 1, 65504, 65520, 1e30, 2**-24, 2**-25]])
FLOATS = np.concatenate([FLOATS, -FLOATS, [np.inf, -np.inf]]).astype(np.float32)
PROBES = {
    "shuffles": Probe("shuffles", (_zeros(8, 32, dtype=np.int32),), (0,)),
    "votes": Probe("votes", (COUNTS[:32], _zeros(7, 32, dtype=np.uint32)), (1,)),
    "block votes": Probe("block_votes", (COUNTS[:96], _zeros(3, dtype=np.int32)), (1,), block=96),
    "atomics": Probe(
        "atomics",
        (COUNTS, np.int32(300), _zeros(6, dtype=np.int32), np.array([0, 0, 2**32 - 1, 0], np.uint32), _zeros(1)),
        (2, 3, 4),
        grid=3,
        block=128,
    ),
    "sums of blocks": Probe("block_sums", (whole(0, 700), np.int32(700), _zeros(3)), (2,), grid=3, block=256),
    "sum in one launch": Probe(
        "sum_in_one_launch",
        (whole(0, 700), np.int32(700), _zeros(3), _zeros(1, dtype=np.uint32), _zeros(1)),
        (2, 3, 4),
        grid=3,
        block=256,
    ),
    "TF32": Probe("tf32", (whole(0, 16, 8), whole(1, 8, 8), whole(2, 16, 8)), (2,)),
    "TF32, rounded": Probe("tf32", (normal(0, 16, 8), normal(1, 8, 8), _zeros(16, 8)), (2,), tolerance=1e-6),
    "FP16": Probe("short_floats", _short(lambda x: x.astype(np.float16), 0), (2,)),
    "BF16": Probe("short_floats", _short(bfloat16, 1), (2,)),
    "conversions": Probe(
        "conversions",
        (FLOATS, np.int32(FLOATS.size), *(_zeros(FLOATS.size, dtype=np.uint32) for _ in range(3))),
        (2, 3, 4),
        block=512,
    ),
    "asynchronous copies": Probe("pipeline", (whole(0, 300), np.int32(300), _zeros(384)), (2,)),
}


def run(probe: Probe, function: Callable, move: Callable = np.copy) -> list[np.ndarray]:
    """Launch a kernel that takes CuPy's arguments; returns its outputs on the CPU. move: copies an array to the device."""
    arguments = [move(a) if isinstance(a, np.ndarray) else a for a in probe.arguments]
    function((probe.grid,), (probe.block,), tuple(arguments))
    return [a.get() if hasattr(a, "get") else a for a in (arguments[i] for i in probe.outputs)]


def results_of(get_function: Callable[[str], Callable], machine: Mapping[str, str], move: Callable = np.copy) -> str:
    """The results of all probes, as JSON; a probe that fails is printed, and the others run."""
    words = {}
    for name, probe in PROBES.items():
        try:
            words[name] = [y.view(np.uint32).ravel().tolist() for y in run(probe, get_function(probe.kernel), move)]
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return json.dumps({"machine": dict(machine), "words": words}) + "\n"


def differences(stored: str, get_function: Callable[[str], Callable]) -> list[str]:
    """The probes whose results differ from the stored ones, or have none stored."""
    words = json.loads(stored)["words"]
    wrong = []
    for name, probe in PROBES.items():
        ours = run(probe, get_function(probe.kernel))
        theirs = [np.array(w, np.uint32).view(y.dtype).reshape(y.shape) for w, y in zip(words.get(name, []), ours, strict=False)]
        if len(theirs) < len(ours) or not all(_agree(*pair, probe.tolerance) for pair in zip(ours, theirs, strict=True)):
            wrong.append(name)
    return wrong


def _agree(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    if tolerance == 0:
        return ours.tobytes() == theirs.tobytes()
    return bool(np.allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max()))


def main(path: str) -> int:
    """Store the results of this machine's GPU, and compare the emulator with them if it runs here; 1 where something differs."""
    from tinydx.bench import gpu

    if reason := gpu.missing():
        sys.exit(reason)
    import cupy

    module = cupy.RawModule(code=SOURCE.read_text(), options=options())
    stored = results_of(module.get_function, gpu.machine(), cupy.asarray)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(stored)
    try:
        wrong = differences(stored, load_module(SOURCE).get_function)
    except OSError as error:
        print(f"stored, not compared: {error}")
        return int(len(json.loads(stored)["words"]) < len(PROBES))
    for name in PROBES:
        print(f"{name}: the emulator {'differs' if name in wrong else 'agrees'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
