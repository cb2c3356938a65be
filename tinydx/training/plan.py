"""A plan: the calls of a run, as a list that can be played again on other inputs of the same shapes.

The readable path decides anew at every call: layers check shapes, ops check arguments, dispatch chooses implementations,
Tensors are made and the tape is written. For a small model that takes longer than its numbers. For inputs of the same shape
the decisions are the same, so a plan keeps them: it is the tape of one run, with what layers make beside ops (`tinydx.noting`).

    call   op           implementation   takes                   gives
    #0     dense_relu   numba            input, kernel, bias     (1, 128)
    #1     dense        numba            #0, kernel, bias        (1, 10)
    #2     softmax      numba            #1                      (1, 10)

`print(model.plan((1, 784)))` shows it. Playing a plan calls the same implementations in the same order on the same arrays, so
its numbers are those of the readable path bit for bit; each result is new memory. Random numbers are drawn anew, in the same
order. Backward walks the list from its end, by the chain rule of tinydx/tensor.py.

`tinydx.training.planned` says when a model has plans.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx import dispatch
from tinydx.dispatch import Implementation, gradients_of
from tinydx.factored import multiplied_out
from tinydx.noting import Made
from tinydx.op import Op
from tinydx.tensor import Node, Tensor, cotangent, fitted, topological


class Unplanned(ValueError):
    """Why there is no plan: the readable path runs."""


class Noted(NamedTuple):
    """A run that was noted.

    inputs, its arrays, or None; weights, its Tensors; arrays, those that the weights had before it; steps, its nodes and what was
    `Made`, in their order; outputs, the Tensors that it computed; read, how many of these somebody reads.
    """

    inputs: Sequence[Any]
    weights: Sequence[Tensor]
    arrays: Sequence[Any]
    steps: Sequence[Any]
    outputs: Sequence[Tensor]
    read: int


class Call(NamedTuple):
    """One call. Arrays are known by their places in the list of values: inputs, weights, fixed arrays, then results."""

    name: str
    op: Op | None  # None: what a layer makes beside ops
    implementation: Implementation
    arrays: list[int]
    constants: dict[str, Any]
    given: dict[str, int]  # constants that are values, as ids, labels and masks
    ranges: list[tuple[int, int]]  # of those among them that choose rows, as ids: their places, and what they must be below
    results: list[tuple[int, tuple[int, ...], np.dtype]]  # places, shapes and dtypes
    needs: tuple[bool, ...]  # which arrays need a gradient


class Plan:
    """The calls between the inputs of a run and its outputs.

    Arguments: run, noted while `recording` was None.
    Raises: Unplanned where a call takes an array that is neither an input, nor a weight, nor a result, nor was `made`.
    """

    def __init__(self, run: Noted):
        self.weights, self.fixed = list(run.arrays), _fixed_arrays(run.steps)
        places = _Places()
        for k, a in enumerate(run.inputs):
            places.add(object() if a is None else id(a), f"input {k}")
        at = [places.add(id(w), weight.name) for w, weight in zip(self.weights, run.weights, strict=True)]
        self.trained = {k: w for k, w in zip(at, run.weights, strict=True) if w.requires_grad}
        for a in self.fixed:
            places.add(id(a), _shown(a))
        self.calls: list[Call] = []
        flowing, calls = set(self.trained), {}  # the places that a gradient reaches, and the call of each node
        for step in _needed(run):
            call = _call_of(step, f"#{len(self.calls)}", places, flowing)
            flowing |= {place for place, *_ in call.results} if any(call.needs) else set()
            calls[id(step)] = len(self.calls)
            self.calls.append(call)
        read, unread = run.outputs[: run.read], run.outputs[run.read :]
        self.outputs: list[Any] = [*(places.of(y, "an output") for y in read), *(places.by_key.get(_key(y)) for y in unread)]
        self.masks = [None if y.mask is None else places.of(y.mask, "an output's mask") for y in run.outputs]
        changed = [(old, w.data) for old, w in zip(run.arrays, run.weights, strict=True) if w.data is not old]
        self.statistics = [(old, places.of(new, "a moving average")) for old, new in changed]
        self.shapes, self.names = [y.shape for y in run.outputs], places.names
        self._find_way_back([calls[id(node)] for node in reversed(topological(run.outputs[0].node))])
        self.compares_prediction = any(self.outputs[-1] in call.arrays for call in self.calls)
        self.unused = _last_uses(self.calls, {*self.outputs, *self.masks, *(place for _, place in self.statistics)})

    def _find_way_back(self, numbers: list[int]) -> None:
        """What backward does, by the numbers of the calls from the last one on."""
        self.differentiated: list[_Backward] = []
        shapes = {k: w.shape for k, w in self.trained.items()}
        shapes |= {place: shape for call in self.calls for place, shape, _ in call.results}
        for k in numbers:
            name, _, implementation, arrays, *_, results, needs = self.calls[k]
            if any(needs):
                wanted = [(a, shapes[a], a in self.trained) if needed else None for a, needed in zip(arrays, needs, strict=True)]
                self.differentiated.append(_Backward(k, implementation, results, needs, wanted, name))

    def stands(self) -> bool:
        """Whether its ops still have these implementations: an op can get another backward, or a kernel."""
        for _, op, implementation, *_ in self.calls:
            if (
                op is not None
                and implementation is not op.kernels.get(implementation.backend)
                and (implementation.forward is not op.forward or implementation.backward is not op.backward)
            ):
                return False
        return True

    def forward(self, inputs: Sequence[Any], saved: list[Any] | None = None) -> list[Any]:
        """Run all calls.

        Arguments: inputs, arrays with the shapes of the plan; saved, a list that gets what each call saves for backward.
        Returns: all values by their places; results that nobody needs any more are None, unless `saved` is given.
        Raises: as the ops, for ids and labels out of range.
        """
        if dispatch.before_kernel is not None:
            dispatch.before_kernel()
        values = [*inputs, *self.weights, *self.fixed]
        for call, unused in zip(self.calls, self.unused, strict=True):
            _, op, implementation, arrays, constants, given, ranges, _, _ = call
            taken = [values[k] for k in arrays]
            if given:
                constants = {**constants, **{name: values[k] for name, k in given.items()}}
                if not all(_lies_below(values[k], limit) for k, limit in ranges):
                    op.check(tuple(taken), constants)  # type: ignore[union-attr]  # says what is wrong
            y, kept = implementation.forward(*taken, **constants)
            if type(y) is np.ndarray:
                values.append(y)
            elif type(y) is tuple:
                values += y
            else:
                values.append(np.asarray(y))
            if saved is not None:
                saved.append(kept)
            else:
                for k in unused:
                    values[k] = None
        return values

    def backward(self, values: list[Any], saved: list[Any]) -> None:
        """Give the trained weights the gradients of the first output, as `Tensor.backward` does.

        Arguments: values and saved, of the `forward` before.
        """
        seed = np.ones_like(values[self.outputs[0]])
        flowing: dict[int, Any] = {self.outputs[0]: seed}
        for k, implementation, results, needs, targets, name in self.differentiated:
            dys = []
            for place, shape, dtype in results:
                dy = flowing.pop(place, None)
                dys.append(dy if dy is not None and dy.dtype is dtype else cotangent(dy, seed, shape, dtype))
            grads = gradients_of(implementation, tuple(dys) if len(dys) > 1 else dys[0], saved[k], needs)
            for g, target in zip(grads, targets, strict=False):
                if target is None or g is None:
                    continue
                place, shape, trained = target
                if type(g) is not np.ndarray or g.shape != shape:
                    g = fitted(g, shape, name)
                    g = g if trained else multiplied_out(g)
                    g = np.asarray(g) if isinstance(g, np.generic) else g
                flowing[place] = flowing[place] + g if place in flowing else g
        for place, w in self.trained.items():
            w.gradient = flowing.get(place)

    def __str__(self) -> str:
        rows = [("call", "op", "implementation", "takes", "gives", "bytes")]
        for k, call in enumerate(self.calls):
            takes = ", ".join(self.names[place] for place in [*call.arrays, *call.given.values()])
            gives = ", ".join(str(shape) for _, shape, _ in call.results)
            size = sum(math.prod(shape) * dtype.itemsize for _, shape, dtype in call.results)
            rows.append((f"#{k}", call.name, call.implementation.backend, takes, gives, f"{size:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("   ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)


# ---- from what was noted to calls ------------------------------------------------------------------------------------


class _Places:
    """Where each value of a run stands in the list of values, and its name in the table."""

    def __init__(self) -> None:
        self.by_key: dict[Any, int] = {}
        self.names: list[str] = []

    def add(self, key: Any, name: str) -> int:
        """The next place, for the value of that key."""
        self.by_key[key] = len(self.names)
        self.names.append(name)
        return self.by_key[key]

    def of(self, value: Any, taker: str = "") -> int:
        """The place of a value; Unplanned where the run has it from elsewhere."""
        place = self.by_key.get(_key(value))
        if place is None:
            raise Unplanned(f"{taker} takes an array {np.shape(value)} that is made in another way than by ops and `made`")
        return place


def _key(a: Any) -> Any:
    """What names a value of a run: the node and the number of a result, or else the array itself."""
    if isinstance(a, Tensor):
        return id(a.data) if a.node is None else (id(a.node), a.index)
    return id(a)


def _sources(step: Node | Made) -> Sequence[Any]:
    """What a step takes."""
    if isinstance(step, Made):
        return step.sources
    return [*step.inputs, *(a for a in step.constants.values() if isinstance(a, np.ndarray))]


def _results(step: Node | Made) -> list[Any]:
    """The keys of what a step gives."""
    return [id(step.result)] if isinstance(step, Made) else [(id(step), i) for i in range(len(step.outputs))]


def _is_fixed(step: Node | Made) -> bool:
    """Whether a step makes the same array in every run, or one that an op writes into."""
    return isinstance(step, Made) and not step.sources and not step.draws


def _fixed_arrays(steps: Sequence[Node | Made]) -> list[Any]:
    """What is the same in every run: None, numbers, and arrays that are made of nothing, as first states."""
    made = [step.result for step in steps if isinstance(step, Made) and _is_fixed(step)]
    taken = [a.data if isinstance(a, Tensor) else a for step in steps for a in _sources(step)]
    numbers = [a for a in taken if not isinstance(a, np.ndarray)]
    return list({id(a): a for a in [*made, *numbers]}.values())


def _needed(run: Noted) -> list[Node | Made]:
    """The steps whose results are read, or used, or for which random numbers are drawn."""
    outputs, wanted = run.outputs[: run.read], set()
    wanted |= {_key(a) for a in [*outputs, *(y.mask for y in run.outputs), *(w.data for w in run.weights)]}
    needed = []
    for step in reversed(run.steps):
        draws = isinstance(step, Made) and step.draws
        if not _is_fixed(step) and (draws or not wanted.isdisjoint(_results(step))):
            needed.append(step)
            wanted |= set(map(_key, _sources(step)))
    return needed[::-1]


def _call_of(step: Node | Made, name: str, places: _Places, flowing: set[int]) -> Call:
    """The call of a step. Its results get places, called by that name; flowing, the places that a gradient reaches."""
    if isinstance(step, Made):
        maker = getattr(step.make, "func", step.make).__qualname__.split(".<locals>")[0]
        sources = [places.of(a, maker) for a in step.sources]
        result = places.add(id(step.result), name), step.result.shape, step.result.dtype
        return Call(maker, None, _beside_ops(step.make), sources, {}, {}, [], [result], (False,) * len(sources))
    op, stated = step.op, step.op.accepted.array_constants
    arrays = [places.of(a, op.name) for a in step.inputs]
    given = {n: places.of(a, op.name) for n, a in step.constants.items() if isinstance(a, np.ndarray)}
    taken = tuple(a.data if isinstance(a, Tensor) else a for a in step.inputs)
    same = {n: value for n, value in op.check(taken, step.constants).items() if n not in given}
    sizes = op.accepted.check_arrays(taken)
    ranges = [(place, sizes[stated[n].below]) for n, place in given.items() if n in stated and stated[n].below]
    results = [(places.add((id(step), i), name), *output) for i, output in enumerate(step.outputs)]
    return Call(op.name, op, step.implementation, arrays, same, given, ranges, results, tuple(k in flowing for k in arrays))


def _lies_below(ids: np.ndarray, limit: int) -> bool:
    """Whether all of these whole numbers lie from 0 to below the limit."""
    return not ids.size or bool(ids.min() >= 0 and ids.max() < limit)


def _beside_ops(make: Callable[..., Any]) -> Implementation:
    """What a layer makes beside ops, called as an op is: it saves nothing."""
    return Implementation("made", lambda *arrays: (make(*arrays), None), None)


class _Backward(NamedTuple):
    """One call as backward walks through it: its number, and for each array that needs a gradient place, shape and whether it is
    a weight that training changes."""

    number: int
    implementation: Implementation
    results: list[tuple[int, tuple[int, ...], np.dtype]]
    needs: tuple[bool, ...]
    targets: list[tuple[int, tuple[int, ...], bool] | None]
    name: str


def _last_uses(calls: list[Call], kept: set[Any]) -> list[list[int]]:
    """For each call the results that nobody reads after it, but for those that are kept."""
    last = {place: k for k, call in enumerate(calls) for place, *_ in call.results}
    last |= {place: k for k, call in enumerate(calls) for place in [*call.arrays, *call.given.values()] if place in last}
    unused: list[list[int]] = [[] for _ in calls]
    for place, k in last.items():
        if place not in kept:
            unused[k].append(place)
    return unused


def _shown(a: Any) -> str:
    """A fixed array or number in the table."""
    return "-" if a is None else f"{np.ravel(a)[0]:g}" if np.size(a) else "empty"
