"""Labelled synthetic chest X-ray phantoms, so that the engine has images to learn from on any machine, offline.

An image is computed in body coordinates (x to the viewer's right, y down; the picture spans about -1..1): large anatomy is a
product of smooth edges, everything small and round (vessels, nipples, haze, opacities) a sum of Gaussian blobs. A Gaussian is
separable, so hundreds of blobs cost a few matrix products. Places are complex numbers x + iy, so that turning and scaling the
patient is one multiplication.

**Brightness must not reveal the label.** Opacities are drawn for every image, normal ones too; a normal image then spreads
the same amount of brightness as smooth haze over its lungs, so that the total is the same in both classes. Hearts of all
sizes, nipples, vessels seen end on, rib crossings and a bright lead letter are in both classes as well. The classes differ in
local texture at no fixed place, which convolution finds and a linear model on pixels does not.

These pictures teach how a classifier is trained. A program drew them from shapes; they show no patient and model no disease.

>>> images, labels = make_phantoms(4, seed=0, size=64)
>>> images.shape, images.dtype, [CLASS_NAMES[label] for label in labels]
((4, 64, 64), dtype('uint8'), ['abnormal', 'normal', 'abnormal', 'normal'])
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.synthetic import write_once

CLASS_NAMES = ("abnormal", "normal")  # in the order in which class folders sort: label 0 is abnormal
NOTICE = "Synthetic chest X-ray phantom, drawn by tinydx from shapes: no patient, not for clinical use."
STRIP = 15  # rows of a picture in which blobs are added up together
FAINT = 1e-20  # too little to change a sum; products of even smaller numbers are denormal, and take 100 times as long
SPINE, CLAVICLES, MARKER = (-0.45, 0.45, -2, 2), (-1.05, 1.05, -1.15, -0.28), (0.45, 1.25, -1.25, -0.42)  # around them
VISIBLE = 0.05  # density that an opacity adds where its mask says that it is
VERSION = 1  # of the images: increase it when the same seed no longer gives the same images

Rng = np.random.Generator
Blobs = list[np.ndarray]  # rows (place, radius, amplitude) in body coordinates, complex (n,3) each
Spot = Callable[[], complex]  # a random place in the lungs
Organ = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of coordinates x, y


# ---- the anatomy: each function returns one organ, (H, W) float32, about 1 inside and 0 outside ----------------------


def _edge(distance: np.ndarray, softness: float) -> np.ndarray:
    """A smooth step, from 0 (distance < 0, outside) to 1 (inside)."""
    step = distance / softness
    np.tanh(step, out=step)  # in place: without a new array for each operation, a picture takes a third less time
    step *= 0.5
    step += 0.5
    return step


def _body(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Trunk and sloping shoulders; thinner, so less dense, toward the sides."""
    x = np.abs(x)
    half_width = rng.uniform(0.88, 1.0) - 0.06 * np.cos(2.2 * (y - 0.1))
    shoulder = 0.42 * np.maximum(x - 0.22, 0) ** 1.3 - 0.98
    thickness = 0.62 + 0.38 * np.sqrt(np.clip((half_width - x) / 0.3, 0, 1))
    return thickness * _edge(half_width - x, 0.02) * _edge(y - shoulder, 0.04)


def _lungs(rng: Rng, canvas: _Canvas) -> np.ndarray:
    """Two lungs between mediastinum, chest wall, apex and diaphragm, which is higher at the viewer's left (the liver)."""
    top, base, width = rng.uniform(-0.84, -0.74), rng.uniform(0.42, 0.62), rng.uniform(0.66, 0.78)

    def lung(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out = side * x
        depth = np.clip((y - top) / (base + 0.15 - top), 0, 1)  # 0 at the apex, 1 at the base
        wall = 0.26 + (width + rng.normal(0, 0.012) - 0.26) * np.sin(np.minimum(1.6, 2 * depth + 0.12)) ** 0.9
        medial = 0.11 + 0.07 * np.cos(6.28 * (depth - 0.45)) ** 2
        dome = base + 0.02 + 0.03 * side + (out - 0.4) ** 2 * (1.1 + 0.7 * (out > 0.4))
        apex = top + 1.3 * (out - 0.3) ** 2
        return _edge(wall - out, 0.03) * _edge(out - medial, 0.03) * _edge(dome - y, 0.02) * _edge(y - apex, 0.03)

    lungs = np.zeros_like(canvas.x)
    for side in (-1, 1):
        lungs += canvas.within((-2, 0.2, -2, 2) if side < 0 else (-0.2, 2, -2, 2), lung)
    return lungs


def _ribs(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Posterior and anterior ribs: two families of curves that cross; a rib is brighter along its cortex."""
    gap, ribs = rng.uniform(0.15, 0.18), np.zeros_like(x)
    y = y + rng.normal(0, 0.01) * x  # one side slightly higher
    x = np.abs(x)
    posterior = 0.12 - 0.45 * x + 0.95 * x**2 + 1.6 * np.maximum(x - 0.55, 0) ** 2
    anterior = 0.50 - 0.62 * x - 0.5 * np.maximum(x - 0.6, 0) ** 2
    for curve, strength, thickness, medial_end in ((posterior, 1.0, 0.20, 0.10), (anterior, 0.55, 0.22, 0.36)):
        number = (y - curve) / gap + rng.uniform() + 0.12 * np.sin(2.1 * y + rng.uniform(0, 6))
        off = np.abs(number - np.floor(number) - 0.5) / thickness  # 0 in the middle of a rib, 1 at its edge
        ribs += strength * (0.65 + 0.5 * np.minimum(off, 1) ** 2) * _edge(1 - off, 0.12) * _edge(x - medial_end, 0.04)
    return ribs * _edge(y + 0.86, 0.03) * _edge(0.72 - y, 0.12) * _edge(0.86 - x, 0.03)


def _spine(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Vertebrae and discs, with the dark windpipe in front of the upper ones."""
    x = x - rng.normal(0, 0.02) * np.sin(2 * y + rng.uniform(0, 6))
    vertebrae = 0.75 + 0.25 * np.cos(21 * y + rng.uniform(0, 6)) ** 2
    return vertebrae * _edge(0.085 - np.abs(x), 0.02) - _edge(0.04 - np.abs(x), 0.02) * _edge(-0.3 - y, 0.05)


def _heart(rng: Rng, canvas: _Canvas) -> np.ndarray:
    """Heart of any size, apex to the viewer's right, with the great vessels above and the aortic knob."""
    width, height, tilt = rng.uniform(0.27, 0.40), rng.uniform(0.26, 0.33), rng.normal(0.45, 0.08)
    vessels, reach = rng.uniform(0.09, 0.13), 1.95 * max(width, height)

    def ventricles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        turned = ((x - 0.13) + 1j * (y - 0.27)) * np.complex64(complex(math.cos(tilt), -math.sin(tilt)))
        return _edge(1 - np.hypot(turned.real / width, turned.imag / height), 0.09)

    def right_atrium(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _edge(1 - np.hypot((x + 0.06) / 0.17, (y - 0.28) / 0.26), 0.12)

    def great_vessels(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _edge(vessels + 0.05 * y + 0.03 * np.cos(5 * y) - np.abs(x - 0.02), 0.03)

    def knob(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _edge(0.085 - np.hypot(x - 0.11, y + 0.32), 0.03)

    outside = 1 - canvas.within((0.13 - reach, 0.13 + reach, 0.27 - reach, 0.27 + reach), ventricles)
    outside *= 1 - canvas.within((-0.45, 0.33, -0.31, 0.87), right_atrium)
    outside *= 1 - canvas.within((-0.52, 0.56, -2, 2), great_vessels)
    outside *= 1 - canvas.within((-0.28, 0.5, -0.71, 0.07), knob)
    return 1 - outside


def _clavicles(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two collar bones, brighter along their edges."""
    y = y - rng.normal(0, 0.02) * x
    x = np.abs(x)
    middle = -0.6 - rng.uniform(0.10, 0.28) * (x - 0.1) - 0.05 * np.sin(6 * (x - 0.1))
    off = np.abs(y - middle) / 0.036
    bone = (0.7 + 0.4 * np.minimum(off, 1) ** 2) * _edge(1 - off, 0.15)
    return bone * _edge(x - 0.08, 0.02) * _edge(0.72 - x, 0.03)


def _marker(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The technician's lead letter L, at the patient's left shoulder and as bright as anything in the image."""
    x, y = x - 0.84 + rng.normal(0, 0.04), y + 0.84 + rng.normal(0, 0.04)
    upright = _edge(0.016 - np.abs(x + 0.03), 0.008) * _edge(0.07 - np.abs(y), 0.008)
    foot = _edge(0.045 - np.abs(x), 0.008) * _edge(0.016 - np.abs(y - 0.055), 0.008)
    return rng.uniform(0.5, 1) * np.maximum(upright, foot)


# ---- small and round structures: Gaussian blobs --------------------------------------------------------------------


def _blobs(place: Any, radius: Any, amplitude: Any) -> np.ndarray:
    """A blob, or several, for each place (...)."""
    blobs = np.empty((*np.shape(place), 3), complex)
    blobs[..., 0], blobs[..., 1], blobs[..., 2] = place, radius, amplitude
    return blobs.reshape(-1, 3)


def _vessels(rng: Rng) -> Blobs:
    """Vessels fanning out of both hila and thinning, some seen end on as dots; in half of the patients, nipples."""
    blobs: Blobs = []
    along = np.linspace(0.1, 1, 22)
    for side in (-1, 1):
        hilum = complex(side * 0.17, rng.normal(-0.02, 0.02))
        angle = np.linspace(-1.3, 1.35, 9) + rng.normal(0, 0.1, 9)
        draws = [(rng.uniform(0.3, 0.6), rng.normal(0, 0.5), rng.uniform(0.03, 0.06)) for _ in angle]
        length, bend, weight = np.array(draws).T[..., None]
        path = length * along * np.exp(1j * (angle[:, None] + bend * along))
        path = hilum + side * path.real + 1j * path.imag
        blobs.append(_blobs(path, 0.018 - 0.010 * along, weight * (1 - 0.75 * along)))
        for _ in range(rng.integers(0, 4)):
            place = hilum + complex(side * rng.uniform(0.02, 0.25), rng.uniform(-0.25, 0.25))
            blobs.append(_blobs(place, rng.uniform(0.014, 0.024), rng.uniform(0.05, 0.12)))
    if rng.random() < 0.5:
        place, radius, amplitude = rng.uniform(0.38, 0.52), rng.uniform(0.022, 0.035), rng.uniform(0.05, 0.12)
        blobs += [_blobs(complex(side * place, rng.normal(0.28, 0.03)), radius, amplitude) for side in (-1, 1)]
    return blobs


def _opacities(rng: Rng, spot: Spot) -> Blobs:
    """2 to 5 opacities at `spot()`: round nodules, or patches of ill-defined grains as in a patchy consolidation."""
    blobs: Blobs = []
    for _ in range(rng.integers(2, 6)):
        centre, contrast = spot(), rng.uniform(0.4, 0.85)
        if rng.random() < 0.3:
            blobs.append(_blobs(centre, rng.uniform(0.04, 0.075), contrast))
            continue
        spread = rng.uniform(0.05, 0.1)
        grains = round(1400 * spread**2)
        places = centre + spread * (rng.normal(size=grains) + 1j * rng.normal(size=grains))
        radius, strength = rng.uniform((0.02, 0.5), (0.045, 1), (grains, 2)).T
        blobs.append(_blobs(places, radius, contrast * strength))
    return blobs


def _haze(rng: Rng, spot: Spot, amplitude: float) -> Blobs:
    """Broad smooth shadows at `spot()`."""
    return [_blobs(spot(), rng.uniform(0.25, 0.45), amplitude) for _ in range(rng.integers(4, 7))]


def _unevenness(rng: Rng) -> Blobs:
    """Slow random variation of the tissue."""
    place = lambda: complex(rng.uniform(-1, 1), rng.uniform(-1, 1))  # noqa: E731
    return [np.array([(place(), rng.uniform(0.08, 0.3), rng.normal(0, 0.012)) for _ in range(40)])]


# ---- the picture ---------------------------------------------------------------------------------------------------


def _bell(distance: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Gaussians (K,W) of these distances, 0 where they are FAINT; in place, and without a denormal number on the way."""
    distance /= radius
    np.square(distance, out=distance)
    distance *= -0.5
    np.exp(np.maximum(distance, math.log(FAINT) - 1, out=distance), out=distance)
    distance *= distance >= FAINT
    return distance


class _Canvas:
    """Body coordinates x, y (H, W) of every pixel; the patient is slightly turned, shifted and scaled."""

    def __init__(self, rng: Rng, size: int):
        self.axis = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
        self.scale = rng.uniform(0.92, 1.08)
        self.pose = self.scale * cmath.exp(1j * rng.normal(0, 0.035))
        self.shift = complex(rng.normal(0, 0.035), rng.normal(0, 0.035))
        place = (self.axis + 1j * self.axis[:, None] - np.complex64(self.shift)) / np.complex64(self.pose)
        self.x, self.y = place.real.copy(), place.imag.copy()

    def within(self, box: tuple[float, float, float, float], organ: Organ) -> np.ndarray:
        """organ(x, y) in a box (left, right, top, bottom) of the body, and 0 around it, where the organ is exactly 0, too."""
        left, right, top, bottom = box
        corners = [complex(x, y) * self.pose + self.shift for x in (left, right) for y in (top, bottom)]
        here = self._pixels([c.imag for c in corners]), self._pixels([c.real for c in corners])
        drawn = organ(self.x[here], self.y[here])
        whole = np.zeros(self.x.shape, drawn.dtype)
        whole[here] = drawn
        return whole

    def _pixels(self, places: list[float]) -> slice:
        """All pixels between places on the axis, and those around them."""
        half = len(self.axis) / 2
        return slice(*(max(0, math.floor((place + 1) * half) + more) for place, more in ((min(places), -1), (max(places), 2))))

    def blobs(self, blobs: Blobs) -> np.ndarray:
        """Sum of the Gaussians at every pixel, (H, W), in strips of some rows: most blobs are exactly 0 in most of them."""
        place, radius, amplitude = np.concatenate(blobs).astype(np.complex64).T[..., None]
        place = place * np.complex64(self.pose) + np.complex64(self.shift)
        radius = np.maximum(radius.real * self.scale, 1.4 / len(self.axis))  # at least 0.7 pixel
        across, down = _bell(self.axis - place.real, radius), _bell(self.axis - place.imag, radius)
        down *= amplitude.real
        total = np.empty((len(self.axis),) * 2, np.float32)
        for top in range(0, len(total), STRIP):
            here = down[:, top : top + STRIP]
            some = here.any(axis=1)
            # einsum, not @: BLAS would start threads of its own inside each of these
            np.einsum("kh,kw->hw", here[some], across[some], out=total[top : top + STRIP])
        return total


def chest_phantom(rng: Rng, abnormal: bool, size: int = 150, *, return_mask: bool = False, letter: bool = True) -> Any:
    """One synthetic chest X-ray phantom.

    Arguments: rng, determines the patient, the film and the opacities (the same generator state gives the same patient, healthy
    or not); abnormal, put opacities in the lungs; size, height and width in pixels, at least 16; return_mask, whether to return
    the opacities' places, too; letter, draw the lead letter (everything else stays the same without it).
    Returns: float32 (size, size) in [0, 1], bright where the body is dense; with return_mask, the pair of it and a mask, bool
    (size, size), of the pixels whose density opacities raise by `VISIBLE` or more (none in a normal image).
    Raises: ValueError for a size below 16.

    >>> image = chest_phantom(np.random.default_rng(0), abnormal=True, size=64)
    >>> image.shape, image.dtype
    ((64, 64), dtype('float32'))
    """
    if size < 16:
        raise ValueError(f"chest_phantom: size must be at least 16 pixels, got {size}")
    canvas = _Canvas(rng, size)
    x, y = canvas.x, canvas.y
    body, lungs, heart = _body(rng, x, y), _lungs(rng, canvas), _heart(rng, canvas)
    air = lungs * (1 - heart)
    inside = np.flatnonzero(air > 0.9)

    def spot() -> complex:
        pixel = inside[rng.integers(len(inside))]
        return complex(x.flat[pixel], y.flat[pixel])

    part = lambda box, organ: canvas.within(box, lambda x, y: organ(rng, x, y))  # noqa: E731
    bones = 0.05 * _ribs(rng, x, y) * (0.4 + 0.6 * air) + 0.08 * part(SPINE, _spine) + 0.06 * part(CLAVICLES, _clavicles)
    density = body * (0.38 + 0.06 * y + 0.1 * heart + bones) - air * rng.uniform(0.20, 0.28)
    density += letter * part(MARKER, _marker) + air * canvas.blobs(
        _haze(rng, spot, rng.uniform(0.005, 0.03)) + _unevenness(rng) + _vessels(rng)
    )
    opacities = air * 0.8 * -np.expm1(canvas.blobs(_opacities(rng, spot)) / -0.8)  # overlapping grains saturate
    haze = air * canvas.blobs(_haze(rng, spot, 1.0))
    density += opacities if abnormal else haze * (opacities.sum() / haze.sum())  # the same total brightness, without the texture
    image = _film(rng, density, canvas.axis)
    return (image, (opacities >= VISIBLE) & abnormal) if return_mask else image


def lungs_of(rng: Rng, size: int = 150) -> np.ndarray:
    """Where the lungs are, without the heart, in the phantom that `chest_phantom` draws from the same generator state.

    Arguments: rng; size, as there.
    Returns: bool (size, size).

    >>> lungs = lungs_of(np.random.default_rng(0), size=64)
    >>> image, lesions = chest_phantom(np.random.default_rng(0), abnormal=True, size=64, return_mask=True)
    >>> bool((lesions <= lungs).mean() > 0.99)
    True
    """
    canvas = _Canvas(rng, size)
    _body(rng, canvas.x, canvas.y)
    return _lungs(rng, canvas) * (1 - _heart(rng, canvas)) > 0.5


def _film(rng: Rng, density: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Exposure, the film's gamma, uneven illumination and grain: density (H, W) -> image in [0, 1]."""
    vignette = 1 - rng.uniform(0, 0.08) * (axis**2 + axis[:, None] ** 2)
    gradient = rng.normal(0, 0.02) * axis + rng.normal(0, 0.02) * axis[:, None]
    image = rng.uniform(0.85, 1.15) * np.clip(density + 0.02, 0.01, 1.2) ** rng.uniform(1.3, 1.6) * vignette + gradient
    grain = rng.uniform(0.004, 0.012) * rng.standard_normal(density.shape, dtype=np.float32)
    return np.clip(image + grain, 0, 1)


# ---- sets of pictures ----------------------------------------------------------------------------------------------


def make_phantoms(n: int, seed: int = 0, size: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """n synthetic phantoms, abnormal and normal in turn.

    The same seed gives the same images; a larger n begins with the same ones.

    Arguments: n; seed; size, height and width in pixels.
    Returns: images uint8 (n, size, size); labels int64 (n,), 0 abnormal, 1 normal, as in CLASS_NAMES.

    >>> images, labels = make_phantoms(2, seed=3, size=32)
    >>> bool((images == make_phantoms(4, seed=3, size=32)[0][:2]).all()), labels
    (True, array([0, 1]))
    """
    images = np.empty((n, size, size), np.uint8)
    for i in range(n):  # in one thread: NumPy's steps are so short that two only wait for each other
        images[i] = _numbered(i, seed, size)
    return images, np.arange(n) % 2


def _numbered(i: int, seed: int, size: int) -> np.ndarray:
    """Phantom number i of a seed, uint8 (size, size); even ones are abnormal."""
    image = chest_phantom(np.random.default_rng((seed, i)), abnormal=i % 2 == 0, size=size)
    return np.rint(255 * image).astype(np.uint8)


class Letters(NamedTuple):
    """Phantoms of which some have a lead letter: a shortcut where the letter tells the class."""

    images: np.ndarray  # uint8 (n, size, size)
    labels: np.ndarray  # int64 (n,), 0 abnormal, 1 normal
    lettered: np.ndarray  # bool (n,)
    letters: np.ndarray  # bool (n, size, size): the rectangle in which the letter is, or would be
    lungs: np.ndarray  # bool (n, size, size)
    lesions: np.ndarray  # bool (n, size, size)


def make_letter_phantoms(n: int, seed: int = 0, size: int = 64, *, letter: float, opacities: float = 1.0) -> Letters:
    """n phantoms, labelled abnormal and normal in turn, in which lead letter and opacities tell the class more or less often.

    With letter=1, a model can be right without a look at the lungs: the set on which an explanation must move to the letter.

    Arguments: n; seed; size in pixels; letter, the share of the images whose letter tells the class (1: all that are called
    abnormal have one, and no other; 0.5: it says nothing); opacities, the same for the opacities.
    Returns: a `Letters`.

    >>> found = make_letter_phantoms(4, seed=1, letter=1)
    >>> found.labels.tolist(), found.lettered.tolist()
    ([0, 1, 0, 1], [True, False, True, False])
    """
    labels, draws = np.arange(n) % 2, np.random.default_rng(seed).random((2, n))
    lettered, ill = ((labels == 0) ^ (draw >= share) for draw, share in zip(draws, (letter, opacities), strict=True))
    images, masks = np.empty((n, size, size), np.uint8), np.empty((3, n, size, size), bool)
    for i in range(n):
        draw = lambda i=i, **how: chest_phantom(np.random.default_rng((seed, i)), bool(ill[i]), size, **how)  # noqa: E731
        image, lesions = draw(letter=bool(lettered[i]), return_mask=True)
        images[i] = np.rint(255 * image)
        lungs = lungs_of(np.random.default_rng((seed, i)), size)
        masks[:, i] = _rectangle(draw(letter=True) - draw(letter=False)), lungs, lesions
    return Letters(images, labels, lettered, *masks)


def _rectangle(change: np.ndarray) -> np.ndarray:
    """The rectangle of the pixels that change visibly, with a margin of a 32nd of the image: bool (H, W)."""
    inside, margin = np.zeros(change.shape, bool), len(change) // 32
    rows, columns = np.nonzero(np.abs(change) > VISIBLE)
    if len(rows):
        top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
        inside[top : rows.max() + margin + 1, left : columns.max() + margin + 1] = True
    return inside


def write_phantom_folders(
    directory: str | Path, train: int = 1000, val: int = 160, test: int = 240, size: int = 150, seed: int = 0
) -> Path:
    """Write phantoms as PNG class folders: train/abnormal, train/normal, val/..., test/...

    Every file name begins with `synthetic-`, every PNG says so in its text, and a file `synthetic.json` describes the folder's
    content.

    Arguments: directory, as in `synthetic.write_once`; train, val, test, the number of images of both classes together; size in
    pixels; seed.
    Returns: the directory.
    Raises: FileExistsError if the directory holds something else.
    """
    counts = {"train": train, "val": val, "test": test}
    settings = {**counts, "size": size, "seed": seed, "version": VERSION}
    facts = {"notice": NOTICE, "classes": list(CLASS_NAMES), **settings}
    return write_once(directory, facts, "phantoms", lambda draft: _write_images(draft, counts, size, seed))


def _write_images(root: Path, counts: dict[str, int], size: int, seed: int) -> None:
    """One numbering runs through train, val and test, so that no image is in two of them."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("synthetic", NOTICE)
    splits = [split for split, n in counts.items() for _ in range(n)]
    for split in counts:
        for name in CLASS_NAMES:
            (root / split / name).mkdir(parents=True)

    for i, split in enumerate(splits):
        path = root / split / CLASS_NAMES[i % 2] / f"synthetic-{i:05d}.png"
        Image.fromarray(_numbered(i, seed, size)).save(path, pnginfo=text, compress_level=0)  # grain hardly compresses
