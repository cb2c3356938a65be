"""What can be checked, in one form: `Subject`.

An op of the table, a function of Tensors, a layer, a model with its loss, or a user's own forward and backward: each becomes
a list of arrays, a `value` that gives the true gradients, and a `run` whose gradients are judged.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from tinydx import random
from tinydx.dispatch import use
from tinydx.gradcheck.calling import ask, attempt, checked_outputs, offer
from tinydx.gradcheck.truth import generator
from tinydx.op import Op, Slip
from tinydx.tensor import Node, Tensor, gradients, topological

Arrays = Sequence[np.ndarray]
Pull = Callable[[Arrays], Sequence[Any]]  # one cotangent per output -> one gradient per array


@dataclass
class Subject:
    """A function, the arrays at which it is checked, and a backward that claims to be its gradient."""

    title: str
    names: list[str]
    arrays: list[np.ndarray]
    value: Callable[[Arrays], Sequence[np.ndarray]]  # arrays, also complex ones -> outputs; gives the true gradients
    run: Callable[[Arrays], tuple[Sequence[np.ndarray], Pull]]  # arrays -> outputs and the backward to judge
    _: KW_ONLY
    trusted: bool = False  # whether `value` is known to be complex-safe
    tape: Callable[[Arrays], list[Node]] | None = None  # if the gradients come from the tape: arrays -> its nodes
    given: bool = True  # whether it is a learner's: doubts about the point are then told
    backward: Callable | None = None  # the learner's, where there is one
    forward: Callable | None = None  # the learner's, where there is one
    again: Callable[[Arrays, Mapping[str, Any], Callable], Subject] | None = None  # other arrays, constants, functions changed
    pulled: Callable[[Arrays], Callable] | None = None  # arrays -> (another backward, dys) -> gradients; forward runs once
    constants: Mapping[str, Any] = field(default_factory=dict)
    ops: tuple[Op, ...] = ()  # the ops that compute this function: their slips name mistakes

    @property
    def functions(self) -> list[Callable]:
        """The learner's own functions."""
        return [f for f in (self.forward, self.backward) if f is not None]


# ---- an op of the table, perhaps with a user's own backward --------------------------------------------------------


def of_op(op: Op, arrays: Arrays, constants: Mapping[str, Any], backward: Callable | None, reading: str = "saved") -> Subject:
    """The reference forward of an op, with its own backward or the given one; ValueError if it has none.

    Arguments: op; arrays; constants; backward, or None; reading, what its one parameter of unknown name stands for.
    """
    judged = backward or op.backward
    if judged is None:
        raise ValueError(f"gradcheck: {op.name} has no backward, nothing is differentiated through it")

    def run(arrays: Arrays) -> tuple[list, Pull]:
        result = op.forward(*arrays, **constants)
        offered = offer(op, op.arrays, arrays, constants, result)
        return as_outputs(result[0]), lambda dys: _pull_back(op, judged, like(result[0], dys), offered, reading)

    return Subject(
        title=op.name,
        names=name_arrays(parameter_names(op.forward), len(arrays)),
        arrays=list(arrays),
        value=lambda arrays: as_outputs(op.forward(*arrays, **constants)[0]),
        run=run,
        trusted=True,
        given=backward is not None,
        backward=backward,
        pulled=lambda arrays: _puller(op, op.arrays, arrays, constants, op.forward(*arrays, **constants), reading),
        again=lambda arrays, constants, change: of_op(op, arrays, constants, backward and change(backward), reading),
        constants=constants,
        ops=(op,),
    )


def _pull_back(op: Op, backward: Callable, dy: Any, offered: dict[str, Any], reading: str) -> Any:
    """Call the op's own backward with (dy, saved), a slip on top of it, any other with what its parameters name."""
    if backward is op.backward:
        return backward(dy, offered["saved"])
    if any(backward is slip.backward for slip in op.slips):
        assert op.backward is not None
        right = op.backward(dy, offered["saved"])
        return [r if g is None else g for r, g in zip(right, _call_slip(backward, dy, offered), strict=False)]
    return ask(backward, dy, offered, reading)


def slip_gradients(op: Op, slip: Slip, subject: Subject, dys: Arrays) -> Sequence[Any]:
    """The gradients of the slip's wrong backward; None for one that the mistake leaves right."""
    y, saved = op.forward(*subject.arrays, **subject.constants)
    offered = offer(op, op.arrays, subject.arrays, subject.constants, (y, saved))
    return _call_slip(slip.backward, like(y, dys), offered)


def _call_slip(backward: Callable, dy: Any, offered: dict[str, Any]) -> Sequence[Any]:
    """Call a slip with dy and saved, whatever it names them, and with whatever else its parameters name."""
    second = list(inspect.signature(backward).parameters)[1]
    raw = ask(backward, dy, offered | {second: offered["saved"]})
    return raw if isinstance(raw, tuple | list) else (raw,)


def of_pair(forward: Callable, backward: Callable, arrays: Arrays, constants: Mapping[str, Any], reading: str) -> Subject:
    """A user's forward, arrays -> (y, saved) or y alone, and backward.

    Arguments: as of `of_op`.
    """
    names = [n for n in parameter_names(forward) if n not in constants]

    def call(arrays: Arrays) -> tuple[Any, Any]:
        result = attempt("forward", forward, arrays, names, constants)
        if not isinstance(result, tuple):
            return result, None
        if len(result) != 2:
            raise TypeError(f"gradcheck: forward returned a tuple of {len(result)}, expected (y, saved), or y alone")
        return result

    def run(arrays: Arrays) -> tuple[list, Pull]:
        result = call(arrays)
        outputs = [y.copy() for y in checked_outputs(result[0])]
        offered = offer(None, names, arrays, constants, result)
        return outputs, lambda dys: ask(backward, like(result[0], dys), offered, reading)

    return Subject(
        title=_title(forward),
        names=name_arrays(names, len(arrays)),
        arrays=list(arrays),
        value=lambda arrays: checked_outputs(call([a.copy() for a in arrays])[0]),
        run=run,
        backward=backward,
        pulled=lambda arrays: _puller(None, names, arrays, constants, call([a.copy() for a in arrays]), reading),
        forward=forward,
        again=lambda arrays, constants, change: of_pair(change(forward), change(backward), arrays, constants, reading),
        constants=constants,
    )


def _puller(
    op: Op | None, names: Sequence[str], arrays: Arrays, constants: Mapping[str, Any], result: tuple, reading: str
) -> Callable[[Callable, Arrays], Any]:
    """Calls any backward on what forward returned, of which each call gets a copy."""

    def pull(backward: Callable, dys: Arrays) -> Any:
        y, saved = copy.deepcopy(result)
        return ask(backward, like(y, dys), offer(op, names, [a.copy() for a in arrays], constants, (y, saved)), reading)

    return pull


def saves(forward: Callable, arrays: Arrays, constants: Mapping[str, Any]) -> bool:
    """Whether a user's forward returns (y, saved) with something saved."""
    names = [n for n in parameter_names(forward) if n not in constants]
    result = attempt("forward", forward, [a.copy() for a in arrays], names, constants)
    return isinstance(result, tuple) and len(result) == 2 and result[1] is not None


def recognise(subject: Subject, table: Mapping[str, Op]) -> tuple[Op, ...]:
    """The ops of the table that compute the same outputs from these arrays: their slips may name the mistake.

    Two functions may coincide at one point, such as at zero; so they are compared at others, too.
    """
    points = [subject.arrays, *(_moved(subject.arrays, i) for i in range(2))]
    try:
        with np.errstate(all="ignore"):
            outputs = [subject.value(p) for p in points]
    except Exception:  # forward refuses another point
        points, outputs = points[:1], [subject.value(subject.arrays)]
    pairs = list(zip(points, outputs, strict=True))
    return tuple(op for op in table.values() if op.slips and all(_computes(op, subject, p, ys) for p, ys in pairs))


def _moved(arrays: Arrays, i: int) -> list[np.ndarray]:
    """Another point near by: every number moves relative to its size, and zeros move, too."""
    rng = generator(10 + i)
    return [x * rng.uniform(0.6, 1.4, size=x.shape) + (x == 0) * rng.normal(size=x.shape) for x in arrays]


def _computes(op: Op, subject: Subject, arrays: Arrays, outputs: Arrays) -> bool:
    """Whether the op computes these outputs from these arrays."""
    try:
        with np.errstate(all="ignore"):
            constants = op.check(tuple(arrays), subject.constants)
            others = as_outputs(op.forward(*arrays, **constants)[0])
        pairs = list(zip(outputs, others, strict=True))
    except Exception:  # other arguments, other shapes: another op
        return False
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


# ---- functions, layers and models, differentiated by the tape ------------------------------------------------------


def of_function(function: Callable, arrays: Arrays, constants: Mapping[str, Any]) -> Subject:
    """A function of Tensors."""
    names = name_arrays(parameter_names(function), len(arrays))
    return _taped(lambda tensors: function(*tensors, **constants), _title(function), names, arrays)


def of_layer(layer: Any, inputs: Sequence[Any], constants: Mapping[str, Any]) -> Subject:
    """A layer, with respect to its inputs and trainable weights, or the loss of a compiled model (inputs, then targets)."""
    loss = getattr(layer, "loss", None) if len(inputs) > 1 else None
    *inputs, target = inputs if loss else (*inputs, None)
    free = [i for i, x in enumerate(inputs) if x.dtype.kind in "fc"]  # the others are ids, which are constants

    def call(tensors: Sequence[Any]) -> Any:
        given = list(inputs)
        for i, t in zip(free, tensors, strict=True):
            given[i] = t
        y = layer(given if len(given) > 1 else given[0], **constants)
        return loss(target, y) if loss else y

    with _restored(layer):
        call([Tensor(inputs[i]) for i in free])  # builds the weights of a new layer
    weights = [w for w in layer.weights if w.requires_grad]
    arrays = [*(inputs[i] for i in free), *(w.data.astype(np.float64) for w in weights)]
    short = [w.name.rsplit("/", 1)[-1] for w in weights]
    own = short if len(set(short)) == len(short) else [w.name for w in weights]
    names = [*(["x"] if len(free) == 1 else [f"x[{i}]" for i in free]), *own]
    return _taped(call, f"{layer.name} with {loss.name}" if loss else layer.name, names, arrays, layer, weights)


def _taped(
    call: Callable, title: str, names: list[str], arrays: Arrays, layer: Any = None, weights: Sequence[Any] = ()
) -> Subject:
    """call(tensors) -> Tensor(s), differentiated by the tape; `weights` are the layer's, the last of the arrays."""
    random_state, free = random.state(), len(arrays) - len(weights)

    def record(arrays: Arrays) -> tuple[list[Tensor], list[Tensor]]:
        random.load_state(random_state)  # dropout draws the same mask every time
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

    def tape(arrays: Arrays) -> list[Node]:
        return list(dict.fromkeys(node for o in record(arrays)[1] for node in topological(o.node)))

    return Subject(title, names, list(arrays), value, run, tape=tape)


@contextmanager
def _restored(layer: Any) -> Iterator[None]:
    """Restore a layer's weights and statistics at the end."""
    before = [(w, w.data) for w in layer.weights] if layer is not None else []
    try:
        yield
    finally:
        for w, data in before:
            w.data = data


# ---- small conversions ---------------------------------------------------------------------------------------------


def _title(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).replace("<lambda>", "function")


def as_outputs(y: Any) -> list[np.ndarray]:
    """The result of an op's forward as a list of arrays."""
    return list(y) if isinstance(y, tuple | list) else [np.asarray(y)]


def like(y: Any, dys: Arrays) -> Any:
    """Cotangents in the form of the result: a tuple if it is one, else one array."""
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
    """["x", "*rest"] for 3 arrays -> ["x", "rest[0]", "rest[1]"]."""
    last = names[-1] if names else "*input"
    single = [n for n in names if not n.startswith("*")][:count]
    return [*single, *(f"{last.lstrip('*')}[{i}]" for i in range(count - len(single)))]
