"""What can be checked, brought to one form: `Subject`.

An op of the table, a function of Tensors, a layer, a model with its loss, or somebody's own forward and backward:
each is a list of arrays, a `value` that the truth is taken from, and a `run` whose gradients are judged.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinydx import random
from tinydx.dispatch import use
from tinydx.op import Op, Slip, check_arrays
from tinydx.tensor import Tensor, gradients

Arrays = Sequence[np.ndarray]
Pull = Callable[[Arrays], Sequence[Any]]  # one cotangent an output -> one gradient an array


@dataclass
class Subject:
    """A function, a point, and a claim about its gradient there."""

    title: str
    names: list[str]
    arrays: list[np.ndarray]
    value: Callable[[Arrays], Sequence[np.ndarray]]  # arrays, complex ones too -> outputs: the truth comes from here
    run: Callable[[Arrays], tuple[Sequence[np.ndarray], Pull]]  # arrays -> outputs and the backward to be judged
    trusted: bool = False  # whether `value` is known to be complex-safe
    taped: bool = False  # whether the gradients come from the tape
    constants: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[Op, ...] = ()  # the ops that this is: their slips name mistakes


# ---- an op of the table, perhaps with somebody's own backward ------------------------------------------------------


def of_op(record: Op, arrays: Arrays, constants: Mapping[str, Any], backward: Callable | None) -> Subject:
    """The reference forward of an op, with its own backward or the one to be judged."""
    judged = backward or record.backward
    if judged is None:
        raise ValueError(f"gradcheck: {record.name} has no backward, nothing is differentiated through it")

    def run(arrays: Arrays) -> tuple[list, Pull]:
        y, saved = record.forward(*arrays, **constants)
        return as_outputs(y), lambda dys: _pull_back(record, judged, dys, arrays, constants, y, saved)

    return Subject(
        title=record.name,
        names=name_arrays(parameter_names(record.forward), len(arrays)),
        arrays=list(arrays),
        value=lambda arrays: as_outputs(record.forward(*arrays, **constants)[0]),
        run=run,
        trusted=True,
        constants=constants,
        records=(record,),
    )


def _pull_back(
    record: Op, backward: Callable, dys: Arrays, arrays: Arrays, constants: Mapping[str, Any], y: Any, saved: Any
) -> Sequence[Any]:
    """Call a backward of the table as the table does, (dy, saved, ...); any other with what it asks for."""
    offered = offer(record.arrays, arrays, constants, y, saved)
    if backward is record.backward:
        return backward(like(y, dys), saved)
    if any(backward is slip.backward for slip in record.slips):
        assert record.backward is not None
        right = record.backward(like(y, dys), saved)
        return [r if g is None else g for r, g in zip(right, _call_slip(backward, like(y, dys), offered), strict=False)]
    return ask(backward, like(y, dys), offered)


def slip_gradients(record: Op, slip: Slip, subject: Subject, dys: Arrays) -> Sequence[Any]:
    """What the slip's wrong backward says here; None where it makes no mistake."""
    y, saved = record.forward(*subject.arrays, **subject.constants)
    offered = offer(record.arrays, subject.arrays, subject.constants, y, saved)
    return _call_slip(slip.backward, like(y, dys), offered)


def _call_slip(backward: Callable, dy: Any, offered: dict[str, Any]) -> Sequence[Any]:
    """A slip gets dy and saved, whatever it calls them, and by name what else it asks for."""
    second = list(inspect.signature(backward).parameters)[1]
    return ask(backward, dy, offered | {second: offered["saved"]})


def of_pair(forward: Callable, backward: Callable, arrays: Arrays, constants: Mapping[str, Any]) -> Subject:
    """Somebody's forward, arrays -> (y, saved) or y alone, and somebody's backward."""
    names = parameter_names(forward)

    def split(result: Any) -> tuple[Any, Any]:
        if not isinstance(result, tuple):
            return result, None
        if len(result) != 2:
            raise TypeError(f"gradcheck: forward returned a tuple of {len(result)}, expected (y, saved), or y alone")
        return result

    def run(arrays: Arrays) -> tuple[list, Pull]:
        y, saved = split(forward(*arrays, **constants))
        offered = offer(names, arrays, constants, y, saved)
        return as_outputs(y), lambda dys: ask(backward, like(y, dys), offered)

    return Subject(
        title=_title(forward),
        names=name_arrays(names, len(arrays)),
        arrays=list(arrays),
        value=lambda arrays: as_outputs(split(forward(*arrays, **constants))[0]),
        run=run,
        constants=constants,
    )


def recognise(subject: Subject, table: Mapping[str, Op]) -> tuple[Op, ...]:
    """The ops of the table that compute the same from these arrays: their slips may name the mistake."""
    outputs = subject.value(subject.arrays)
    return tuple(record for record in table.values() if record.slips and _computes(record, subject, outputs))


def _computes(record: Op, subject: Subject, outputs: Arrays) -> bool:
    try:
        with np.errstate(all="ignore"):
            check_arrays(record, tuple(subject.arrays))
            others = as_outputs(record.forward(*subject.arrays, **subject.constants)[0])
        pairs = list(zip(outputs, others, strict=True))
    except Exception:  # other arguments, other shapes: another op
        return False
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


def offer(names: Sequence[str], arrays: Arrays, constants: Mapping[str, Any], y: Any, saved: Any) -> dict[str, Any]:
    """Everything that a backward may ask for by name."""
    offered: dict[str, Any] = {"y": y, "saved": saved, "cache": saved, "needs": (True,) * len(arrays)}
    offered |= {"*": tuple(arrays), "**": dict(constants)}
    return offered | dict(constants) | dict(zip(names, arrays, strict=False))


def ask(backward: Callable, dy: Any, offered: Mapping[str, Any]) -> Sequence[Any]:
    """Call a backward with what its parameter names ask for.

    The first parameter is the cotangent dy. The others are called `saved` (what forward saved), `y` (its result),
    `needs`, or like the arrays and constants of the forward: `backward(dy, x, w, stride)`. The one other parameter of
    a backward that has just one may have any name: if that is not known, it gets `saved`.
    """
    positional, keywords = [dy], dict[str, Any]()
    one_other = _positional(backward)[1:] if len(_positional(backward)) == 2 else []
    for p in list(inspect.signature(backward).parameters.values())[1:]:
        if p.kind is p.VAR_POSITIONAL:
            positional += offered["*"]
        elif p.kind is p.VAR_KEYWORD:
            keywords |= {k: v for k, v in offered["**"].items() if k not in keywords}
        elif (name := _offered_name(p.name, offered)) is not None:
            if p.kind is p.KEYWORD_ONLY:
                keywords[p.name] = offered[name]
            else:
                positional.append(offered[name])
        elif p in one_other:
            positional.append(offered["saved"])
        elif p.default is p.empty:
            known = ", ".join(k for k in offered if k not in ("*", "**", "cache"))
            raise TypeError(f"gradcheck: backward asks for {p.name!r}, known are: the gradient dy first, then {known}")
        elif p.kind is not p.KEYWORD_ONLY:
            positional.append(p.default)
    return backward(*positional, **keywords)


def unasked(record: Op, backward: Callable) -> dict[str, Any]:
    """The constants that a backward does not ask for, with their defaults: it can be right only where they have these."""
    parameters = inspect.signature(backward).parameters.values()
    names, by_position = {p.name.lower() for p in parameters}, _positional(backward)
    keywords = {p.name: p.default for p in record.signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    known = {"y", *keywords, *(n.lower() for n in record.arrays)}
    gets_saved = names & {"saved", "cache"} or (len(by_position) == 2 and by_position[1].name.lower() not in known)
    if gets_saved or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {}
    return {n: d for n, d in keywords.items() if d is not inspect.Parameter.empty and n not in names}


def _offered_name(name: str, offered: Mapping[str, Any]) -> str | None:
    return next((n for n in (name, name.lower()) if n in offered), None)


def _positional(function: Callable) -> list[inspect.Parameter]:
    """The parameters that a call by position must fill."""
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind in kinds and p.default is p.empty]


# ---- what the tape differentiates ----------------------------------------------------------------------------------


def of_function(function: Callable, arrays: Arrays, constants: Mapping[str, Any]) -> Subject:
    """A function of Tensors."""
    names = name_arrays(parameter_names(function), len(arrays))
    return _taped(lambda tensors: function(*tensors, **constants), _title(function), names, arrays)


def of_layer(layer: Any, inputs: Sequence[Any], constants: Mapping[str, Any]) -> Subject:
    """A layer, with respect to inputs and trainable weights; or a compiled model and its loss: inputs, then targets."""
    loss = getattr(layer, "loss", None) if len(inputs) > 1 else None
    *inputs, target = inputs if loss else (*inputs, None)
    free = [i for i, x in enumerate(inputs) if x.dtype.kind in "fc"]  # the others are ids: constants

    def call(tensors: Sequence[Any]) -> Any:
        given = list(inputs)
        for i, t in zip(free, tensors, strict=True):
            given[i] = t
        y = layer(given if len(given) > 1 else given[0], **constants)
        return loss(target, y) if loss else y

    with _restored(layer):
        call([Tensor(inputs[i]) for i in free])  # builds the weights, if they are not there yet
    weights = [w for w in layer.weights if w.requires_grad]
    arrays = [*(inputs[i] for i in free), *(w.data.astype(np.float64) for w in weights)]
    short = [w.name.rsplit("/", 1)[-1] for w in weights]
    own = short if len(set(short)) == len(short) else [w.name for w in weights]
    names = [*(["x"] if len(free) == 1 else [f"x[{i}]" for i in free]), *own]
    return _taped(call, f"{layer.name} with {loss.name}" if loss else layer.name, names, arrays, layer, weights)


def _taped(
    call: Callable, title: str, names: list[str], arrays: Arrays, layer: Any = None, weights: Sequence[Any] = ()
) -> Subject:
    """call(tensors) -> Tensor(s), differentiated by the tape; `weights` are a layer's, the last of the arrays."""
    chance, free = random.state(), len(arrays) - len(weights)

    def record(arrays: Arrays) -> tuple[list[Tensor], list[Tensor]]:
        random.load_state(chance)  # dropout draws the same mask every time
        tensors = [Tensor(a, requires_grad=True, name=n) for a, n in zip(arrays[:free], names, strict=False)]
        with _restored(layer):
            for w, a in zip(weights, arrays[free:], strict=True):
                w.data = a
            y = call(tensors)
        outputs = list(y) if isinstance(y, list | tuple) else [y]
        for o in outputs:
            if not isinstance(o, Tensor):
                kind = type(o).__name__
                raise TypeError(f"gradcheck: {title} returns {kind}, expected a Tensor: use tinydx.ops, or give its backward=")
        return [*tensors, *weights], outputs

    def value(arrays: Arrays) -> list[np.ndarray]:
        with use("numpy"):
            return [o.data for o in record(arrays)[1]]

    def run(arrays: Arrays) -> tuple[list[np.ndarray], Pull]:
        tensors, outputs = record(arrays)

        def pull(dys: Arrays) -> list[np.ndarray]:
            parts = [gradients(o, tensors, dy) for o, dy in zip(outputs, dys, strict=True)]
            return [functools.reduce(operator.add, of_one) for of_one in zip(*parts, strict=True)]

        return [o.data for o in outputs], pull

    return Subject(title, names, list(arrays), value, run, taped=True)


@contextmanager
def _restored(layer: Any) -> Iterator[None]:
    """Weights and statistics of a layer are afterwards what they were before."""
    before = [(w, w.data) for w in layer.weights] if layer is not None else []
    try:
        yield
    finally:
        for w, data in before:
            w.data = data


@contextmanager
def op_calls() -> Iterator[list[tuple[Op, tuple, dict]]]:
    """Note every op that runs: (op, arrays, constants)."""
    calls: list[tuple[Op, tuple, dict]] = []
    original = Op.run

    def noting(self: Op, arrays: tuple, constants: Mapping[str, Any]) -> Any:
        calls.append((self, arrays, dict(constants)))
        return original(self, arrays, constants)

    Op.run = noting  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        Op.run = original  # type: ignore[method-assign]


# ---- small conversions ---------------------------------------------------------------------------------------------


def _title(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).replace("<lambda>", "function")


def as_outputs(y: Any) -> list[np.ndarray]:
    return list(y) if isinstance(y, tuple | list) else [np.asarray(y)]


def like(y: Any, dys: Arrays) -> Any:
    """Cotangents in the form of the result: a tuple for a tuple, else one array."""
    return tuple(dys) if isinstance(y, tuple | list) else dys[0]


def parameter_names(function: Callable) -> list[str]:
    """Names of the parameters that take arrays; "*name" for one that takes any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    arrays = [p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    return ["*" + p.name if p.kind is p.VAR_POSITIONAL else p.name for p in arrays]


def name_arrays(names: Sequence[str], count: int) -> list[str]:
    """["x", "*rest"] and 3 arrays -> x, rest[0], rest[1]."""
    last = names[-1] if names else "*input"
    single = [n for n in names if not n.startswith("*")][:count]
    return [*single, *(f"{last.lstrip('*')}[{i}]" for i in range(count - len(single)))]
