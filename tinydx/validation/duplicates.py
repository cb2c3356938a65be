r"""Near duplicates: pictures that are one picture, resized, cropped, flipped, turned, re-encoded or with other grey values.

    pictures -> 32x32 grey, mean 0, deviation 1 -> descriptors -> for each picture the most similar ones, in 8 orientations
             -> aligned: the windows of both that show the same (alignment.py)
             -> residual e: what the best map of grey values leaves unexplained
             -> a pair is reported where e is far below that of the pictures' other neighbours

**Descriptor.** X-rays of one view resemble each other, so a distance of pixels says little. What a copy changes (crop, grey
values, noise) is done to the pictures themselves; W is the covariance of these changes, T that of the pictures. Directions v of

    T v = l W v

with a large l tell pictures apart in spite of the changes. Coordinates along them are scaled to variance 1. Those of copies
correlate by r = (l - 1) / l, those of different pictures do not, and the logarithm of the likelihood ratio of the two cases is

    L(a, b) = sum_k  -log(1 - r_k^2) / 2  +  (r_k a_k b_k - r_k^2 (a_k^2 + b_k^2) / 2) / (1 - r_k^2)

which for all pairs is a matrix product, in blocks. For few pictures T leans on a covariance that falls with distance.

**Threshold.** e is 1 - R of a fit; the strength of a pair is -log e. How well a different picture explains a picture depends on
the picture: its scale is the mean strength of its third to eighth best neighbours. A pair is reported where its strength exceeds
the mean scale of its two pictures by GAP, that is, where e is e^GAP = 4 times smaller than usual, and where their details
correlate, too. GAP lies between two distributions, measured on sets of 1,000 pictures: of different phantoms of 48 and 150 pixels
the largest excess is 1.2, of different PneumoniaMNIST images of 28 pixels 1.4, while copies that are changed in several ways at
once have more, but for one in some hundreds.

Source: Fisher 1936 for the directions; Ioffe 2006 for the likelihood ratio; Lowe 2004 for comparing with the other neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.channels import mean_of_channels
from tinydx.validation.alignment import Windows, align, residual, sampling, seen, standardised

COARSE, SMALL, FULL = 16, 32, 64  # pixels of a descriptor, of the pictures for all pairs, and of those for promising pairs
NEIGHBOURS, ALIKE = 8, 6  # pictures compared with each one: the most similar by descriptors, and by pixels
FIRST, LAST = 2, 8  # best neighbours that make the scale of a picture
GAP, DETAILS = 1.4, 0.65  # of copies: by how much their strength exceeds their scales, least correlation of details
PROMISING = 0.6  # the same after the coarse alignment: such pairs get the fine one
CERTAIN = 6.2  # strength of pairs that need no comparison with other neighbours, and are none for others
INNER = 3.0  # least strength of padded pictures without their padding
TYPICAL = 2.6  # a picture's scale where it has too few neighbours; its weight falls with the number of pictures
CROP, ZOOM = 0.06, 0.035  # of a side: most that a copy lacks at each end
DIMENSIONS, DRAWN, DRAWS = 96, 800, 4  # of a descriptor; pictures from which it is learnt, and how often each is changed
PRIOR = 100  # pictures that outweigh what is assumed of them
MARGIN, EDGE = 0.06, 0.3  # of a picture's range of grey values: most within padding, least at the end of padding
BLOCK = 2**19  # numbers in a block of similarities
PAIRS = 512  # aligned at once


class Descriptor(NamedTuple):
    """The mean of pixels, the directions (pixels, D), and by how much coordinates of copies along them correlate (D,)."""

    mean: np.ndarray
    directions: np.ndarray
    correlation: np.ndarray


def near_duplicates(pictures: Sequence[ArrayLike] | np.ndarray) -> list[tuple[int, int]]:
    """Pairs of pictures that are one picture: equal, or resized, slightly cropped, flipped, turned, re-encoded, or exposed anew.

    The pictures of one set are judged by each other: the more there are of a kind, the more certain the answer. A picture of a
    single grey level shows nothing and is left out. Colours are averaged.

    Arguments: pictures, arrays (H,W), (H,W,1), (H,W,3) or (H,W,4), whose fourth channel is ignored, of any sizes and real types.
    Returns: pairs (i, j), i < j, in order.
    Raises: ValueError that names the first picture that is empty, has other dimensions, or holds NaN or infinity.
    Source: the first lines of this file.

    >>> from tinydx.datasets.phantom import make_phantoms
    >>> images = list(make_phantoms(8, size=64)[0])
    >>> near_duplicates([*images, images[3][2:, ::-1] // 2 + 40])
    [(3, 8)]
    """
    grey = [_grey(picture, i) for i, picture in enumerate(pictures)]
    if not grey:
        raise ValueError("near_duplicates got no pictures: pass a list of arrays (H,W) or (H,W,3)")
    used = np.array([i for i, picture in enumerate(grey) if np.ptp(picture) > 1e-6 * np.abs(picture).max()], int)
    if len(used) < 2:
        return []
    grey = [grey[i] for i in used]
    small = _resized(grey, SMALL)
    pairs = _candidates(small)
    strength, windows = _coarse(small, pairs)
    promising = np.unique(pairs[_excess(strength, pairs) > PROMISING, :2])
    close = np.isin(pairs[:, :2], promising).any(axis=1)  # with the other neighbours of both, to compare with
    pairs, windows = pairs[close], Windows(*(part[close] for part in windows))
    strength, details = _fine(grey, pairs, windows)
    found = pairs[(_excess(strength, pairs) > GAP) & (details > DETAILS)]
    found = found[_beside_padding(grey, found) > INNER]
    return sorted({(int(used[i]), int(used[j])) for i, j, _ in found})


def _grey(picture: ArrayLike, i: int) -> np.ndarray:
    """Picture i as (H,W) float32."""
    x = np.asarray(picture)
    if x.dtype.kind not in "buif":
        raise ValueError(f"picture {i} is of type {x.dtype}: pass real numbers")
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] not in (1, 3, 4)):
        raise ValueError(f"picture {i} has shape {x.shape}: pass (H,W), (H,W,1), (H,W,3) or (H,W,4)")
    if not x.size:
        raise ValueError(f"picture {i} is empty, its shape is {x.shape}: leave it out")
    x = x.astype(np.float32) if x.ndim == 2 else mean_of_channels(x[..., :3].astype(np.float32))
    if not np.isfinite(x).all():
        raise ValueError(f"picture {i} holds NaN or infinity: leave it out, or repair it")
    return x


def _trimmed(x: np.ndarray) -> np.ndarray:
    """The picture without padding: lines at its edges of one grey level, its darkest or brightest, that end abruptly."""
    low, high = x.min(), x.max()
    for _ in range(4):  # the upper edge, then the same of the picture turned
        for level in (low, high):
            away = np.abs(x - level)
            content = np.flatnonzero((away > MARGIN * (high - low)).any(axis=1))
            first = content[0] if len(content) else 0
            inside = first + max(1, len(x) // 24)  # after the blur of resizing
            if first > 0 and inside < len(x) - 1 and away[inside].mean() > EDGE * (high - low):
                x = x[inside:]
        x = np.rot90(x)
    return x


def _resized(pictures: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Pictures of any sizes as (N, size, size), standardised."""
    out, whole = np.empty((len(pictures), size, size), np.float32), np.array([[0.0, 1.0]])
    weights: dict[int, np.ndarray] = {}
    for i, x in enumerate(pictures):
        rows, columns = (weights.setdefault(n, sampling(n, whole, size)[0]) for n in x.shape)
        out[i] = rows @ (x - x.mean()) @ columns.T
    return standardised(out)


def turned(x: np.ndarray, orientation: int) -> np.ndarray:
    """Square pictures (N,S,S) in one of 8 orientations: transposed by 4, then rows reversed by 2, columns by 1."""
    x = x.transpose(0, 2, 1) if orientation & 4 else x
    return x[:, :: -1 if orientation & 2 else 1, :: -1 if orientation & 1 else 1]


# ---- which pairs could be copies -----------------------------------------------------------------------------------


def _candidates(small: np.ndarray) -> np.ndarray:
    """Rows (i, j, orientation), i < j: for each picture the most similar NEIGHBOURS by their descriptors, j turned."""
    learnt, count = _descriptor(small), len(small)
    r = learnt.correlation
    product, square = r / (1 - r**2), r**2 / (1 - r**2) / 2
    f = _described(small, learnt)
    inner = seen(small, np.broadcast_to(np.array([ZOOM, 1 - ZOOM]), (1, 2, 2)), SMALL)
    views = [_described(turned(x, k), learnt) for k in range(8) for x in (small, inner)]
    norms, weighted = [v**2 @ square for v in views], f * product
    rows: list[np.ndarray] = []
    plain = _pixels(small)
    for start in range(0, count, max(1, BLOCK // count)):
        block = np.arange(start, min(start + max(1, BLOCK // count), count))
        similar = np.stack([weighted[block] @ v.T - norm for v, norm in zip(views, norms, strict=True)])
        similar[:, block - start, block] = -np.inf
        most = min(NEIGHBOURS, count - 1)
        near = np.argpartition(-similar.max(axis=0), most - 1, axis=1)[:, :most]
        view = np.take_along_axis(similar, near[None], axis=2).argmax(axis=0)
        raw = plain[block] @ plain.T
        raw[block - start, block] = -np.inf
        likes = np.argpartition(-raw, min(ALIKE, count - 1) - 1, axis=1)[:, : min(ALIKE, count - 1)]
        rows.append(np.stack([np.repeat(block, likes.shape[1]), likes.ravel(), np.zeros(likes.size, int)], axis=1))
        rows.append(np.stack([np.repeat(block, most), near.ravel(), view.ravel() // 2], axis=1))
    pairs = np.concatenate(rows)
    swapped = pairs[:, 0] > pairs[:, 1]  # j turned like i is i turned back like j
    i, j, k = pairs[swapped].T
    pairs[swapped] = np.stack([j, i, np.choose(k == 5, [np.where(k == 6, 5, k), 6])], axis=1)
    return np.unique(pairs, axis=0)


def _descriptor(small: np.ndarray) -> Descriptor:
    """Learnt from the pictures, and from changes of DRAWN of them."""
    rng, count = np.random.default_rng(0), len(small)
    chosen = small[rng.permutation(count)[:DRAWN] if count > DRAWN else np.arange(min(DRAWN, 16 * count)) % count]
    changes = np.zeros((COARSE**2, COARSE**2), np.float32)
    for _ in range(DRAWS):
        d = (_changed(chosen, rng) - _changed(chosen, rng)).reshape(len(chosen), -1)
        changes += d.T @ d / (2 * DRAWS * len(chosen))
    changes += 1e-3 * changes.trace() / COARSE**2 * np.eye(COARSE**2, dtype=np.float32)
    x = _pixels(small)
    mean = x.sum(axis=0) / (count + PRIOR)
    near = np.exp(-np.abs(np.subtract.outer(range(COARSE), range(COARSE))) / (COARSE / 4))
    total = ((x - mean).T @ (x - mean) + PRIOR * np.kron(near, near)) / (count + PRIOR)
    whiten = np.linalg.inv(np.linalg.cholesky(changes))
    ratio, directions = np.linalg.eigh(whiten @ total @ whiten.T)
    ratio, directions = ratio[: -DIMENSIONS - 1 : -1], directions[:, : -DIMENSIONS - 1 : -1]
    ratio = np.maximum(ratio, 1.01)
    directions = whiten.T @ directions / np.sqrt(ratio)
    return Descriptor(mean, directions.astype(np.float32), ((ratio - 1) / ratio).astype(np.float32))


def _changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures as copies of them would be: cropped, with grey values that bend, saturate and are noisy."""
    count = len(x)
    ends = rng.uniform(0, CROP, (count, 2, 2))
    y = seen(x, np.stack([ends[..., 0], 1 - ends[..., 1]], axis=-1), COARSE)
    y += rng.uniform(-0.3, 0.3, (count, 1, 1)).astype(np.float32) * np.clip(y, -2, 2) ** 2
    low, high = rng.uniform(0.7, 4, (2, count, 1, 1)).astype(np.float32)
    y = standardised(np.clip(y, -low, high))
    y += (0.15 * rng.uniform(0, 1, (count, 1, 1)) * rng.standard_normal(y.shape)).astype(np.float32)
    return standardised(y)


def _pixels(small: np.ndarray) -> np.ndarray:
    """(N, COARSE x COARSE)."""
    whole = np.broadcast_to(np.array([0.0, 1.0]), (1, 2, 2))
    return seen(small, whole, COARSE).reshape(len(small), -1)


def _described(small: np.ndarray, learnt: Descriptor) -> np.ndarray:
    """Coordinates (N, DIMENSIONS)."""
    return (_pixels(small) - learnt.mean).astype(np.float32) @ learnt.directions


# ---- which of them are ---------------------------------------------------------------------------------------------


def _coarse(small: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, Windows]:
    """The strength of each pair after alignment on few pixels, and its windows."""
    strengths, parts = [], []
    for rows in _blocks(pairs):
        a, b = _sides(small, rows)
        windows = align(a, b, align(a, b, Windows.whole(len(rows)), 12, 3), COARSE, 2)
        strengths.append(_strength(residual(a, b, windows, COARSE)[0]))
        parts.append(windows)
    return np.concatenate(strengths), Windows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _fine(grey: Sequence[np.ndarray], pairs: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """The strength of each pair after alignment on many pixels, and how its details correlate."""
    found = [np.empty((2, 0), np.float32)]
    for start, rows in zip(range(0, len(pairs), PAIRS), _blocks(pairs), strict=True):
        numbers, places = np.unique(rows[:, :2], return_inverse=True)
        full = _resized([grey[i] for i in numbers], FULL)
        a, b = _sides(full, np.column_stack([places.reshape(-1, 2), rows[:, 2]]))
        part = Windows(*(w[start : start + PAIRS] for w in windows))
        rest, details = residual(a, b, align(a, b, part, 28, 2), 28)
        found.append(np.stack([_strength(rest), details]))
    strength, details = np.concatenate(found, axis=1)
    return strength, details


def _beside_padding(grey: Sequence[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """The strength of pairs of padded pictures without the padding, which is the same on different ones; infinite for others."""
    strength = np.full(len(pairs), np.inf)
    for k, (i, j, orientation) in enumerate(pairs):
        inner = _trimmed(grey[i]), _trimmed(grey[j])
        if inner[0].shape != grey[i].shape and inner[1].shape != grey[j].shape:
            full = _resized(inner, FULL)
            alone = np.array([[0, 1, orientation]])
            _, windows = _coarse(full, alone)
            strength[k] = _fine(inner, alone, windows)[0][0]
    return strength


def _blocks(pairs: np.ndarray) -> list[np.ndarray]:
    return [pairs[start : start + PAIRS] for start in range(0, len(pairs), PAIRS)]


def _sides(x: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first pictures of pairs, and the second ones, turned."""
    second = x[pairs[:, 1]]
    for k in range(1, 8):
        second[pairs[:, 2] == k] = turned(second[pairs[:, 2] == k], k)
    return x[pairs[:, 0]], second


def _strength(residual: np.ndarray) -> np.ndarray:
    """-log of a residual, about 7 at most."""
    return -np.log(residual + 1e-3)


def _excess(strength: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """By how much the strength of each pair exceeds the mean scale of its pictures."""
    order = np.argsort(-strength, kind="stable")
    _, first = np.unique(pairs[order, :2], axis=0, return_index=True)  # the best orientation of two pictures
    best = order[first]
    scale = np.full(pairs.max(initial=0) + 1, TYPICAL)
    best = best[strength[best] < CERTAIN]
    owner, value = pairs[best, :2].ravel(), np.repeat(strength[best], 2)
    ranked = np.lexsort((-value, owner))
    owners, begins, counts = np.unique(owner[ranked], return_index=True, return_counts=True)
    least = TYPICAL * PRIOR / (PRIOR + len(scale))
    for i, begin, count in zip(owners, begins, counts, strict=True):
        if count > FIRST:
            scale[i] = max(least, value[ranked[begin + FIRST : begin + min(count, LAST)]].mean())
    return np.where(strength < CERTAIN, strength - scale[pairs[:, :2]].mean(axis=1), np.inf)
