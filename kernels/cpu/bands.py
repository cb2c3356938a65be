"""Copying a band of an image together with its border, so that kernels need not ask where the image ends."""

from tinydx_kernels.cpu.simd import jit

SLACK = 64  # floats behind a buffer that a register block may read (and then ignores)


@jit
def copy_band(x, shape, image, top, left, rows, columns, buffer):
    """Rows `top` to top + rows and columns `left` to left + columns of an image; what is outside becomes zero."""
    height, width, channels = shape
    line = columns * channels
    first, last = max(0, -left), min(columns, width - left)  # the columns that exist
    for r in range(rows):
        row = buffer[r * line : (r + 1) * line]
        if not 0 <= top + r < height or first >= last:
            row[:] = 0
            continue
        start = ((image * height + top + r) * width + left) * channels
        row[: first * channels] = 0
        row[first * channels : last * channels] = x[start + first * channels : start + last * channels]
        row[last * channels :] = 0
