"""Checks of explanations, each of which a method can fail.

    randomisation     is the map about the model? Weights are drawn anew, layer by layer from the top down
    pointing_game     is the map about the finding? Does its brightest place lie in the lesion
    evidence_in       does the model look where a doctor would? The share of the evidence in a region such as the lungs
    deletion          do bright places matter? They are replaced, the brightest first, beside a random order

agreement.py checks whether a method is computed right.

    similarity of two maps: the structure that SSIM compares, whatever their signs and sizes
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tinydx import evaluation
from tinydx.explain.grad_cam import grad_cam
from tinydx.explain.gradients import gradient, gradient_times_input, integrated_gradients
from tinydx.explain.guided import guided_backpropagation
from tinydx.explain.occlusion import occlusion
from tinydx.explain.subject import Subject

METHODS: dict[str, Callable[..., Any]] = {
    "gradient": gradient,
    "gradient_times_input": gradient_times_input,
    "integrated_gradients": integrated_gradients,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
    "guided_backpropagation": guided_backpropagation,
}
MODELS, TRIES = 6, 8  # drawn anew; how often, where a draw gives maps of 0
MARGIN = 0.25  # of similarity: on nine networks sound methods exceed chance by up to 0.18, guided backpropagation by 0.15 to 0.44
WINDOW, FLAT = 7, 1e-10  # of SSIM, in pixels; the variance below which a window of a map scaled to 1 does not change
LEVEL = 0.975
TIMES = 2  # as much evidence in a place of the region as outside: the model looks at the region


def method_named(method: Any) -> Callable[..., Any]:
    """A method by its name, or itself; ValueError for an unknown name."""
    if callable(method):
        return method
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: there is {', '.join(METHODS)}")
    return METHODS[method]


# ---- is it about the model? ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Randomisation:
    """What `randomisation` found.

    Arguments: similarity of the maps to the trained model's, by the name of the last layer drawn anew, from the top down; random,
    the mean similarity of pairs of maps that share neither model nor input; limit, up to which a mean is explained by chance.
    """

    similarity: dict[str, float]
    random: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the map, once all weights are drawn anew, is hardly more like the trained model's than random pairs are."""
        return list(self.similarity.values())[-1] <= self.limit + MARGIN


def randomisation(model: Any, x: Any, method: Any = "gradient", *, seed: int = 0) -> Randomisation:
    """Does a map change when the model's weights are drawn anew?

    The weights of the layers are replaced by random ones of the same mean and deviation, from the last layer to the first, and
    stay so. A map that still resembles the trained model's is about the input, not about the model. The last similarity, by which
    the verdict is reached, is the mean over seven such models. How alike maps are by chance is measured on pairs of different
    examples and differently drawn models.

    Arguments: model; x (N,...), at least 4 examples; method, a name such as "grad_cam", or a function (model, x, target) ->
    Explanation; seed of the draws.
    Returns: a `Randomisation`. The model itself is not changed.
    Raises: ValueError for fewer examples, and for an unknown method.
    Source: Adebayo et al. 2018.
    """
    if len(x) < 4:
        raise ValueError(f"randomisation: {len(x)} examples; similarities need at least 4")
    method, rng = method_named(method), np.random.default_rng(seed)
    classes = Subject(model, x).classes.tolist()
    explain = lambda m: method(m, x, classes).map  # noqa: E731
    trained = explain(model)
    if not trained.any():
        raise ValueError("randomisation: the maps of the trained model are 0 everywhere, so that there is nothing to compare")
    layers = [v for v in model.all_layers() if v._own]
    similarity, drawn = {}, copy.deepcopy(model)
    for k in reversed(range(len(layers))):
        maps = _maps_anew(drawn, [k], explain, rng)
        similarity[layers[k].name] = _mean_similarity(trained, maps)
    others = [_maps_anew(copy.deepcopy(model), range(len(layers)), explain, rng) for _ in range(MODELS)]
    similarity[layers[0].name] = float(np.mean([similarity[layers[0].name], *(_mean_similarity(trained, m) for m in others)]))
    pairs = _random_pairs(others, rng)
    means = [np.mean(rng.choice(pairs, len(x))) for _ in range(2000)]
    return Randomisation(similarity, float(np.mean(pairs)), float(np.quantile(means, LEVEL)))


def _maps_anew(model: Any, which: Iterable[int], explain: Callable[[Any], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Draw the weights of these layers of a model anew, and return its maps; again if they are 0: all ReLUs may be off."""
    layers = [v for v in model.all_layers() if v._own]
    for _ in range(TRIES):
        for k in which:
            _redraw(layers[k], rng)
        maps = explain(model)
        if maps.any():
            break
    return maps


def _redraw(layer: Any, rng: np.random.Generator) -> None:
    """Random weights of the same mean and deviation; those that must not be negative (of batch normalisation) keep their sign."""
    for weight, _ in layer._own:
        old = weight.numpy()
        new = rng.normal(old.mean(), old.std(), old.shape).astype(old.dtype)
        weight.data = np.abs(new) if (old >= 0).all() else new


def _similarities(a: Iterable[np.ndarray], b: Iterable[np.ndarray]) -> list[float]:
    """Of the pairs of maps of which none is 0 everywhere."""
    return [similar(v, w) for v, w in zip(a, b, strict=True) if v.any() and w.any()]


def _mean_similarity(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(_similarities(a, b) or [0.0]))


def _random_pairs(maps: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Similarities of maps of different models for different examples."""
    found: list[float] = []
    for a, b in combinations(maps, 2):
        i = rng.permutation(len(a))
        found += _similarities(a[i], b[np.roll(i, 1)])
    return np.array(found or [0.0])


def similar(a: np.ndarray, b: np.ndarray) -> float:
    r"""How alike the structure of two maps is, 0 to 1, whatever their sizes and signs: SSIM's third factor.

    It is the mean of $\sigma_{ab} / (\sigma_a \sigma_b)$ over all windows of 7 places, without its sign: drawing a dense layer
    anew may turn the sign of the logit. SSIM's other factors compare brightness, which is alike in any two maps of speckles.
    Windows in which neither map changes do not count; a map without any change is like no other.

    Arguments: a, b, maps (H,W), (H,W,C) or (T,), whose channels are added up.
    Source: Wang et al. 2004; on maps and their signs Adebayo et al. 2018.

    >>> ramp = np.arange(100.0).reshape(10, 10)
    >>> round(similar(ramp, -3 * ramp), 6), similar(ramp, np.random.default_rng(0).normal(size=(10, 10))) < 0.3
    (1.0, True)
    """
    a, b = (_scaled(np.asarray(v, float).sum(axis=-1) if v.ndim == 3 else np.asarray(v, float)) for v in (a, b))
    window = tuple(min(WINDOW, n) for n in a.shape)
    mean = lambda v: np.lib.stride_tricks.sliding_window_view(v, window).mean(axis=tuple(range(-a.ndim, 0)))  # noqa: E731
    ma, mb = mean(a), mean(b)
    va, vb, covariance = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    some, both = np.maximum(va, vb) > FLAT, np.minimum(va, vb) > FLAT
    if not both.any():
        return 0.0
    structure = np.divide(covariance, np.sqrt(va * vb, where=both, out=np.ones_like(va)), where=both, out=np.zeros_like(va))
    return float(abs(structure[some].mean()))


def _scaled(v: np.ndarray) -> np.ndarray:
    return v / (np.abs(v).max() or 1.0)


# ---- is it about the finding? --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pointing:
    """What `pointing_game` found.

    Arguments: rate, the share of the maps whose brightest place lies in its lesion, with its 95 % interval; area, the mean
    share of the image that lesions cover, which a random place reaches; region_area, the same of the region, or None; name of the
    region.
    """

    rate: float
    interval: tuple[float, float]
    count: int
    area: float
    region_area: float | None
    name: str

    @property
    def passed(self) -> bool:
        """Whether the interval lies above both baselines."""
        return self.interval[0] > max(self.area, self.region_area or 0)

    @property
    def sentence(self) -> str:
        """The result in words."""
        low, high = self.interval
        inside = "" if self.region_area is None else f", one of {self.name} in {self.region_area:.3f}"
        return (
            f"The brightest place lies in the lesion in {self.rate:.3f} of {self.count} maps (95 % interval {low:.3f} to "
            f"{high:.3f}); a random place of the image would in {self.area:.3f}{inside}."
        )


def pointing_game(maps: Any, lesions: np.ndarray, region: np.ndarray | None = None, name: str = "the lungs") -> Pointing:
    """How often the brightest place of a map lies in the lesion, beside two baselines that need no model.

    Arguments: maps, an `Explanation` or an array (N,H,W) or (N,H,W,C), whose channels are added up; lesions (N,H,W) of bool, each
    with at least one place; region (N,H,W) of bool, such as the lungs, where one would guess, and its name.
    Returns: a `Pointing`.
    Raises: ValueError for other shapes, and for an example without a lesion.
    Source: Zhang et al. 2016.

    >>> lesions = np.zeros((2, 4, 4), bool)
    >>> lesions[:, 0, 0] = True
    >>> found = pointing_game(lesions.astype(float), lesions)
    >>> found.rate, found.area
    (1.0, 0.0625)
    """
    values = _flat(maps)
    lesions = np.asarray(lesions, bool)
    if values.shape != lesions.shape or (region is not None and np.shape(region) != lesions.shape):
        raise ValueError(f"pointing game: maps {values.shape} and lesions {lesions.shape} (and the region) differ in shape")
    if not lesions.any(axis=(1, 2)).all():
        raise ValueError("pointing game: leave out examples without a lesion")
    brightest = values.reshape(len(values), -1).argmax(axis=1)
    hits = lesions.reshape(len(values), -1)[np.arange(len(values)), brightest]
    inside = None if region is None else float(np.mean((lesions & region).sum(axis=(1, 2)) / np.sum(region, axis=(1, 2))))
    interval = evaluation.wilson_interval(int(hits.sum()), len(hits))
    return Pointing(float(hits.mean()), (interval[0], interval[1]), len(hits), float(lesions.mean()), inside, name)


@dataclass(frozen=True)
class Evidence:
    """What `evidence_in` found.

    Arguments: share, the mean share of a map's positive evidence that lies in the region, with its 95 % interval; count of the
    maps with positive evidence, over which it is the mean; area, the mean share of the image that is region; name of the region.
    """

    share: float
    interval: tuple[float, float]
    count: int
    area: float
    name: str

    @property
    def density(self) -> float:
        """How many times as much evidence a place of the region has as one outside, on average."""
        return self.share / self.area / max((1 - self.share) / (1 - self.area), 1e-12)

    @property
    def verdict(self) -> str:
        """"inside" where a place of the region has more than twice the evidence of one outside, "outside" where it has less.

        "can't tell" if the interval contains the share at which it is twice. Maps are blurred or speckled, so that some of their
        evidence lies everywhere. On phantoms, gradient x input and Grad-CAM have a density of 2.3 to 5.8 without a shortcut, of
        0.2 to 1.5 with one; the plain gradient, which is speckled, has 1.4 to 3.4 without one.
        """
        low, high = self.interval
        twice = TIMES * self.area / (1 + (TIMES - 1) * self.area)
        return "inside" if low > twice else "outside" if high < twice else "can't tell"

    @property
    def sentence(self) -> str:
        """The result in words."""
        low, high = 1 - self.interval[1], 1 - self.interval[0]
        words = {
            "inside": f"the model looks at {self.name}",
            "outside": f"the model looks outside {self.name}",
            "can't tell": f"whether the model looks at {self.name} cannot be told",
        }[self.verdict]
        return (
            f"{1 - self.share:.3f} of the positive evidence lies outside {self.name} (95 % interval {low:.3f} to {high:.3f}, "
            f"{self.count} maps), {1 - self.area:.3f} of the image; a place inside has {self.density:.1f} times the evidence of "
            f"one outside: {words}."
        )


def evidence_in(maps: Any, region: np.ndarray, name: str = "the lungs") -> Evidence:
    """Which share of a map's positive evidence lies in a region, such as the lungs, or the letter of a radiograph.

    Arguments: maps, an `Explanation` or an array (N,H,W) or (N,H,W,C), whose channels are added up; region (N,H,W) of bool; name
    of the region. Maps without positive evidence are left out.
    Returns: an `Evidence`.
    Raises: ValueError for other shapes, and where no map has positive evidence.

    >>> region = np.zeros((3, 4, 4), bool)
    >>> region[:, :2] = True
    >>> found = evidence_in(region + 0.0, region)
    >>> found.share, found.area, found.verdict
    (1.0, 0.5, 'inside')
    """
    values = _flat(maps)
    if values.shape != np.shape(region):
        raise ValueError(f"evidence: maps {values.shape} and region {np.shape(region)} differ in shape")
    positive = np.maximum(values.astype(float), 0)
    total = positive.sum(axis=(1, 2))
    if not total.any():
        raise ValueError("evidence: no map has positive evidence, which would lie nowhere")
    shares = (positive * region).sum(axis=(1, 2))[total > 0] / total[total > 0]
    return Evidence(float(shares.mean()), mean_interval(shares), len(shares), float(np.mean(region)), name)


def _flat(maps: Any) -> np.ndarray:
    """Maps (N,H,W) of an `Explanation` or an array; channels are added up."""
    values = np.asarray(getattr(maps, "map", maps))
    return values.sum(axis=-1) if values.ndim == 4 else values


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of some numbers (N,), by the normal approximation; all numbers for a single one."""
    if len(values) < 2:
        return -np.inf, np.inf
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


# ---- do bright places matter? --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deletion:
    """What `deletion` found.

    Arguments: shares (S,), of the places replaced; score (S,), the mean logit, the brightest first; random (S,), in random order;
    areas (N,), between both curves of each example.
    """

    shares: np.ndarray
    score: np.ndarray
    random: np.ndarray
    areas: np.ndarray

    @property
    def area(self) -> float:
        """The mean area between both curves: above 0 where bright places matter more than random ones."""
        return float(self.areas.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean area."""
        return mean_interval(self.areas)

    @property
    def passed(self) -> bool:
        """Whether the interval lies above 0."""
        return self.interval[0] > 0


def deletion(
    model: Any, x: Any, maps: Any, replacement: Any, target: Any = None, *, steps: int = 20, seed: int = 0
) -> Deletion:
    """The class's logit while places are replaced, those with the highest map first, beside a random order.

    Arguments: model; x (N,...); maps, an `Explanation`, or an array of x's shape without or with its last axis; replacement, like
    x or a number: what stands in the places' stead, such as a healthy twin; target as `gradient`; steps of the curve; seed of
    the random order.
    Returns: a `Deletion`.
    Source: Petsiuk, Das and Saenko 2018.

    >>> from tinydx.layers import Dense
    >>> from tinydx.models import Sequential
    >>> model = Sequential([Dense(1, input_shape=(3,))])
    >>> x = np.ones((1, 3), "float32")
    >>> bool(deletion(model, x, gradient(model, x, 1), 0.0, 1, steps=3).area >= 0)
    True
    """
    subject, values = Subject(model, x, target), np.asarray(getattr(maps, "map", maps))
    places = values.shape[1:] if values.shape == subject.start.shape[: values.ndim] else None
    if places is None or values.ndim < subject.start.ndim - 1:
        raise ValueError(f"deletion: maps {values.shape} do not fit inputs {subject.start.shape}")
    other = np.broadcast_to(np.asarray(replacement, subject.start.dtype), subject.start.shape)
    flat = values.reshape(len(values), -1)
    shuffled = np.random.default_rng(seed).permuted(np.tile(np.arange(flat.shape[1]), (len(flat), 1)), axis=1)
    rank, chance = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1), np.argsort(shuffled, axis=1)
    shares = np.linspace(0, 1, steps + 1)
    axes = (len(values), *places, *[1] * (subject.start.ndim - values.ndim))

    def curve(order: np.ndarray) -> np.ndarray:
        gone = [(order < round(share * flat.shape[1])).reshape(axes) for share in shares]
        return np.array([subject.score(np.where(mask, other, subject.start)) for mask in gone])

    score, random = curve(rank), curve(chance)
    areas = np.trapezoid(random - score, shares, axis=0)
    return Deletion(shares, score.mean(axis=1), random.mean(axis=1), areas)
