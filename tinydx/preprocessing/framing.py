"""Images as another camera, technician or screen would have made them: framing and photometry, and batches that balance classes.

A radiograph of the same chest differs from hospital to hospital in what the frame shows and in how grey values are stretched. A
network that has learnt one hospital's framing fails in the next. So each training image is cut out, turned and recoloured anew:

    framing       a window of 0.7 to 1.1 times the image, aspect changed by 19 %, moved by 10 %, turned by 7 degrees at most
    photometry    gamma, contrast, brightness, blur, noise

Nothing is flipped: in a mirrored chest the heart is on the wrong side.

`standardised` gives each image mean 0 and standard deviation 1, so that brightness and contrast as a whole say nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinydx.ops.image import affine_warp
from tinydx.preprocessing.iterators import ArrayIterator, Recipe, checked_arrays
from tinydx.settings import Checked, number, whole

UNCHANGED = {"window": 1.0, "aspect": 1.0, "down": 0.0, "right": 0.0, "rotation": 0.0}


class Framing(metaclass=Checked):
    """Random framing and photometry of images, then standardisation: a recipe for the iterators.

    Arguments: all by keyword; 0 (or the pair (1, 1)) switches a change off.
        window: pair (low, high); the side of the window that becomes the new image, as a share of the image's side. Beyond 1,
            the border's pixels are repeated.
        aspect: the window's height is multiplied and its width divided by the root of a factor e^a, a uniform in +-aspect.
        shift: shares of the sides; the window's centre moves by up to this much, down or up and right or left.
        rotation: degrees, uniform in +-rotation.
        gamma: grey values between 0 and 1 are raised to the power e^g, g uniform in +-gamma.
        contrast: distances to the mean grey value are multiplied by e^c, c uniform in +-contrast.
        brightness: grey levels between 0 and 1 to add, uniform in +-brightness; results are clipped to 0..1.
        blur: standard deviation of a Gaussian blur, as a share of the image's side, uniform in 0..blur, in half of the images.
        noise: standard deviation of Gaussian noise, in grey levels between 0 and 1, uniform in 0..noise, in half of the images.

    >>> framing = Framing()
    >>> image = np.arange(64 * 64.0, dtype="float32").reshape(64, 64, 1)
    >>> changed = framing.standardize(framing.random_transform(image, seed=1))
    >>> changed.shape, bool(abs(changed.mean()) < 1e-5)
    ((64, 64, 1), True)
    """

    def __init__(
        self,
        *,
        window: tuple[float, float] = (0.7, 1.1),
        aspect: float = 0.175,
        shift: float = 0.1,
        rotation: float = 7.0,
        gamma: float = 0.5,
        contrast: float = 0.2,
        brightness: float = 0.1,
        blur: float = 0.019,
        noise: float = 0.05,
    ):
        if np.shape(window) != (2,) or not 0 < number("window", window[0]) <= number("window", window[1]):
            raise ValueError(f"window must be a pair (low, high) with 0 < low <= high, got {window!r}")
        self.window = window
        limits = {"aspect": aspect, "shift": shift, "rotation": rotation, "gamma": gamma}
        limits |= {"contrast": contrast, "brightness": brightness, "blur": blur, "noise": noise}
        for name, limit in limits.items():
            number(name, limit, at_least=0)
        self.limits = limits

    @property
    def augmentation(self) -> dict[str, Any]:
        """The options that change images at random, with their values."""
        window = {} if tuple(self.window) == (1, 1) else {"window": self.window}
        return window | {name: limit for name, limit in self.limits.items() if limit}

    def get_random_transform(self, shape: tuple[int, ...], seed: int | np.random.RandomState | None = None) -> dict[str, Any]:
        """Draw the parameters of one image's transform; they do not depend on its shape.

        Arguments: shape (H,W,C); seed, a number, a RandomState to continue, or None for NumPy's global generator.
        Returns: a dict of numbers for `apply_transform`; always 13 draws, so that a change of one range leaves the others' alone.
        """
        draws: Any = np.random.RandomState(seed) if isinstance(seed, int | np.integer) else seed or np.random
        limits = self.limits
        u = draws.uniform(-1, 1, 12)
        blurred, noisy = u[10] < 0, u[11] < 0
        low, high = self.window
        return {
            "window": (low + high) / 2 + u[0] * (high - low) / 2,
            "aspect": math.exp(u[1] * limits["aspect"]),
            "down": u[2] * limits["shift"],
            "right": u[3] * limits["shift"],
            "rotation": u[4] * limits["rotation"],
            "gamma": math.exp(u[5] * limits["gamma"]),
            "contrast": math.exp(u[6] * limits["contrast"]),
            "brightness": u[7] * limits["brightness"],
            "blur": abs(u[8]) * limits["blur"] if blurred else 0.0,
            "noise": abs(u[9]) * limits["noise"] if noisy else 0.0,
            "noise_seed": int(draws.randint(2**31)),
        }

    def apply_transform(self, x: np.ndarray, transform: dict[str, Any]) -> np.ndarray:
        """Reframe and recolour an image.

        Arguments: x (H,W,C), floating-point pixels; transform, as `get_random_transform` returns it; missing entries change
        nothing.
        Returns: a new image (H,W,C); x itself where nothing changes.
        """
        return recoloured(reframed(x, transform), transform)

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Apply a random transform to an image x (H,W,C); `standardize` is a separate step."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """`standardised`, as the last step of a recipe."""
        return standardised(x)


def standardised(x: np.ndarray) -> np.ndarray:
    """Each image minus its mean, divided by its standard deviation.

    Arguments: x (H,W,C) or (N,H,W,C), pixels from 0 to 255.
    Returns: the same shape; mean and deviation are those over H, W and C. One grey level is added to the deviation, so that an
    empty image becomes zeros.

    >>> standardised(np.array([[[0.0], [200.0]]])).ravel().round(2)
    array([-0.99,  0.99])
    """
    axes = (-3, -2, -1)
    return (x - x.mean(axis=axes, keepdims=True)) / (x.std(axis=axes, keepdims=True) + 1)


# ---- the changes ---------------------------------------------------------------------------------------------------


def reframed(x: np.ndarray, transform: dict[str, Any]) -> np.ndarray:
    """The image that a window of x shows.

    Arguments: x (H,W,C), float; transform with window (side as a share), aspect (height over width), down and right (the centre's
    shift as shares) and rotation (degrees); missing ones change nothing.
    Returns: a new image (H,W,C); x itself where nothing changes.

    >>> ramp = np.arange(5.0).reshape(1, 5, 1)
    >>> reframed(ramp, {"window": 0.5}).ravel()
    array([1. , 1.5, 2. , 2.5, 3. ])
    """
    window, aspect, down, right, rotation = (transform.get(name, same) for name, same in UNCHANGED.items())
    if (window, aspect, down, right, rotation) == tuple(UNCHANGED.values()):
        return x
    size, root, angle = np.array(x.shape[:2]), math.sqrt(aspect), math.radians(rotation)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn * [window * root, window / root]
    centre = (size - 1) / 2
    return affine_warp(x, matrix=matrix, offset=centre + size * [down, right] - matrix @ centre)


def recoloured(x: np.ndarray, transform: dict[str, Any]) -> np.ndarray:
    """The image with other grey values.

    Arguments: x (H,W,C), float; transform with gamma (exponent), contrast (factor), brightness (to add), blur (deviation as a
    share of the height), noise (deviation) and noise_seed; grey values count from the darkest, 0, to the brightest, 1. Missing
    ones change nothing.
    Returns: a new image (H,W,C); x itself where nothing changes.

    >>> recoloured(np.array([[[0.0], [100.0], [200.0]]]), {"gamma": 2.0}).ravel()
    array([  0.,  50., 200.])
    """
    gamma, contrast, brightness = (transform.get(k, same) for k, same in (("gamma", 1.0), ("contrast", 1.0), ("brightness", 0.0)))
    blur, noise = transform.get("blur", 0.0), transform.get("noise", 0.0)
    if (gamma, contrast, brightness, blur, noise) == (1.0, 1.0, 0.0, 0.0, 0.0):
        return x
    low, high = x.min(), x.max()
    span = max(high - low, 1e-6)
    y = (x - low) / span
    if gamma != 1:
        y **= gamma
    if contrast != 1 or brightness:
        mean = y.mean()
        y = np.clip((y - mean) * contrast + (mean + brightness), 0, 1)
    if blur:
        y = blurred(y, blur * x.shape[0])
    if noise:
        y += np.random.default_rng(transform.get("noise_seed", 0)).standard_normal(y.shape, np.float32) * y.dtype.type(noise)
    return y * span + low


def blurred(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of an image (H,W,C): a sum of shifted copies along each axis; border pixels are repeated.

    Arguments: x; sigma, the standard deviation in pixels. The kernel ends at 2.5 sigma, at least one pixel.
    Returns: a new image (H,W,C).

    >>> blurred(np.array([[[0.0], [0.0], [1.0], [0.0], [0.0]]]), 0.5).ravel().round(3)
    array([0.   , 0.107, 0.787, 0.107, 0.   ])
    """
    reach = max(1, math.ceil(2.5 * sigma - 0.5))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(x.dtype)
    for axis in (0, 1):
        padded = np.pad(x, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
        shifted = (
            padded.take(range(k, k + x.shape[axis]), axis) if axis else padded[k : k + len(x)] for k in range(len(weights))
        )
        x = sum(copy * weight for copy, weight in zip(shifted, weights, strict=True))
    return x


# ---- batches -------------------------------------------------------------------------------------------------------


class BalancedIterator(ArrayIterator):
    """Endless shuffled batches in which every class has the same share, whatever its share of the examples.

    Within an epoch each class has its own permutations, one after the other: a rare class repeats before a frequent one is seen
    completely.

    Arguments: x (N,...), y (N,) class numbers; recipe, transforms an example; batch_size; seed, as BatchIterator; steps, batches
    in an epoch (None: as many as one pass over the examples has); preprocessing, how a file becomes an example, for the model's
    file.
    Raises: ValueError for different lengths.

    >>> batches = BalancedIterator(np.zeros((10, 2, 2, 1)), np.array([0] * 8 + [1] * 2), Framing(), batch_size=4, seed=0)
    >>> next(batches)[1].tolist(), len(batches)
    ([0, 1, 0, 1], 3)
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        recipe: Recipe,
        *,
        batch_size: int,
        seed: int | None,
        steps: int | None = None,
        preprocessing: dict[str, Any] | None = None,
    ):
        arrays = checked_arrays(x, y, None)
        order = {"batch_size": batch_size, "shuffle": True, "seed": seed}
        super().__init__(arrays, recipe, shape=arrays["x"].shape[1:], dtype="float32", **order)
        self._members = [np.flatnonzero(arrays["y"] == k) for k in np.unique(arrays["y"])]
        self._steps = math.ceil(self.n / self.batch_size) if steps is None else whole("steps", steps)
        self._preprocessing = preprocessing or {}

    def __len__(self) -> int:
        return self._steps

    @property
    def preprocessing(self) -> dict[str, Any]:
        """As it was given."""
        return self._preprocessing

    def _permutation(self, draws: np.random.RandomState) -> np.ndarray:
        """Batches that are full, their places dealt to the classes in turn."""
        n = len(self) * self.batch_size
        each = math.ceil(n / len(self._members))
        columns = [
            np.concatenate([draws.permutation(mine) for _ in range(math.ceil(each / len(mine)))])[:each] for mine in self._members
        ]
        return np.stack(columns, axis=1).ravel()[:n]
