"""A learner's class with forward and backward methods, as a pair of functions of its inputs and of the weights that it keeps;
and a loss that returns its gradients, as a pair.

Weights are what the constructor asks for, or arrays that it makes itself: attributes, or items of a list or dict, such as
self.W or self.params["W"], whose gradients backward returns or leaves in self.dW, self.grads["W"] and the like. Where methods
return nothing, forward's result is self.output and backward's self.dinputs.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import itertools
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck import drawing
from tinydx.gradcheck.rules import as_list

METHODS = ("forward", "backward")
RESULTS = ("output", "outputs", "out", "y", "a")
GRADIENTS = ("dinputs", "dinput", "dx", "dX", "dinp", "grad_input", "grad_inputs", "grad")
NAMED = ("d{}", "d_{}", "grad_{}", "{}_grad", "g{}")  # a weight's gradient, as an attribute or a key
RATES = dict.fromkeys(("p", "rate", "drop", "dropout", "p_drop", "drop_prob", "dropout_rate", "keep_prob"), 0.5)  # of dropout
KEPT = ("grads", "gradients", "grad", "d")  # where gradients of weights in a list or dict are


class Weight(NamedTuple):
    """An array of an object: under a name, or under a key of the list or dict of that name."""

    name: str
    key: Any = None

    @property
    def label(self) -> str:
        """What it is called in a report."""
        return self.name if self.key is None else self.key if isinstance(self.key, str) else f"{self.name}_{self.key}"

    def of(self, instance: Any) -> Any:
        """The array."""
        return getattr(instance, self.name) if self.key is None else getattr(instance, self.name)[self.key]

    def set(self, instance: Any, array: np.ndarray) -> None:
        """Put another array in its place."""
        if self.key is None:
            setattr(instance, self.name, array)
        else:
            getattr(instance, self.name)[self.key] = array

    def gradient(self, instance: Any) -> Any:
        """What backward left for it; None where there is nothing."""
        own = vars(instance)
        if self.key is None:
            keys = [n.format(self.name) for n in NAMED]
            places = [own, *(own[n] for n in KEPT if isinstance(own.get(n), dict))]
            return next((p[k] for p in places for k in (*keys, self.name)[: None if p is not own else -1] if k in p), None)
        for place in (own[n] for n in KEPT if n in own):
            if isinstance(place, dict):
                return next((place[k] for k in (self.key, *(n.format(self.key) for n in NAMED)) if k in place), None)
            if isinstance(self.key, int) and self.key < len(place):
                return place[self.key]
        return None


def functions_of(made: type) -> tuple[Callable, Callable]:
    """(forward, backward) of a class whose constructor takes its weights, or nothing."""
    if is_static(made):
        return functions_with_context(made)
    inputs, weights = drawing.needed(made.forward)[1:], drawing.needed(made.__init__)[1:]  # type: ignore[attr-defined,misc]

    def forward(*arrays: Any) -> tuple:
        instance = made(*arrays[len(inputs) :])
        kept = [_place(instance, array) or Weight(w) for w, array in zip(weights, arrays[len(inputs) :], strict=True)]
        return _result(instance.forward(*arrays[: len(inputs)]), instance, RESULTS), (instance, kept)

    def backward(dy: Any, saved: Any) -> Any:
        instance, kept = saved
        result = _result(instance.backward(dy), instance, GRADIENTS)
        return (*as_list(result)[: len(inputs)], *(w.gradient(instance) for w in kept)) if weights else result

    return _named(forward, made.__name__, [*inputs, *weights]), backward


class Context:
    """What a static forward(ctx, x) is given, as `ctx`, and its backward(ctx, dy) gets back."""

    saved_values: tuple = ()
    saved_tensors: tuple = ()

    def save_for_backward(self, *values: Any) -> None:
        """Keep these for backward."""
        self.saved_values = self.saved_tensors = values


def functions_with_context(made: Any) -> tuple[Callable, Callable]:
    """(forward, backward) of a class with static methods, which keep in ctx what backward needs."""

    def forward(*arrays: Any) -> tuple:
        context = Context()
        return made.forward(context, *arrays), context

    return _named(forward, made.__name__, drawing.needed(made.forward)[1:]), lambda dy, saved: made.backward(saved, dy)


def is_static(made: type) -> bool:
    """Whether forward belongs to the class alone."""
    return isinstance(inspect.getattr_static(made, "forward"), staticmethod)


def is_abstract(made: type) -> bool:
    """Whether a class leaves forward or backward to those that derive from it."""
    return any("NotImplementedError" in getattr(made, m).__code__.co_names for m in METHODS if _is_plain(made, m))


def _is_plain(made: type, method: str) -> bool:
    return isinstance(inspect.getattr_static(made, method), types.FunctionType)


def functions_of_loss(loss: Callable) -> tuple[Callable, Callable]:
    """(forward, backward) of a function that returns a number and the gradients of its first arguments: (loss, dW)."""

    def forward(*arrays: Any) -> tuple:
        value, *gradients = loss(*arrays)
        if np.size(value) != 1 or not gradients:
            raise TypeError("no loss with its gradients")
        return np.asarray(value), gradients[0] if len(gradients) == 1 else tuple(gradients)

    def backward(dy: Any, saved: Any) -> Any:
        return {k: dy * g for k, g in saved.items()} if isinstance(saved, dict) else tuple(dy * g for g in as_list(saved))

    return _named(forward, loss.__name__, drawing.needed(loss)), backward


def methods(saved: Any) -> tuple[Callable, Callable]:
    """forward and backward of the object that a forward of this file saved, which it leaves as they are."""
    instance = copy.deepcopy(saved[0] if isinstance(saved, tuple) else saved)
    return instance.forward, instance.backward


def drawn(
    made: type, i: int, rng: np.random.Generator, given: drawing.Shapes
) -> tuple[Callable, Callable, drawing.Inputs] | None:
    """(forward, backward, inputs) of a class whose constructor takes sizes and makes its weights; None where nothing fits.

    Arguments: made; i, rng and given, as in `drawing.drawn`.
    """
    first, until = None, time.monotonic() + drawing.PATIENCE
    names = drawing.needed(made.forward)[1:]  # type: ignore[attr-defined]
    for instance in _instances(made, i):
        call = _named(lambda *arrays, at=instance: _used(at, arrays), made.__name__, names)
        for inputs in drawing.possible(call, i, rng, given):
            if drawing.result(call, inputs) is None or inputs.constants:
                continue
            weights = _weights(instance, inputs.arrays)
            pair = _with_weights(instance, names, weights)
            arrays = [*inputs.arrays, *(rng.normal(size=np.shape(w.of(instance))) for w in weights)]
            found = (*pair, drawing.Inputs(arrays, {}))
            if drawing.fits(*found):
                return found
            first = first or found
            if time.monotonic() > until:
                return first
    return first


def _instances(made: type, i: int) -> Iterator[Any]:
    """Objects of the class, with every choice of sizes that its constructor takes."""
    needed = drawing.needed(made.__init__)[1:]  # type: ignore[misc]
    settings = drawing.SETTINGS | RATES
    choices = [(settings[n.lower()],) if n.lower() in settings else drawing.dimensions(i) for n in needed]
    possible = itertools.product(*choices) if 0 < len(needed) <= 4 else ()
    for sizes in sorted(possible, key=lambda sizes: -len(set(sizes))):  # a square matrix may be transposed unnoticed
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            yield made(*sizes)


def _used(instance: Any, arrays: Sequence[Any]) -> tuple[Any, Any]:
    """forward's result, and the object that has seen these arrays; the instance stays as it was."""
    used = copy.deepcopy(instance)
    return _result(used.forward(*arrays), used, RESULTS), used


def _weights(instance: Any, arrays: Sequence[np.ndarray]) -> list[Weight]:
    """The arrays of an object for which backward leaves a gradient."""
    y, used = _used(instance, arrays)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            used.backward(np.ones(np.shape(y)))
    except TimeoutError:
        raise
    except Exception:
        return []
    return [w for w in _arrays(instance) if w.of(instance).dtype.kind == "f" and w.gradient(used) is not None]


def _arrays(instance: Any) -> list[Weight]:
    """All arrays that an object keeps."""
    found = []
    for name, value in vars(instance).items():
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        found += [Weight(name)] if isinstance(value, np.ndarray) else [Weight(name, key) for key, _ in items]
    return [w for w in found if isinstance(w.of(instance), np.ndarray)]


def _place(instance: Any, array: Any) -> Weight | None:
    """Where an object keeps this array."""
    return next((w for w in _arrays(instance) if w.of(instance) is array), None)


def _with_weights(instance: Any, names: Sequence[str], weights: Sequence[Weight]) -> tuple[Callable, Callable]:
    """(forward, backward) of an object, with its weights as arguments behind its inputs."""

    def forward(*arrays: Any) -> tuple:
        other = copy.deepcopy(instance)
        for weight, array in zip(weights, arrays[len(names) :], strict=True):
            weight.set(other, array)
        return _used(other, arrays[: len(names)])

    def backward(dy: Any, saved: Any) -> Any:
        result = as_list(_result(saved.backward(dy), saved, GRADIENTS))
        return (*result[: len(names)], *(w.gradient(saved) for w in weights)) if weights else result

    return _named(forward, type(instance).__name__, [*names, *(w.label for w in weights)]), backward


def _result(result: Any, instance: Any, names: Sequence[str]) -> Any:
    """What a method returned; what it left under one of these names, where it returned nothing."""
    return result if result is not None else next((v for n in names if (v := vars(instance).get(n)) is not None), None)


def _named(function: Any, name: str, parameters: Sequence[str]) -> Callable:
    """The function with this name, and parameters of these names."""
    signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in parameters])

    def call(*given: Any, **named: Any) -> Any:
        return function(*signature.bind(*given, **named).args)

    call.__name__, call.__signature__ = name, signature  # type: ignore[attr-defined]
    return call
