"""Inputs for a forward and a backward of a learner's file, of which nothing is known but their names and what they accept.

Parameters with well-known names are settings (stride, reg), labels (y, target, ids) or vectors (b, gamma); all others are arrays
of usual shapes. Of the inputs that forward accepts with a finite result, the first are taken for which backward returns gradients
of the right shapes, else the first of all: a backward that was written for other inputs must not be blamed.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.calling import ask, call_with, offer
from tinydx.gradcheck.rules import as_list

SIZES = (  # examples, numbers of an example, results, others; height and width of an image and of a kernel
    dict(N=3, D=4, F=2, K=5, H=6, W=4, h=3, w=2),
    dict(N=2, D=5, F=3, K=4, H=4, W=6, h=2, w=3),
)
USUAL: dict[int, tuple[str, ...]] = {  # shapes to try, in these letters; G is 4F, T 3F, S is D + F, "." one number
    1: ("ND", "D", "NKD", "NHWD", "NDHW", "HW", ""),
    2: (
        *("ND DF", "FD DN", "ND ND", "ND D", "D D", "NKD DF", "ND FD", "HW hw", "NKD D"),
        *("NHWD hwDF", "NDHW FDhw", "NHWD D", "NDHW D"),
    ),
    3: (
        *("ND DF F", "DN FD F1", "ND FD F", "ND D D", "ND KD KF", "ND ND ND", "NKD NKD NKD", "ND NF SF", "NKD D D", "NHWD D D"),
        *("NHWD hwDF F", "NHWD hwDF 111F", "NDHW FDhw F", "NDHW D D", "NKD DF F", "ND D1 .", "DN D1 .", "ND D ."),
    ),
    4: ("ND NF DF FF", "ND DF F FK", "DN FD F1 KF", "ND NF SF F", "NKD DD DD DD", "NKD NF DF FF", "ND DD DD DD"),
    5: (
        *("ND DF F FK K", "ND NF DF FF F", "DN FD F1 KF K1"),
        *("NKD NF DF FF F", "NKD DD DD DD DD", "NKD NF DG FG G", "NKD NF DT FT T"),
    ),
    6: ("ND NF NF DG FG G", "NKD NF NF DG FG G", "ND NF DF F FF F"),
    7: ("ND DF F FK K KN N", "DN FD F1 KF K1 NK N1"),
}
PERMUTED = 4  # arrays at most that are tried in every order
LABELS = {"y", "t", "target", "targets", "label", "labels", "y_true", "ytrue", "y_batch", "truth", "classes"}
LABELS |= {"idx", "indices", "index", "ids", "tokens", "words"}
VECTORS = {"b", "bias", "biases", "beta", "gamma", "g", "gain", "scale", "shift"}
VECTORS |= {"bx", "bh", "by", "bf", "bi", "bo", "bc", "bz", "br"}
SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("stride", "strides", "pad", "padding"), 1),
    **dict.fromkeys(("size", "pool_size", "pool", "window", "f", "k"), 2),
    **dict.fromkeys(("heads", "n_heads", "num_heads", "groups", "n_groups", "num_groups"), 2),
    **dict.fromkeys(("eps", "epsilon"), 1e-5),
    **dict.fromkeys(("reg", "lam", "lambd", "lambda_", "l1", "l2", "alpha", "slope", "smoothing", "weight_decay"), 0.1),
    **dict.fromkeys(("delta", "margin"), 1.0),
    **dict.fromkeys(("temperature", "tau", "temp"), 2.0),
    **{"axis": -1, "activation": "relu", "mode": "train", "training": True, "train": True},
    "conv_param": {"stride": 1, "pad": 1},
    "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2},
    **{name: {"mode": "train"} for name in ("bn_param", "ln_param", "gn_param")},
    **{name: {"stride": 1, "pad": 1, "f": 2} for name in ("hparameters", "hparams")},
}
LOW = 0.2  # inputs of logarithms are between this and 1 - LOW
PATIENCE = 3.0  # seconds in which inputs are looked for


Shapes = Mapping[str, tuple[int, ...]]
Rng = np.random.Generator


class Inputs(NamedTuple):
    """The arrays of forward, in its order, and what else it is given, by name."""

    arrays: list[np.ndarray]
    constants: dict[str, Any]


def drawn(forward: Callable, backward: Callable, i: int, rng: Rng, given: Shapes) -> Inputs | None:
    """Inputs of the sizes number i that forward accepts, and backward if any are found; None where there are none.

    Arguments: forward, arrays -> y or (y, saved); backward, as `gradcheck` takes it; i, 0 or 1; rng; given, known shapes.
    """
    accepted, until = None, time.monotonic() + PATIENCE
    for vectors in (True, False):
        for inputs in possible(forward, i, rng, given, vectors):
            fit = fits(forward, backward, inputs)
            if fit:
                return inputs
            accepted = accepted or (inputs if fit is not None else None)
            if time.monotonic() > until:
                return accepted
        if accepted:  # b is a vector if it may be one: a gradient that nobody has summed must not pass for that of an array
            break
    return accepted


def possible(forward: Callable, i: int, rng: Rng, given: Shapes, vectors: bool = True) -> Iterator[Inputs]:
    """Inputs to try, the most likely first; arguments as of `drawn`, and whether all with the name of a vector are vectors."""
    names = needed(forward)
    draw = functools.partial(_shaped, sizes=SIZES[i], rng=rng, given=given, vectors=vectors)
    settings = {n: SETTINGS[n.lower()] for n in names if n.lower() in SETTINGS and len(names) > 1}
    free = [n for n in names if n not in settings]
    tried = []
    for inputs in _with_labels(free, settings, draw, rng):
        tried.append(inputs)
        yield inputs
    if settings:  # what is named like a setting may be an array
        yield from (Inputs(arrays, {}) for arrays in draw(names))
    for inputs in tried:
        if len(inputs.arrays) > 1 and is_loss(forward, inputs):
            yield from _held(inputs, [n for n in free if n not in inputs.constants])


def _with_labels(
    free: Sequence[str], settings: dict[str, Any], draw: Callable[[Sequence[str]], Iterator[list[np.ndarray]]], rng: Rng
) -> Iterator[Inputs]:
    """Inputs of which one is labels, if a name says so, then inputs of arrays alone."""
    named = [n for n in (*free[1:], *free[:1]) if n.lower() in LABELS and len(free) > 1]  # y of f(y, p), but t of f(y, t)
    for labels in named[:1]:
        for arrays in draw([n for n in free if n != labels]):
            yield from (Inputs(arrays, settings | {labels: a}) for a in _labels(arrays, rng))
    yield from (Inputs(arrays, settings) for arrays in draw(free))


def _held(inputs: Inputs, names: Sequence[str]) -> Iterator[Inputs]:
    """The inputs with one of the arrays as a constant: most losses are differentiated for their weights, or scores, alone."""
    for k in reversed(range(len(names))):
        others = [a for i, a in enumerate(inputs.arrays) if i != k]
        yield Inputs(others, inputs.constants | {names[k]: inputs.arrays[k]})


def dimensions(i: int) -> list[int]:
    """The sizes number i of all that an array can have, but the number of examples."""
    return [SIZES[i][letter] for letter in "DFKHWhw"]


def needed(function: Callable) -> list[str]:
    """The parameters that a call must give."""
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind in kinds]


def _shaped(names: Sequence[str], sizes: dict[str, int], rng: Rng, given: Shapes, vectors: bool) -> Iterator[list[np.ndarray]]:
    """Arrays of usual shapes, of any numbers, then of numbers that have a logarithm."""
    letters = sizes | {"1": 1, "G": 4 * sizes["F"], "T": 3 * sizes["F"], "S": sizes["D"] + sizes["F"]}
    usual = [tuple(shapes.split(" ")) for shapes in USUAL.get(len(names), ())]
    if len(names) <= PERMUTED:
        usual += [order for shapes in usual for order in itertools.permutations(shapes)]
    usual = [shapes for shapes in dict.fromkeys(usual) if not vectors or _vectors_are(names, shapes)]
    usual.sort(key=lambda shapes: max(map(len, shapes)) > 2)  # matrices before images
    shaped = [[tuple(letters[c] for c in shape.strip(".")) for shape in shapes] for shapes in usual]
    found = [[given.get(n, d) for n, d in zip(names, dims, strict=True)] for dims in shaped]
    if all(n in given for n in names):
        found = [[given[n] for n in names]]
    for dims in found:
        yield [rng.normal(size=d) for d in dims]
        yield [rng.uniform(LOW, 1 - LOW, size=d) for d in dims]


def _vectors_are(names: Sequence[str], shapes: Sequence[str]) -> bool:
    """Whether each parameter with the name of a vector is one, perhaps with axes of size 1, or a number, and no other is."""
    pair = {n.lower() for n in names} >= {"a", "b"}  # as in a * b
    vectors = [n.lower().rstrip("0123456789_") in VECTORS and not pair for n in names]
    fit = (len(s.strip("1")) == 1 if v else len(s) > 1 or s == "." for v, s in zip(vectors, shapes, strict=True))
    return not any(vectors) or all(fit)


def _labels(arrays: Sequence[np.ndarray], rng: Rng) -> Iterator[np.ndarray]:
    """Labels for these arrays: the class of each example, with one that is repeated; one row of 0 and 1 for each; 0 or 1."""
    for scores in arrays:
        if scores.ndim > 1:
            yield np.eye(scores.shape[-1])[rng.integers(scores.shape[-1], size=scores.shape[:-1])]
            yield (shares := rng.uniform(LOW, 1, size=scores.shape)) / shares.sum(axis=-1, keepdims=True)
        yield rng.integers(2, size=scores.shape).astype(float)
        if scores.ndim == 2:
            yield rng.integers(2, size=(len(scores), 1)).astype(float)
            yield rng.integers(2, size=(1, scores.shape[1])).astype(float)
    counts, highs = dict.fromkeys(a.shape[0] for a in arrays if a.ndim), dict.fromkeys(n for a in arrays for n in a.shape)
    for count, high in itertools.product(counts, highs):
        classes = rng.integers(high, size=count)
        classes[-1] = classes[0]
        yield classes


def fits(forward: Callable, backward: Callable, inputs: Inputs) -> bool | None:
    """Whether backward returns gradients of the arrays' shapes; None where forward refuses these inputs."""
    found = result(forward, inputs)
    if found is None:
        return None
    names = [n for n in needed(forward) if n not in inputs.constants]
    dys = [np.ones(np.shape(part)) for part in as_list(found[0])]
    try:
        with np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            offered = offer(None, names, [a.copy() for a in inputs.arrays], inputs.constants, found)
            gradients = as_list(ask(backward, dys if isinstance(found[0], tuple | list) else dys[0], offered))
    except TimeoutError:
        raise
    except Exception:
        return False
    while len(gradients) > len(names) and gradients[-1] is None:
        gradients.pop()
    return [getattr(g, "shape", ()) for g in gradients] == [a.shape for a in inputs.arrays]


def is_loss(forward: Callable, inputs: Inputs) -> bool:
    """Whether forward's result is one number."""
    found = result(forward, inputs)
    return found is not None and np.size(found[0]) == 1


def result(forward: Callable, inputs: Inputs) -> tuple[Any, Any] | None:
    """(y, saved); None where forward refuses the inputs, or y is not finite."""
    try:
        with np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            returned = call_with(forward, [a.copy() for a in inputs.arrays], inputs.constants)
        y, *saved = returned if isinstance(returned, tuple) and len(returned) > 1 else (returned, None)
        parts = [np.asarray(part) for part in as_list(y)]
    except TimeoutError:
        raise
    except Exception:
        return None
    return (y, saved[0]) if all(p.dtype.kind in "fiub" and np.isfinite(p).all() for p in parts) else None
