"""The CUDA emulator: planted bugs are found as what they are, right kernels pass, and results are right."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest

from tinydx.op import find_kernels

find_kernels()
from tinydx_kernels.emulator import KernelError, empty, load_module, record  # noqa: E402
from tinydx_kernels.emulator import build as building  # noqa: E402
from tinydx_kernels.emulator.check import check, plans_of  # noqa: E402

try:
    building.compiler()
except OSError as error:
    pytest.skip(str(error), allow_module_level=True)

PLANTED = Path(__file__).parent / "planted"
CONFORMANCE = Path(__file__).parent / "conformance"


# ---- planted bugs ----------------------------------------------------------------------------------------------------


def planted():
    """(file, number of the launch in it, {(line, kinds)}) for each kernel of tests/planted."""
    for path in sorted(PLANTED.glob("*.cu")):
        head, *pieces = re.split(r"^// check: ", path.read_text(), flags=re.M)
        line = 1 + head.count("\n")
        for number, piece in enumerate(pieces):
            rows = piece.splitlines()
            marks = {(line + i, kinds) for i, row in enumerate(rows) for kinds in re.findall(r"// BUG (\S+)", row)}
            yield pytest.param(path, number, marks, id=f"{path.stem}-{piece.split('<')[0]}")
            line += piece.count("\n")


@functools.cache
def results(path, bug):
    """All launches of a file, with or without its bugs. SIZE: of one, the size is the bug."""
    plans = [p._replace(shape=p.shape.replace("SIZE", "128" if bug else "256")) for p in plans_of(path)]
    return check(path, plans, {"BUG": int(bug)})


PLANTS = list(planted())


@pytest.mark.parametrize("path, number, marks", PLANTS)
def test_planted_bug_is_found(path, number, marks):
    findings = results(path, True)[number].findings
    found = {(line, f.kind) for f in findings for line in (f.line, f.other_line)}
    assert any((line, kind) in found for line, kinds in marks for kind in kinds.split("|")), list(map(str, findings))


@pytest.mark.parametrize("path, number, marks", PLANTS)
def test_without_the_bug_there_is_no_finding(path, number, marks):
    assert not results(path, False)[number].findings


def test_there_are_at_least_25_kinds_of_bugs():
    assert len(PLANTS) >= 25


# ---- right kernels run right ---------------------------------------------------------------------------------------


@functools.cache
def module(name, **options):
    return load_module(CONFORMANCE / name, **options)


def whole(seed, *shape):
    """Small whole numbers: sums of products are exact, whatever their order."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


SGEMM = {  # kernel: (threads, elements of c that a block makes, across and down)
    "naive": ((16, 16), None),
    "coalesced": ((16, 16), (16, 16)),
    "shared_tiles": ((16, 16), (16, 16)),
    "column_of_four": ((256,), (32, 32)),
    "square_of_four": ((256,), (64, 64)),
    "vectors": ((256,), (64, 64)),
}


@pytest.mark.parametrize("kernel", SGEMM)
@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (17, 33, 9), (64, 64, 64), (65, 70, 24), (40, 36, 20)])
def test_sgemm(kernel, m, n, k):
    if kernel == "vectors":
        m, n, k = (-(-size // 4) * 4 for size in (m, n, k))
    a, b, c = whole(0, m, k), whole(1, k, n), empty((m, n))
    threads, tile = SGEMM[kernel]
    grid = (-(-n // tile[0]), -(-m // tile[1])) if tile else (-(-m // 16), -(-n // 16))
    arguments = (a, b, c, np.int32(m), np.int32(n), np.int32(k))
    module("sgemm.cu").get_function(kernel)(grid, threads, arguments, 4096 if kernel == "vectors" else 0)
    assert (c == a @ b).all()


def test_unchecked_is_the_same():
    a, b, c = whole(0, 40, 24), whole(1, 24, 36), np.empty((40, 36), np.float32)
    fast = module("sgemm.cu", checked=False).get_function("shared_tiles")
    fast((3, 3), (16, 16), (a, b, c, np.int32(40), np.int32(36), np.int32(24)))
    assert (c == a @ b).all()


def probe(kernel, *arguments, grid=1, block=32):
    module("probes.cu").get_function(kernel)((grid,), (block,), arguments)


def test_shuffles():
    out = empty((8, 32), np.int32)
    probe("shuffles", out)
    lane = np.arange(32)
    expected = [
        np.full(32, 5),
        lane * 7 % 32,
        lane // 8 * 8 + 1,
        np.where(lane < 3, lane, lane - 3),
        np.where(lane % 16 < 3, lane, lane - 3),
        np.where(lane + 5 > 31, lane, lane + 5),
        np.where(lane % 8 + 5 > 7, lane, lane + 5),
        lane ^ 11,
    ]
    assert (out == expected).all()


def test_votes():
    x = np.random.default_rng(0).integers(-9, 10, 32).astype(np.int32)
    out = np.zeros((7, 32), np.uint32)
    probe("votes", x, out)
    bit = np.uint32(1) << np.arange(32, dtype=np.uint32)
    even = np.arange(32) % 2 == 0
    assert (out[0] == bit[x > 0].sum()).all()
    assert (out[1] == (x > 8).any()).all() and (out[2] == 1).all()
    assert (out[3] == np.where(even, bit[(x > 0) & even].sum(), 0)).all()
    assert (out[4] == np.where(even, (x[even] > 0).all(), 0)).all()
    assert (out[5, :12] == 0xFFF).all() and (out[6, :12] == np.arange(12) ^ 1).all()


@pytest.mark.parametrize("low, high", [(-9, 10), (1, 9), (-9, 0)])
def test_votes_of_a_block(low, high):
    x = np.random.default_rng(0).integers(low, high, 96).astype(np.int32)
    out = empty(3, np.int32)
    probe("block_votes", x, out, block=96)
    assert out.tolist() == [(x > 0).sum(), (x > 0).all(), (x > 0).any()]


def test_atomics():
    x = np.random.default_rng(0).integers(-50, 50, 300).astype(np.int32)
    out, bits, total = np.zeros(6, np.int32), np.array([0, 0, 2**32 - 1, 0], np.uint32), np.zeros(1, np.float32)
    probe("atomics", x, np.int32(300), out, bits, total, grid=3, block=128)
    assert out.tolist() == [x.sum(), x.max(), x.min(), -x.sum(), 0, x.max()]
    seen = np.bitwise_or.reduce(np.uint32(1) << (x & 31).astype(np.uint32))
    xor = np.bitwise_xor.reduce(x.view(np.uint32))
    assert bits.tolist() == [seen, xor, ~seen, 300 % 101] and total[0] == x.sum()


@pytest.mark.parametrize("n", [1, 100, 256, 700])
def test_sums(n):
    x = whole(0, n)
    sums, parts, done, y = empty(3), empty(3), np.zeros(1, np.uint32), empty(1)
    probe("block_sums", x, np.int32(n), sums, grid=3, block=256)
    assert sums.tolist() == [x[i : i + 256].sum() for i in (0, 256, 512)]
    probe("sum_in_one_launch", x, np.int32(n), parts, done, y, grid=3, block=256)
    assert y[0] == x.sum() and done[0] == 3


def test_tensor_core_tf32():
    a, b, d = whole(0, 16, 8), whole(1, 8, 8), whole(2, 16, 8)
    expected = d + a @ b
    probe("tf32", a, b, d)
    assert (d == expected).all()


def test_tensor_core_drops_bits_of_tf32():
    a, b, d = np.zeros((16, 8), np.float32), np.eye(8, dtype=np.float32), np.zeros((16, 8), np.float32)
    a[:8] = np.diag(1 + np.arange(1, 9) * np.float32(2**-12))
    probe("tf32", a, b, d)
    steps = np.float32(2**-10)  # of a number between 1 and 2; to the nearest, ties away from zero
    assert (np.diag(d[:8]) == 1 + np.floor(np.arange(1, 9) / 4 + 0.5).astype(np.float32) * steps).all()


def bfloat16(x):
    """The bits of small whole numbers as BF16: they are exact, so the upper half of the float is all."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize("bits", [lambda x: x.astype(np.float16), bfloat16], ids=["f16", "bf16"])
def test_tensor_core_of_short_floats(bits):
    a, b, d = whole(0, 16, 16), whole(1, 16, 8), empty((16, 8))
    probe("short_floats", bits(a).view(np.uint32), bits(b).view(np.uint32), d, np.int32(bits is bfloat16))
    assert (d == a @ b).all()


def test_conversions():
    ordinary = np.random.default_rng(0).normal(size=200) * 10.0 ** np.random.default_rng(1).integers(-9, 6, 200)
    special = [0.0, -0.0, 1.0, 65504.0, 65519.9, 65520.0, 1e30, np.inf, -np.inf, 2**-24, 2**-25, 1.5 * 2**-25, 2**-14, 6.1e-5]
    x = np.concatenate([ordinary, special]).astype(np.float32)
    f16, bf16, tf32 = (empty(x.size, np.uint32) for _ in range(3))
    probe("conversions", x, np.int32(x.size), f16, bf16, tf32, block=256)
    with np.errstate(over="ignore"):
        half = x.astype(np.float16).view(np.uint16)
    assert (f16 & 0xFFFF == half).all() and (f16 >> 16 == half ^ 0x8000).all()
    bits = x.view(np.uint32).astype(np.int64)
    nearest = bits + 0x7FFF + (bits >> 16 & 1) >> 16
    assert (bf16 & 0xFFFF == nearest).all() and (bf16 >> 16 == nearest ^ 0x8000).all()
    away = np.where(np.isfinite(x), bits + 0x1000 & ~0x1FFF, bits)
    assert (tf32 == away).all()


@pytest.mark.parametrize("n", [4, 128, 300])
def test_asynchronous_copies(n):
    x, y = whole(0, n), empty(-(-n // 128) * 128)
    probe("pipeline", x, np.int32(n), y)
    padded = np.zeros(y.size, np.float32)
    padded[:n] = x
    assert (y.reshape(-1, 128) == padded.reshape(-1, 128)[:, ::-1]).all()
