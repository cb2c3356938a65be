"""Convolution: forward, dX and dW for any kernel, stride, padding, dilation, groups and batch, without im2col.

All three are the register block of matmul.py with its rows read where they lie in the image.

* `gather` (forward, dX): 12 output pixels x 32 filters stay in registers while a loop walks over the taps (kernel
  positions) and their channels. All pixels meet a tap at the same displacement, so a pixel is one number, `at[m]`:

      y[out[m], f] = sum over taps t, channels c of  x[at[m] + tap[t] + c] * w[t, c, f]

  Neighbouring taps of a row lie next to each other in memory (dilation 1): they are one run of kw * C numbers.
  dX is the same sum: dy gathered by the mirrored taps; with a stride, one sum for each phase of the pixel grid.

* `collect` (dW): 12 numbers of a run x 32 filters stay in registers while a loop walks over the pixels:

      dw[t, c, f] = sum over pixels m of  x[at[m] + tap[t] + c] * dy[m, f]

Work is cut into bands: some output rows of one image. A band that needs a border (padding) is first copied into a
small buffer with that border, so that nothing inside the loops asks where the image ends.
Depthwise convolution (one channel a group) has nothing to reuse in registers and is vectorised over channels instead.
"""

import os

import numpy as np
from numba import get_num_threads, prange
from tinydx_kernels.cpu import depthwise as _depthwise
from tinydx_kernels.cpu import winograd as _winograd
from tinydx_kernels.cpu.bands import BAND as BAND
from tinydx_kernels.cpu.bands import SLACK, copy_band, rows_of_band
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

from tinydx.op import kernel_of
from tinydx.ops.convolution import conv2d, correlate2d, output_size, padding_2d, pair

PANEL = COLUMNS * WIDTH
winograd = os.environ.get("TINYDX_WINOGRAD") != "0"  # the fast 3x3 convolution; False: always the direct sum
LINE = 16  # floats of a cache line
WORTH_WAKING = 1 << 15  # weights from which on packing them is shared out over the threads
SPARE = 2 * ROWS  # addresses behind the last pixel of a band

# ---- gather: forward and dX ----------------------------------------------------------------------------------------


@inline
def gather_plain(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, edge):
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
def gather_simd(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, edge):
    """The same in registers. What lies outside of y is computed, too, and left in `edge`."""
    once = len(taps) == 1 and f == 0  # nothing else brings x into the cache before it is needed
    block = repeat_rows(load_rows(COLUMNS, 1, bias, f, 0), ROWS)
    for tap in taps:
        for c in range(run):
            block = outer_at(block, ROWS, x, at, m, tap + c, w, j)
            j += PANEL
            if once and c % LINE < ROWS:  # what the next block will read, a cache line a step
                prefetch(x, at[m + ROWS + c % LINE] + c - c % LINE)
    if rows == ROWS and width == PANEL:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, PANEL)
        for r in range(rows):
            for c in range(width):
                y[out[m + r] + f + c] = edge[r * PANEL + c]


@inline
def gather_narrow(x, at, m, taps, run, w, j, bias, f, width, y, out, rows, edge):
    """gather_simd for a last panel of at most one vector: half the work."""
    block = repeat_rows(load_rows(1, 1, bias, f, 0), ROWS)
    for tap in taps:
        for c in range(run):
            block = outer_at(block, ROWS, x, at, m, tap + c, w, j)
            j += PANEL
    if rows == ROWS and width == WIDTH:
        store_at(block, ROWS, y, out, m, f)
    else:
        store(block, ROWS, edge, 0, WIDTH)
        for r in range(rows):
            for c in range(width):
                y[out[m + r] + f + c] = edge[r * WIDTH + c]


gather_tile, gather_last = (gather_simd, gather_narrow) if LANES else (gather_plain, gather_plain)


@jit
def gather_band(source, line, base, step, taps, run, w, bias, y, out_base, out_step, size, filters, groups, at, out, edge):
    """One band of size (rows, columns): fill in the pixels' addresses, then block after block."""
    pixels = size[0] * size[1]
    for i in range(size[0]):
        for j in range(size[1]):
            at[i * size[1] + j] = base + i * step[0] * line + j * step[1]
            out[i * size[1] + j] = out_base + i * out_step[0] + j * out_step[1]
    for m in range(pixels, pixels + SPARE):  # a last, incomplete block reads some pixel twice
        at[m] = at[pixels - 1]
        out[m] = out[pixels - 1]
    channels = 0 if groups == 1 else run
    panels = (filters + PANEL - 1) // PANEL
    depth = len(taps) * run * PANEL
    for g in range(groups):
        for panel in range(panels):
            width, f = min(PANEL, filters - panel * PANEL), g * filters + panel * PANEL
            for m in range(0, pixels, ROWS):
                rows, j = min(ROWS, pixels - m), (g * panels + panel) * depth
                if width > WIDTH:
                    gather_tile(source, at, m, taps, run, w, j, bias, f, width, y, out, rows, edge)
                else:
                    gather_last(source, at, m, taps, run, w, j, bias, f, width, y, out, rows, edge)
        for m in range(pixels + SPARE):
            at[m] += channels  # the next group's channels


@inline
def copy_rows_plain(w, start, step, count, packed, at):
    """packed[at + k * PANEL + lane] = w[start + k * step + lane] for k < count: rows that need no turning."""
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
        pack_of_worker(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, worker, workers)


def pack_weights(w, taps, run, run_step, filters, filter_step, groups, group_step, packed):
    """Weights in the order in which a tile reads them: packed[group, panel, tap, k, lane]; lanes left over are zeros."""
    if packed.size < WORTH_WAKING:
        pack_of_worker(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, 0, 1)
    else:
        pack_in_parallel(w, taps, run, run_step, filters, filter_step, groups, group_step, packed, get_num_threads())


@jit
def gather_of_worker(
    worker, x, shape, border, step, taps, run, window, w, bias, y, y_shape, y_start, y_step, grid, filters, groups, rows, work
):  # fmt: skip
    """Every so-many-th band."""
    at, out, edge, buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker]
    bands = (grid[1] + rows - 1) // rows
    columns = (grid[2] - 1) * step[1] + window[1]
    for item in range(worker, grid[0] * bands, len(work[0])):
        image, i = item // bands, item % bands * rows
        size = min(rows, grid[1] - i), grid[2]
        out_base = ((image * y_shape[0] + y_start[0] + i * y_step[0]) * y_shape[1] + y_start[1]) * y_shape[2]
        out_step = y_step[0] * y_shape[1] * y_shape[2], y_step[1] * y_shape[2]
        source, line, base = x, shape[1] * shape[2], (image * shape[0] + i * step[0]) * shape[1] * shape[2]
        if buffer.size:
            high = (size[0] - 1) * step[0] + window[0]
            copy_band(x, shape, image, i * step[0] - border[0], -border[1], high, columns, buffer)
            source, line, base = buffer, columns * shape[2], 0
        in_step = step[0], step[1] * shape[2]
        gather_band(
            source, line, base, in_step, taps, run, w, bias, y, out_base, out_step, size, filters, groups, at, out, edge
        )  # fmt: skip


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
            worker, x, shape, border, step, taps, run, window, w, bias, y, y_shape, y_start, y_step, grid, filters, groups,
            rows, work,
        )  # fmt: skip


def run_gather(x, border, step, taps, run, w, w_taps, w_steps, bias, y, y_start, y_step, grid, filters, groups):
    """Prepare tables and buffers for `gather`: taps are (row, column) pairs in the window, w_taps offsets into w."""
    if filters == run == 1 and groups > 1:
        _depthwise.run_gather(x, border, step, taps, w, w_taps, bias, y, y_start, y_step, grid)
        return
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

    rows = rows_of_band(*grid)
    bands = grid[0] * -(-grid[1] // rows)
    workers = max(1, min(get_num_threads(), bands))
    high = (rows - 1) * step[0] + window[0]
    work = (
        np.empty((workers, rows * grid[2] + SPARE), np.int64),
        np.empty((workers, rows * grid[2] + SPARE), np.int64),
        aligned_empty((workers, SPARE * PANEL)),
        aligned_empty((workers, 0 if fits else high * line + SLACK)),
    )
    gather(
        x.reshape(-1), x.shape[1:], border, step, taps, run, (window[0], window[1] + merged - 1), packed, padded,
        y.reshape(-1), y.shape[1:], y_start, y_step, grid, filters, groups, rows, work,
    )  # fmt: skip


def suits_winograd(w_shape, stride, dilation, groups):
    """Whether a convolution that reads C channels through w (kh,kw,C,F) can be done by winograd.py, and gains by it."""
    kh, kw, c, f = w_shape
    simple = kh == kw == 3 and tuple(stride) == tuple(dilation) == (1, 1) and groups == 1
    # Measured: even at 16 -> 16 channels, twice as fast at 128 -> 128, 1.2x at 256 -> 256, slower at 512 -> 512 (L2 is full).
    return winograd and LANES > 0 and simple and c % LANES == 0 and f >= LANES and 512 <= c * f <= 1 << 16


def forward(x, w, b, border, stride, dilation, groups, out):
    """y = correlation of x and w, plus b."""
    x, w = contiguous(x), contiguous(w)
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
    corner = border[0][0], border[1][0]
    run_gather(
        x, corner, stride, taps, kw * c if merge else c, w, offsets, (f, 1, f // groups), b,
        y, (0, 0), (1, 1), (len(x), *out), f // groups, groups,
    )  # fmt: skip
    return y


def gradient_of_x(dy, w, shape, border, stride, dilation, groups):
    """dX: each phase of the pixel grid gathers dy by the taps that can have made it."""
    dy, w = contiguous(dy), contiguous(w)
    kh, kw, c, f = w.shape
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
def collect_plain(x, a, a_step, dy, b, b_step, size, total, at):
    """total[r, c] += sum over the pixels of a band of x[pixel, r] dy[pixel, c], as plain loops."""
    for i in range(size[0]):
        for j in range(size[1]):
            for r in range(ROWS):
                factor = x[a + i * a_step[0] + j * a_step[1] + r]
                for c in range(PANEL):
                    total[at + r * PANEL + c] += factor * dy[b + i * b_step[0] + j * b_step[1] + c]


@inline
def collect_simd(x, a, a_step, dy, b, b_step, size, total, at):
    """The same in registers."""
    block = load_rows(TILE, ROWS, total, at, PANEL)
    for i in range(size[0]):
        for j in range(size[1]):
            block = outer(block, ROWS, x, a + i * a_step[0] + j * a_step[1], 1, dy, b + i * b_step[0] + j * b_step[1])
    store(block, ROWS, total, at, PANEL)


@inline
def collect_narrow(x, a, a_step, dy, b, b_step, size, total, at):
    """collect_simd for a last panel of at most one vector."""
    block = load_rows(ROWS, ROWS, total, at, PANEL)
    for i in range(size[0]):
        for j in range(size[1]):
            block = outer(block, ROWS, x, a + i * a_step[0] + j * a_step[1], 1, dy, b + i * b_step[0] + j * b_step[1])
    store(block, ROWS, total, at, PANEL)


collect_tile, collect_last = (collect_simd, collect_narrow) if LANES else (collect_plain, collect_plain)


@jit
def collect_band(x, base, a_step, dy, b, b_step, size, taps, run, filters, groups, total, bias_total):
    """Add a band to the totals: total[group, panel, tap, rows of the run, 12 x 32], and dy alone to the bias's."""
    at = 0
    for g in range(groups):
        for f in range(0, filters, PANEL):
            for tap in taps:
                for k in range(0, run, ROWS):
                    a, d = base + tap + k + (0 if groups == 1 else g * run), b + g * filters + f
                    if filters - f > WIDTH:
                        collect_tile(x, a, a_step, dy, d, b_step, size, total, at)
                    else:
                        collect_last(x, a, a_step, dy, d, b_step, size, total, at)
                    at += ROWS * PANEL
    for i in range(size[0]):
        for j in range(size[1]):
            for f in range(groups * filters):
                bias_total[f] += dy[b + i * b_step[0] + j * b_step[1] + f]


@jit
def collect_of_worker(worker, x, shape, border, step, taps, run, window, dy, dy_shape, filters, groups, rows, work):
    """Every so-many-th band."""
    total, bias_total, buffer, dy_buffer = work[0][worker], work[1][worker], work[2][worker], work[3][worker]
    total[:] = 0
    bias_total[:] = 0
    bands = (dy_shape[1] + rows - 1) // rows
    columns = (dy_shape[2] - 1) * step[1] + window[1]
    for item in range(worker, dy_shape[0] * bands, len(work[0])):
        image, i = item // bands, item % bands * rows
        size = min(rows, dy_shape[1] - i), dy_shape[2]
        b, b_step = (image * dy_shape[1] + i) * dy_shape[2] * dy_shape[3], (dy_shape[2] * dy_shape[3], dy_shape[3])
        source, base, line, dys = x, (image * shape[0] + i * step[0]) * shape[1] * shape[2], shape[1] * shape[2], dy
        if buffer.size:
            high = (size[0] - 1) * step[0] + window[0]
            copy_band(x, shape, image, i * step[0] - border[0], -border[1], high, columns, buffer)
            source, base, line = buffer, 0, columns * shape[2]
        if dy_buffer.size:
            dy_buffer[: size[0] * b_step[0]] = dy[b : b + size[0] * b_step[0]]
            dys, b = dy_buffer, 0
        a_step = step[0] * line, step[1] * shape[2]
        if filters == run == 1 and groups > 1:
            _depthwise.collect_band(source, base, a_step, dys, b, b_step, size, taps, groups, total, bias_total)
        else:
            collect_band(source, base, a_step, dys, b, b_step, size, taps, run, filters, groups, total, bias_total)


@parallel
def collect(x, shape, border, step, taps, run, window, dy, dy_shape, filters, groups, rows, work):
    """The totals of each worker over its bands; work: totals, bias totals and buffers. Other arguments as `gather`."""
    for worker in prange(len(work[0])):
        collect_of_worker(
            worker, x, shape, border, step, taps, run, window, dy, dy_shape, filters, groups, rows, work
        )  # fmt: skip


@jit
def unpack_totals(totals, w_taps, run, filters, groups, w_filters, dw):
    """The sum over workers, in the weights' own order."""
    if filters == run == 1 and groups > 1:  # [channel block, tap, lane]
        taps = totals.shape[1] // ((groups + WIDTH - 1) // WIDTH * WIDTH)
        for t in range(len(w_taps)):
            for c in range(groups):
                at = c // WIDTH * WIDTH * taps + t * WIDTH + c % WIDTH
                dw[w_taps[t] + c] = totals[:, at].sum()
        return
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
    (n, height, width, channels), out = x.shape, dy.shape[1:3]
    merge = groups == 1 and dwidth == 1
    positions = [(p, 0) for p in range(kh)] if merge else list(np.ndindex(kh, kw))
    run, filters = (kw * c if merge else c), f // groups
    window = (kh - 1) * dh + 1, (kw - 1) * dwidth + 1
    corner, columns = (border[0][0], border[1][0]), (out[1] - 1) * stride[1] + window[1]
    # A register block may read behind the end of its run: harmless, except behind the end of the array.
    fits = corner == (0, 0) and (out[0] - 1) * stride[0] + window[0] <= height and columns <= width
    depthwise = filters == run == 1 and groups > 1
    whole = groups % WIDTH == 0 if depthwise else filters % WIDTH == 0
    fits = fits and (whole if depthwise else run % ROWS == 0)
    line = (width if fits else columns) * channels
    taps = np.array([p * dh * line + q * dwidth * channels for p, q in positions], np.int64)
    offsets = np.array([(p * kw + q) * c * f for p, q in positions], np.int64)

    rows = rows_of_band(n, *out)
    workers = max(1, min(get_num_threads(), n * -(-out[0] // rows)))
    if depthwise:
        taps = np.append(taps, np.full(-len(taps) % _depthwise.TAPS, taps[0]))
        totals = aligned_empty((workers, len(taps) * -(-groups // WIDTH) * WIDTH))
    else:
        totals = aligned_empty((workers, groups * -(-filters // PANEL) * len(taps) * -(-run // ROWS) * ROWS * PANEL))
    bias_totals = aligned_empty((workers, f))
    high = (rows - 1) * stride[0] + window[0]
    buffer = np.zeros((workers, 0 if fits else high * line + SLACK), np.float32)
    dy_buffer = np.zeros((workers, 0 if whole else rows * out[1] * f + SLACK), np.float32)
    collect(
        x.reshape(-1), x.shape[1:], corner, stride, taps, run, window, dy.reshape(-1), dy.shape, filters, groups, rows,
        (totals, bias_totals, buffer, dy_buffer),
    )  # fmt: skip
    dw = aligned_empty(w_shape)
    unpack_totals(totals, offsets, run, filters, groups, f, dw.reshape(-1))
    return dw, bias_totals.sum(axis=0)


# ---- the ops -------------------------------------------------------------------------------------------------------


def as_column(*images):
    """Image batches (N,H,W,C) as one column of pixels (1,NHW,1,C): for a 1x1 kernel, pixels have no neighbours."""
    return tuple(contiguous(a).reshape(1, -1, 1, a.shape[3]) for a in images)


def is_pixelwise(kernel, border, stride):
    return kernel == stride == (1, 1) and border == ((0, 0), (0, 0))


def correlate2d_forward(x, w, b=None, *, stride=1, padding="valid", dilation=1, groups=1):
    kernel, stride, dilation = w.shape[:2], pair(stride), pair(dilation)
    border = tuple(map(tuple, padding_2d(padding, x.shape[1:3], kernel, stride, dilation)))
    axes = zip(x.shape[1:3], kernel, stride, dilation, border, strict=True)
    out = tuple(output_size(n, k, s, d, *ends) for n, k, s, d, ends in axes)
    saved = x, w, border, stride, dilation, groups
    if is_pixelwise(kernel, border, stride):
        (column,) = as_column(x)
        y = forward(column, w, b, border, stride, dilation, groups, column.shape[1:3])
        return y.reshape(*x.shape[:3], w.shape[3]), saved
    return forward(x, w, b, border, stride, dilation, groups, out), saved


def correlate2d_backward(dy, saved, needs=(True, True, True)):
    x, w, border, stride, dilation, groups = saved
    shape = x.shape
    if is_pixelwise(w.shape[:2], border, stride):
        x, dy = as_column(x, dy)
    dx = gradient_of_x(dy, w, x.shape, border, stride, dilation, groups).reshape(shape) if needs[0] else None
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
