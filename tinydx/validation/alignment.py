r"""Two pictures, aligned: which window of one shows what a window of the other shows, and what differs then.

    a, b -> windows -> both resampled -> Gauss-Newton: better windows, a few times -> residual

A place v of b (0 to 1 along an axis) is the place s v + t of a; the windows are the part that both show. With x from a and y
from b, a step of Gauss-Newton is the linear fit

    y  ~  c0 x + c1 x^2 + (p_r + q_r r) dx/dr + (p_c + q_c c) dx/dc        r, c: rows and columns, 0 to 1

in which c1 lets grey values bend; p / c0 shifts and q / c0 stretches the window of a.

Everything works on P pairs at once, each picture (P,H,W) of mean 0 and deviation 1.

Source: Lucas and Kanade 1981.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 0.75  # of an axis that both windows must show
STRETCH = 1.28  # most that a window is longer than the other's
STEP, TURN = 0.1, 0.15  # most that one step shifts and stretches
BENDS = (-0.8, 0.0, 0.8)  # grey values at which a map of grey values may change its slope


class Windows(NamedTuple):
    """For each pair, the scale s and shift t (P,2), of rows and columns: place v of b is place s v + t of a."""

    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def whole(cls, pairs: int) -> Windows:
        return cls(np.ones((pairs, 2), np.float32), np.zeros((pairs, 2), np.float32))

    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """The windows of a and b that show the same, each (P, 2 axes, begin and end)."""
        begin, end = np.clip(-self.shift / self.scale, 0, 1), np.clip((1 - self.shift) / self.scale, 0, 1)
        b = np.stack([begin, end], axis=-1)
        return self.scale[..., None] * b + self.shift[..., None], b


def standardised(x: np.ndarray) -> np.ndarray:
    """Pictures (P,H,W) with mean 0 and deviation 1; those of one grey level become 0."""
    x = x - x.mean(axis=(1, 2), keepdims=True)
    deviation = x.std(axis=(1, 2), keepdims=True)
    return x / np.where(deviation > 1e-6, deviation, np.inf)


def sampling(size: int, spans: np.ndarray, samples: int) -> np.ndarray:
    """Weights (P, samples, size) that resample a window of a line of pixels: linear, over as many pixels as a sample spans.

    Arguments: size in pixels; spans (P,2), begin and end as shares of it; samples.

    >>> sampling(4, np.array([[0.0, 0.5]]), 2)[0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    begin, end = (size * spans[:, k, None, None].astype(np.float32) for k in (0, 1))
    step = (end - begin) / samples
    centre = begin + (np.arange(samples, dtype=np.float32)[:, None] + np.float32(0.5)) * step
    weight = np.maximum(1 - np.abs(centre - np.arange(size, dtype=np.float32) - np.float32(0.5)) / np.maximum(step, 1), 0)
    return weight / weight.sum(axis=-1, keepdims=True)


def seen(x: np.ndarray, spans: np.ndarray, samples: int) -> np.ndarray:
    """The windows (P, axes, begin and end) of pictures x (P,H,W), resampled and standardised: (P, samples, samples)."""
    rows, columns = sampling(x.shape[1], spans[:, 0], samples), sampling(x.shape[2], spans[:, 1], samples)
    return standardised(rows @ x @ columns.transpose(0, 2, 1))


def align(a: np.ndarray, b: np.ndarray, windows: Windows, samples: int, steps: int) -> Windows:
    """Windows after some steps of Gauss-Newton on pictures of samples x samples pixels."""
    place = ((np.arange(samples) + 0.5) / samples).astype(np.float32)
    for _ in range(steps):
        (first, second), (x, y) = windows.spans(), _both(a, b, windows, samples)
        down, right = samples * np.gradient(x, axis=1), samples * np.gradient(x, axis=2)
        c = _fit([x, x * x, down, down * place[:, None], right, right * place], y, 1e-3)[1]
        slope = np.maximum(np.abs(c[:, :1]), 0.3) * np.where(c[:, :1] < 0, -1, 1)
        moved, stretched = np.clip(c[:, 2::2] / slope, -STEP, STEP), np.clip(c[:, 3::2] / slope, -TURN, TURN)
        length, other = np.ptp(first, axis=-1), np.ptp(second, axis=-1)
        scale = np.clip(length * (1 + stretched) / other, 1 / STRETCH, STRETCH)
        shift = first[..., 0] + length * moved - scale * second[..., 0]
        shift = np.clip(shift, (LEAST - 1) * scale, 1 - LEAST * scale)
        windows = Windows(scale.astype(np.float32), shift.astype(np.float32))
    return windows


def residual(a: np.ndarray, b: np.ndarray, windows: Windows, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """What b's window shows that a's does not explain, by a fit of x, its Laplacian (blur) and hinges (saturation).

    Returns: 1 - R (P,), R the correlation of y and its fit; the same correlation of the details (P,), without slow changes.
    """
    x, y = _both(a, b, windows, samples)
    explained, _ = _fit([x, _laplacian(x), *(np.maximum(x - bend, 0) for bend in BENDS)], y, 1e-4)
    return 1 - np.clip(_correlation(explained, y), 0, 1), _correlation(explained - _blurred(explained), y - _blurred(y))


def _both(a: np.ndarray, b: np.ndarray, windows: Windows, samples: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = windows.spans()
    return seen(a, first, samples), seen(b, second, samples)


def _fit(terms: list[np.ndarray], y: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """What terms (P,H,W) explain of y (P,H,W) by least squares, and their coefficients (P, terms)."""
    x = np.stack(terms, axis=1).reshape(len(y), len(terms), -1)
    x = x - x.mean(axis=-1, keepdims=True)
    products = x @ x.transpose(0, 2, 1)
    own = np.arange(len(terms))
    products[:, own, own] = (1 + ridge) * products[:, own, own] + ridge
    c = np.linalg.solve(products, x @ y.reshape(len(y), -1, 1))
    return (c.transpose(0, 2, 1) @ x).reshape(y.shape), c[..., 0]


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each two pictures (P,)."""
    return (standardised(x) * standardised(y)).mean(axis=(1, 2))


def _blurred(x: np.ndarray) -> np.ndarray:
    """Pictures without details of a few pixels: diffusion in six steps."""
    for _ in range(6):
        x = x + _laplacian(x) / 5
    return x


def _laplacian(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2] - 4 * x
