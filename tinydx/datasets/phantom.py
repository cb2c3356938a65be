"""Labelled synthetic chest X-ray phantoms, so that the engine has images to learn from on any machine, offline.

An image is drawn in body coordinates (x to the viewer's right, y down, the picture spans about -1..1): large anatomy is a
product of smooth edges, everything small and round (vessels, nipples, haze, opacities) a sum of Gaussian blobs. A Gaussian
is separable, so hundreds of blobs cost one matrix product. Places are complex numbers x + iy, so turning and scaling the
patient is one multiplication.

**Brightness must not give the label away.** Opacities are drawn for every image, normal ones too; a normal image then
spreads the same amount of light as smooth haze over its lungs, so the total is the same in both classes. Hearts of all
sizes, nipples, vessels seen end on and rib crossings are in both classes as well. What tells them apart is local texture
at no fixed place, which convolution finds and a linear model on pixels does not.

These pictures teach how a classifier is trained. They are drawn from shapes, show no patient and model no disease.

>>> images, labels = make_phantoms(4, seed=0, size=64)
>>> images.shape, images.dtype, [CLASS_NAMES[label] for label in labels]
((4, 64, 64), dtype('uint8'), ['abnormal', 'normal', 'abnormal', 'normal'])
"""

import json
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

CLASS_NAMES = ("abnormal", "normal")  # in the order in which class folders sort: label 0 is abnormal
MARKER = "synthetic.json"
NOTICE = "Synthetic chest X-ray phantom, drawn by tinydx from shapes: no patient, not for clinical use."
VERSION = 1  # of the drawing: raise it when the same seed would give other images

Rng = np.random.Generator


# --- the anatomy: each function draws one organ, (H, W) float32, about 1 where it is and 0 elsewhere ---

def _edge(distance, softness):
    """A smooth step, from 0 (distance < 0, outside) to 1 (inside)."""
    return 0.5 + 0.5 * np.tanh(distance / softness)


def _body(rng: Rng, x, y):
    """Trunk and sloping shoulders; thinner, so less dense, toward the sides."""
    x = np.abs(x)
    half_width = rng.uniform(0.88, 1.0) - 0.06 * np.cos(2.2 * (y - 0.1))
    shoulder = 0.42 * np.maximum(x - 0.22, 0) ** 1.3 - 0.98
    thickness = 0.62 + 0.38 * np.sqrt(np.clip((half_width - x) / 0.3, 0, 1))
    return thickness * _edge(half_width - x, 0.02) * _edge(y - shoulder, 0.04)


def _lungs(rng: Rng, x, y):
    """Two lungs between mediastinum, chest wall, apex and the dome of the diaphragm (higher on the viewer's left: liver)."""
    top, base, width = rng.uniform(-0.84, -0.74), rng.uniform(0.42, 0.62), rng.uniform(0.66, 0.78)
    lungs = np.zeros_like(x)
    for side in (-1, 1):
        out = side * x
        depth = np.clip((y - top) / (base + 0.15 - top), 0, 1)  # 0 at the apex, 1 at the base
        wall = 0.26 + (width + rng.normal(0, 0.012) - 0.26) * np.sin(np.minimum(1.6, 2 * depth + 0.12)) ** 0.9
        medial = 0.11 + 0.07 * np.cos(6.28 * (depth - 0.45)) ** 2
        dome = base + 0.02 + 0.03 * side + (out - 0.4) ** 2 * (1.1 + 0.7 * (out > 0.4))
        apex = top + 1.3 * (out - 0.3) ** 2
        lungs += _edge(wall - out, 0.03) * _edge(out - medial, 0.03) * _edge(dome - y, 0.02) * _edge(y - apex, 0.03)
    return lungs


def _ribs(rng: Rng, x, y):
    """Posterior and anterior ribs: two families of curves that cross; a rib is brighter along its cortex."""
    gap, ribs = rng.uniform(0.15, 0.18), np.zeros_like(x)
    y = y + rng.normal(0, 0.01) * x  # one side a little higher
    x = np.abs(x)
    posterior = 0.12 - 0.45 * x + 0.95 * x**2 + 1.6 * np.maximum(x - 0.55, 0) ** 2
    anterior = 0.50 - 0.62 * x - 0.5 * np.maximum(x - 0.6, 0) ** 2
    for curve, strength, thickness, medial_end in ((posterior, 1.0, 0.20, 0.10), (anterior, 0.55, 0.22, 0.36)):
        number = (y - curve) / gap + rng.uniform() + 0.12 * np.sin(2.1 * y + rng.uniform(0, 6))
        off = np.abs(number - np.floor(number) - 0.5) / thickness  # 0 in the middle of a rib, 1 at its edge
        ribs += strength * (0.65 + 0.5 * np.minimum(off, 1) ** 2) * _edge(1 - off, 0.12) * _edge(x - medial_end, 0.04)
    return ribs * _edge(y + 0.86, 0.03) * _edge(0.72 - y, 0.12) * _edge(0.86 - x, 0.03)


def _spine(rng: Rng, x, y):
    """Vertebrae and discs, with the dark windpipe in front of the upper ones."""
    x = x - rng.normal(0, 0.02) * np.sin(2 * y + rng.uniform(0, 6))
    vertebrae = 0.75 + 0.25 * np.cos(21 * y + rng.uniform(0, 6)) ** 2
    return vertebrae * _edge(0.085 - np.abs(x), 0.02) - _edge(0.04 - np.abs(x), 0.02) * _edge(-0.3 - y, 0.05)


def _heart(rng: Rng, x, y):
    """Heart of any size, apex to the viewer's right, with the great vessels above and the aortic knob."""
    width, height, tilt = rng.uniform(0.27, 0.40), rng.uniform(0.26, 0.33), rng.normal(0.45, 0.08)
    turned = ((x - 0.13) + 1j * (y - 0.27)) * np.complex64(complex(math.cos(tilt), -math.sin(tilt)))
    ventricles = _edge(1 - np.hypot(turned.real / width, turned.imag / height), 0.09)
    right_atrium = _edge(1 - np.hypot((x + 0.06) / 0.17, (y - 0.28) / 0.26), 0.12)
    great_vessels = _edge(rng.uniform(0.09, 0.13) + 0.05 * y + 0.03 * np.cos(5 * y) - np.abs(x - 0.02), 0.03)
    knob = _edge(0.085 - np.hypot(x - 0.11, y + 0.32), 0.03)
    return 1 - (1 - ventricles) * (1 - right_atrium) * (1 - great_vessels) * (1 - knob)


def _clavicles(rng: Rng, x, y):
    y = y - rng.normal(0, 0.02) * x
    x = np.abs(x)
    middle = -0.6 - rng.uniform(0.10, 0.28) * (x - 0.1) - 0.05 * np.sin(6 * (x - 0.1))
    off = np.abs(y - middle) / 0.036
    bone = (0.7 + 0.4 * np.minimum(off, 1) ** 2) * _edge(1 - off, 0.15)
    return bone * _edge(x - 0.08, 0.02) * _edge(0.72 - x, 0.03)


# --- what is small and round: lists of blobs (place, radius, amplitude) in body coordinates ---

def _vessels(rng: Rng):
    """Vessels fanning out of both hila and thinning, some seen end on as dots; in half of the patients, nipples."""
    blobs = []
    along = np.linspace(0.1, 1, 28)
    for side in (-1, 1):
        hilum = complex(side * 0.17, rng.normal(-0.02, 0.02))
        for angle in np.linspace(-1.3, 1.35, 9) + rng.normal(0, 0.1, 9):
            length, bend, weight = rng.uniform(0.3, 0.6), rng.normal(0, 0.5), rng.uniform(0.03, 0.06)
            path = length * along * np.exp(1j * (angle + bend * along))
            path = hilum + side * path.real + 1j * path.imag
            blobs += zip(path, 0.018 - 0.010 * along, weight * (1 - 0.75 * along), strict=True)
        for _ in range(rng.integers(0, 4)):
            place = hilum + complex(side * rng.uniform(0.02, 0.25), rng.uniform(-0.25, 0.25))
            blobs.append((place, rng.uniform(0.014, 0.024), rng.uniform(0.05, 0.12)))
    if rng.random() < 0.5:
        place, radius, amplitude = rng.uniform(0.38, 0.52), rng.uniform(0.022, 0.035), rng.uniform(0.05, 0.12)
        blobs += [(complex(side * place, rng.normal(0.28, 0.03)), radius, amplitude) for side in (-1, 1)]
    return blobs


def _opacities(rng: Rng, spot):
    """2 to 5 opacities at `spot()`: round nodules, or patches of ill-defined grains as in a patchy consolidation."""
    blobs = []
    for _ in range(rng.integers(2, 6)):
        centre, contrast = spot(), rng.uniform(*CONTRAST)
        if rng.random() < 0.3:
            blobs.append((centre, rng.uniform(0.04, 0.075), contrast))
            continue
        spread = rng.uniform(0.05, 0.1)
        n = round(spread**2 * FILL)
        places = centre + spread * (rng.normal(size=n) + 1j * rng.normal(size=n))
        blobs += [(place, rng.uniform(*GRAIN), contrast * rng.uniform(0.5, 1)) for place in places]
    return blobs


def _haze(rng: Rng, spot, light):
    """Broad smooth shadows at `spot()` that add up to `light`."""
    radii = rng.uniform(0.25, 0.45, rng.integers(4, 7))
    return [(spot(), radius, light / np.sum(radii**2)) for radius in radii]


def _light(blobs):
    """What blobs add to the image in all (over 2 pi)."""
    return sum(radius**2 * amplitude for _, radius, amplitude in blobs)


def _draw(blobs, axis, radius_floor):
    """Sum of the Gaussian blobs at all pixels, (H, W): down.T @ across, one row per blob."""
    place, radius, amplitude = np.array(blobs, np.complex64).T[..., None]
    radius = np.maximum(radius.real, radius_floor)
    across = np.exp(-0.5 * ((axis - place.real) / radius) ** 2)
    down = np.exp(-0.5 * ((axis - place.imag) / radius) ** 2)
    return (amplitude.real * down).T @ across


# --- the picture ---
_D = json.loads(os.environ.get('D', '{}'))
CONTRAST = _D.get('contrast', (.35, .7))
GRAIN = _D.get('grain', (.02, .045))
FILL = _D.get('fill', 1400)
GAMMA = _D.get('gamma', (1.2, 1.5))
CEIL = _D.get('ceil', 0.7)
BODY = _D.get('body', .42)
HAZE = _D.get('haze', (.002, .02))

def chest_phantom(rng, abnormal, size=150):
    axis = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
    angle, scale = rng.normal(0, 0.035), rng.uniform(0.92, 1.08)
    pose, shift = scale * complex(math.cos(angle), math.sin(angle)), complex(rng.normal(0, 0.035), rng.normal(0, 0.035))
    body_place = ((axis + 1j * axis[:, None] - np.complex64(shift)) / np.complex64(pose))
    x, y = np.ascontiguousarray(body_place.real), np.ascontiguousarray(body_place.imag)
    body, lungs, heart = _body(rng, x, y), _lungs(rng, x, y), _heart(rng, x, y)
    air = lungs * (1 - heart)
    room = np.flatnonzero(air > 0.9)

    def spot():
        return complex(body_place.flat[rng.choice(room)])

    def draw(blobs):
        return _draw([(place * pose + shift, radius*scale, amplitude) for place, radius, amplitude in blobs], axis, 1.4 / size)

    opacities = _opacities(rng, spot)
    haze = _haze(rng, spot, rng.uniform(*HAZE))
    soft = [(complex(*rng.uniform(-1, 1, 2)), rng.uniform(0.08, 0.3), rng.normal(0, 0.012)) for _ in range(40)]
    if not abnormal:
        haze += _haze(rng, spot, _light(opacities))
    density = (BODY + 0.06 * y) * body - air * rng.uniform(BODY-.18, BODY-.10)
    density += body * (0.05 * _ribs(rng, x, y) * (0.4 + 0.6 * air) + 0.08 * _spine(rng, x, y) + .1 * heart + 0.06 * _clavicles(rng, x, y))
    density += air * draw(haze + soft + _vessels(rng))
    if abnormal:
        density += air * CEIL * -np.expm1(-draw(opacities) / CEIL)
    return _expose(rng, density, axis)


def _expose(rng, density, axis):
    ramp = rng.normal(0, 0.02) * axis + rng.normal(0, 0.02) * axis[:, None]
    vignette = 1 - rng.uniform(0, 0.08) * (axis**2 + axis[:, None] ** 2)
    exposed = rng.uniform(0.85, 1.15) * np.clip(density + 0.02, 0.01, 1.2) ** rng.uniform(*GAMMA) * vignette + ramp
    grain = rng.uniform(.004, .012) * rng.standard_normal(density.shape, dtype=np.float32)
    return np.clip(exposed + grain, 0, 1).astype(np.float32)

def make_phantoms(n, seed=0, size=150):
    def one(i):
        return np.round(255*chest_phantom(np.random.default_rng((seed, i)), i % 2 == 0, size)).astype(np.uint8)
    with ThreadPoolExecutor() as pool:
        im = list(pool.map(one, range(n)))
    return np.stack(im), np.arange(n) % 2
