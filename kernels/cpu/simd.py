"""Explicit SIMD for Numba: a handful of vector instructions as functions, through llvmlite.

Numba's compiler vectorises simple loops by itself, but not the inner loop of a matrix product, where a block of the
result must stay in registers. Here a `Block` is a Numba value that *is* registers: `count` vectors of LANES float32.

    block = zeros(24)                              24 registers of zeros
    block = outer(block, 12, a, i, 1, b, j)        block[r, c] += a[i + r] * b[j + c * LANES]    12 x 2 vectors
    store(block, 12, y, k, 64)                     y[k + 64 r + lane] = block[r, c][lane]
    v = 2.0 * load(x, i) + v                       arithmetic between blocks is lane by lane

Arrays are one-dimensional and contiguous, indices count elements, and bounds are not checked.
LANES is 16 (AVX-512), 8 (AVX2) or 0 (neither: plain Numba kernels run instead); TINYDX_SIMD=16, 8 or 0 overrides it.
Blocks live inside one compiled function; pass them to helpers marked `inline` only.
"""

import operator
import os

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils, errors
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, overload, register_model

from tinydx_kernels.cpu.cache import keep
from tinydx_kernels.cpu.compiler import ApartCompiler, compiled_part, compiled_whole
from tinydx_kernels.cpu.layer import takes_turns


def _assembly_of_fma(lanes):
    """The assembly of one fused multiply-add of `lanes` floats for the CPU that Numba compiles for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu = config.CPU_NAME if config.CPU_NAME is not None else llvm.get_host_cpu_name()
    features = config.CPU_FEATURES
    if features is None:
        features = "" if config.CPU_NAME is not None else get_host_cpu_features()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2)
    v = f"<{lanes} x float>"
    module = llvm.parse_assembly(
        f"declare {v} @llvm.fma.v{lanes}f32({v}, {v}, {v})\n"
        f"define {v} @f({v} %a, {v} %b, {v} %c) {{ %r = call {v} @llvm.fma.v{lanes}f32({v} %a, {v} %b, {v} %c)\nret {v} %r }}"
    )
    return machine.emit_assembly(module)


_ASKED = os.environ.get("TINYDX_SIMD")


def _lanes():
    """16, 8 or 0, found by compiling an instruction, so that settings of Numba such as NUMBA_CPU_NAME have their effect."""
    if _ASKED in ("0", "8", "16"):  # LLVM splits vectors that the CPU lacks: slow, but every variant can be tested on any CPU
        return int(_ASKED)
    for lanes, register in ((16, "zmm"), (8, "ymm")):
        code = _assembly_of_fma(lanes)
        if "vfmadd" in code and register in code:
            return lanes
    return 0


LANES = _lanes()
ROWS, COLUMNS = {16: (12, 2), 8: (6, 2), 0: (4, 2)}[LANES]  # the register block of a matrix product, in rows x vectors
TILE = ROWS * COLUMNS
UNROLLED = min(LANES, 8)  # 16 repetitions of 12 x 2 vectors overflow the cache of decoded instructions: half as fast
WIDTH = LANES or 16  # floats of a vector; without SIMD it is only a unit of blocking

# Sizes for the samples of kernels: around vectors of 8 and 16 floats, and register blocks of 6, 12 and 32.
SIZES = (1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127, 128, 129, 130)

_FASTMATH = {"contract", "reassoc", "nsz"}  # not nnan, ninf: NaN and infinity must pass as in NumPy


def _kernels(**options):
    """A decorator of functions that Python, or other kernels, call; their code is kept on disk."""
    return lambda function: keep(compiled_whole(function, error_model="numpy", **options))


def _parts(**options):
    """A decorator of functions that only kernels call, which become part of each."""
    return lambda function: compiled_part(function, error_model="numpy", forceinline=True, **options)


jit = _kernels(nogil=True, fastmath=_FASTMATH)
# Without Numba's counting of references, which locks the memory bus: it took 150 cycles for each call of a helper with arrays.
# Such functions cannot make or return arrays (nor assign a slice to a slice, which may make one).
lean = _kernels(nogil=True, fastmath=_FASTMATH, _nrt=False)
inline = _parts(fastmath=_FASTMATH, _nrt=False)
apart = _parts(fastmath=_FASTMATH, _nrt=False, compiler=ApartCompiler)  # its arrays do not overlap: no loop has to check
exact = _kernels(nogil=True)  # every operation rounds as in NumPy
exact_inline = _parts()
_compiled_in_parallel = _kernels(parallel=True, nogil=True, fastmath=_FASTMATH)


def parallel(function):
    """A kernel with a loop over threads, `for i in prange(n)`, called from Python only.

    The index of a prange is unsigned: pass np.int64(worker) to other functions, or they are compiled once more for it.
    """
    return takes_turns(_compiled_in_parallel(function))


class Block(types.Type):
    """The Numba type of `count` vectors of LANES float32."""

    def __init__(self, count):
        self.count = count
        super().__init__(name=f"Block({count} x {LANES})")


FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES or 1)


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager, block):
        super().__init__(manager, block, ir.ArrayType(VECTOR, block.count))


# ---- from Python values to LLVM's ----------------------------------------------------------------------------------


def _split(builder, block):
    """The vectors of a block."""
    return [builder.extract_value(block, k) for k in range(block.type.count)]


def _join(builder, vectors):
    """A block of these vectors."""
    block = ir.Constant(ir.ArrayType(VECTOR, len(vectors)), ir.Undefined)
    for k, v in enumerate(vectors):
        block = builder.insert_value(block, v, k)
    return block


def _broadcast(builder, number):
    """A vector with this number in all lanes."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)


def _fma(builder, a, b, c):
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32"), [a, b, c])


def _address(context, builder, kind, array, index, offset=0):
    """The address of array[index + offset]."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(builder.gep(data, [index]), [index.type(offset)])


def _load(builder, address):
    """LANES numbers as floats. Integers of 16 bits are bfloat16, the upper halves of floats; those of 8 bits are themselves."""
    stored = address.type.pointee
    vector = VECTOR if stored == FLOAT else ir.VectorType(stored, LANES)
    load = builder.load(builder.bitcast(address, vector.as_pointer()))
    load.align = 4 if stored == FLOAT else stored.width // 8  # any address; on aligned ones it is as fast
    if stored == FLOAT:
        return load
    if stored.width == 8:
        return builder.sitofp(load, VECTOR)
    whole = ir.VectorType(ir.IntType(32), LANES)
    return builder.bitcast(builder.shl(builder.zext(load, whole), ir.Constant(whole, [16] * LANES)), VECTOR)


INDEX = types.intp


def _literal(number):
    """The value of an argument that must be known at compile time: a number or a global, but no expression."""
    if not isinstance(number, types.IntegerLiteral):
        raise errors.RequireLiteralValue(f"{number}: write a number or the name of a global")
    return number.literal_value


# ---- the instructions ----------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def zeros(typing, count):
    """A block of `count` zero vectors."""
    n = _literal(count)

    def code(context, builder, signature, arguments):
        return _join(builder, [ir.Constant(VECTOR, None)] * n)

    return Block(n)(count), code


@intrinsic
def broadcast(typing, number):
    """One vector, the number in all its lanes."""

    def code(context, builder, signature, arguments):
        return _join(builder, [_broadcast(builder, arguments[0])])

    return Block(1)(types.float32), code


@intrinsic
def load(typing, x, i):
    """The vector x[i : i + LANES]."""

    def code(context, builder, signature, arguments):
        return _join(builder, [_load(builder, _address(context, builder, x, *arguments))])

    return Block(1)(x, INDEX), code


@intrinsic(prefer_literal=True)
def store(typing, block, rows, y, i, step):
    """y[i + r * step + c * LANES + lane] = block[r, c][lane]; a block of `rows` rows."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, y_value, index, stride = arguments
        for k, v in enumerate(_split(builder, value)):
            if k and k % columns == 0:
                index = builder.add(index, stride)
            address = _address(context, builder, y, y_value, index, k % columns * LANES)
            builder.store(v, builder.bitcast(address, VECTOR.as_pointer())).align = 4

    return types.void(block, rows, y, INDEX, INDEX), code


@intrinsic(prefer_literal=True)
def store_at(typing, block, rows, y, at, m, j):
    """`store` with rows at arbitrary places: y[at[m + r] + j + c * LANES + lane] = block[r, c][lane]."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, y_value, at_value, m_value, j_value = arguments
        vectors = _split(builder, value)
        for r in range(_literal(rows)):
            index = builder.add(builder.load(_address(context, builder, at, at_value, m_value, r)), j_value)
            for c in range(columns):
                address = _address(context, builder, y, y_value, index, c * LANES)
                builder.store(vectors[r * columns + c], builder.bitcast(address, VECTOR.as_pointer())).align = 4

    return types.void(block, rows, y, at, INDEX, INDEX), code


@intrinsic(prefer_literal=True)
def load_rows(typing, count, rows, y, i, step):
    """block[r, c][lane] = y[i + r * step + c * LANES + lane]: reads what `store` writes; count vectors, `rows` rows."""
    n = _literal(count)
    columns = n // _literal(rows)

    def code(context, builder, signature, arguments):
        _, _, y_value, index, stride = arguments
        vectors = []
        for k in range(n):
            if k and k % columns == 0:
                index = builder.add(index, stride)
            vectors.append(_load(builder, _address(context, builder, y, y_value, index, k % columns * LANES)))
        return _join(builder, vectors)

    return Block(n)(count, rows, y, INDEX, INDEX), code


def _where_below(builder, count):
    """Lane by lane, whether its number is less than `count`."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(LANES)))
    word = builder.trunc(count, ir.IntType(32))
    one = builder.insert_element(ir.Constant(numbers.type, ir.Undefined), word, ir.IntType(32)(0))
    limit = builder.shuffle_vector(one, ir.Constant(numbers.type, ir.Undefined), ir.Constant(numbers.type, None))
    return builder.icmp_signed("<", numbers, limit)


@intrinsic
def load_part(typing, x, i, step, rows, lanes):
    """LANES vectors: block[r][lane] = x[i + r * step + lane] for r < rows and lane < lanes, else 0; reads nothing else."""

    def code(context, builder, signature, arguments):
        x_value, index, stride, row_count, lane_count = arguments
        mask_kind, word = ir.VectorType(ir.IntType(1), LANES), ir.IntType(32)
        kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), word, mask_kind, VECTOR])
        masked = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
        inside, none = _where_below(builder, lane_count), ir.Constant(mask_kind, None)
        vectors = []
        for r in range(LANES):
            if r:
                index = builder.add(index, stride)
            mask = builder.select(builder.icmp_signed(">", row_count, row_count.type(r)), inside, none)
            address = builder.bitcast(_address(context, builder, x, x_value, index), VECTOR.as_pointer())
            vectors.append(builder.call(masked, [address, word(4), mask, ir.Constant(VECTOR, None)]))
        return _join(builder, vectors)

    return Block(LANES)(x, INDEX, INDEX, INDEX, INDEX), code


@intrinsic
def store_part(typing, block, y, i, step, rows, lanes):
    """y[i + r * step + lane] = block[r][lane] for r < rows and lane < lanes; writes nothing else."""

    def code(context, builder, signature, arguments):
        value, y_value, index, stride, row_count, lane_count = arguments
        mask_kind, word = ir.VectorType(ir.IntType(1), LANES), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), word, mask_kind])
        masked = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
        inside = _where_below(builder, lane_count)
        for r, v in enumerate(_split(builder, value)):
            if r:
                index = builder.add(index, stride)
            with builder.if_then(builder.icmp_signed(">", row_count, row_count.type(r))):
                address = builder.bitcast(_address(context, builder, y, y_value, index), VECTOR.as_pointer())
                builder.call(masked, [v, address, word(4), inside])
        return context.get_dummy_value()

    return types.void(block, y, INDEX, INDEX, INDEX, INDEX), code


@intrinsic(prefer_literal=True)
def outer(typing, block, rows, a, i, step, b, j):
    """block[r, c] + a[i + r * step] * b[j + c * LANES]: one term of a matrix product, in registers."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, a_value, index, stride, b_value, j_value = arguments
        right = [_load(builder, _address(context, builder, b, b_value, j_value, c * LANES)) for c in range(columns)]
        vectors = _split(builder, value)
        for r in range(_literal(rows)):
            left = _broadcast(builder, builder.load(_address(context, builder, a, a_value, index)))
            index = builder.add(index, stride)
            for c in range(columns):
                vectors[r * columns + c] = _fma(builder, left, right[c], vectors[r * columns + c])
        return _join(builder, vectors)

    return block(block, rows, a, INDEX, INDEX, b, INDEX), code


@intrinsic(prefer_literal=True)
def outer_chunk(typing, block, rows, a, i, b, j):
    """UNROLLED terms of `outer`: block[r, c] + sum over k of a[i + r * LANES + k] * b[j + (k * columns + c) * LANES].

    All addresses are one pointer plus a constant. A row of `a` is a whole vector, so it can be written with one store.
    """
    count = _literal(rows)
    columns = block.count // count

    def code(context, builder, signature, arguments):
        value, _, a_value, index, b_value, j_value = arguments
        vectors = _split(builder, value)
        for k in range(UNROLLED):
            addresses = [_address(context, builder, b, b_value, j_value, (k * columns + c) * LANES) for c in range(columns)]
            right = [_load(builder, address) for address in addresses]
            for r in range(count):
                left = _broadcast(builder, builder.load(_address(context, builder, a, a_value, index, r * LANES + k)))
                for c in range(columns):
                    vectors[r * columns + c] = _fma(builder, left, right[c], vectors[r * columns + c])
        return _join(builder, vectors)

    return block(block, rows, a, INDEX, b, INDEX), code


@intrinsic(prefer_literal=True)
def outer_at(typing, block, rows, a, at, m, k, b, j):
    """`outer` with rows at arbitrary places: block[r, c] + a[at[m + r] + k] * b[j + c * LANES]."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, a_value, at_value, m_value, k_value, b_value, j_value = arguments
        right = [_load(builder, _address(context, builder, b, b_value, j_value, c * LANES)) for c in range(columns)]
        vectors = _split(builder, value)
        for r in range(_literal(rows)):
            index = builder.add(builder.load(_address(context, builder, at, at_value, m_value, r)), k_value)
            left = _broadcast(builder, builder.load(_address(context, builder, a, a_value, index)))
            for c in range(columns):
                vectors[r * columns + c] = _fma(builder, left, right[c], vectors[r * columns + c])
        return _join(builder, vectors)

    return block(block, rows, a, at, INDEX, INDEX, b, INDEX), code


@intrinsic(prefer_literal=True)
def products_at(typing, block, rows, a, at, i, b, j, step):
    """block[r, c] + a[at[r] + i + lane] * b[j + c * step + lane]: every vector of a times every vector of b."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, a_value, at_value, i_value, b_value, index, stride = arguments
        right, zero = [], ir.Constant(ir.IntType(64), 0)
        for c in range(columns):
            if c:
                index = builder.add(index, stride)
            right.append(_load(builder, _address(context, builder, b, b_value, index)))
        vectors = _split(builder, value)
        for r in range(_literal(rows)):
            place = builder.add(builder.load(_address(context, builder, at, at_value, zero, r)), i_value)
            left = _load(builder, _address(context, builder, a, a_value, place))
            for c in range(columns):
                vectors[r * columns + c] = _fma(builder, left, right[c], vectors[r * columns + c])
        return _join(builder, vectors)

    return block(block, rows, a, at, INDEX, b, INDEX, INDEX), code


@intrinsic
def multiply_at(typing, block, x, at, m, k, w, j):
    """block[r] + x[at[m + r] + k + lane] * w[j + lane]: rows of vectors at arbitrary places, times one vector."""

    def code(context, builder, signature, arguments):
        value, x_value, at_value, m_value, k_value, w_value, j_value = arguments
        right = _load(builder, _address(context, builder, w, w_value, j_value))
        vectors = _split(builder, value)
        for r, v in enumerate(vectors):
            index = builder.add(builder.load(_address(context, builder, at, at_value, m_value, r)), k_value)
            vectors[r] = _fma(builder, _load(builder, _address(context, builder, x, x_value, index)), right, v)
        return _join(builder, vectors)

    return block(block, x, at, INDEX, INDEX, w, INDEX), code


@intrinsic(prefer_literal=True)
def multiply_rows(typing, block, rows, x, i, step, w, j):
    """block[r, c] + x[i + r * step + c * LANES + lane] * w[j + c * LANES + lane]: every row times the same w."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, x_value, index, stride, w_value, j_value = arguments
        right = [_load(builder, _address(context, builder, w, w_value, j_value, c * LANES)) for c in range(columns)]
        vectors = _split(builder, value)
        for k, v in enumerate(vectors):
            if k and k % columns == 0:
                index = builder.add(index, stride)
            left = _load(builder, _address(context, builder, x, x_value, index, k % columns * LANES))
            vectors[k] = _fma(builder, left, right[k % columns], v)
        return _join(builder, vectors)

    return block(block, rows, x, INDEX, INDEX, w, INDEX), code


@intrinsic(prefer_literal=True)
def repeat_rows(typing, block, rows):
    """A row repeated `rows` times: a bias for a whole register block."""

    def code(context, builder, signature, arguments):
        return _join(builder, _split(builder, arguments[0]) * _literal(rows))

    return Block(block.count * _literal(rows))(block, rows), code


@intrinsic(prefer_literal=True)
def part(typing, block, k):
    """Vector k of a block."""
    index = _literal(k)

    def code(context, builder, signature, arguments):
        return _join(builder, [builder.extract_value(arguments[0], index)])

    return Block(1)(block, k), code


@intrinsic
def join(typing, blocks):
    """The block made of a tuple of vectors."""

    def code(context, builder, signature, arguments):
        tuples = [builder.extract_value(arguments[0], k) for k in range(len(blocks))]
        return _join(builder, [builder.extract_value(v, 0) for v in tuples])

    return Block(len(blocks))(blocks), code


@intrinsic
def add_up(typing, block):
    """The sum of all vectors of a block."""

    def code(context, builder, signature, arguments):
        vectors = _split(builder, arguments[0])
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [builder.fadd(p, q, ("contract",)) for p, q in pairs]
        return _join(builder, vectors)

    return Block(1)(block), code


@intrinsic
def transpose(typing, block):
    """LANES vectors: lane i of vector j is lane j of block[i], and undefined where there is no block[i].

    In log2(LANES) rounds: vectors k and k + d exchange their off-diagonal squares of d lanes, d = 1, 2, 4 ...
    """

    def code(context, builder, signature, arguments):
        vectors, d = _split(builder, arguments[0]), 1
        vectors += [ir.Constant(VECTOR, ir.Undefined)] * (LANES - block.count)
        while d < LANES:
            first = [n if not n & d else n - d + LANES for n in range(LANES)]  # from LANES on: lanes of the other
            second = [n + d if not n & d else n + LANES for n in range(LANES)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes) for lanes in (first, second)]
            for k in range(LANES):
                if not k & d:
                    pair = vectors[k], vectors[k + d]
                    vectors[k], vectors[k + d] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            d *= 2
        return _join(builder, vectors)

    return Block(LANES)(block), code


def _where(comparison):
    """An intrinsic of (a, b, x, y): x in the lanes where `a comparison b`, else y (also where a or b is NaN)."""

    @intrinsic
    def instruction(typing, a, b, x, y):
        def code(context, builder, signature, arguments):
            a, b, x, y = (_split(builder, v) for v in arguments)
            holds = [builder.fcmp_ordered(comparison, p, q) for p, q in zip(a, b, strict=True)]
            return _join(builder, [builder.select(*v) for v in zip(holds, x, y, strict=True)])

        return x(a, b, x, y), code

    return instruction


where_larger, where_equal = _where(">"), _where("==")


@intrinsic
def load_bytes(typing, x, i):
    """The vector of the uint8 numbers x[i : i + LANES]."""

    def code(context, builder, signature, arguments):
        kind = ir.VectorType(ir.IntType(8), LANES)
        whole = builder.load(builder.bitcast(_address(context, builder, x, *arguments), kind.as_pointer()))
        whole.align = 1
        return _join(builder, [builder.uitofp(whole, VECTOR)])

    return Block(1)(x, INDEX), code


@intrinsic
def store_bytes(typing, block, y, i):
    """y[i + c * LANES + lane] = block[c][lane], small whole numbers, as uint8."""

    def code(context, builder, signature, arguments):
        value, y_value, index = arguments
        for c, v in enumerate(_split(builder, value)):
            whole = builder.fptoui(v, ir.VectorType(ir.IntType(8), LANES))
            address = _address(context, builder, y, y_value, index, c * LANES)
            builder.store(whole, builder.bitcast(address, whole.type.as_pointer())).align = 1

    return types.void(block, y, INDEX), code


@intrinsic
def store_ints(typing, block, y, i):
    """y[i + lane] = block[lane], whole numbers, as int32."""

    def code(context, builder, signature, arguments):
        value, y_value, index = arguments
        (vector,) = _split(builder, value)
        whole = builder.fptosi(vector, ir.VectorType(ir.IntType(32), LANES))
        address = _address(context, builder, y, y_value, index)
        builder.store(whole, builder.bitcast(address, whole.type.as_pointer())).align = 4

    return types.void(block, y, INDEX), code


@intrinsic(prefer_literal=True)
def rows_of(typing, block, rows, first, step):
    """The block of rows first, first + step ... of a block of `rows` rows."""
    columns = block.count // _literal(rows)
    wanted = [r * columns + c for r in range(_literal(first), _literal(rows), _literal(step)) for c in range(columns)]

    def code(context, builder, signature, arguments):
        vectors = _split(builder, arguments[0])
        return _join(builder, [vectors[k] for k in wanted])

    return Block(len(wanted))(block, rows, first, step), code


@intrinsic(prefer_literal=True)
def scaled_rows(typing, block, rows, number, x, i, step):
    """block[r, c] + number * x[i + r * step + c * LANES + lane]: a whole patch of x times one number."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, number_value, x_value, index, stride = arguments
        factor = _broadcast(builder, number_value)
        vectors = _split(builder, value)
        for k, v in enumerate(vectors):
            if k and k % columns == 0:
                index = builder.add(index, stride)
            term = _load(builder, _address(context, builder, x, x_value, index, k % columns * LANES))
            vectors[k] = _fma(builder, term, factor, v)
        return _join(builder, vectors)

    return block(block, rows, types.float32, x, INDEX, INDEX), code


@intrinsic(prefer_literal=True)
def add_scaled(typing, block, rows, number, at, m, x):
    """block[r, c] + number[m + r] * x[at[m + r] + c * LANES + lane]: rows at arbitrary places, each times its own number."""
    columns = block.count // _literal(rows)

    def code(context, builder, signature, arguments):
        value, _, number_value, at_value, m_value, x_value = arguments
        vectors = _split(builder, value)
        for r in range(_literal(rows)):
            factor = _broadcast(builder, builder.load(_address(context, builder, number, number_value, m_value, r)))
            index = builder.load(_address(context, builder, at, at_value, m_value, r))
            for c in range(columns):
                term = _load(builder, _address(context, builder, x, x_value, index, c * LANES))
                vectors[r * columns + c] = _fma(builder, term, factor, vectors[r * columns + c])
        return _join(builder, vectors)

    return block(block, rows, number, at, INDEX, x), code


@intrinsic
def append_simd(typing, number, at, k, numbers, places, e):
    """numbers[e], places[e] = number[k], at[k]; the next free e: e + 1, or the same if the number is zero."""

    def code(context, builder, signature, arguments):
        number_value, at_value, k_value, numbers_value, places_value, index = arguments
        value = builder.load(_address(context, builder, number, number_value, k_value))
        place = builder.load(_address(context, builder, at, at_value, k_value))
        builder.store(value, _address(context, builder, numbers, numbers_value, index))
        builder.store(place, _address(context, builder, places, places_value, index))
        return builder.add(index, builder.zext(builder.fcmp_unordered("!=", value, FLOAT(0)), index.type))

    return INDEX(number, at, INDEX, numbers, places, INDEX), code


def _lane_by_lane(make):
    """An intrinsic of two blocks of the same size."""

    @intrinsic
    def instruction(typing, a, b):
        def code(context, builder, signature, arguments):
            pairs = zip(*(_split(builder, x) for x in arguments), strict=True)
            return _join(builder, [make(builder, p, q) for p, q in pairs])

        return a(a, a), code

    return instruction


# "contract" lets the compiler make one fused multiply-add of a * b + c.
add = _lane_by_lane(lambda builder, a, b: builder.fadd(a, b, ("contract",)))
subtract = _lane_by_lane(lambda builder, a, b: builder.fsub(a, b, ("contract",)))
multiply = _lane_by_lane(lambda builder, a, b: builder.fmul(a, b, ("contract",)))


divide = _lane_by_lane(lambda builder, a, b: builder.fdiv(a, b))


@_lane_by_lane
def maximum(builder, a, b):
    """The larger; NaN where a or b is NaN, as np.maximum."""
    larger = builder.select(builder.fcmp_ordered(">", b, a), b, a)
    return builder.select(builder.fcmp_unordered("uno", b, b), b, larger)


@_lane_by_lane
def larger(builder, a, b):
    """The larger, in one instruction; b where a or b is NaN."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@intrinsic
def mix(typing, a, b, weight):
    """a + (b - a) * weight, lane by lane, rounded after each step as NumPy does: no fused multiply-add."""

    def code(context, builder, signature, arguments):
        vectors = zip(*(_split(builder, v) for v in arguments), strict=True)
        return _join(builder, [builder.fadd(builder.fmul(builder.fsub(q, p), w), p) for p, q, w in vectors])

    return a(a, b, weight), code


@intrinsic
def square_root(typing, block):
    """The square root, lane by lane."""

    def code(context, builder, signature, arguments):
        kind = ir.FunctionType(VECTOR, [VECTOR])
        root = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
        return _join(builder, [builder.call(root, [v]) for v in _split(builder, arguments[0])])

    return block(block), code


def _prefetch(locality):
    """An intrinsic that fetches the cache line of x[i] ahead of its use; any index is allowed."""

    @intrinsic
    def instruction(typing, x, i):
        def code(context, builder, signature, arguments):
            address = builder.bitcast(_address(context, builder, x, *arguments), ir.IntType(8).as_pointer())
            word = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [address, word(0), word(locality), word(1)])  # to read, data
            return context.get_dummy_value()

        return types.void(x, INDEX), code

    return instruction


prefetch = _prefetch(3)  # into all caches: for what is used next
prefetch_l2 = _prefetch(2)  # not into L1, whose 32 KB hold what is in use


@overload(operator.add)
def _add(a, b):
    if isinstance(a, Block) and isinstance(b, Block):
        return lambda a, b: add(a, b)
    return None


@overload(operator.sub)
def _subtract(a, b):
    if isinstance(a, Block) and isinstance(b, Block):
        return lambda a, b: subtract(a, b)
    return None


@overload(operator.truediv)
def _divide(a, b):
    if isinstance(a, Block) and isinstance(b, Block):
        return lambda a, b: divide(a, b)
    return None


@overload(operator.mul)
def _multiply(a, b):
    if isinstance(a, Block) and isinstance(b, Block):
        return lambda a, b: multiply(a, b)
    if isinstance(a, types.Float) and isinstance(b, Block):
        return lambda a, b: multiply(broadcast(a), b)
    return None
