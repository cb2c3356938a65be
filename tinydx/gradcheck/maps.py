"""Arrays of any rank as maps: matrices, one for each index of the axes that a matrix cannot show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinydx.language import sentence

TILES = 8  # the most tiles in a row or column of a mosaic


def panels(heat: np.ndarray, dims: tuple[str, ...]) -> list[tuple[str, np.ndarray]]:
    """An array of any rank as captioned matrices: images by their H and W, other arrays by their last two axes.

    One matrix for each index of the first remaining axis, up to four, wrong ones first; further axes show their worst number.
    """
    if heat.ndim < 2:
        return [(axis_names(1, dims[:1])[0], _shrink(heat.reshape(1, -1)))]
    rows = next((i for i, d in enumerate(dims[:-1]) if d in ("H", "kh")), 1 if heat.ndim == 4 and not dims else heat.ndim - 2)
    names = axis_names(heat.ndim, dims)
    rest = [i for i in range(heat.ndim) if i not in (rows, rows + 1)]
    stacked = heat.transpose(*rest, rows, rows + 1).reshape(heat.shape[rest[0]] if rest else 1, -1, *heat.shape[rows : rows + 2])
    with np.errstate(all="ignore"):
        maps = np.where(np.isnan(stacked).all(axis=1), np.nan, np.nan_to_num(stacked, nan=-1).max(axis=1, initial=-1))
    shape = sentence("{rows} x {columns}", rows=names[rows], columns=names[rows + 1])
    order = sorted(range(len(maps)), key=lambda i: not np.nan_to_num(maps[i]).any())[:4]
    inside = [sentence("{shape}, {name} {i}", shape=shape, name=names[rest[0]], i=i) if rest else shape for i in order]
    return [(caption, _shrink(maps[i])) for caption, i in zip(inside, order, strict=True)]


def _shrink(matrix: np.ndarray, rows: int = 16, columns: int = 32) -> np.ndarray:
    """A large matrix in fewer cells; each shows its worst number."""
    for axis, limit in enumerate((rows, columns)):
        starts = np.linspace(0, matrix.shape[axis], min(limit, matrix.shape[axis]), endpoint=False).astype(int)
        matrix = np.fmax.reduceat(matrix, starts, axis=axis)
    return matrix


def axis_names(rank: int, dims: Sequence[str]) -> tuple[str, ...]:
    """Names of the axes: those that the op states, or "axis 0"."""
    return tuple(dims) if len(dims) == rank else tuple(sentence("axis {i}", i=i) for i in range(rank))


def mosaic(values: np.ndarray, dims: Sequence[str]) -> tuple[np.ndarray, dict[str, tuple[str, list[float], list[str]]]]:
    """An array of any rank as one image of tiles, with gaps of NaN: rows and columns of tiles are the two first other axes.

    Arguments: values; dims, names of its axes, or ().
    Returns: the image, and for "x" and "y" the axis's label, the places of its ticks and their texts.
    """
    names = axis_names(values.ndim, dims)
    if values.ndim < 2:
        row = values.reshape(1, -1)
        return row, {"x": (names[0] if names else "", *_counted(row.shape[1])), "y": ("", [], [])}
    rows = next(
        (i for i, d in enumerate(names[:-1]) if d in ("H", "kh")), 1 if values.ndim == 4 and not dims else values.ndim - 2
    )
    rest = [i for i in range(values.ndim) if i not in (rows, rows + 1)]
    inner = values.shape[rows : rows + 2]
    if not rest:
        return values, {"x": (names[1], *_counted(inner[1])), "y": (names[0], *_counted(inner[0]))}
    many = values.transpose(*rest, rows, rows + 1).reshape(values.shape[rest[0]] if len(rest) > 1 else 1, -1, *inner)
    many = many[:TILES, :TILES]
    image = np.full((many.shape[0] * (inner[0] + 1) - 1, many.shape[1] * (inner[1] + 1) - 1), np.nan)
    for i, j in np.ndindex(many.shape[:2]):
        top, left = i * (inner[0] + 1), j * (inner[1] + 1)
        image[top : top + inner[0], left : left + inner[1]] = many[i, j]
    across = ", ".join(names[i] for i in (rest[1:] or rest))
    down = names[rest[0]] if len(rest) > 1 else ""
    x = f"tiles: {across}; in each: {names[rows + 1]}", *_places(many.shape[1], inner[1])
    y = f"{f'tiles: {down}; ' if down else ''}in each: {names[rows]}", *(_places(many.shape[0], inner[0]) if down else ([], []))
    return image, {"x": x, "y": y}


def _counted(n: int) -> tuple[list[float], list[str]]:
    step = max(1, n // 8)
    return [float(i) for i in range(0, n, step)], [str(i) for i in range(0, n, step)]


def _places(tiles: int, inner: int) -> tuple[list[float], list[str]]:
    return [i * (inner + 1) + (inner - 1) / 2 for i in range(tiles)], [str(i) for i in range(tiles)]
