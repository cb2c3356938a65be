"""Convolution: forward, dX and dW for any kernel, stride, padding, dilation, groups and batch.

Most shapes need no im2col: the register block of matmul.py reads its rows where they lie in the image.

* `gather` (forward, dX): 12 output pixels x 32 filters stay in registers while a loop walks over the taps (kernel
  positions) and their channels. A tap lies at the same displacement from every pixel, so a pixel is one number, `at[m]`:

      y[out[m], f] = sum over taps t, channels c of  x[at[m] + tap[t] + c] * w[t, c, f]

  Neighbouring taps of a row lie next to each other in memory (dilation 1): they are one run of kw * C numbers.
  dX is the same sum: dy gathered by the mirrored taps; with a stride, one sum for each phase of the pixel grid.

* `collect` (dW): 12 numbers of a run x 32 filters stay in registers while a loop walks over the pixels (of its last numbers
  9, 6 or 3):

      dw[t, c, f] = sum over pixels m of  x[at[m] + tap[t] + c] * dy[m, f]

Work is cut into bands (bands.py): a few output rows. A band that needs a border (padding) is first copied into a small
buffer with that border, so that the inner loops need not check where the image ends.

Five other files compute what these two are slow at; the section "which way" chooses, by shape alone:

    depthwise.py   one channel a group: nothing to reuse in registers, vectors run over channels
    winograd.py    3x3 and larger, many pixels: about a quarter of the multiplications; winograd_dw.py, dW in the same way
    planes.py      few channels or few filters: vectors run over pixels
    columns.py     im2col and a matrix product: few windows and many weights, one 1x1 filter; dX of few channels or of a stride
"""

import os
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import conv2d, correlate2d, pair
from tinydx_kernels.cpu import columns as _columns
from tinydx_kernels.cpu import depthwise as _depthwise
from tinydx_kernels.cpu import planes as _planes
from tinydx_kernels.cpu import winograd as _winograd
from tinydx_kernels.cpu import winograd_dw as _winograd_dw
from tinydx_kernels.cpu.bands import columns_of_band, copy_piece, lay_out, reads_inside, rows_of_band, size_of_buffer
from tinydx_kernels.cpu.geometry import COUNTS, Geometry, geometry_of, is_column, turned
from tinydx_kernels.cpu.layer import WORTH_WAKING
from tinydx_kernels.cpu.memory import APART, aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    WIDTH,
    inline,
    lean,
    load,
    load_part,
    load_rows,
    outer,
    outer_at,
    parallel,
    part,
    prefetch,
    prefetch_l2,
    repeat_rows,
    store,
    store_at,
    store_part,
    transpose,
    zeros,
)

PANEL = COLUMNS * WIDTH
THREE, HALF, QUARTER = 3 * ROWS // 4, ROWS // 2, ROWS // 4  # rows of a block of dW for the last numbers of a run
winograd = os.environ.get("TINYDX_WINOGRAD") != "0"  # the fast 3x3 convolution; False: always the direct sum
LINE = 16  # floats of a cache line
SMALL = 1 << 23  # multiplications that one thread has almost done before another one is awake
FIXED = 32  # multiplications that take as long as what every pixel costs besides its own
SPARE = 2 * ROWS  # addresses behind the last pixel of a band
SUMS = 4  # additions of a bias's gradient under way at a time
NO_BIAS = np.empty(0, np.float32)

# ---- which way -----------------------------------------------------------------------------------------------------

FEW = 2304  # numbers of a column (windows x taps) up to which reading many weights costs more than unfolding the image
MANY_WEIGHTS = 1 << 14  # of a tap
MANY_TOTALS = 1 << 16  # weights of a tap from which on the totals of dW fill the L2 cache
MANY_WINDOWS = 400  # from which on Winograd's transform of the weights pays
OFTEN = 256  # weights of a tap for each of its windows, from which on the transform costs more than it saves
FEW_CHANNELS = 5  # of an image from which on Winograd's transforms cost less than they save
MODERATE = 2048  # windows up to which one product costs less than a sum for each phase of a stride
FOLDING = 16  # multiplications that take as long as adding one number to its pixel when folding
PIECE = 120  # and as beginning with the neighbours that a kernel row adds to
AT_POINTS = 20  # and as transforming a vector to one of Winograd's points, or back
NARROW = 0.4  # what a panel of one vector takes longer, of its time
PLANES, OF_DW = 1.1, 1.2  # what a register block of planes.py takes longer, and of its dW besides
CHAIN = 8  # multiply-adds that could begin before the first of them has ended
PACKING, MASKING = 20, 20  # multiply-adds that take as long as reading a pixel's slopes, and as reading parts of vectors
ADDING_LANES = 8  # multiply-adds that take as long as adding the lanes of a sum of dW
BEGINNING = 1 << 15  # and as splitting an image into planes takes besides, however small it is
MANY_SUMS = 1 << 14  # weights from which on the sums of planes.py, a vector each, overflow the L2 cache
TRANSPOSED = 16  # multiply-adds that take as long as transposing a vector: 11 on a Zen 5, 19 on an Intel Xeon


def is_depthwise(w_shape, groups):
    """One channel and one filter a group."""
    return groups == w_shape[3] > 1 == w_shape[2]


def suits_winograd(w_shape, images, geometry, groups=1):
    """Whether winograd.py can convolve groups of C channels with w (kh,kw,C,G*F), and is faster than a direct sum."""
    (kh, kw, c, filters), g = w_shape, geometry
    f = filters // groups
    simple = winograd and LANES > 0 and g.stride_h == g.stride_w == g.dilation_h == g.dilation_w == 1
    if not simple or min(kh, kw) < 3:
        return False
    parts = -(-kh // 3) * -(-kw // 3)
    few_zeros = parts == 1 or (kh * kw >= 5 * parts and c % LANES == 0)
    # Measured: half the time at 20 -> 40 channels, 0.75 at 16 -> 16 and 512 -> 512, slower at 3 -> 32 and 8 -> 8.
    size = c >= FEW_CHANNELS and f >= LANES and c * f >= 96
    return few_zeros and size and images * g.out_h * g.out_w >= max(MANY_WINDOWS, c * f // OFTEN)


def is_vector(w_shape, geometry, groups):
    """Whether y is the image as a matrix times a vector: one filter, 1x1."""
    return groups == 1 and w_shape[3] == 1 and w_shape[2] >= WIDTH and _columns.is_its_columns(geometry)


def is_deep(w_shape, windows, groups):
    """Few windows, many weights: all three are products of columns."""
    kh, kw, c, f = w_shape
    return groups == 1 and windows * kh * kw <= FEW and c * f >= MANY_WEIGHTS


def unfolds_for_dw(w_shape, windows, groups):
    """Whether dW is a product of columns."""
    return is_deep(w_shape, windows, groups) or (groups == 1 and w_shape[2] * w_shape[3] >= MANY_TOTALS)


# The other ways are compared by the time for a window, in multiply-adds of a vector; k: terms of a sum.


def time_of_gather(k, filters, groups=1):
    """Of `gather`: a last panel of one vector waits for its addresses."""
    vectors = -(-filters // WIDTH)
    return groups * (k * (vectors + NARROW * (vectors % 2)) + FIXED)


def time_of_collect(taps, run, filters, groups=1):
    """Of `collect`, for runs of `run` numbers: of whole blocks, and of a last one of a quarter of ROWS, or several."""
    blocks = [ROWS] * (run // ROWS) + [-(-(run % ROWS) // QUARTER) * QUARTER] * (run % ROWS > 0)
    narrow = filters % PANEL if filters % PANEL <= WIDTH else 0  # filters of a last panel of one vector
    wide = -(-(filters - narrow) // PANEL)
    time = sum(wide * max(CHAIN, COLUMNS * rows) + (narrow > 0) * max(CHAIN, (1 + NARROW) * rows) for rows in blocks)
    return groups * (taps * time + (MASKING if filters % WIDTH else 0)) + PACKING


def time_of_columns(k, filters):
    """Of a product of columns that need no copy, those of a 1x1 kernel."""
    return k * COLUMNS * -(-filters // PANEL) + 2 * FIXED


def time_of_fold(k, pieces, filters):
    """Of dX, with k = channels * taps in `pieces` that are neighbours, by columns that are folded."""
    return k * (filters + FOLDING) / WIDTH + pieces * PIECE


def time_of_winograd(w_shape, geometry):
    """Of dX by tiles of 4x4 pixels, a quarter of the products for each 3x3 part of the kernel."""
    (kh, kw, c, f), g = w_shape, geometry
    parts, tiles = -(-kh // 3) * -(-kw // 3), -(-g.height // 4) * -(-g.width // 4)
    vectors = -(-f // WIDTH) * parts + -(-c // WIDTH)
    return 36 * (parts * f * -(-c // WIDTH) + AT_POINTS * vectors) * tiles / (g.height * g.width)


def time_of_planes(k, channels, filters, geometry, groups=1):
    """Of planes.py: no lanes are wasted on channels, but on pixels between two rows, and two images are transposed."""
    g = geometry
    line = g.out_w + (g.reach_w - 1) // g.stride_w
    pixels = -(-g.out_h * line // _planes.SPAN) * _planes.SPAN
    squares = g.stride_h * g.stride_w * -(-groups * channels // WIDTH) + -(-groups * filters // WIDTH)
    square = TRANSPOSED * -(-line // WIDTH) * WIDTH / line
    return groups * k * _planes.whole(filters) / WIDTH * PLANES * pixels / (g.out_h * g.out_w) + square * squares


@lru_cache
def suits_planes(w_shape, images, geometry, groups):
    """Whether planes.py sums up faster than `gather`, or than depthwise.py, whose vectors run over channels."""
    kh, kw, c, f = w_shape
    if is_depthwise(w_shape, groups):
        return LANES > 0 and groups < WIDTH
    k, filters, beginning = kh * kw * c, f // groups, BEGINNING / (images * geometry.out_h * geometry.out_w)
    return LANES > 0 and time_of_planes(k, c, filters, geometry, groups) + beginning < time_of_gather(k, filters, groups)


def way_of_dx(w_shape, images, geometry, groups):
    """The module that computes dX; None: `gather`."""
    g, (kh, kw, c, f) = geometry, w_shape
    windows, phases = images * g.out_h * g.out_w, g.stride_h * g.stride_w
    if groups == 1 and ((phases > 1 and windows <= MODERATE) or is_deep(w_shape, windows, groups)):
        return _columns
    return fastest_dx(w_shape, g, groups, suits_winograd((kh, kw, f // groups, c * groups), images, g, groups))


@lru_cache
def fastest_dx(w_shape, geometry, groups, fast):
    """Of the other ways of dX the fastest; None: `gather`; `fast`, whether Winograd's is faster than that."""
    g, (kh, kw, c, f) = geometry, w_shape
    if is_depthwise(w_shape, groups):
        return _planes if LANES and groups < WIDTH else _depthwise
    k = kh * kw * (f // groups) / (g.stride_h * g.stride_w)  # of a pixel of dX
    times = {_winograd: time_of_winograd(w_shape, g)} if fast else {None: time_of_gather(k, c, groups)}
    if LANES and not fast:
        times[_planes] = time_of_planes(k, f // groups, c, phases_of(w_shape, g, groups)[0][0], groups)
    if groups == 1:
        windows, pieces = g.out_h * g.out_w / (g.height * g.width), kh if g.dilation_w == 1 else kh * kw
        times[_columns] = (time_of_columns(f, c) if kh * kw == 1 else time_of_fold(kh * kw * c, pieces, f)) * windows
    return min(times, key=times.get)


@lru_cache
def collects_planes(w_shape, images, geometry, groups):
    """Whether planes.py collects dW faster than `collect`."""
    g, (kh, kw, c, f) = geometry, w_shape
    taps, sums = kh * kw, kh * kw * c * f
    if LANES == 0 or sums >= MANY_SUMS or (is_depthwise(w_shape, groups) and groups >= WIDTH):
        return False
    k, filters = -(-taps * c // _planes.TAPS) * _planes.TAPS, -(-f // groups // _planes.SLOPES) * _planes.SLOPES
    planes = OF_DW * time_of_planes(k, c, filters, g, groups) + ADDING_LANES * sums / (images * g.out_h * g.out_w)
    merged = groups == 1 and g.dilation_w == 1
    return planes < time_of_collect(kh if merged else taps, kw * c if merged else c, f // groups, groups)


# ---- what the sums are over ----------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """What a sum runs over, for `filters` filters of each of `groups` groups."""

    taps: np.ndarray  # int64, displacement of each tap from the address of a window
    run: int  # numbers from there on
    filters: int
    groups: int


class Order(NamedTuple):
    """Where weights lie in the flat w: taps[t] + k * run_step + f * filter_step + g * group_step.

    That is the weight of tap t, number k of its run, filter f and group g.
    """

    taps: np.ndarray  # int64
    run: int
    filters: int  # of a group
    groups: int
    run_step: int
    filter_step: int
    group_step: int


@lru_cache  # a model asks the same in every step
def taps_of(w_shape, geometry, groups, merge=True):
    """Taps of a kernel (kh,kw,C,F), neighbours of a row as one: their (row, column) in the window, and w's Order."""
    kh, kw, c, f = w_shape
    merged = merge and groups == 1 and geometry.dilation_w == 1
    positions = [(p, 0) for p in range(kh)] if merged else list(np.ndindex(kh, kw))
    offsets = np.array([(p * kw + q) * c * f for p, q in positions], np.int64)
    order = Order(offsets, kw * c if merged else c, f // groups, groups, f, 1, f // groups)
    return tuple((p * geometry.dilation_h, q * geometry.dilation_w) for p, q in positions), order


def terms_of(positions, order, geometry, copied):
    """The Terms of taps at these (row, column) positions, in the image or in a band that is copied."""
    line = (columns_of_band(geometry) if copied else geometry.width) * geometry.channels
    return Terms(displacements(positions, line, geometry.channels), order.run, order.filters, order.groups)


@lru_cache  # a model asks the same in every step
def displacements(positions, line, channels):
    """How far taps at these (row, column) positions lie behind the first, in rows of `line` numbers."""
    return np.array([p * line + q * channels for p, q in positions], np.int64)


# ---- weights, packed -----------------------------------------------------------------------------------------------


@inline
def copy_rows_plain(w, start, step, count, packed, at):
    """packed[at + k * PANEL + lane] = w[start + k * step + lane] for k < count: whole rows of a panel."""
    for k in range(count):
        for lane in range(PANEL):
            packed[at + k * PANEL + lane] = w[start + k * step + lane]


@inline
def copy_rows_simd(w, start, step, count, packed, at):
    """The same by vectors."""
    for k in range(count):
        store(load_rows(COLUMNS, 1, w, start + k * step, 0), 1, packed, at + k * PANEL, 0)


@inline
def turn_plain(w, start, step, width, count, packed, at):
    """packed[at + k * PANEL + lane] = w[start + lane * step + k] for the first k < count; returns how many k: here none."""
    return 0


@inline
def turn_simd(w, start, step, width, count, packed, at):
    """The same by squares of LANES x LANES, for whole panels."""
    squares = count // LANES * LANES if width == PANEL else 0
    for k in range(0, squares, LANES):
        for lane in range(0, PANEL, LANES):
            square = load_rows(LANES, LANES, w, start + lane * step + k, step)
            store(transpose(square), LANES, packed, at + k * PANEL + lane, PANEL)
    return squares


copy_rows, turn = (copy_rows_simd, turn_simd) if LANES else (copy_rows_plain, turn_plain)


@lean
def pack_panel(w, start, step, width, run, run_step, packed, at):
    """packed[at + k * PANEL + lane] = w[start + k * run_step + lane * step]; lanes from `width` on are zeros."""
    if step == 1 and width == PANEL:
        copy_rows(w, start, run_step, run, packed, at)
        return
    done = turn(w, start, step, width, run, packed, at) if run_step == 1 else 0
    for lane in range(PANEL):
        for k in range(done, run):
            packed[at + k * PANEL + lane] = w[start + k * run_step + lane * step] if lane < width else np.float32(0)


@lean
def pack_of_worker(w, order, packed, worker, workers):
    """Every `workers`-th panel of packed[group, panel, tap, k, lane]."""
    panels, run = (order.filters + PANEL - 1) // PANEL, order.run
    for item in range(worker, order.groups * panels, workers):
        g, f = item // panels, item % panels * PANEL
        width = min(PANEL, order.filters - f)
        for t in range(len(order.taps)):
            start = order.taps[t] + g * order.group_step + f * order.filter_step
            at = (item * len(order.taps) + t) * run * PANEL
            pack_panel(w, start, order.filter_step, width, run, order.run_step, packed, at)


@parallel
def pack_in_parallel(w, order, packed, workers):
    """`pack_of_worker` for all workers."""
    for worker in prange(workers):
        pack_of_worker(w, order, packed, np.int64(worker), workers)


class Weights(NamedTuple):
    """Weights in the order in which a tile reads them, [group, panel, tap, k, lane], and the biases; zeros behind both."""

    packed: np.ndarray
    bias: np.ndarray


def room_for_weights(order):
    """Floats of packed weights."""
    return order.groups * -(-order.filters // PANEL) * len(order.taps) * order.run * PANEL


def pack_weights(w, b, order):
    """Weights of w, flat, and of b (F,) or None."""
    packed = aligned_empty(room_for_weights(order))
    if packed.size < WORTH_WAKING:
        pack_of_worker(w, order, packed, 0, 1)
    else:
        pack_in_parallel(w, order, packed, get_num_threads())
    bias = np.zeros(order.groups * order.filters + PANEL, np.float32)
    if b is not None:
        bias[: order.groups * order.filters] = b
    return Weights(packed, bias)


# ---- gather: forward and dX ----------------------------------------------------------------------------------------


class Source(NamedTuple):
    """What a band reads."""

    x: np.ndarray  # the images, or the band's copy, flat
    at: np.ndarray  # int64, address of the window of each pixel


class Target(NamedTuple):
    """What a band writes."""

    y: np.ndarray
    at: np.ndarray  # int64, address of each pixel
    edge: np.ndarray  # room for a block that does not fit into y


class Panel(NamedTuple):
    """The filters of a register block."""

    weights: int  # where its packed weights begin
    f: int  # its first filter
    width: int  # its filters, at most PANEL


@inline
def gather_plain(source, terms, weights, target, m, panel, rows, direct):
    """`rows` pixels from m on, times the filters of a panel, as plain loops."""
    (x, at), (packed, bias), (y, out, _), (j, f, width) = source, weights, target, panel
    for r in range(rows):
        row = y[out[m + r] + f : out[m + r] + f + width]
        for c in range(width):
            row[c] = bias[f + c]
        k = j
        for tap in terms.taps:
            for c in range(terms.run):
                factor = x[at[m + r] + tap + c]
                for lane in range(width):
                    row[lane] += factor * packed[k + lane]
                k += PANEL


@inline
def gather_simd(source, terms, weights, target, m, panel, rows, direct):
    """ROWS pixels in registers. If not `direct`, the block is stored to `edge`, and from there what fits into y."""
    (x, at), (packed, bias), (y, out, edge), (j, f, width) = source, weights, target, panel
    once = len(terms.taps) == 1 and f == 0  # nothing else brings x into the cache before it is needed
    for r in range(ROWS):
        prefetch(y, out[m + r] + f)
    block = repeat_rows(load_rows(COLUMNS, 1, bias, f, 0), ROWS)
    for tap in terms.taps:
        for c in range(terms.run):
            block = outer_at(block, ROWS, x, at, m, tap + c, packed, j)
            j += PANEL
            if once and c % LINE < ROWS:  # what the next block will read, a cache line at a time
                prefetch(x, at[m + ROWS + c % LINE] + c - c % LINE)
    if direct:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, PANEL)
        copy_edge(target, m, f, rows, width, PANEL)


@inline
def gather_narrow(source, terms, weights, target, m, panel, rows, direct):
    """gather_simd for a last panel of at most one vector: half the work."""
    (x, at), (packed, bias), (y, out, edge), (j, f, width) = source, weights, target, panel
    block = repeat_rows(load_rows(1, 1, bias, f, 0), ROWS)
    for tap in terms.taps:
        for c in range(terms.run):
            block = outer_at(block, ROWS, x, at, m, tap + c, packed, j)
            j += PANEL
    if direct:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, WIDTH)
        copy_edge(target, m, f, rows, width, WIDTH)


@inline
def copy_edge(target, m, f, rows, width, step):
    """y[pixel m + r, f + c] = edge[r, c] for the rows and columns that exist; edge (ROWS, `step`)."""
    y, out, edge = target
    for r in range(rows):
        for c in range(width):
            y[out[m + r] + f + c] = edge[r * step + c]


gather_tile, gather_last = (gather_simd, gather_narrow) if LANES else (gather_plain, gather_plain)


@lean
def gather_band(source, terms, weights, target, pixels, dense):
    """One band: block after block of the addresses of its pixels.

    A panel that is not full may overwrite what lies behind it if that is written later: the next group, or, where pixels
    are neighbours in y (`dense`), the next pixel. For that the very last panel is computed first.
    """
    at, out = source.at, target.at
    for m in range(pixels, pixels + SPARE):  # a last, incomplete block repeats the last pixel
        at[m] = at[pixels - 1]
        out[m] = out[pixels - 1]
    filters, groups = terms.filters, terms.groups
    panels, end = (filters + PANEL - 1) // PANEL, out[pixels - 1] + groups * filters
    depth, group, last = len(terms.taps) * terms.run * PANEL, 0, (groups - 1) * filters + (panels - 1) * PANEL
    for item in range(-1, groups * panels - 1):
        g, k = item % (groups * panels) // panels, item % panels
        width, f = min(PANEL, filters - k * PANEL), g * filters + k * PANEL
        panel = Panel((g * panels + k) * depth, f, width)
        if g != group and groups > 1:
            for m in range(pixels + SPARE):
                at[m] += (g - group) * terms.run
            group = g
        lanes = PANEL if width > WIDTH else WIDTH
        for m in range(0, pixels, ROWS):
            rows = min(ROWS, pixels - m)
            hidden = f + lanes <= last or (f == last and dense and out[m + ROWS - 1] + f + lanes <= end)
            direct = rows == ROWS and (width == lanes or hidden)
            if width > WIDTH:
                gather_tile(source, terms, weights, target, m, panel, rows, direct)
            else:
                gather_last(source, terms, weights, target, m, panel, rows, direct)


class Grid(NamedTuple):
    """The pixels of y that are computed: every `step`-th row and column of (N,height,width,channels), from the first on."""

    y: np.ndarray  # flat
    height: int
    width: int
    channels: int
    first_h: int
    first_w: int
    step_h: int
    step_w: int


class GatherScratch(NamedTuple):
    """A worker's memory, or a row for each worker."""

    at: np.ndarray  # int64 (pixels of a band and SPARE): addresses in x
    out: np.ndarray  # int64, as many: addresses in y
    edge: np.ndarray  # (SPARE * PANEL)
    buffer: np.ndarray  # (floats of a band with its border, or 0)


@lean
def addresses(grid, geometry, row, rows, out):
    """out[m]: the address in y of each pixel of output rows `row` to row + rows, counted through all images."""
    m = 0
    for k in range(row, row + rows):
        h = grid.first_h + k % geometry.out_h * grid.step_h
        line = (k // geometry.out_h * grid.height + h) * grid.width + grid.first_w
        for j in range(geometry.out_w):
            out[m] = (line + j * grid.step_w) * grid.channels
            m += 1


@lean
def gather_of_worker(team, x, geometry, terms, weights, grid, rows, scratch):
    """Every `workers`-th band; team: (worker, workers)."""
    (at, out, edge, buffer), (worker, workers) = scratch, team
    g = geometry
    total = len(x) // (g.height * g.width * g.channels) * g.out_h
    source, target = Source(buffer if buffer.size else x, at), Target(grid.y, out, edge)
    dense = g.out_h == grid.height and g.out_w == grid.width  # the whole of y
    for row in range(worker * rows, total, workers * rows):
        count = min(rows, total - row)
        lay_out(x, g, row, count, buffer, at)
        addresses(grid, g, row, count, out)
        gather_band(source, terms, weights, target, count * g.out_w, dense)


@parallel
def gather(x, geometry, terms, weights, grid, rows, scratch):
    """The pixels of a Grid from x (N,H,W,C), flat, in bands of `rows` rows."""
    for worker in prange(len(scratch.at)):
        k = np.int64(worker)
        own = GatherScratch(scratch.at[k], scratch.out[k], scratch.edge[k], scratch.buffer[k])
        gather_of_worker((k, len(scratch.at)), x, geometry, terms, weights, grid, rows, own)


@lean
def gather_alone(x, w, b, y, sum_of, rows, floats, numbers):
    """`gather` on one thread, in one call, packing included.

    Arguments: x, w, b, y, flat; b may be empty; sum_of: of a Gathering, plain tuples (Numba needs a microsecond more for
    each named one); floats and numbers: memory for the weights, and for a GatherScratch.
    """
    geometry, terms, order, pixels, (packed_end, bias_end, edge_end) = sum_of
    packed, bias, pixel_count = floats[:packed_end], floats[packed_end:bias_end], len(numbers) // 2
    pack_of_worker(w, Order(*order), packed, 0, 1)
    copy_piece(b, 0, bias, 0, len(b))
    bias[len(b) :] = 0
    own = GatherScratch(numbers[:pixel_count], numbers[pixel_count:], floats[bias_end:edge_end], floats[edge_end:])
    named = Geometry(*geometry), Terms(*terms), Weights(packed, bias), Grid(y, *pixels)
    gather_of_worker((0, 1), x, named[0], named[1], named[2], named[3], rows, own)


class Gathering(NamedTuple):
    """A sum and the pixels of y that get it: all that `run_gather` knows before it sees numbers."""

    geometry: Geometry  # of the windows
    terms: Terms
    order: Order
    pixels: tuple  # the fields of a Grid behind y
    plain: tuple  # all of these as plain tuples, and where in the memory of `gather_alone` weights, biases and edge end
    work: int  # multiplications, those of empty lanes, too
    copied: bool  # whether bands are copied with their border
    alone: tuple  # on one thread: rows of a band, addresses, floats of the memory


@lru_cache  # a model asks the same in every step
def gatherings(w_shape, images, geometry, groups, backward):
    """The Gathering of y, or, if `backward`, those that make dX, one for each phase."""
    g = geometry
    if backward:
        shape, sums = (g.height, g.width, g.channels), phases_of(w_shape, g, groups)
    else:
        shape, sums = (g.out_h, g.out_w, w_shape[3]), [(g, *taps_of(w_shape, g, groups), (0, 0))]
    steps = (g.stride_h, g.stride_w) if backward else (1, 1)
    found = []
    for windows, positions, order, first in sums:
        copied, lanes = not reads_inside(windows), order.groups * -(-order.filters // WIDTH) * WIDTH
        packed, bias = room_for_weights(order), -(-(order.groups * order.filters + PANEL) // LINE) * LINE
        work = images * windows.out_h * windows.out_w * (len(positions) * order.run + FIXED) * lanes
        terms, ends = terms_of(positions, order, windows, copied), (packed, packed + bias, packed + bias + SPARE * PANEL)
        pixels = (*shape, *first, *steps)
        plain = tuple(windows), tuple(terms), tuple(order), pixels, ends
        rows = rows_of_band(images * windows.out_h, windows.out_w, 1)
        alone = rows, 2 * (rows * windows.out_w + SPARE), ends[-1] + (size_of_buffer(rows, windows) if copied else 0)
        found.append(Gathering(windows, terms, order, pixels, plain, work, copied, alone))
    return found


def run_gather(x, w, b, y, sum_of):
    """Write the pixels of a Gathering to y, from x (N,H,W,C), w (any shape) and b (F,) or None."""
    threads, g = get_num_threads() if sum_of.work >= SMALL else 1, sum_of.geometry
    if threads == 1:
        rows, numbers, floats = sum_of.alone
        memory, bias = (aligned_empty(floats), np.empty(numbers, np.int64)), NO_BIAS if b is None else contiguous(b)
        gather_alone(x.reshape(-1), w.reshape(-1), bias, y.reshape(-1), sum_of.plain, rows, *memory)
        return
    rows = rows_of_band(len(x) * g.out_h, g.out_w, threads)
    workers, pixels = min(threads, -(-len(x) * g.out_h // rows)), rows * g.out_w + SPARE + APART
    scratch = GatherScratch(
        at=np.empty((workers, pixels), np.int64),
        out=np.empty((workers, pixels), np.int64),
        edge=aligned_empty((workers, SPARE * PANEL)),
        buffer=aligned_empty((workers, size_of_buffer(rows, g) if sum_of.copied else 0)),
    )
    weights = pack_weights(w.reshape(-1), b, sum_of.order)
    gather(x.reshape(-1), g, sum_of.terms, weights, Grid(y.reshape(-1), *sum_of.pixels), rows, scratch)


def forward(x, w, b, geometry, groups):
    """Correlation of x (N,H,W,G*C) and w (kh,kw,C,F), plus b (F,) or None: y (N,OH,OW,F)."""
    if is_column(geometry):
        return forward(x.swapaxes(1, 2), w.swapaxes(0, 1), b, turned(geometry), groups).swapaxes(1, 2)
    x, w, g = contiguous(x), contiguous(w), geometry
    kh, kw, c, f = w.shape
    by_planes = suits_planes(w.shape, len(x), g, groups)
    if is_depthwise(w.shape, groups) and not by_planes:
        return _depthwise.forward(x, w, b, g)
    if is_deep(w.shape, len(x) * g.out_h * g.out_w, groups) or is_vector(w.shape, g, groups):
        return _columns.forward(x, w, b, g)
    if suits_winograd(w.shape, len(x), g, groups):
        y = _winograd.forward(x, w, b, g, groups)
        if y is not None:
            return y
    y = aligned_empty((len(x), g.out_h, g.out_w, f))
    if by_planes:
        _planes.correlate(x, w, b, g, *taps_of(w.shape, g, groups, False), Grid(y.reshape(-1), *y.shape[1:], 0, 0, 1, 1))
    else:
        run_gather(x, w, b, y, *gatherings(w.shape, len(x), g, groups, False))
    return y


def gradient_of_x(dy, w, geometry, groups):
    """dX (N,H,W,G*C) of dy (N,OH,OW,F) and w (kh,kw,C,F)."""
    if is_column(geometry):
        return gradient_of_x(dy.swapaxes(1, 2), w.swapaxes(0, 1), turned(geometry), groups).swapaxes(1, 2)
    dy, w, g = contiguous(dy), contiguous(w), geometry
    kh, kw, c, f = w.shape
    way = way_of_dx(w.shape, len(dy), g, groups)
    if way is _depthwise or way is _columns:
        return way.gradient_of_x(dy, w, g)
    if way is _winograd:
        dx = _winograd.gradient_of_x(dy, w, g, groups=groups)
        if dx is not None:
            return dx
    dx = aligned_empty((len(dy), g.height, g.width, g.channels))
    if way is _planes:
        for windows, positions, order, first in phases_of(w.shape, g, groups):
            grid = Grid(dx.reshape(-1), *dx.shape[1:], *first, g.stride_h, g.stride_w)
            _planes.correlate(dy, w, None, windows, positions, order, grid)
    else:
        for sum_of in gatherings(w.shape, len(dy), g, groups, True):
            run_gather(dy, w, None, dx, sum_of)
    return dx


@lru_cache
def phases_of(w_shape, geometry, groups):
    """The sums that make dX, one for each phase of the pixel grid: (Geometry over dy, taps' positions, Order, first pixel)."""
    g, (kh, kw, c, f) = geometry, w_shape
    down = [phase_of(a, g.height, kh, g.stride_h, g.dilation_h, g.top) for a in range(g.stride_h)]
    across = [phase_of(a, g.width, kw, g.stride_w, g.dilation_w, g.left) for a in range(g.stride_w)]
    sums = []
    for i, j in ((i, j) for i in down for j in across):
        if i.pixels and j.pixels:
            positions = tuple((p, q) for _, p in i.taps for _, q in j.taps)
            offsets = np.array([(p * kw + q) * c * f for p, _ in i.taps for q, _ in j.taps], np.int64)
            reach = 1 + max((p for p, _ in positions), default=0), 1 + max((q for _, q in positions), default=0)
            windows = Geometry(g.out_h, g.out_w, f, i.pixels, j.pixels, *reach, 1, 1, 1, 1, *reach, i.before, j.before)
            sums.append((windows, positions, Order(offsets, f // groups, c, groups, 1, f, f // groups), (i.first, j.first)))
    return sums


class Phase(NamedTuple):
    """Pixels of an axis of x that the same taps reach: every `stride`-th."""

    first: int
    pixels: int
    before: int  # zeros that dy needs before its first pixel
    taps: list  # pairs of a kernel position, and the pixel of the window over dy that it multiplies


def phase_of(a, size, kernel, stride, dilation, before):
    """The Phase of the pixels h with (h + before) % stride == a.

    Output u - e reaches pixel h = u * stride + a - before through kernel position p, e = (p * dilation - a) / stride.
    """
    first = (a - before) % stride
    pixels = max(0, -(-(size - first) // stride))
    u = (first + before - a) // stride
    reach = {p: (p * dilation - a) // stride for p in range(kernel) if (p * dilation - a) % stride == 0 and p * dilation >= a}
    last = max(reach.values(), default=0)
    return Phase(first, pixels, last - u, [(p, last - e) for p, e in reach.items()])


# ---- collect: dW ---------------------------------------------------------------------------------------------------


class Slopes(NamedTuple):
    """dy of a band for one panel of filters: filter `lane` of pixel m is numbers[start + m * lanes + lane]."""

    numbers: np.ndarray
    start: int
    lanes: int


@inline
def collect_plain(x, at, tap, slopes, pixels, total, t):
    """total[r, c] += sum over the pixels of a band of x[at[m] + tap + r] slopes (Slopes)[m, c], as plain loops."""
    for m in range(pixels):
        for r in range(ROWS):
            factor = x[at[m] + tap + r]
            for c in range(slopes.lanes):
                total[t + r * PANEL + c] += factor * slopes.numbers[slopes.start + m * slopes.lanes + c]


def _collect_in_registers(rows, columns):
    """The same for the first `rows` rows and `columns` vectors."""
    vectors = rows * columns

    @inline
    def collect(x, at, tap, slopes, pixels, total, t):
        block = load_rows(vectors, rows, total, t, PANEL)
        for m in range(pixels):
            block = outer(block, rows, x, at[m] + tap, 1, slopes.numbers, slopes.start + m * slopes.lanes)
        store(block, rows, total, t, PANEL)

    return collect


if LANES:
    collect_wide = [_collect_in_registers(rows, COLUMNS) for rows in (ROWS, THREE, HALF, QUARTER)]
    collect_narrow = [_collect_in_registers(rows, 1) for rows in (ROWS, THREE, HALF, QUARTER)]
else:
    collect_wide = collect_narrow = [collect_plain] * 4
wide_all, wide_three, wide_half, wide_quarter = collect_wide
narrow_all, narrow_three, narrow_half, narrow_quarter = collect_narrow


@inline
def collect_block(x, at, where, slopes, pixels, total, t, left):
    """`left` numbers of a run, at most ROWS, in the smallest block that holds them."""
    if slopes.lanes > WIDTH:
        if left > THREE:
            wide_all(x, at, where, slopes, pixels, total, t)
        elif left > HALF:
            wide_three(x, at, where, slopes, pixels, total, t)
        elif left > QUARTER:
            wide_half(x, at, where, slopes, pixels, total, t)
        else:
            wide_quarter(x, at, where, slopes, pixels, total, t)
    elif left > THREE:
        narrow_all(x, at, where, slopes, pixels, total, t)
    elif left > HALF:
        narrow_three(x, at, where, slopes, pixels, total, t)
    elif left > QUARTER:
        narrow_half(x, at, where, slopes, pixels, total, t)
    else:
        narrow_quarter(x, at, where, slopes, pixels, total, t)


@inline
def moved_back(k, run):
    """How much earlier than at k the block of the numbers from k on begins, so that it ends where its run does.

    Only the first block of a short run may read behind its end.
    """
    left = run - k
    rows = ROWS if left > THREE else THREE if left > HALF else HALF if left > QUARTER else QUARTER
    return rows - left if k > 0 and left < rows else 0


@inline
def lanes_of(filters):
    """Lanes of a panel with `filters` filters or more: of both its vectors, or of one."""
    return PANEL if filters > WIDTH else WIDTH


@inline
def pack_panel_of_dy_plain(dy, following, step, pixels, width, slopes, j, total):
    """slopes[j + m * lanes + lane] = dy[m * step + lane], 0 from lane `width` on; total[lane] += the sum of them."""
    lanes = lanes_of(width)
    for m in range(pixels):
        for lane in range(lanes):
            slope = dy[m * step + lane] if lane < width else np.float32(0)
            slopes[j + m * lanes + lane] = slope
            total[lane] += slope


@inline
def pack_panel_of_dy_simd(dy, following, step, pixels, width, slopes, j, total):
    """The same by vectors, LANES pixels at a time where lanes are missing; fetches `following`, the slopes of the next band."""
    lanes = lanes_of(width)
    for lane in range(0, lanes, LANES):
        if width - lane >= LANES:
            for m in range(pixels):
                prefetch_l2(following, m * step + lane)
                store(load(dy, m * step + lane), 1, slopes, j + m * lanes + lane, 0)
        else:
            for m in range(0, pixels, LANES):
                square = load_part(dy, m * step + lane, step, pixels - m, width - lane)
                store_part(square, slopes, j + m * lanes + lane, lanes, pixels - m, LANES)
        sums, block, whole = zeros(SUMS), load(total, lane), pixels // SUMS * SUMS
        for m in range(0, whole, SUMS):
            sums = sums + load_rows(SUMS, SUMS, slopes, j + m * lanes + lane, lanes)
        for m in range(whole, pixels):
            block = block + load(slopes, j + m * lanes + lane)
        store(block + (part(sums, 0) + part(sums, 1)) + (part(sums, 2) + part(sums, 3)), 1, total, lane, 0)


pack_panel_of_dy = pack_panel_of_dy_simd if LANES else pack_panel_of_dy_plain


@lean
def pack_slopes(dy, start, ahead, pixels, terms, slopes, bias_total):
    """dy of a band, panel by panel: slopes[group, panel, pixel, lane]. Each tap reads it again, from the L1 cache.

    bias_total[group, panel, lane] += its sum over the pixels. The worker's next band begins `ahead` numbers later.
    """
    j, t, groups, filters = 0, 0, terms.groups, terms.filters
    for g in range(groups):
        for f in range(0, filters, PANEL):
            first, width = start + g * filters + f, min(PANEL, filters - f)
            following = dy[first + ahead :]
            pack_panel_of_dy(dy[first:], following, groups * filters, pixels, width, slopes, j, bias_total[t:])
            j += pixels * lanes_of(width)
            t += PANEL


@lean
def collect_band(source, terms, slopes, pixels, total, following):
    """Add a band to total[group, panel, tap, block of the run, ROWS, PANEL]. Meanwhile memory fetches what follows of x."""
    (x, at), (taps, run, filters, groups) = source, terms
    t, j, shares = 0, 0, len(total) // (ROWS * PANEL)
    for g in range(groups):
        for f in range(0, filters, PANEL):
            lanes = lanes_of(filters - f)
            for tap in taps:
                for k in range(0, run, ROWS):
                    _planes.fetch(following, t // (ROWS * PANEL), shares)
                    where = tap + k - moved_back(k, run) + (0 if groups == 1 else g * run)
                    collect_block(x, at, where, Slopes(slopes, j, lanes), pixels, total, t, run - k)
                    t += ROWS * PANEL
            j += pixels * lanes


@inline
def part_read(geometry, row, rows):
    """About what `rows` output rows from `row` on, counted through all images, read of x (N,H,W,C), flat: (start, end)."""
    g = geometry
    start = (row // g.out_h * g.height + row % g.out_h * g.stride_h) * g.width * g.channels
    return start, start + rows * g.stride_h * g.width * g.channels


class CollectScratch(NamedTuple):
    """Each worker's memory, a row each."""

    total: np.ndarray  # (workers, groups * panels * taps * run in whole blocks * PANEL)
    bias_total: np.ndarray  # (workers, groups * panels * PANEL)
    at: np.ndarray  # int64 (workers, pixels of a band): addresses in x
    slopes: np.ndarray  # (workers, groups * panels * pixels * PANEL)
    buffer: np.ndarray  # (workers, floats of a band with its border, or 0)


@lean
def collect_of_worker(worker, x, geometry, terms, dy, rows, scratch):
    """The totals over every `workers`-th band."""
    total, bias_total, at = scratch.total[worker], scratch.bias_total[worker], scratch.at[worker]
    slopes, buffer = scratch.slopes[worker], scratch.buffer[worker]
    total[:] = 0
    bias_total[:] = 0
    g, channels = geometry, terms.groups * terms.filters
    source, line = Source(buffer if buffer.size else x, at), g.out_w * channels
    all_rows, step = len(dy) // line, len(scratch.at) * rows
    for row in range(worker * rows, all_rows, step):
        count, (first, end) = min(rows, all_rows - row), part_read(g, row + step, rows)
        lay_out(x, g, row, count, buffer, at)
        pack_slopes(dy, row * line, step * line, count * g.out_w, terms, slopes, bias_total)
        collect_band(source, terms, slopes, count * g.out_w, total, x[first:end])


@parallel
def collect(x, geometry, terms, dy, rows, scratch):
    """scratch.total and bias_total of each worker, from x (N,H,W,C) and dy (N,OH,OW,F), flat, in bands of `rows` rows."""
    for worker in prange(len(scratch.at)):
        collect_of_worker(np.int64(worker), x, geometry, terms, dy, rows, scratch)


@lean
def unpack_totals(totals, order, dw):
    """dw, flat, in the weights' own order: the sum of totals (workers, ...) over the workers."""
    at = 0
    for g in range(order.groups):
        for f in range(0, order.filters, PANEL):
            for tap in order.taps:
                for k in range(0, order.run, ROWS):
                    first = at + moved_back(k, order.run) * PANEL
                    for r in range(min(ROWS, order.run - k)):
                        start = tap + (k + r) * order.run_step + g * order.group_step + f
                        for c in range(min(PANEL, order.filters - f)):
                            value = totals[0, first + r * PANEL + c]
                            for worker in range(1, len(totals)):
                                value += totals[worker, first + r * PANEL + c]
                            dw[start + c] = value
                    at += ROWS * PANEL


def gradient_of_w(x, dy, w_shape, geometry, groups):
    """dW (kh,kw,C,F), `w_shape`, and db (F,) of x (N,H,W,G*C) and dy (N,OH,OW,F)."""
    if is_column(geometry):
        kh, kw, c, f = w_shape
        dw, db = gradient_of_w(x.swapaxes(1, 2), dy.swapaxes(1, 2), (kw, kh, c, f), turned(geometry), groups)
        return dw.swapaxes(0, 1), db
    x, dy, g, f = contiguous(x), contiguous(dy), geometry, w_shape[3]
    by_planes = collects_planes(w_shape, len(x), g, groups)
    if is_depthwise(w_shape, groups) and not by_planes:
        return _depthwise.gradient_of_w(x, dy, w_shape, g)
    if suits_winograd(w_shape, len(x), g, groups):
        result = _winograd_dw.gradient_of_w(x, dy, w_shape, g, groups)
        if result is not None:
            return result
    if unfolds_for_dw(w_shape, dy.size // f, groups) or is_vector(w_shape, g, groups):
        return _columns.gradient_of_w(x, dy, w_shape, g)
    if by_planes:
        result = _planes.gradient_of_w(x, dy, w_shape, g, *taps_of(w_shape, g, groups, False))
        if result is not None:
            return result
    positions, order = taps_of(w_shape, g, groups)
    # The register block of a short run may read behind its end, which is harmless except behind the end of the array.
    copied = not reads_inside(g) or (order.run < ROWS and order.run not in (QUARTER, HALF, THREE))
    terms = terms_of(positions, order, g, copied)

    panels = groups * -(-order.filters // PANEL)
    size = panels * len(positions) * -(-order.run // ROWS) * ROWS * PANEL
    threads = get_num_threads() if len(x) * g.out_h * g.out_w * size >= SMALL else 1
    rows = rows_of_band(len(x) * g.out_h, g.out_w, threads)
    workers, pixels = min(threads, -(-len(x) * g.out_h // rows)), rows * g.out_w
    scratch = CollectScratch(
        total=aligned_empty((workers, size + APART)),
        bias_total=aligned_empty((workers, panels * PANEL + APART)),
        at=np.empty((workers, pixels + APART), np.int64),
        slopes=aligned_empty((workers, pixels * panels * PANEL)),
        buffer=aligned_empty((workers, size_of_buffer(rows, g) if copied else 0)),
    )
    arguments = x.reshape(-1), g, terms, dy.reshape(-1), rows, scratch
    if workers == 1:
        collect_of_worker(0, *arguments)
    else:
        collect(*arguments)
    dw = aligned_empty(w_shape)
    unpack_totals(scratch.total, order, dw.reshape(-1))
    return dw, scratch.bias_total[:, : panels * PANEL].sum(axis=0).reshape(groups, -1)[:, : order.filters].reshape(f)


# ---- the ops -------------------------------------------------------------------------------------------------------


def correlate2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    """x (N,H,W,G*C), w (kh,kw,C,F), b (F,) or None -> y (N,OH,OW,F), saved."""
    geometry = geometry_of(x.shape, w.shape[:2], stride, padding, dilation)
    return forward(x, w, b, geometry, groups), (x, w, geometry, groups)


def correlate2d_backward(dy, saved, needs=(True, True, True)):
    """dy (N,OH,OW,F) -> dx, dw, db, each of its array's shape."""
    x, w, geometry, groups = saved
    dx = gradient_of_x(dy, w, geometry, groups) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None
    return dx, *gradient_of_w(x, dy, w.shape, geometry, groups)


def conv2d_forward(x, w, b=None, **constants):
    """`correlate2d_forward` with the kernel mirrored."""
    return correlate2d_forward(x, w[::-1, ::-1], b, **constants)


def conv2d_backward(dy, saved, needs=(True, True, True)):
    """`correlate2d_backward`, dW mirrored back."""
    dx, dw, db = correlate2d_backward(dy, saved, needs)
    return dx, None if dw is None else dw[::-1, ::-1], db


def supports(x, w, b=None, *, groups=1, **constants):
    """float32, and channels and filters that the groups divide."""
    return is_float32(x, w, b) and x.shape[3] == w.shape[2] * groups and w.shape[3] % groups == 0


def draw_convolution(draw, groups, windows=1):
    """Arrays and constants with an output of at least `windows` pixels along each axis; groups: a number or "depthwise"."""
    kernel = draw.choice([(1, 1), (2, 2), (3, 3), (3, 3), (5, 5), (7, 7), (1, 3), (4, 1), (2, 5)])
    stride, dilation = draw.choice([1, 1, 2, 3, (1, 2), (3, 1)]), draw.choice([1, 1, 1, 2, (1, 3)])
    padding = draw.choice(["valid", "same", 1, 4, ((0, 1), (2, 0))])
    axes = zip(kernel, pair(stride), pair(dilation), strict=True)
    height, width = [(k - 1) * d + 1 + (windows - 1) * s + draw.integer(0, 14) for k, s, d in axes]
    c, f = draw.choice(COUNTS), draw.choice(COUNTS)
    if groups == "depthwise":
        groups, c, f = c, 1, c
    elif groups > 1:
        c, f = min(c, 33), min(f, 33) * groups
    x = draw.array(draw.choice([1, 2, 3, 8]), height, width, c * groups)
    b = draw.array(f) if draw.choice([True, False]) else None
    return (x, draw.array(*kernel, c, f), b), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def draw_large(draw):
    """Many pixels, weights or images: the sizes at which the section "which way" decides."""
    k, stride, padding = draw.choice([1, 3, 5]), draw.choice([1, 2]), draw.choice(["valid", "same"])
    c, f = draw.choice([(256, 257), (130, 128), (64, 256), (3, 40), (1, 6), (20, 50)])
    n, size = draw.choice([(1, 7), (3, 14)] if c > 60 else [(1, 70), (3, 47), (7, 29)])
    arrays = draw.array(n, size, size + 1, c), draw.array(k, k, c, f), draw.array(f)
    return arrays, {"stride": stride, "padding": padding}


def samples(draw):
    """Convolutions of every kind; one in twelve is large."""
    if draw.integer(0, 11) == 11:
        return draw_large(draw)
    return draw_convolution(draw, draw.choice([1, 1, 1, 2, 3, "depthwise"]))


WARM = tuple(
    ((x, w, w[3:]), constants)
    for x, w, constants in (
        ((2, 9, 9, 3), (3, 3, 3, 32), {}),  # direct
        ((2, 9, 9, 3), (3, 3, 3, 40), {"padding": "same", "stride": 2}),  # with a border and a last panel
        ((2, 15, 18, 32), (3, 3, 32, 64), {}),  # Winograd
        ((2, 15, 18, 32), (3, 3, 32, 64), {"padding": "same"}),
        ((2, 9, 9, 8), (1, 1, 8, 16), {}),
        ((2, 9, 9, 16), (1, 1, 16, 1), {}),  # a vector, on one thread
        ((2, 9, 9, 1), (3, 3, 1, 6), {}),  # by planes, on one thread and on several
        ((16, 64, 64, 1), (5, 5, 1, 8), {}),
        ((8, 24, 24, 12), (3, 3, 12, 40), {"padding": "same"}),  # direct, on several threads
        ((2, 9, 9, 64), (3, 3, 64, 136), {"dilation": 2}),  # weights packed on several threads
        ((2, 9, 9, 128), (3, 3, 128, 136), {"padding": "same"}),  # by columns, on several threads and on one
        ((1, 4, 4, 128), (1, 1, 128, 136), {"stride": 2}),
        ((2, 9, 9, 8), (3, 3, 1, 8), {"groups": 8}),  # depthwise
        ((4, 24, 24, 32), (3, 3, 1, 32), {"groups": 32}),
        ((2, 9, 9, 8), (3, 3, 4, 8), {"groups": 2, "dilation": 2, "stride": 2}),  # with phases in dX
    )
)
kernel_of(correlate2d, "numba", correlate2d_forward, correlate2d_backward, supports, samples=samples, warm=WARM)
kernel_of(conv2d, "numba", conv2d_forward, conv2d_backward, supports, samples=samples, warm=WARM)
