"""The CUDA emulator: planted bugs are found as what they are, right kernels pass, and results are right."""

import functools
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import bfloat16, whole

from tinydx.cli import main
from tinydx_kernels.emulator import KernelError, empty, load_module, profile
from tinydx_kernels.emulator import build as building
from tinydx_kernels.emulator import module as launching
from tinydx_kernels.emulator.check import check, plans_of
from tinydx_kernels.emulator.mutate import kill_rate, mutants

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


def cut(x, last):
    """The fraction x cut to a multiple of 2^last, towards 0."""
    return Fraction(math.trunc(x / Fraction(2) ** last)) * Fraction(2) ** last


def exponent_of(x):
    return math.frexp(x)[1] - 1


def tensor_core(d, a, b):
    """d + a b of 4 products as an A100 adds them, by exact fractions."""
    pairs = [(float(d), 1.0), *((float(x), float(y)) for x, y in zip(a, b, strict=True))]
    terms = [(Fraction(x) * Fraction(y), exponent_of(x) + exponent_of(y)) for x, y in pairs]
    largest = max((e for term, e in terms if term), default=0)
    total = sum(cut(term, largest - 24) for term, _ in terms)
    exact = cut(total, max(exponent_of(total) - 23, -149)) if total else total
    return np.float32(float(exact))


@pytest.mark.parametrize("spread", [0, 3, 12])
def test_tensor_core_cuts_its_sums(spread):
    """Against exact fractions, bit by bit; numbers of many sizes, and of both signs."""
    rng = np.random.default_rng(spread)
    shapes = (16, 8), (8, 8), (16, 8)
    a, b, d = ((rng.normal(size=s) * 2.0 ** rng.integers(-spread, spread + 1, s)).astype(np.float32) for s in shapes)
    a, b = ((m.view(np.uint32) + 0x1000 & 0xFFFFE000).view(np.float32) for m in (a, b))  # TF32
    want = d
    for k in (0, 4):
        want = np.array([[tensor_core(want[i, j], a[i, k : k + 4], b[k : k + 4, j]) for j in range(8)] for i in range(16)])
    rounded = (d + a.astype(np.float64) @ b).astype(np.float32)
    probe("tf32", a, b, d)
    assert d.tobytes() == want.tobytes() and (d != rounded).any()


@pytest.mark.parametrize(("a", "b", "d", "want"), [
    (2**-100, 2**-49, 0, 2**-149),  # the smallest float
    (2**-100, 2**-50, 0, 0),
    (2**-100, 2**-49, 2**-149, 2**-148),  # subnormal numbers count in a tensor core, though the kernel flushes its own
    (2**127, 2, 0, np.inf),
    (np.inf, 1, 1, np.inf),
    (np.inf, 0, 1, np.nan),
    (np.inf, 1, -np.inf, np.nan),
    (1, 2**-25, 1, 1),
    (-1, 2**-25, -1, -1),
    (1, 2**-24, 1 - 2**-24, 1),
])  # fmt: skip
def test_tensor_core_at_the_ends_of_floats(a, b, d, want):
    matrices = [np.zeros(shape, np.float32) for shape in ((16, 8), (8, 8), (16, 8))]
    for m, value in zip(matrices, (a, b, d), strict=True):
        m[0, 0] = value
    matrices[2][1:] = 0
    probe("tf32", *matrices)
    np.testing.assert_array_equal(matrices[2][0, 0], np.float32(want))


def test_kernels_flush_subnormal_floats_and_python_does_not():
    code = """extern "C" __global__ void half(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x] * 0.5f + 0.0f; }"""
    x = np.array([2**-126, 2**-125, 2**-130, 1], np.float32)
    y = empty(4)
    load_module(code + "\n").get_function("half")((1,), (4,), (x, y))
    assert y.tolist() == [0, 2**-126, 0, 0.5] and (x * np.float32(0.5)).tolist() == [2**-127, 2**-126, 2**-131, 0.5]


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
    away = np.where(np.isfinite(x), bits + 0x1000 & ~0x1FFF, bits)  # infinities have no bits below
    assert (tf32 == away).all()


@pytest.mark.parametrize("n", [4, 128, 300])
def test_asynchronous_copies(n):
    x, y = whole(0, n), empty(-(-n // 128) * 128)
    probe("pipeline", x, np.int32(n), y)
    padded = np.zeros(y.size, np.float32)
    padded[:n] = x
    assert (y.reshape(-1, 128) == padded.reshape(-1, 128)[:, ::-1]).all()


# ---- launches ------------------------------------------------------------------------------------------------------

SAXPY = """
extern "C" __global__ void __launch_bounds__(256) saxpy(int n, float a, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}
"""
X, Y, N, A = np.ones(100, np.float32), np.ones(100, np.float32), np.int32(100), np.float32(2)


@functools.cache
def saxpy():
    return load_module(SAXPY).get_function("saxpy")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((N, A, X), "3 arguments for 4 parameters (n, a, x, y)"),
        ((100, A, X, Y), "n is a int, but the argument is a Python int, which CuPy passes as int64: pass np.int32(...)"),
        ((N, 2.0, X, Y), "a is a float, but the argument is a Python float, which CuPy passes as float64: pass np.float32(...)"),
        ((np.float32(100), A, X, Y), "n is a int, but the argument is np.float32: pass np.int32(...)"),
        ((N, A, X.astype(float), Y), "x is a const float*, but the array is float64: convert it to float32"),
        ((N, A, X, A), "y is a float*, but the argument is np.float32, no array"),
        ((N, X, X, Y), "a is a float, but the argument is an array (float32)"),
        ((True, A, X, Y), "n is a int, but the argument is a Python bool, which CuPy passes as bool: pass np.int32(...)"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(KernelError) as error:
        saxpy()((1,), (128,), arguments)
    assert [f.kind for f in error.value.findings] == ["argument"] and message in str(error.value)


STRUCTS = """
struct Line { int first, last; float slope; };
struct Padded { unsigned char kind; double weight; };
struct Pointing { float* x; };
extern "C" __global__ void straight(float* y, Line line) { y[threadIdx.x] = line.first + line.slope * line.last; }
extern "C" __global__ void padded(float* y, const __grid_constant__ Padded p) { y[threadIdx.x] = p.kind * p.weight; }
extern "C" __global__ void pointing(float* y, Pointing p) { y[threadIdx.x] = p.x[0]; }
"""
LINE = np.dtype([("first", np.int32), ("last", np.int32), ("slope", np.float32)])


@functools.cache
def structs(name):
    return load_module(STRUCTS).get_function(name)


def test_a_structure_is_passed_by_value_as_cupy_does():
    y, line = empty(4), np.array([(1, 3, 0.5)], LINE)
    structs("straight")(1, 4, (y, line))
    assert y.tolist() == [2.5] * 4 and line.tolist() == [(1, 3, 0.5)]
    aligned = np.dtype([("kind", np.uint8), ("weight", np.float64)], align=True)
    structs("padded")(1, 4, (y, np.array((3, 1.5), aligned)))
    assert y.tolist() == [4.5] * 4


@pytest.mark.parametrize(
    "kernel, value",
    [
        ("straight", np.array([(1, 3, 0.5)], LINE)[0]),  # CuPy takes no np.void
        ("straight", np.array([(1, 3, 0.5)] * 2, LINE)),
        ("straight", np.array([(1, 3)], LINE[["first", "last"]])),
        ("straight", np.zeros(1, [("last", np.int32), ("first", np.int32), ("slope", np.float32)])),
        ("straight", np.zeros(1, np.float32)),
        ("straight", np.float32(1)),
        ("straight", None),
        ("padded", np.zeros(1, [("kind", np.uint8), ("weight", np.float64)])),  # without C's padding
    ],
)
def test_a_wrong_structure_is_an_error(kernel, value):
    with pytest.raises(KernelError, match="pass a NumPy array of size one and dtype") as error:
        structs(kernel)(1, 4, (empty(4), value))
    assert [f.kind for f in error.value.findings] == ["argument"]


def test_a_structure_with_pointers_cannot_be_passed():
    with pytest.raises(KernelError, match="its members are not all numbers"):
        structs("pointing")(1, 4, (empty(4), np.zeros(1, np.int64)))


def test_launch_bounds_may_ask_for_blocks_too():
    text = "__global__ void __launch_bounds__(64, 1024 / 64) k(float* y) {\n y[threadIdx.x] = 1;\n}"
    with pytest.raises(KernelError, match="__launch_bounds__ promises at most 64"):
        load_module(text).get_function("k")(1, 128, (empty(128),))


@pytest.mark.parametrize(
    "grid, block, shared, message",
    [
        (1, 2048, 0, "block (2048, 1, 1) is larger than (1024, 1024, 64)"),
        (1, (32, 64), 0, "2048 threads in a block, at most 1024 can be"),
        (1, 512, 0, "__launch_bounds__ promises at most 256"),
        ((1, 70000), 32, 0, "grid (1, 70000, 1) is larger than"),
        (0, 32, 0, "must be at least 1"),
        (1, 32, 50000, "50000 bytes of dynamic shared memory: set kernel.max_dynamic_shared_size_bytes first"),
        (1, 32, 250000, "250000 bytes of shared memory, at most 232448 can be"),
    ],
)
def test_launch_limits(grid, block, shared, message):
    with pytest.raises(KernelError) as error:
        saxpy()(grid, block, (N, A, X, Y), shared)
    assert {f.kind for f in error.value.findings} == {"launch"} and message in str(error.value)


def test_static_shared_memory_has_a_limit():
    text = "__global__ void k(float* y) {\n __shared__ float t[96 * 128 + 1];\n t[0] = 1;\n y[0] = t[0];\n}"
    with pytest.raises(KernelError, match="49156 bytes of static __shared__ memory, at most 49152 can be"):
        load_module(text).get_function("k")(1, 1, (empty(1),))


def test_more_dynamic_shared_memory_can_be_asked_for():
    text = "__global__ void k(float* y, int n) {\n extern __shared__ float t[];\n t[n - 1] = 1;\n y[0] = t[n - 1];\n}"
    kernel = load_module(text).get_function("k")
    kernel.max_dynamic_shared_size_bytes = 64 << 10
    y = empty(1)
    kernel(1, 1, (y, np.int32(16 << 10)), 64 << 10)
    assert y[0] == 1


def test_a_finding_says_where_and_who():
    with pytest.raises(KernelError) as error:
        saxpy()((2,), (64,), (np.int32(101), A, X, Y))
    [finding] = error.value.findings
    assert (finding.line, finding.kind) == (4, "out-of-bounds")
    assert finding.thread == (36, 0, 0) and finding.block == (1, 0, 0)
    assert str(finding) == f"source.cu:4: out-of-bounds: {finding.message}"
    assert "thread 36 of block 1" in finding.message and "[100], but" in finding.message


def test_a_finding_says_where_whatever_the_folders_are_called(tmp_path, monkeypatch):
    """Names that read like an address, or like a remark of the tool that finds the line."""
    folder = tmp_path / "0x1f:7 (copy)"
    folder.mkdir()
    monkeypatch.setenv("TINYDX_HOME", str(folder))
    source = folder / "a 0x2 (discriminator 3).cu"
    source.write_text("__global__ void k(float* y) {\n  y[threadIdx.x] = 1;\n}\n")
    with pytest.raises(KernelError) as error:
        load_module(source).get_function("k")(1, 2, (empty(1),))
    [finding] = error.value.findings
    assert (finding.file, finding.line, finding.kind) == (str(source), 2, "out-of-bounds")


def test_overlapping_arguments_stay_one_memory():
    x = np.arange(8, dtype=np.float32)
    saxpy()(1, 32, (np.int32(4), np.float32(0), x[4:], x[4:]))
    assert x.tolist() == list(range(8))
    text = "__global__ void shift(const float* x, float* y) {\n y[threadIdx.x] = x[threadIdx.x];\n}"
    with pytest.raises(KernelError, match="race"):
        load_module(text).get_function("shift")(1, 7, (x[:7], x[1:]))


def test_gaps_of_a_strided_array_are_out_of_bounds():
    wide = np.zeros((8, 8), np.float32)
    with pytest.raises(KernelError, match="out-of-bounds"):
        saxpy()(1, 32, (np.int32(12), A, X, wide[:, :4]))
    saxpy()(1, 32, (np.int32(4), A, X, wide[:, :4]))
    assert wide[0, :4].tolist() == [2] * 4 and not wide[1:].any()


def test_what_is_empty_is_remembered_between_launches():
    y = empty(100)
    with pytest.raises(KernelError, match="uninitialised"):
        saxpy()(1, 128, (N, A, X, y))
    y = empty(100)
    y[:50] = 1  # by the host
    saxpy()(1, 128, (np.int32(50), A, X, y))
    with pytest.raises(KernelError, match=r"y\[\d+\], which nobody has written"):
        saxpy()(1, 128, (np.int32(51), A, X, y))


def test_device_and_constant_variables():
    text = "__constant__ float factor[2];\n__device__ int calls;\n__global__ void k(float* y) {\n y[0] = factor[1];\n calls++;\n}"
    m = load_module(text)
    m.get_global("factor").view(np.float32)[:] = [3, 4]
    y = empty(1)
    m.get_function("k")(1, 1, (y,))
    m.get_function("k")(1, 1, (y,))
    assert y[0] == 4 and m.get_global("calls").view(np.int32)[0] == 2


def test_a_kernel_may_be_called_like_a_function_of_the_c_library():
    names = "step", "read", "send"
    text = "".join(f'extern "C" __global__ void {name}(int* y) {{ y[0] = {i}; }}\n' for i, name in enumerate(names))
    for i, name in enumerate(names):
        y = empty(1, np.int32)
        load_module(text).get_function(name)(1, 1, (y,))
        assert y[0] == i


def test_divergent_barriers_can_be_allowed_as_hardware_does():
    path = PLANTED / "waiting.cu"
    kernel = load_module(path, {"BUG": 1}, allow_divergent_barriers=True).get_function("barrier_after_return")
    x, y = whole(0, 64), np.zeros(64, np.float32)
    kernel(1, 64, (np.int32(50), x, y))
    assert (y[:50] == x[49::-1]).all()


def test_the_same_seed_gives_the_same_order():
    text = "__global__ void order(int* next, int* y) {\n y[atomicAdd(next, 1)] = blockIdx.x * 100 + threadIdx.x;\n}"

    def order(seed):
        y = empty(192, np.int32)
        load_module(text, seed=seed).get_function("order")(2, 96, (np.zeros(1, np.int32), y))
        return y.tolist()

    assert order(1) == order(1) != order(2)
    assert sorted(order(2)) == [*range(96), *range(100, 196)]


@pytest.mark.parametrize("wait", ["__syncthreads()", "__syncwarp()", "__shfl_xor_sync(0xffffffff, 1, 1)"])
def test_waiting_together_without_end_is_found(wait, monkeypatch):
    monkeypatch.setattr(launching, "ACCESS_LIMIT", 400_000)
    kernel = load_module(f"__global__ void k(int* y) {{\n while (*y == 0) {wait};\n}}").get_function("k")
    with pytest.raises(KernelError, match=r"source\.cu:2: no-progress"):
        kernel(1, 64, (np.zeros(1, np.int32),))


def test_defines():
    y = empty(1, np.int32)
    load_module("__global__ void k(int* y) {\n y[0] = SIZE;\n}", {"SIZE": 7}).get_function("k")(1, 1, (y,))
    assert y[0] == 7


@pytest.mark.parametrize(
    "text, message",
    [
        ("void f();\n", "source.cu: no kernel in it"),
        ("__global__ void k() {\n undeclared();\n}", "source.cu:2:2: error"),
        ("\n__global__ void k() {}\nint main() { k<<<1, 1>>>(); }", "source.cu:3: a launch in host code"),
        ("__global__ void k() {\n __shared__ int t[2] = {0, 1};\n}", "source.cu:2: a __shared__ array cannot be initialised"),
        ("template <int N>\n__device__ void f() {\n __shared__ int t[N];\n}", "source.cu:3: __shared__ in a template"),
    ],
)
def test_wrong_source(text, message):
    with pytest.raises(ValueError) as error:
        load_module(text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_unknown_names():
    with pytest.raises(LookupError, match="has no kernel 'sax': it has saxpy"):
        load_module(SAXPY).get_function("sax")
    with pytest.raises(FileNotFoundError):
        load_module("no_such.cu")


def test_without_a_compiler_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match=r"needs g\+\+ 12 or newer, and there is none: apt install g\+\+"):
        load_module(SAXPY)
    monkeypatch.setattr(building.platform, "system", lambda: "Darwin")
    with pytest.raises(OSError, match="runs on Linux with x86-64 or aarch64, and this is Darwin"):
        load_module(SAXPY)


# ---- counters ------------------------------------------------------------------------------------------------------

STRIDES = """
__global__ void k(const float* x, float* y, int stride) {
    __shared__ float t[32 * 33];
    int i = threadIdx.x;
    t[i * stride] = x[i * stride];
    __syncthreads();
    y[i] = t[i * stride];
}
"""


@pytest.mark.parametrize("stride, sectors, passes", [(1, 4, 1), (2, 8, 2), (4, 16, 4), (8, 32, 8), (32, 32, 32), (33, 32, 1)])
def test_sectors_and_bank_conflicts(stride, sectors, passes):
    launch = load_module(STRIDES).get_function("k")(1, 32, (whole(0, 1056), empty(32), np.int32(stride)))
    counted = {(c.line, c.array, c.access): c for c in launch.counters}
    assert counted[5, "x", "read"].moved == sectors
    assert counted[7, "t", "read"].moved == passes and counted[7, "t", "read"].requests == 1
    assert counted[7, "y", "write"].moved == 4


HELPER = """
__device__ __noinline__ float read(const float* from) { return *from; }
__global__ void k(const float* x, const float* w, float* y) {
    __shared__ float t[32];
    int i = threadIdx.x;
    t[i] = read(x + i) + read(w + 8 * i);
    __syncthreads();
    y[i] = read(t + i);
}
"""


def test_an_instruction_that_reads_several_arrays_is_counted_for_each():
    launch = load_module(HELPER).get_function("k")(1, 32, (whole(0, 32), whole(0, 256), empty(32)))
    moved = {c.array: (c.shared, c.requests, c.moved) for c in launch.counters if c.access == "read"}
    assert moved == {"x": (False, 1, 4), "w": (False, 1, 32), "t": (True, 1, 1)}


def test_vector_accesses_are_one_request():
    with profile() as launches:
        test_sgemm("vectors", 64, 64, 64)
    [launch] = launches
    loads = [c for c in launch.counters if c.array in "ab"]
    assert [c.requests for c in loads] == [8 * 4] * 2  # 8 stretches of k, of 8 warps each 4 load a or b
    [stores] = (c for c in launch.counters if c.array == "c")
    assert stores.requests == 8 * 4 and stores.moved == 64 * 64 * 4 / 32


# ---- tinydx cuda check ---------------------------------------------------------------------------------------------

LEARNER = """
// check: twice<<<(n + 63) / 64, 64>>>(n=100, x=random(n), y=empty(n))
// check: twice<<<dim3(2, 1), 64, 16>>>(n=128, x=arange(n), y=empty(127))
__global__ void twice(int n, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2.0f * x[i];
}
// check: turn<<<1, dim3(32, 32)>>>(x=random(32, 32), y=zeros(32, 32))
__global__ void turn(const float* x, float* y) {
    __shared__ float t[32][32];
    t[threadIdx.x][threadIdx.y] = x[threadIdx.y * 32 + threadIdx.x];
    __syncthreads();
    y[threadIdx.x * 32 + threadIdx.y] = t[threadIdx.x][threadIdx.y];
}
"""


def run_check(capsys, *arguments):
    status = main(["cuda", "check", *map(str, arguments)])
    output = capsys.readouterr()
    return status, output.out.splitlines(), output.err


def test_cuda_check(tmp_path, capsys):
    path = tmp_path / "learner.cu"
    path.write_text(LEARNER)
    status, lines, _ = run_check(capsys, path)
    assert status == 1
    assert lines == [
        "twice<<<(n + 63) / 64, 64>>>: clean",
        "twice<<<dim3(2, 1), 64, 16>>>: 1 mistake",
        f"  {path}:6: out-of-bounds: thread 63 of block 1 writes y[127], but y has 127 elements",
        "turn<<<1, dim3(32, 32)>>>: no mistakes, but slow memory access",
        f"  {path}:11: bank-conflict: a write of t takes 32.0 passes, 1.0 would do",
        f"  {path}:13: bank-conflict: a read of t takes 32.0 passes, 1.0 would do",
        f"  {path}:13: uncoalesced: a write of y moves 32.0 sectors of 32 bytes, 4.0 would do",
    ]
    by_hand = ("--kernel", "twice", "--grid", "2", "--block", "64", "--args", "100, random(n), empty(n)")
    status, lines, _ = run_check(capsys, path, *by_hand)
    assert (status, lines) == (0, ["twice<<<dim3(2), dim3(64), 0>>>: clean"])


def test_the_page_on_cuda_shows_what_it_prints(tmp_path, capsys, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "cuda.md").read_text(encoding="utf-8")
    kernel, first, second = re.search(r"```cuda\n(.*?)```.*?```\n(.*?)```.*?```\n(.*?)```", page, re.S).groups()
    monkeypatch.chdir(tmp_path)
    for text, printed in ((kernel, first), (kernel.replace("    y[", "    __syncthreads();\n    y["), second)):
        Path("turn.cu").write_text(text)
        assert run_check(capsys, "turn.cu")[1] == printed.splitlines()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--kernel", "once", "--args", "n=1"], "has no kernel 'once': it has twice, turn"),
        (["--kernel", "twice", "--args", "n=1"], "the parameters of the kernel are n, x, y; missing or unknown: x, y"),
        (["--kernel", "twice", "--args", "n=1, x=open(n), y=zeros(n)"], "cannot compute 'open(n)'"),
        (["--kernel", "twice", "--args", "n=(1"], "cannot read its arguments"),
    ],
)
def test_cuda_check_says_what_it_cannot_read(arguments, message, tmp_path, capsys):
    path = tmp_path / "learner.cu"
    path.write_text(LEARNER)
    status, lines, error = run_check(capsys, path, *arguments)
    assert status == 1 and not lines and message in error and error.count("\n") == 1


STRANGE = {  # what is asked for, and what the one line says
    "k<<<1, 32>>(x=zeros(3))": "cannot read the launch",
    "k<<<1, 32>>>(x=zeros(-3), in=1)": "negative dimensions",
    "k<<<1/0, 32>>>(x=zeros(3), in=1)": "integer division or modulo by zero",
    "k<<<1.5, 32>>>(x=zeros(3), in=1)": "the sizes in <<< >>> must be whole numbers",
    "k<<<1, 32>>>(x=zeros(in), in=3)": "cannot compute 'in_'",
    "k<<<1, 32>>>(x=zeros(3), in=99999999999)": "out of bounds",
    "k<<<1, 32>>>(x=zeros(1000000, 1000), in=1)": "1,000,000,000 elements is too large to check: at most 16,777,216",
    "k<<<2000000000, 1024>>>(x=zeros(3), in=1)": "2,048,000,000,000 threads are too many to check",
    "k<<<1>>>(x=zeros(3), in=1)": "<<< >>> takes the grid, the block and, if needed, the bytes of dynamic shared memory",
    "s<<<1, 1>>>(p=zeros(3))": "p is a Point*: a check comment can only make arrays of numbers",
    "v<<<1, 1>>>(p=3)": "p is a Point, a structure: a check comment can only pass numbers and arrays",
}
STRANGE_KERNELS = """
struct Point { float x; };
__global__ void k(float* x, int in) { x[threadIdx.x] = in; }
__global__ void s(Point* p) { p->x = 1; }
__global__ void v(Point p) { assert(p.x > 0); }
"""


@pytest.mark.parametrize("launch", STRANGE)
def test_a_launch_that_cannot_be_is_one_line(launch, tmp_path, capsys):
    path = tmp_path / "strange.cu"
    path.write_text(f"// check: {launch}{STRANGE_KERNELS}")
    status, lines, error = run_check(capsys, path)
    assert status == 1 and not lines and STRANGE[launch] in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no kernel in it"),
        (b"hello", "no kernel in it"),
        (bytes(range(128, 256)), "no kernel in it"),
        (b"template <class T>\n__global__ void k(T* x) {}", ":2: a kernel that is a template: name its types"),
        (b"#include <cooperative_groups.h>\n__global__ void k() {}", "cooperative_groups.h: No such file"),
    ],
)
def test_a_file_that_is_no_kernel_is_one_line(content, message, tmp_path, capsys):
    path = tmp_path / "strange.cu"
    path.write_bytes(content)
    status, lines, error = run_check(capsys, path)
    assert status == 1 and not lines and message in error and error.count("\n") == 1
    assert run_check(capsys, tmp_path)[0] == 1  # a folder


def test_headers_of_host_code_are_no_obstacle():
    headers = "#include <cstdlib>\n#include <math.h>\n#include <vector>\n"
    text = headers + "__global__ void k(float* x) { *x = abs(-2.0f) + abs(-1); }\n"
    x = empty(1)
    load_module(text).get_function("k")(1, 1, (x,))
    assert x[0] == 3


def test_cuda_check_wants_to_know_what_to_launch(tmp_path, capsys):
    path = tmp_path / "nothing.cu"
    path.write_text(SAXPY)
    assert "nothing says what to launch: write a line such as // check:" in run_check(capsys, path)[2]


# ---- mutation tests ------------------------------------------------------------------------------------------------

# The same program in the end: one tile more, all zeros; or padding that is multiplied by the other matrix's zeros.
SAME_PROGRAM = ["start <= k; start", "a[row * k + start + x] : 1;", "b[(start + y) * n + column] : 1;"]


def test_mutants_of_a_kernel_are_noticed(proof):
    def products(module):
        kernel = module.get_function("shared_tiles")
        for m, n, k in ((17, 33, 9), (4, 5, 40)):
            a, b, c = whole(0, m, k), whole(1, k, n), empty((m, n))
            kernel((-(-n // 16), -(-m // 16)), (16, 16), (a, b, c, np.int32(m), np.int32(n), np.int32(k)))
            assert (c == a @ b).all()

    score = kill_rate(CONFORMANCE / "sgemm.cu", products, "shared_tiles", every=1 if proof else 8)
    unexpected = [m for m in score.survivors if not any(same in m.after for same in SAME_PROGRAM)]
    assert not unexpected, str(score)
    assert score.count("checker") > score.count("values") > 0


DOUBLE = """
// y[i][0] = 2 x
__global__ void k(const float* x, float* y, int n) {
    int i = threadIdx.x;
    if (i < n) y[i] = x[i] + x[i];
}
"""


def test_mutants():
    changes = {m.after for m in mutants(DOUBLE)}
    assert changes == {
        "int i = threadIdx.y;",
        "if (i <= n) y[i] = x[i] + x[i];",
        "if (true) y[i] = x[i] + x[i];",
        "if (false) y[i] = x[i] + x[i];",
        "if (i < n) y[i] = x[i] - x[i];",
    }


def test_the_score_counts_survivors(tmp_path):
    path = tmp_path / "double.cu"
    path.write_text(DOUBLE)

    def only_zeros(module):
        y = empty(8)
        module.get_function("k")(1, 8, (np.zeros(8, np.float32), y, np.int32(8)))
        assert not y.any()

    score = kill_rate(path, only_zeros)
    assert {m.after for m in score.survivors} == {
        "if (i <= n) y[i] = x[i] + x[i];",
        "if (true) y[i] = x[i] + x[i];",
        "if (i < n) y[i] = x[i] - x[i];",
    }
    assert (score.count("checker"), score.count("values"), score.rate) == (1, 1, 0.4)


# ---- races against an independent judge ------------------------------------------------------------------------------


def races(script, waits, shared):
    """Whether any two accesses of a play race, by looking at all pairs: the definition, word for word."""
    acts = [(*at, script[at] // 16, script[at] % 16) for at in np.ndindex(script.shape) if script[at] >= 16]

    def ordered(one, two):
        if one[0] != two[0]:
            return shared  # every block has its own stage
        between = waits[min(one[1], two[1]) : max(one[1], two[1])]
        same_warp = one[2] // 32 == two[2] // 32
        return 2 in between or (same_warp and 1 in between) or one[2] == two[2]

    def harmless(one, two):
        return one[4] != two[4] or {one[3], two[3]} in ({1}, {3})

    return any(not harmless(a, b) and not ordered(a, b) for i, a in enumerate(acts) for b in acts[:i])


@pytest.mark.parametrize("stage", ["global", "shared", "bytes"])
@given(st.data())
def test_races_are_found_exactly_where_there_are_some(stage, data):
    """Few actors, much waiting: about half of the plays have a race."""
    blocks, phases = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 6))
    waits = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2, 2]), min_size=phases, max_size=phases)), np.int32)
    script = np.zeros((blocks, phases, 64), np.int32)
    act = st.tuples(
        st.integers(0, blocks - 1), st.integers(0, phases - 1), st.sampled_from([0, 1, 2, 31, 32, 33, 63]),
        st.sampled_from([1, 1, 1, 2] if stage == "bytes" else [1, 1, 1, 2, 3]), st.sampled_from([0, 1, 2]),
    )  # fmt: skip
    for b, p, t, action, element in data.draw(st.lists(act, max_size=12)):
        script[b, p, t] = action * 16 + element
    memory = np.zeros(16, np.uint8 if stage == "bytes" else np.int32)
    arguments = script, waits, np.int32(phases), memory, empty(blocks * 64, np.int32)
    try:
        probe(f"play_{stage}", *arguments, grid=blocks, block=64)
        found = set()
    except KernelError as error:
        found = {f.kind for f in error.findings}
    assert found <= {"race", "race-between-blocks"}
    assert bool(found) == races(script, waits, stage == "shared")
