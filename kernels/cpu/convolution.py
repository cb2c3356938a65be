"""Convolution: forward, dX and dW for any kernel, stride, padding, dilation, groups and batch.

Most shapes need no im2col: they are the register block of matmul.py with its rows read where they lie in the image.

* `gather` (forward, dX): 12 output pixels x 32 filters stay in registers while a loop walks over the taps (kernel
  positions) and their channels. All pixels meet a tap at the same displacement, so a pixel is one number, `at[m]`:

      y[out[m], f] = sum over taps t, channels c of  x[at[m] + tap[t] + c] * w[t, c, f]

  Neighbouring taps of a row lie next to each other in memory (dilation 1): they are one run of kw * C numbers.
  dX is the same sum: dy gathered by the mirrored taps; with a stride, one sum for each phase of the pixel grid.

* `collect` (dW): 12 numbers of a run x 32 filters stay in registers while a loop walks over the pixels:

      dw[t, c, f] = sum over pixels m of  x[at[m] + tap[t] + c] * dy[m, f]

Work is cut into bands: some output rows, counted through all images. A band that needs a border (padding) is first
copied into a small buffer with that border, so that nothing inside the loops asks where the image ends.

Three other files do what these two do not do well; the section "which way" chooses, by shape alone:

    depthwise.py   one channel a group: nothing to reuse in registers, vectors run over channels
    winograd.py    3x3, many pixels: a quarter of the multiplications
    columns.py     im2col and a matrix product: few windows and many weights; dX of few channels or of a stride
"""

import os

import numpy as np
from numba import get_num_threads, prange

from tinydx.op import kernel_of
from tinydx.ops.convolution import conv2d, correlate2d, output_size, padding_2d, pair
from tinydx_kernels.cpu import columns as _columns
from tinydx_kernels.cpu import depthwise as _depthwise
from tinydx_kernels.cpu import winograd as _winograd
from tinydx_kernels.cpu.bands import BAND as BAND
from tinydx_kernels.cpu.bands import lay_out, rows_of_band, size_of_buffer
from tinydx_kernels.cpu.columns import sum_rows
from tinydx_kernels.cpu.memory import aligned_empty, contiguous, is_float32
from tinydx_kernels.cpu.simd import (
    COLUMNS,
    LANES,
    ROWS,
    TILE,
    WIDTH,
    inline,
    jit,
    load_rows,
    outer,
    outer_at,
    parallel,
    prefetch,
    repeat_rows,
    store,
    store_at,
    transpose,
)

PANEL = COLUMNS * WIDTH
winograd = os.environ.get("TINYDX_WINOGRAD") != "0"  # the fast 3x3 convolution; False: always the direct sum
LINE = 16  # floats of a cache line
SMALL = 1 << 22  # multiplications that one thread has almost done before another one is awake
FIXED = 32  # multiplications that every pixel costs besides its own
WORTH_WAKING = 1 << 15  # weights from which on packing them is shared out over the threads
SPARE = 2 * ROWS  # addresses behind the last pixel of a band

# ---- which way -----------------------------------------------------------------------------------------------------

FEW = 2304  # numbers of a column (windows x taps) up to which reading many weights costs more than to unfold the image
MANY_WEIGHTS = 1 << 14  # of a tap
MANY_TOTALS = 1 << 16  # weights of a tap from which on the totals of dW fill the L2 cache
FEW_CHANNELS = 5  # of an image from which on Winograd's transforms cost less than they save
MODERATE = 2048  # windows up to which one product costs less than a sum for each phase of a stride
FOLDING = 48  # multiplications that adding a number up where it came from costs as much as


def is_depthwise(w_shape, groups):
    """One channel and one filter a group."""
    return groups == w_shape[3] > 1 == w_shape[2]


def suits_winograd(w_shape, stride, dilation, groups):
    """Whether a convolution that reads C channels through w (kh,kw,C,F) can be done by winograd.py, and gains by it."""
    kh, kw, c, f = w_shape
    simple = kh == kw == 3 and tuple(stride) == tuple(dilation) == (1, 1) and groups == 1
    # Measured: half the time at 20 -> 40 channels, 0.75 at 16 -> 16, slower at 3 -> 32, 8 -> 8 and 512 -> 512 (L2 is full).
    return winograd and LANES > 0 and simple and c >= FEW_CHANNELS and f >= LANES and 96 <= c * f <= 1 << 16


def is_deep(w_shape, windows, groups):
    """Few windows, many weights: all three are products of columns."""
    kh, kw, c, f = w_shape
    return groups == 1 and windows * kh * kw <= FEW and c * f >= MANY_WEIGHTS


def folds_dx(w_shape, windows, pixels, stride, groups):
    """Whether dX is folded from columns: what a product of so many windows wastes no lanes on, `gather` would."""
    kh, kw, c, f = w_shape
    if groups > 1:
        return False
    one_by_one, few_with_stride = kh == kw == 1, stride != (1, 1) and windows <= MODERATE
    narrow = windows * stride[0] * stride[1] * c * (f + FOLDING) < pixels * -(-c // WIDTH) * WIDTH * f
    return one_by_one or few_with_stride or narrow or is_deep(w_shape, windows, groups)


def unfolds_for_dw(w_shape, windows, groups):
    """Whether dW is a product of columns."""
    return is_deep(w_shape, windows, groups) or (groups == 1 and w_shape[2] * w_shape[3] >= MANY_TOTALS)


# ---- gather: forward and dX ----------------------------------------------------------------------------------------


@inline
def gather_plain(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, direct, edge):
    """ROWS pixels times `width` filters, as plain loops."""
    for r in range(rows):
        row = y[out[m + r] + f : out[m + r] + f + width]
        for c in range(width):
            row[c] = bias[f + c]
        k = j
        for tap in taps:
            for c in range(run):
                factor = x[at[m + r] + tap + c]
                for lane in range(width):
                    row[lane] += factor * w[k + lane]
                k += PANEL


@inline
def gather_simd(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, direct, edge):
    """The same in registers. If not `direct`, what lies outside of y is left in `edge`."""
    once = len(taps) == 1 and f == 0  # nothing else brings x into the cache before it is needed
    for r in range(ROWS):
        prefetch(y, out[m + r] + f)
    block = repeat_rows(load_rows(COLUMNS, 1, bias, f, 0), ROWS)
    for tap in taps:
        for c in range(run):
            block = outer_at(block, ROWS, x, at, m, tap + c, w, j)
            j += PANEL
            if once and c % LINE < ROWS:  # what the next block will read, a cache line a step
                prefetch(x, at[m + ROWS + c % LINE] + c - c % LINE)
    if direct:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, PANEL)
        for r in range(rows):
            for c in range(width):
                y[out[m + r] + f + c] = edge[r * PANEL + c]


@inline
def gather_narrow(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, direct, edge):
    """gather_simd for a last panel of at most one vector: half the work."""
    block = repeat_rows(load_rows(1, 1, bias, f, 0), ROWS)
    for tap in taps:
        for c in range(run):
            block = outer_at(block, ROWS, x, at, m, tap + c, w, j)
            j += PANEL
    if direct:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, WIDTH)
        for r in range(rows):
            for c in range(width):
                y[out[m + r] + f + c] = edge[r * WIDTH + c]


gather_tile, gather_last = (gather_simd, gather_narrow) if LANES else (gather_plain, gather_plain)


@jit
def gather_band(source, taps, run, w, bias, y, pixels, filters, groups, dense, at, out, edge):
    """One band: block after block of its pixels' addresses.

    A panel that is not full may write over what comes behind it if that is written later: the next group, or, where the
    pixels lie one behind the other in y (`dense`), the next pixel. For that the very last panel is computed first.
    """
    for m in range(pixels, pixels + SPARE):  # a last, incomplete block reads some pixel twice
        at[m] = at[pixels - 1]
        out[m] = out[pixels - 1]
    panels, end = (filters + PANEL - 1) // PANEL, out[pixels - 1] + groups * filters
    depth, group, last = len(taps) * run * PANEL, 0, (groups - 1) * filters + (panels - 1) * PANEL
    for item in range(-1, groups * panels - 1):
        g, panel = item % (groups * panels) // panels, item % panels
        width, f, j = min(PANEL, filters - panel * PANEL), g * filters + panel * PANEL, (g * panels + panel) * depth
        if g != group and groups > 1:
            for m in range(pixels + SPARE):
                at[m] += (g - group) * run
            group = g
        lanes = PANEL if width > WIDTH else WIDTH
        for m in range(0, pixels, ROWS):
            rows = min(ROWS, pixels - m)
            hidden = f + lanes <= last or (f == last and dense and out[m + ROWS - 1] + f + lanes <= end)
            direct = rows == ROWS and (width == lanes or hidden)
            if width > WIDTH:
                gather_tile(source, at, m, taps, run, w, j, bias, f, width, y, out, rows, direct, edge)
            else:
                gather_last(source, at, m, taps, run, w, j, bias, f, width, y, out, rows, direct, edge)


@inline
def copy_rows_plain(w, start, step, count, packed, at):
    """packed[at + k * PANEL + lane] = w[start + k * step + lane] for k < count: whole rows of a panel."""
    for k in range(count):
        for lane in range(PANEL):
            packed[at + k * PANEL + lane] = w[start + k * step + lane]


@inline
def copy_rows_simd(w, start, step, count, packed, at):
    for k in range(count):
        store(load_rows(COLUMNS, 1, w, start + k * step, 0), 1, packed, at + k * PANEL, 0)


@inline
def turn_plain(w, start, step, width, count, packed, at):
    """packed[at + k * PANEL + lane] = w[start + lane * step + k] for whole squares of k < count and lane < width: how many k."""
    return 0


@inline
def turn_simd(w, start, step, width, count, packed, at):
    squares = count // LANES * LANES if width == PANEL else 0
    for k in range(0, squares, LANES):
        for lane in range(0, PANEL, LANES):
            square = load_rows(LANES, LANES, w, start + lane * step + k, step)
            store(transpose(square), LANES, packed, at + k * PANEL + lane, PANEL)
    return squares


copy_rows, turn = (copy_rows_simd, turn_simd) if LANES else (copy_rows_plain, turn_plain)


@jit
def pack_panel(w, start, step, width, run, run_step, packed, at):
    """packed[at + k * PANEL + lane] = w[start + k * run_step + lane * step]; lanes from `width` on are zeros."""
    if step == 1 and width == PANEL:
        copy_rows(w, start, run_step, run, packed, at)
        return
    done = turn(w, start, step, width, run, packed, at) if run_step == 1 else 0
    for lane in range(PANEL):
        for k in range(done, run):
            packed[at + k * PANEL + lane] = w[start + k * run_step + lane * step] if lane < width else np.float32(0)


@jit
def pack_of_worker(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, worker, workers):
    """Every so-many-th panel."""
    panels = (filters + PANEL - 1) // PANEL
    for item in range(worker, groups * panels, workers):
        g, f = item // panels, item % panels * PANEL
        for t in range(len(taps)):
            start, at = taps[t] + g * group_step + f * filter_step, (item * len(taps) + t) * run * PANEL
            pack_panel(w, start, filter_step, min(PANEL, filters - f), run, run_step, packed, at)


@parallel
def pack_in_parallel(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, workers):
    for worker in prange(workers):
        pack_of_worker(
            w, taps, run, run_step, filters, filter_step, groups, group_step, packed, np.int64(worker), workers
        )  # fmt: skip


def pack_weights(w, taps, run, run_step, filters, filter_step, groups, group_step, packed):
    """Weights in the order in which a tile reads them: packed[group, panel, tap, k, lane]; lanes left over are zeros."""
    if packed.size < WORTH_WAKING:
        pack_of_worker(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, 0, 1)
    else:
        pack_in_parallel(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, get_num_threads())


@jit
def addresses(shape, start, step, grid, row, rows, out):
    """out[m]: the address in y, of shape (YH,YW,F), of every pixel of some rows of a grid that begins at `start`."""
    m = 0
    for k in range(row, row + rows):
        line = (k // grid[1] * shape[0] + start[0] + k % grid[1] * step[0]) * shape[1] + start[1]
        for j in range(grid[2]):
            out[m] = (line + j * step[1]) * shape[2]
            m += 1


@jit
def gather_of_worker(
    worker, x, shape, border, step, taps, run, window, w, bias, y, y_shape, y_start, y_step, grid, filters, groups, rows, work
):  # fmt: skip
    """Every so-many-th band."""
    at, out, edge, buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker]
    total = grid[0] * grid[1]
    for row in range(worker * rows, total, len(work[0]) * rows):
        count = min(rows, total - row)
        lay_out(x, shape, border, step, window, grid, row, count, buffer, at)
        addresses(y_shape, y_start, y_step, grid, row, count, out)
        source = buffer if buffer.size else x
        dense = grid[1] == y_shape[0] and grid[2] == y_shape[1]  # the whole of y
        gather_band(source, taps, run, w, bias, y, count * grid[2], filters, groups, dense, at, out, edge)


@parallel
def gather(
    x, shape, border, step, taps, run, window, w, bias, y, y_shape, y_start, y_step, grid, filters, groups, rows, work
):  # fmt: skip
    """y at the pixels of a grid (N, rows, columns), band by band.

    x: shape (H,W,C), border (top, left) that x gets where `window` (rows, columns under all taps) reaches out of it;
    step (rows, columns) from one window to the next; taps: displacement of each in a band, run: numbers a tap.
    y: shape (YH,YW,F), y_start and y_step: which pixels of it the grid is. rows: of a band. work: buffers, a row a worker.
    """
    for worker in prange(len(work[0])):
        gather_of_worker(
            np.int64(worker), x, shape, border, step, taps, run, window, w, bias, y, y_shape, y_start, y_step, grid, filters,
            groups, rows, work,
        )  # fmt: skip


def run_gather(x, border, step, taps, run, w, w_taps, w_steps, bias, y, y_start, y_step, grid, filters, groups):
    """Prepare tables and buffers for `gather`: taps are (row, column) pairs in the window, w_taps offsets into w."""
    n, height, width, channels = x.shape
    window = (1 + max((p for p, _ in taps), default=0), 1 + max((q for _, q in taps), default=0))
    merged = run // (channels // groups)  # taps that are one run
    columns = (grid[2] - 1) * step[1] + window[1] + merged - 1
    fits = border == (0, 0) and (grid[1] - 1) * step[0] + window[0] <= height and columns <= width
    line = (width if fits else columns) * channels
    taps = np.array([p * line + q * channels for p, q in taps], np.int64)
    packed = aligned_empty(groups * -(-filters // PANEL) * len(taps) * run * PANEL)
    w_taps = np.array(w_taps, np.int64)
    pack_weights(w.reshape(-1), w_taps, run, w_steps[0], filters, w_steps[1], groups, w_steps[2], packed)
    padded = np.zeros(groups * filters + PANEL, np.float32)
    if bias is not None:
        padded[: groups * filters] = bias

    depth = len(taps) * run + FIXED  # the work of empty lanes counts, too
    lanes = groups * -(-filters // WIDTH) * WIDTH
    threads = get_num_threads() if n * grid[1] * grid[2] * depth * lanes >= SMALL else 1
    rows = rows_of_band(n * grid[1], grid[2], threads)
    workers, pixels = min(threads, -(-n * grid[1] // rows)), rows * grid[2] + SPARE
    images = 1 + -(-rows // grid[1])  # in a band, at most
    work = (
        np.empty((workers, pixels), np.int64),
        np.empty((workers, pixels), np.int64),
        aligned_empty((workers, SPARE * PANEL)),
        aligned_empty((workers, 0 if fits else size_of_buffer(rows, images, step, window, line))),
    )
    arguments = (
        x.reshape(-1), x.shape[1:], border, step, taps, run, (window[0], window[1] + merged - 1), packed, padded,
        y.reshape(-1), y.shape[1:], y_start, y_step, grid, filters, groups, rows, work,
    )  # fmt: skip
    if workers == 1:
        gather_of_worker(0, *arguments)
    else:
        gather(*arguments)


def forward(x, w, b, border, stride, dilation, groups, out):
    """y = correlation of x and w, plus b."""
    x, w = contiguous(x), contiguous(w)
    corner = border[0][0], border[1][0]
    if is_depthwise(w.shape, groups):
        return _depthwise.forward(x, w, b, corner, stride, dilation, out)
    if is_deep(w.shape, len(x) * out[0] * out[1], groups):
        return _columns.forward(x, w, b, corner, stride, dilation, out)
    if suits_winograd(w.shape, stride, dilation, groups):
        y = _winograd.correlate(x, w, b, border, out)
        if y is not None:
            return y
    (kh, kw, c, f), (dh, dw) = w.shape, dilation
    y = aligned_empty((len(x), *out, f))
    merge = groups == 1 and dw == 1
    positions = [(p, 0) for p in range(kh)] if merge else list(np.ndindex(kh, kw))
    taps = [(p * dh, q * dw) for p, q in positions]
    offsets = [(p * kw + q) * c * f for p, q in positions]
    run_gather(
        x, corner, stride, taps, kw * c if merge else c, w, offsets, (f, 1, f // groups), b,
        y, (0, 0), (1, 1), (len(x), *out), f // groups, groups,
    )  # fmt: skip
    return y


def gradient_of_x(dy, w, shape, border, stride, dilation, groups):
    """dX: each phase of the pixel grid gathers dy by the taps that can have made it."""
    dy, w = contiguous(dy), contiguous(w)
    kh, kw, c, f = w.shape
    corner = border[0][0], border[1][0]
    if is_depthwise(w.shape, groups):
        return _depthwise.gradient_of_x(dy, w, shape, corner, stride, dilation)
    if folds_dx(w.shape, dy.size // f, shape[0] * shape[1] * shape[2], stride, groups):
        return _columns.gradient_of_x(dy, w, shape, corner, stride, dilation)
    if suits_winograd((kh, kw, f, c), stride, dilation, groups):
        mirrored = contiguous(w[::-1, ::-1].transpose(0, 1, 3, 2))
        dx = _winograd.correlate(dy, mirrored, None, tuple((2 - before, 2 - after) for before, after in border), shape[1:3])
        if dx is not None:
            return dx
    dx = aligned_empty(shape)
    rows = [_phase(a, shape[1], kh, stride[0], dilation[0], border[0][0]) for a in range(stride[0])]
    columns = [_phase(a, shape[2], kw, stride[1], dilation[1], border[1][0]) for a in range(stride[1])]
    for (h0, gh, top, ps), (w0, gw, left, qs) in ((r, q) for r in rows for q in columns):
        if gh and gw:
            taps = [(tp, tq) for _, tp in ps for _, tq in qs]
            offsets = [(p * kw + q) * c * f for p, _ in ps for q, _ in qs]
            run_gather(
                dy, (top, left), (1, 1), taps, f // groups, w, offsets, (1, f, f // groups), None,
                dx, (h0, w0), stride, (len(dy), gh, gw), c, groups,
            )  # fmt: skip
    return dx


def _phase(a, size, kernel, stride, dilation, before):
    """Pixels h with (h + before) % stride == a: the first, how many, the border of dy, [(kernel position, tap)].

    Pixel h = u * stride + a - before takes from output u - e through kernel position p, e = (p * dilation - a) / stride.
    """
    first = (a - before) % stride
    count = max(0, -(-(size - first) // stride))
    u = (first + before - a) // stride
    reach = {p: (p * dilation - a) // stride for p in range(kernel) if (p * dilation - a) % stride == 0 and p * dilation >= a}
    last = max(reach.values(), default=0)
    return first, count, last - u, [(p, last - e) for p, e in reach.items()]


# ---- collect: dW ---------------------------------------------------------------------------------------------------


@inline
def collect_plain(x, at, tap, slopes, j, pixels, total, t):
    """total[r, c] += sum over the pixels of a band of x[at[m] + tap + r] slopes[m, c], as plain loops."""
    for m in range(pixels):
        for r in range(ROWS):
            factor = x[at[m] + tap + r]
            for c in range(PANEL):
                total[t + r * PANEL + c] += factor * slopes[j + m * PANEL + c]


@inline
def collect_simd(x, at, tap, slopes, j, pixels, total, t):
    """The same in registers."""
    block = load_rows(TILE, ROWS, total, t, PANEL)
    for m in range(pixels):
        block = outer(block, ROWS, x, at[m] + tap, 1, slopes, j + m * PANEL)
    store(block, ROWS, total, t, PANEL)


@inline
def collect_narrow(x, at, tap, slopes, j, pixels, total, t):
    """collect_simd for a last panel of at most one vector."""
    block = load_rows(ROWS, ROWS, total, t, PANEL)
    for m in range(pixels):
        block = outer(block, ROWS, x, at[m] + tap, 1, slopes, j + m * PANEL)
    store(block, ROWS, total, t, PANEL)


collect_tile, collect_last = (collect_simd, collect_narrow) if LANES else (collect_plain, collect_plain)


@jit
def pack_slopes(dy, start, pixels, filters, groups, slopes):
    """dy of a band, panel by panel: slopes[group, panel, pixel, lane]. It is read once for each tap, then from the L1 cache."""
    j = 0
    for g in range(groups):
        for f in range(0, filters, PANEL):
            first, width = start + g * filters + f, min(PANEL, filters - f)
            if width == PANEL:
                copy_rows(dy, first, groups * filters, pixels, slopes, j)
            else:
                for m in range(pixels):
                    for lane in range(PANEL):
                        slopes[j + m * PANEL + lane] = dy[first + m * groups * filters + lane] if lane < width else np.float32(0)
            j += pixels * PANEL


@jit
def collect_band(x, at, slopes, pixels, taps, run, filters, groups, total):
    """Add a band to the totals: total[group, panel, tap, rows of the run, 12 x 32]."""
    t, j = 0, 0
    for g in range(groups):
        for f in range(0, filters, PANEL):
            for tap in taps:
                for k in range(0, run, ROWS):
                    where = tap + k + (0 if groups == 1 else g * run)
                    if filters - f > WIDTH:
                        collect_tile(x, at, where, slopes, j, pixels, total, t)
                    else:
                        collect_last(x, at, where, slopes, j, pixels, total, t)
                    t += ROWS * PANEL
            j += pixels * PANEL


@jit
def collect_of_worker(worker, x, shape, border, step, taps, run, window, dy, grid, filters, groups, rows, work):
    """Every so-many-th band."""
    total, bias_total, at, slopes, buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker], work[4][worker]
    total[:] = 0
    bias_total[:] = 0
    all_rows, line = grid[0] * grid[1], grid[2] * groups * filters
    for row in range(worker * rows, all_rows, len(work[0]) * rows):
        count = min(rows, all_rows - row)
        lay_out(x, shape, border, step, window, grid, row, count, buffer, at)
        pack_slopes(dy, row * line, count * grid[2], filters, groups, slopes)
        sum_rows(dy[row * line : (row + count) * line], groups * filters, bias_total)
        source = buffer if buffer.size else x
        collect_band(source, at, slopes, count * grid[2], taps, run, filters, groups, total)


@parallel
def collect(x, shape, border, step, taps, run, window, dy, grid, filters, groups, rows, work):
    """The totals of each worker over its bands; work: totals, bias totals and buffers. Other arguments as `gather`."""
    for worker in prange(len(work[0])):
        collect_of_worker(np.int64(worker), x, shape, border, step, taps, run, window, dy, grid, filters, groups, rows, work)


@jit
def unpack_totals(totals, w_taps, run, filters, groups, w_filters, dw):
    """The sum over workers, in the weights' own order."""
    at = 0
    for g in range(groups):
        for f in range(0, filters, PANEL):
            for tap in w_taps:
                for k in range(0, run, ROWS):
                    for r in range(min(ROWS, run - k)):
                        start = tap + (k + r) * w_filters + g * filters + f
                        for c in range(min(PANEL, filters - f)):
                            value = totals[0, at + r * PANEL + c]
                            for worker in range(1, len(totals)):
                                value += totals[worker, at + r * PANEL + c]
                            dw[start + c] = value
                    at += ROWS * PANEL


def gradient_of_w(x, dy, w_shape, border, stride, dilation, groups):
    """dW and db."""
    x, dy = contiguous(x), contiguous(dy)
    (kh, kw, c, f), (dh, dwidth) = w_shape, dilation
    corner = border[0][0], border[1][0]
    if is_depthwise(w_shape, groups):
        return _depthwise.gradient_of_w(x, dy, w_shape, corner, stride, dilation)
    if unfolds_for_dw(w_shape, dy.size // f, groups):
        return _columns.gradient_of_w(x, dy, w_shape, corner, stride, dilation)
    (n, height, width, channels), out = x.shape, dy.shape[1:3]
    merge = groups == 1 and dwidth == 1
    positions = [(p, 0) for p in range(kh)] if merge else list(np.ndindex(kh, kw))
    run, filters = (kw * c if merge else c), f // groups
    window = (kh - 1) * dh + 1, (kw - 1) * dwidth + 1
    columns = (out[1] - 1) * stride[1] + window[1]
    # A register block may read behind the end of its run: harmless, except behind the end of the array.
    fits = corner == (0, 0) and (out[0] - 1) * stride[0] + window[0] <= height and columns <= width and run % ROWS == 0
    line = (width if fits else columns) * channels
    taps = np.array([p * dh * line + q * dwidth * channels for p, q in positions], np.int64)
    offsets = np.array([(p * kw + q) * c * f for p, q in positions], np.int64)

    panels = groups * -(-filters // PANEL)
    size = panels * len(taps) * -(-run // ROWS) * ROWS * PANEL
    threads = get_num_threads() if n * out[0] * out[1] * size >= SMALL else 1
    rows = rows_of_band(n * out[0], out[1], threads)
    workers, images = min(threads, -(-n * out[0] // rows)), 1 + -(-rows // out[0])
    work = (
        aligned_empty((workers, size)),
        aligned_empty((workers, f)),
        np.empty((workers, rows * out[1]), np.int64),
        aligned_empty((workers, rows * out[1] * panels * PANEL)),
        aligned_empty((workers, 0 if fits else size_of_buffer(rows, images, stride, window, line))),
    )
    arguments = (
        x.reshape(-1), x.shape[1:], corner, stride, taps, run, window, dy.reshape(-1), (n, *out), filters, groups, rows, work,
    )  # fmt: skip
    if workers == 1:
        collect_of_worker(0, *arguments)
    else:
        collect(*arguments)
    dw = aligned_empty(w_shape)
    unpack_totals(work[0], offsets, run, filters, groups, f, dw.reshape(-1))
    return dw, work[1].sum(axis=0)


# ---- the ops -------------------------------------------------------------------------------------------------------


def correlate2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    kernel, stride, dilation = w.shape[:2], pair(stride), pair(dilation)
    border = tuple(map(tuple, padding_2d(padding, x.shape[1:3], kernel, stride, dilation)))
    axes = zip(x.shape[1:3], kernel, stride, dilation, border, strict=True)
    out = tuple(output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    saved = x, w, border, stride, dilation, groups
    return forward(x, w, b, border, stride, dilation, groups, out), saved


def correlate2d_backward(dy, saved, needs=(True, True, True)):
    x, w, border, stride, dilation, groups = saved
    dx = gradient_of_x(dy, w, x.shape, border, stride, dilation, groups) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None
    return dx, *gradient_of_w(x, dy, w.shape, border, stride, dilation, groups)


def conv2d_forward(x, w, b=None, **constants):
    return correlate2d_forward(x, w[::-1, ::-1], b, **constants)


def conv2d_backward(dy, saved, needs=(True, True, True)):
    dx, dw, db = correlate2d_backward(dy, saved, needs)
    return dx, None if dw is None else dw[::-1, ::-1], db


def supports(x, w, b=None, *, groups=1, **constants):
    return is_float32(x, w, b) and x.shape[3] == w.shape[2] * groups and w.shape[3] % groups == 0


kernel_of(correlate2d, "numba", correlate2d_forward, correlate2d_backward, supports)
kernel_of(conv2d, "numba", conv2d_forward, conv2d_backward, supports)
