"""Our CUDA kernels and the vendor's libraries on one GPU, in one run: cuBLAS through CuPy and, where PyTorch is installed,
cuBLAS and cuDNN through PyTorch.

    python -m tinydx.bench.gpu FOLDER          writes bench.json, bench.md, bench.png (gpu_report.py) into it
    python -m tinydx.bench.gpu --check         says whether CuPy works

Each contestant is first checked against float64. Then they take turns, and events on the device time each call by itself:

    clear the L2 cache | event | call | event || clear | event | call | event || ...        another contestant each time

Clearing (writing twice the size of the cache several times) makes a call read its arrays from memory, as in a training step.
It also takes longer than the CPU needs to queue the call. TF32 is off except where a row says TF32.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import dispatch
from tinydx.bench import gpu_report
from tinydx.bench.gpu_report import Row

ROUNDS, WARM = 30, 3
BATCHES, CHECKED, TOLERANCE = 4, 5, 1e-3  # of training: number of batches; first steps, whose losses may differ by this much
CLEARINGS = 12  # of the cache before a call: about half a millisecond
SIZES: tuple[int, ...] = (1024, 2048, 4096)  # of square matrices
BATCH = 32, 150, 150, 3  # of a training step
ROUGH = {"tf32": 2e-3, "bf16": 2e-2}  # errors of TF32 and BF16
LAYERS = (  # the document's convolutions at batch 32: x, filters
    ((32, 150, 150, 3), 32),
    ((32, 74, 74, 32), 64),
    ((32, 36, 36, 64), 128),
)
# Operations of a training step: forward, dX and dW of convolutions and dense layers, without the dX of the images.
STEP_WORK = 3 * sum(2.0 * n * (h - 2) * (w - 2) * f * 9 * c for (n, h, w, c), f in LAYERS) + 6.0 * 32 * 17 * 17 * 128 * 512
STEP_WORK -= 2.0 * 32 * 148 * 148 * 32 * 9 * 3


class Entrant(NamedTuple):
    """A call to time, and a function that fetches its result as float64 in PyTorch's layout."""

    call: Callable[[], Any]
    read: Callable[[Any], np.ndarray]
    tolerance: float = 1e-5  # relative to the largest element


class Contest(NamedTuple):
    """One result, computed by several entrants. work: floating-point operations of one call; want: the exact result."""

    title: str
    work: float
    entrants: Mapping[str, Entrant]
    want: np.ndarray


# ---- measuring -----------------------------------------------------------------------------------------------------


def fetch(a: Any) -> np.ndarray:
    """A CuPy array or a PyTorch tensor as a NumPy array, float64."""
    return (a.get() if hasattr(a, "get") else a.double().cpu().numpy()).astype(np.float64)


def error_of(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference, relative to the largest element.

    >>> error_of(np.array([1.0, 4.5]), np.array([1.0, 4.0]))
    0.125
    """
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


def measure(contest: Contest) -> list[Row]:
    """Time the contestants of a contest in turn, and check each result."""
    times = time_in_turn({name: entrant.call for name, entrant in contest.entrants.items()})
    rows = []
    for name, entrant in contest.entrants.items():
        error, median = error_of(entrant.read(entrant.call()), contest.want), statistics.median(times[name])
        rate = contest.work / median / 1e6
        rows.append(Row(contest.title, name, median, min(times[name]), rate, error, error <= entrant.tolerance))
    return rows


def time_in_turn(calls: Mapping[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Microseconds of each call of each contestant, timed by events, with a cold L2 cache."""
    import cupy

    waste = cupy.empty(2 * cupy.cuda.Device().attributes["L2CacheSize"] // 4, cupy.float32)
    events: dict[str, list] = {name: [] for name in calls}
    for _ in range(WARM + ROUNDS):
        for name, call in calls.items():
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            for value in range(CLEARINGS):
                waste.fill(value)
            begin.record()  # on the default stream, which PyTorch uses, too
            call()
            end.record()
            events[name].append((begin, end))
    cupy.cuda.Device().synchronize()
    return {name: [1e3 * cupy.cuda.get_elapsed_time(*pair) for pair in pairs[WARM:]] for name, pairs in events.items()}


# ---- contests ------------------------------------------------------------------------------------------------------


def products() -> Iterator[Contest]:
    """Products of square matrices: the staircase, the product of the layers, cuBLAS."""
    import cupy

    from tinydx_kernels.cuda.matmul import STAIRCASE, product, product_bf16, staircase, to_bf16

    for n in SIZES:
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal((n, n), np.float32) for _ in range(2))
        ours = [cupy.asarray(m) for m in (a, b)]
        entrants = {name: Entrant(partial(staircase, name, *ours), fetch, ROUGH.get(name, 1e-5)) for name in STAIRCASE}
        halves = [to_bf16(m) for m in ours]
        entrants["bf16"] = Entrant(partial(product_bf16, *halves, n), fetch, ROUGH["bf16"])  # converted beforehand, as cuBLAS's
        entrants["product of the layers"] = Entrant(partial(product, *ours), fetch)
        entrants["cuBLAS FP32 (CuPy)"] = Entrant(partial(cupy.matmul, *ours), fetch)
        if has_torch():
            entrants |= torch_products(a, b)
        yield Contest(f"matmul {n}", 2.0 * n**3, entrants, a.astype(np.float64) @ b)


def torch_products(a: np.ndarray, b: np.ndarray) -> dict[str, Entrant]:
    """cuBLAS in three precisions."""
    import torch

    pair = [torch.asarray(m).cuda() for m in (a, b)]
    short = [m.bfloat16() for m in pair]
    return {
        "cuBLAS FP32 (PyTorch)": Entrant(partial(with_tf32, False, torch.matmul, *pair), fetch),
        "cuBLAS TF32": Entrant(partial(with_tf32, True, torch.matmul, *pair), fetch, ROUGH["tf32"]),
        "cuBLAS BF16": Entrant(partial(torch.matmul, *short), fetch, ROUGH["bf16"]),
    }


IMAGES, KERNEL = (0, 3, 1, 2), (3, 2, 0, 1)  # from our layouts, NHWC and HWCF, to PyTorch's


class Task(NamedTuple):
    """A result of a layer: computed by us, and by PyTorch from x, dy, w. to: the axes that turn our layout into PyTorch's."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[..., Any]
    to: tuple[int, ...]

    def read(self, y: Any) -> np.ndarray:
        """Our result in PyTorch's layout."""
        return fetch(y).transpose(self.to)


def tasks(x: Any, dy: Any, w: Any) -> list[Task]:
    """Forward, forward with ReLU and pooling, dX, dW of a layer (3x3, valid) on CuPy arrays."""
    from torch.nn.functional import conv2d, max_pool2d
    from torch.nn.grad import conv2d_input, conv2d_weight

    from tinydx_kernels.cuda import convolution, fused

    g = convolution.geometry(x, w, 1, "valid", 1)
    return [
        Task("forward", lambda: convolution.forward(x, w, None, g, 1), lambda x, dy, w: conv2d(x, w), IMAGES),
        Task(
            "forward, ReLU, pooling",
            lambda: fused.pooled_forward(x, w)[0],
            lambda x, dy, w: max_pool2d(conv2d(x, w).relu_(), 2),
            IMAGES,
        ),
        Task(
            "dX",
            lambda: convolution.gradient_of_x(dy, w, g, 1),
            lambda x, dy, w: conv2d_input(x.shape, w, dy),
            IMAGES,
        ),
        Task(
            "dW",
            lambda: convolution.gradient_of_w(x, dy, w.shape, g, 1),
            lambda x, dy, w: conv2d_weight(x, w.shape, dy),
            KERNEL,
        ),
    ]


def convolutions() -> Iterator[Contest]:
    """The document's layers at batch 32, with cuDNN in both of its layouts; nothing without PyTorch, since CuPy has no cuDNN."""
    if not has_torch():
        return
    import cupy
    import torch

    for shape, filters in LAYERS:
        (n, height, width, channels), rng = shape, np.random.default_rng(0)
        x, dy = (rng.standard_normal(s, np.float32) for s in (shape, (n, height - 2, width - 2, filters)))
        w = rng.standard_normal((3, 3, channels, filters), np.float32) / np.float32((9 * channels) ** 0.5)
        theirs = [torch.asarray(a).cuda().permute(to) for a, to in ((x, IMAGES), (dy, IMAGES), (w, KERNEL))]
        for task in tasks(*(cupy.asarray(a) for a in (x, dy, w))):
            entrants = {"tinydx": Entrant(task.ours, task.read)}
            for layout, memory in (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)):
                tensors = [t.contiguous(memory_format=memory) for t in theirs]
                entrants[f"cuDNN {layout}"] = Entrant(partial(with_tf32, False, task.theirs, *tensors), fetch)
            want = fetch(task.theirs(*(t.double() for t in theirs)))
            yield Contest(f"{channels} to {filters}: {task.name}", 2.0 * dy.size * 9 * channels, entrants, want)


def with_tf32(on: bool, function: Callable, *tensors: Any) -> Any:
    """Call a function of PyTorch with or without TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    return function(*tensors)


# ---- the whole training step -----------------------------------------------------------------------------------------


def training_steps() -> list[Row]:
    """The document's training step at batch 32: ours, and PyTorch's where it is installed. The batches are already on the GPU."""
    import cupy

    from tinydx.bench import subjects, worker

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (BATCHES, BATCH[0], 1)).astype(np.float32)
    batches = [(rng.random(BATCH, np.float32) * (0.5 + 0.5 * y[:, :, None, None]), y) for y in labels]
    tinydx.set_seed(0)
    start = worker.Start(subjects.document(BATCH[1:]), batches)
    peers = [worker.torch(start, True, tuned, "cuda") for tuned in (False, True)] if has_torch() else []
    with tinydx.use("cuda"):
        ours = worker.tinydx(start._replace(batches=[(cupy.asarray(x), cupy.asarray(y)) for x, y in batches]))
        steps: dict[str, Callable[[int], float]] = {
            "tinydx": ours.train,
            **{peer.label: partial(with_tf32, False, peer.train) for peer in peers},
        }
        return time_steps(steps)


def time_steps(steps: Mapping[str, Callable[[int], float]]) -> list[Row]:
    """Time training steps in turn by the clock: each ends when the CPU has its loss. Their first losses must agree."""
    losses = {name: [step(k) for k in range(CHECKED)] for name, step in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for k in range(CHECKED, CHECKED + ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step(k)
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name in steps:
        error = max(abs(a - b) for other in losses.values() for a, b in zip(losses[name], other, strict=True))
        median, least = 1e6 * statistics.median(seconds[name]), 1e6 * min(seconds[name])
        rows.append(Row("training step", name, median, least, STEP_WORK / median / 1e6, error, error <= TOLERANCE))
    return rows


# ---- the command ---------------------------------------------------------------------------------------------------


@functools.cache
def has_torch() -> bool:
    """Whether PyTorch is installed and sees the GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def machine() -> dict[str, str]:
    """The device, and the versions of driver and libraries."""
    import cupy

    runtime = cupy.cuda.runtime
    found = {
        "device": runtime.getDeviceProperties(0)["name"].decode(),
        "driver": str(runtime.driverGetVersion()),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        "cupy": cupy.__version__,
    }
    if has_torch():
        import torch

        found |= {"torch": str(torch.__version__), "cudnn": str(torch.backends.cudnn.version())}
    return found


def missing() -> str | None:
    """Why nothing can be measured on this machine, in one line, or None: CuPy must compile and run something of its own."""
    if importlib.util.find_spec("cupy") is None:
        return "bench.gpu: CuPy is not installed: pip install 'tinydx[cuda13]'"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        if fetch(cupy.ones(3, np.float32) + 1).tolist() != [2, 2, 2]:
            return "bench.gpu: CuPy is broken: 1 + 1 is not 2"
    except Exception as error:  # whatever is missing or broken: a library, a driver, the compiler
        return f"bench.gpu: CuPy or the GPU cannot be used: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return dispatch.load_kernels("cuda")


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where nothing could be measured, or something was wrong."""
    global SIZES, BATCH, ROUNDS, WARM, CHECKED
    parser = argparse.ArgumentParser(description="Our CUDA kernels beside cuBLAS and cuDNN, on one GPU.")
    parser.add_argument("folder", nargs="?", default=".", help="where bench.json, bench.md and bench.png are written")
    parser.add_argument("--check", action="store_true", help="only say whether CuPy works")
    parser.add_argument("--small", action="store_true", help="small shapes and one round, to try the command without a GPU")
    options = parser.parse_args(arguments)
    reason = missing()
    if reason:
        print(reason)
        return 1
    found, rows = machine(), []
    print(", ".join(f"{key} {value}" for key, value in found.items()))
    if options.check:
        return 0
    if options.small:
        SIZES, BATCH, ROUNDS, WARM, CHECKED = (20,), (2, 22, 22, 3), 1, 0, 3
    measured = (measure(contest) for contest in itertools.chain(products(), convolutions()))
    for some in itertools.chain(measured, (contest() for contest in (training_steps,))):
        for row in some:
            rows.append(row)
            print(gpu_report.line(row), flush=True)
        gpu_report.write(options.folder, found, rows)  # after each contest, so that a later failure loses nothing
    return int(not all(row.right for row in rows))


if __name__ == "__main__":
    sys.exit(main())
