"""How good are the tests of the CUDA kernels? Mistakes are planted into the kernels, one at a time, and the tests run.

    python tests/cuda_mutants.py                      every 10th mutant of each file: 270 of them, half an hour on one core
    python tests/cuda_mutants.py --every 1 sums.cu    all mutants of a file

The mutants are those of kernels/emulator/mutate.py. Each is written into a copy of kernels/cuda, which the launchers then use,
and the properties of that file run on it with 60 examples each. A survivor is either a gap in the tests, or the same program
written differently: EQUIVALENT lists the latter, with reasons. All others count against the tests. ptx.cuh is left out: it
runs on GPUs only, and the probes (probes.py) test it there.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

import cuda_properties as properties
import numpy as np
import pytest
from cuda_cases import KERNELS, LINEAR
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from tinydx.op import TABLE
from tinydx_kernels.cuda import backend, programs
from tinydx_kernels.cuda.matmul import STAIRCASE
from tinydx_kernels.cuda.programs import HERE, programs_by_launcher
from tinydx_kernels.emulator.mutate import Mutant, Score, Verdict, copies, judge, mutants

ALWAYS_THE_SAME = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
RATE = 0.95  # the part of the mutants (without equivalent programs) that must be noticed


def _ops(*names: str) -> list[Callable]:
    """All properties of these ops."""
    rules = (properties.is_exact, properties.lets_specials_through)
    return [partial(rule, name) for rule in rules for name in names]


def _close(*names: str) -> list[Callable]:
    """The properties of ops that are not exact on whole numbers."""
    return [partial(properties.equals_reference, name) for name in names]


def _both(*names: str) -> list[Callable]:
    """All properties of ops that are not exact on whole numbers."""
    return [*_close(*names), *(partial(properties.lets_specials_through, name) for name in names)]


def _stairs(*names: str) -> list[Callable]:
    return [partial(properties.stair_is_right, name) for name in names]


def _of_launchers() -> dict[str, list[Callable]]:
    """For each .cu file, the properties of all ops whose launcher runs it."""
    found: dict[str, list[Callable]] = {}
    for launcher, programs_of_it in programs_by_launcher().items():
        names = [name for name in KERNELS if TABLE[name].kernels["cuda"].forward.__module__ == launcher]
        linear, updates = LINEAR.intersection(names), [name for name in names if name.endswith("_update")]
        rules = [*_ops(*sorted(linear)), *_close(*updates), *_both(*(n for n in names if n not in {*linear, *updates}))]
        for file in sorted({program.file for program in programs_of_it}):
            found[file] = found.get(file, []) + rules
    return found


PRODUCTS = [partial(properties.product_is_exact, tile) for tile in ("SMALL", "MIDDLE", "LARGE")]
LOSSES = _both("sigmoid_binary_crossentropy", "softmax_crossentropy", "sparse_softmax_crossentropy")
CONVOLUTIONS = _ops("correlate2d", "correlate2d_relu", "correlate2d_relu_max_pool2d")
PROPERTIES: dict[str, list[Callable]] = {  # of each file; where fewer properties do, these are named
    **_of_launchers(),
    "conv_backward.cu": _ops("correlate2d"),
    "conv_direct.cu": _ops("correlate2d"),
    "conv_forward.cu": CONVOLUTIONS,
    "copy.cuh": _stairs("async", "tf32"),
    "elementwise.cu": _ops("relu") + _close("dropout", "sigmoid", "tanh"),
    "embedding.cu": [*_ops("embedding"), properties.foreign_ids_read_nothing],
    "gated.cu": _close("gru_reset_before", "gru_step", "lstm_step"),
    "geometry.cuh": CONVOLUTIONS,
    "loss.cu": LOSSES,
    "matmul.cu": PRODUCTS,
    "pooling.cu": [*_ops("max_pool2d", "correlate2d_relu_max_pool2d"), *_close("average_pool2d")],
    "recurrence.cu": _close("simple_rnn"),
    "softmax.cu": _both("softmax", "log_softmax"),
    "sums.cu": [properties.rows_are_summed, properties.pieces_are_summed],
    "tile.cuh": [*PRODUCTS, *CONVOLUTIONS],
    "update.cu": _close("adagrad_update", "adam_update", "momentum_update", "rmsprop_update", "sgd_update"),
    "warp.cuh": [*_both("softmax"), *LOSSES],
    **{stair.program.file: _stairs(name) for name, stair in STAIRCASE.items()},
    "matmul_09_tf32.cu": _stairs("tf32", "3xtf32"),
}

EQUIVALENT: dict[str, dict[str, str]] = {  # file: {what the changed line then contains: why it is the same program}
    "conv_backward.cu": {
        "tap.down < 0 ? 1 :": "the offset of NOWHERE is not used",
        "k0 <= depth; k0 += BK": "one more slice, of zeros",
        "__launch_bounds__(THREADS, 1025 / THREADS)": "a hint about registers, which the compile gate checks",
        "__launch_bounds__(THREADS, 1024 * THREADS)": "a hint about registers, which the compile gate checks",
    },
    "conv_forward.cu": {
        "tap.down < 0 ? 1 :": "the offset of NOWHERE is not used",
        "k0 <= depth; k0 += BK": "one more slice, of zeros",
        "if (v >= largest || v != v) largest = v;": "an equal number in place of an equal number",
    },
    "elementwise.cu": {"(x[i] <= 0.0f ? e : 1.0f)": "at 0 both are 1"},
    "gated.cu": {"(z <= 0.0f ? e : 1.0f)": "at 0 both are 1"},
    "matmul.cu": {
        "k0 = k_first; k0 <= k_end;": "one more slice, of zeros",
        "relu && z <= 0.0f ? 0.0f : z;": "at 0 both are 0",
    },
    "matmul_03_shared.cu": {"k0 <= K; k0 += TILE": "one more slice, of zeros"},
    "matmul_06_float4.cu": {"if (false) return *(const float4 *)": "the same four numbers, one by one"},
    "matmul_07_warp.cu": {"if (false) return *(const float4 *)": "the same four numbers, one by one"},
    "matmul_08_async.cu": {"__launch_bounds__(THREADS, 3)": "a hint about registers, which the compile gate checks"},
    "matmul_11_bf16.cu": {"float sum[ACROSS][DOWN][4]": "both are four"},
    "recurrence.cu": {"b[TILE + 1][TILE];": "only the banks change"},
    "warp.cuh": {"distance = 17;": "exchanges over 17, 8, 4, 2 and 1 reach every lane, too"},
}


def reason(file: str, mutant: Mutant) -> str | None:
    """Why the mutant is the same program, or None."""
    return next((why for part, why in EQUIVALENT.get(file, {}).items() if part in mutant.after), None)


def check(rule: Callable) -> None:
    """Run a property on 60 examples."""

    @ALWAYS_THE_SAME
    @given(data=st.data())
    def run(data):
        rule(data)

    try:
        with np.errstate(all="ignore"):
            run()
    except FlakyFailure as failure:  # the mutant reads what was in memory before: wrong, but not always
        raise AssertionError(str(failure)) from failure


def verdicts(file: str, chosen: list[Mutant]) -> Iterator[Verdict]:
    """The verdicts on some mutants of a file."""

    def test() -> None:
        backend._emulated_module.cache_clear()
        for rule in PROPERTIES[file]:
            check(rule)

    with properties.emulation(), copies(HERE / file) as copy, pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "HERE", copy.parent)
        for mutant in chosen:
            yield judge(mutant, copy, test)
    backend._emulated_module.cache_clear()


def score_of(file: str, every: int, first: int = 0) -> Score:
    """The score of every `every`-th mutant of a file without the equivalent ones. Prints survivors."""
    chosen = [m for m in mutants((HERE / file).read_text())[first::every] if reason(file, m) is None]
    found = []
    for verdict in verdicts(file, chosen):
        found.append(verdict)
        if verdict.by == "survived":
            print(f"{file} {verdict.mutant}", flush=True)
    return Score(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", default=sorted(PROPERTIES), metavar="FILE", help="of kernels/cuda; default: all")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="take every N-th mutant (default 10)")
    options = parser.parse_args()
    total = Score([])
    for file in options.files:
        score = score_of(file, options.every)
        total = Score([*total.verdicts, *score.verdicts])
        print(f"{file}: {len(score.verdicts)} mutants, {score.rate:.0%} noticed", flush=True)
    print(total.summary)
    return int(total.rate < RATE)


if __name__ == "__main__":
    sys.exit(main())
