"""Plans: the calls of a model for inputs of one shape, decided once and played again.

The readable path decides anew at every call: layers check shapes, ops check arguments, dispatch chooses implementations,
Tensors are made and the tape is written. For a small model that takes longer than its numbers. For inputs of the same shape
the decisions are the same, so a plan keeps them: it is the tape of one run, as a list.

    call   op           implementation   takes                   gives
    0      dense_relu   numba            input, kernel, bias     #0 (1, 128)
    1      dense        numba            #0, kernel, bias        #1 (1, 10)
    2      softmax      numpy            #1                      #2 (1, 10)

`print(model.plan((1, 784)))` shows it. Playing a plan calls the same implementations in the same order on the same arrays, so
its numbers are those of the readable path bit for bit; each result is new memory. Backward walks the list from its end, by the
chain rule of tinydx/tensor.py.

A plan is made when a shape comes for the second time, and forgotten when an attribute of any layer is set, an array of a weight
is replaced, or `use` chooses otherwise. The readable path runs, as ever: under use("numpy"), trace and tapped, on a GPU, for
classes of the user's own, and where a run does more than calls of ops on inputs and weights: masks, dropout and new moving
averages in training, regularizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from tinydx import dispatch, layers, random
from tinydx.dispatch import gradients_of
from tinydx.factored import multiplied_out
from tinydx.layers.base import is_tapped, revision
from tinydx.layers.quantized import QuantizedKernel
from tinydx.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from tinydx.op import Op
from tinydx.tensor import Node, Tensor, cotangent, fitted, recording, topological
from tinydx.training.step import Step, total_loss

MOST_PLANS = 16  # of a model; the oldest is dropped
LAYERS = {
    layers.Activation, layers.Add, layers.AdditiveAttention, layers.Attention, layers.Average, layers.AveragePooling2D,
    layers.BatchNormalization, layers.Bidirectional, layers.Concatenate, layers.Conv2D, layers.Dense, layers.DepthwiseConv2D,
    layers.Dropout, layers.Embedding, layers.Flatten, layers.GRU, layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.LSTM, layers.LayerNormalization, layers.MaxPooling2D,
    layers.Multiply, layers.Reshape, layers.SeparableConv2D, layers.SimpleRNN, layers.ZeroPadding2D,
}  # fmt: skip # their `call` without masks computes by ops alone; a subclass may do anything
LOSSES = {
    BinaryCrossentropy, CategoricalCrossentropy, Huber, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
}  # fmt: skip


Run = Callable[[], tuple[list[Any], list[Tensor]]]  # () -> the arrays that a run takes, and what it computes of them


class Unplanned(ValueError):
    """Why there is no plan: the readable path runs."""


class PlannedCall(NamedTuple):
    """One op that runs. Arrays are known by their places in the list of values: inputs, weights, fixed arrays, then results."""

    op: Op
    implementation: dispatch.Implementation
    arrays: list[int]
    constants: dict[str, Any]
    inputs: dict[str, int]  # constants that are inputs, as ids and labels: their values are checked at every run
    results: list[tuple[int, tuple[int, ...], np.dtype]]  # places, shapes and dtypes
    needs: tuple[bool, ...]  # which arrays need a gradient
    unused: list[int]  # results that no later call reads


class Plan:
    """The calls between inputs and outputs, taken from the tape of a run.

    Arguments: inputs, arrays of the run, or None; weights, its Tensors; outputs, Tensors that it computed under `recording` None.
    Raises: Unplanned where an array of the run is neither an input nor a weight nor a result, nor filled with one number.
    """

    def __init__(self, inputs: Sequence[Any], weights: Sequence[Tensor], outputs: Sequence[Tensor]):
        nodes = list(dict.fromkeys(node for y in outputs for node in topological(y.node)))
        if any(a.mask is not None for a in (*outputs, *(a for node in nodes for a in node.inputs)) if isinstance(a, Tensor)):
            raise Unplanned("its time steps are masked")
        self.weights, self.fixed = [w.data for w in weights], _fixed_arrays(nodes, [*inputs, *(w.data for w in weights)])
        places: dict[Any, int] = {id(a): k for k, a in enumerate([*inputs, *self.weights, *self.fixed])}
        self.names = [f"input {k}" for k in range(len(inputs))] + [w.name for w in weights] + [_shown(a) for a in self.fixed]
        self.trained = {len(inputs) + k: w for k, w in enumerate(weights) if w.requires_grad}
        flowing, at = set(self.trained), len(self.names)
        self.calls: list[PlannedCall] = []
        for node in nodes:
            arrays = [places[_key(a)] for a in node.inputs]
            needs = tuple(k in flowing for k in arrays)
            results = [(at + i, *output) for i, output in enumerate(node.outputs)]
            places |= {(id(node), i): place for i, (place, *_) in enumerate(results)}
            flowing |= {place for place, *_ in results} if any(needs) else set()
            self.names += [f"#{len(self.calls)}"] * len(results)
            self.calls.append(PlannedCall(node.op, node.implementation, arrays, *_constants(node, places), results, needs, []))
            at += len(results)
        self.outputs, self.shapes = [places[_key(y)] for y in outputs], [y.shape for y in outputs]
        first = len(topological(outputs[0].node))  # the calls that the first output was computed from
        self.differentiated = [(k, call) for k, call in reversed(list(enumerate(self.calls[:first]))) if any(call.needs)]
        self.compares_prediction = any(self.outputs[-1] in call.arrays for call in self.calls)
        self._find_last_uses()

    def stands(self) -> bool:
        """Whether its ops still have these implementations: an op can get another backward, or a kernel."""
        for op, implementation, *_ in self.calls:
            if implementation is not op.kernels.get(implementation.backend) and (
                implementation.forward is not op.forward or implementation.backward is not op.backward
            ):
                return False
        return True

    def _find_last_uses(self) -> None:
        """Note with each call the results that may go after it."""
        last = {place: call for call in self.calls for place, *_ in call.results}
        last |= {place: call for call in self.calls for place in call.arrays if place in last}
        for place, call in last.items():
            if place not in self.outputs:
                call.unused.append(place)

    def forward(self, inputs: Sequence[Any], saved: list[Any] | None = None) -> list[Any]:
        """Run all calls.

        Arguments: inputs, arrays with the shapes of the plan; saved, a list that gets what each call saves for backward.
        Returns: all values by their places; results that nobody needs any more are None, unless `saved` is given.
        Raises: as the ops, for ids and labels out of range.
        """
        if dispatch.before_kernel is not None:
            dispatch.before_kernel()
        values = [*inputs, *self.weights, *self.fixed]
        for op, implementation, arrays, constants, given, _, _, unused in self.calls:
            taken = [values[k] for k in arrays]
            if given:
                constants = op.check(tuple(taken), {**constants, **{name: values[k] for name, k in given.items()}})  # type: ignore[assignment]
            y, kept = implementation.forward(*taken, **constants)
            if isinstance(y, tuple):
                values += y
            else:
                values.append(np.asarray(y) if isinstance(y, np.generic) else y)
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
        for k, call in self.differentiated:
            dys = [cotangent(flowing.pop(place, None), seed, shape, dtype) for place, shape, dtype in call.results]
            grads = gradients_of(call.implementation, tuple(dys) if len(dys) > 1 else dys[0], saved[k], call.needs)
            for place, g, needed in zip(call.arrays, grads, call.needs, strict=False):
                if needed and g is not None:
                    g = fitted(g, values[place].shape, call.op.name)
                    g = g if place in self.trained else multiplied_out(g)
                    g = np.asarray(g) if isinstance(g, np.generic) else g
                    flowing[place] = flowing[place] + g if place in flowing else g
        for place, w in self.trained.items():
            w.gradient = flowing.get(place)

    def __str__(self) -> str:
        rows = [("call", "op", "implementation", "takes", "gives", "bytes")]
        for k, (op, implementation, arrays, _, given, results, _, _) in enumerate(self.calls):
            takes = ", ".join(self.names[place] for place in [*arrays, *given.values()])
            gives, size = ", ".join(str(shape) for _, shape, _ in results), sum(math.prod(s) * d.itemsize for _, s, d in results)
            rows.append((f"#{k}", op.name, implementation.backend, takes, gives, f"{size:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("   ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def _key(a: Any) -> Any:
    """What names a value of a run: the node and the number of a result, or else the array itself."""
    if isinstance(a, Tensor):
        return id(a.data) if a.node is None else (id(a.node), a.index)
    return id(a)


def _fixed_arrays(nodes: list[Node], known: list[Any]) -> list[Any]:
    """What ops take beside what is known and results: None, numbers, and arrays filled with one number, as first states."""
    ids, fixed = set(map(id, known)), []
    for a in (a for node in nodes for a in node.inputs if not isinstance(a, Tensor) or a.node is None):
        array = a.data if isinstance(a, Tensor) else a
        if id(array) not in ids:
            if isinstance(array, np.ndarray) and array.size and not (array == array.flat[0]).all():
                raise Unplanned(f"it makes an array {array.shape} in another way than by ops")
            ids.add(id(array))
            fixed.append(array)
    return fixed


def _constants(node: Node, places: dict[Any, int]) -> tuple[dict[str, Any], dict[str, int]]:
    """A call's constants: the values of those that stay the same, and the places of those that the run takes as inputs."""
    given = {name: places[id(a)] for name, a in node.constants.items() if isinstance(a, np.ndarray) and id(a) in places}
    if any(isinstance(a, np.ndarray) and name not in given for name, a in node.constants.items()):
        raise Unplanned(f"{node.op.name} takes a mask or another array that is made anew at each run")
    arrays = tuple(a.data if isinstance(a, Tensor) else a for a in node.inputs)
    constants = node.op.check(arrays, node.constants)
    return {name: value for name, value in constants.items() if name not in given}, given


def _shown(a: Any) -> str:
    return "-" if a is None else f"{np.ravel(a)[0]:g}" if np.size(a) else "empty"


# ---- the plans of a model --------------------------------------------------------------------------------------------


class Known(NamedTuple):
    """A model as it is: what its plans rest on, and the plans by use and shapes of the inputs, None where there is none."""

    choice: Any
    revision: object
    weights: list[Tensor]
    arrays: list[Any]
    trained: list[bool]
    penalised: bool  # whether a regularizer adds to its loss
    problem: str  # why no call can be planned, or ""
    plans: dict[Any, Plan | Unplanned | None]

    @classmethod
    def of(cls, model: Any) -> Known:
        now = revision()
        weights, problem = model.weights, ""
        if any(isinstance(w, QuantizedKernel) for w in weights):  # whose `data` is another array each time
            weights, problem = [], "its kernels are quantized"
        for layer in model.all_layers():
            functions = [getattr(layer, name, None) for name in ("activation", "recurrent_activation")]
            own = type(layer) not in LAYERS and type(layer).__module__ != "tinydx.models"
            named = getattr(layer, "mask_zero", False) or any(call.keywords for call in getattr(layer, "graph", []))
            if own or named or "call" in vars(layer) or not all(f is None or isinstance(f, Op) for f in functions):
                problem = problem or f"{layer.name} ({type(layer).__name__}) may compute by other means than ops, or masks"
        arrays, trained = [w.data for w in weights], list(map(_TRAINED, weights))
        penalised = any(layer._penalties for layer in model.all_layers())
        return cls(_choice(), now, weights, arrays, trained, penalised, problem, {})

    def holds(self) -> bool:
        """Whether the model is still as it was."""
        return (
            self.revision is revision()
            and (self.choice is (choice := _choice()) or self.choice == choice)
            and all(map(is_, map(_DATA, self.weights), self.arrays))
            and list(map(_TRAINED, self.weights)) == self.trained
        )


_DATA, _TRAINED = attrgetter("data"), attrgetter("requires_grad")


def _choice() -> Any:
    """What `use` has set, where it allows Numba's kernels and these can run; None also while somebody traces."""
    choice = dispatch.untraced_choice()
    planned = choice is not None and choice.backend in (None, "numba") and dispatch.load_kernels("numba") is None
    return choice if planned else None


def known(model: Any) -> Known:
    """The model as it is, looked at anew where it has changed."""
    kept = model._known
    if kept is None or not kept.holds():
        kept = vars(model)["_known"] = Known.of(model)  # past __setattr__: what is known of the model does not change it
    return kept


def plan_for(model: Any, use: Any, given: Sequence[Any], run: Run | None) -> Plan | None:
    """The plan of a model for arrays of these shapes, made when they come for the second time; None: the readable path runs.

    Arguments: model; use, what else the run depends on; given, arrays or None; run() computes with them (None: make no plan).
    """
    now = known(model)
    if now.problem or now.choice is None or is_tapped():
        return None
    key = (use, *[None if a is None else (type(a), a.shape, a.dtype) for a in given])
    if run is None:
        plan = now.plans.get(key)
        return plan if isinstance(plan, Plan) and plan.stands() else None
    if key not in now.plans:
        while len(now.plans) >= MOST_PLANS:
            now.plans.pop(next(iter(now.plans)), None)
        now.plans[key] = None
        return None
    plan = now.plans[key]
    if plan is None or (isinstance(plan, Plan) and not plan.stands()):
        try:
            plan = recorded(now.weights, run)
        except Unplanned as reason:
            plan = reason
        now.plans[key] = plan
    return plan if isinstance(plan, Plan) else None


def recorded(weights: list[Tensor], run: Run) -> Plan:
    """The plan of a run, which leaves no trace: weights and random numbers are then as before.

    Raises: Unplanned where the run did more than calls of ops.
    """
    state, before = random.state(), [w.data for w in weights]
    token = recording.set(None)
    try:
        with np.errstate(all="ignore"):  # the run that counts has warned
            inputs, outputs = run()
        plan = Plan(inputs, weights, outputs)
        if not all(map(is_, map(_DATA, weights), before)):
            raise Unplanned("it changes weights, as moving averages in training")
        if random.state() != state:
            raise Unplanned("it draws random numbers")
    finally:
        recording.reset(token)
        for w, data in zip(weights, before, strict=True):
            w.data = data
        if random.state() != state:
            random.load_state(state)
    return plan


# ---- what models do with them ----------------------------------------------------------------------------------------


def predicted(model: Any, x: Any, make: bool = True) -> Any:
    """The outputs of a model by its plan, an array or a list of them; None where it has none.

    Arguments: model; x, arrays; make, whether to make a plan where there is none yet.
    """
    inputs = x if isinstance(x, list) else [x]
    plan = plan_for(model, "predict", inputs, (lambda: _prediction(model, x)) if make else None)
    if plan is None:
        return None
    values = plan.forward(inputs)
    outputs = [values[place] for place in plan.outputs]
    return outputs if len(outputs) > 1 else outputs[0]


def are_arrays(x: Any) -> bool:
    """Whether x is a NumPy array, or a list of several."""
    return type(x) is np.ndarray or (type(x) is list and len(x) > 1 and all(type(a) is np.ndarray for a in x))


def predicting(model: Any, shape: Any) -> Plan:
    """The plan by which a model predicts for inputs of that shape, or of several.

    Raises: ValueError where there is none, with the reason.
    """
    now = known(model)
    if now.problem or now.choice is None:
        raise Unplanned(f"{model.name} has no plan: {now.problem or 'use, or trace, asks for the readable path'}")
    dtype = np.dtype("int64") if model.takes_ids else model.compute_dtype
    zeros = [np.zeros(s, dtype) for s in (shape if isinstance(shape, list) else [shape])]
    model.ensure_built([a.shape for a in zeros] if len(zeros) > 1 else zeros[0].shape)
    try:
        return recorded(model.weights, lambda: _prediction(model, zeros if len(zeros) > 1 else zeros[0]))
    except Unplanned as reason:
        raise Unplanned(f"{model.name} has no plan: {reason}") from None


def _prediction(model: Any, x: Any) -> tuple[list[Any], list[Tensor]]:
    inputs = x if isinstance(x, list) else [x]
    if any(type(a) is not np.ndarray or (a.dtype.kind == "f" and a.dtype != model.compute_dtype) for a in inputs):
        raise Unplanned(f"its input is converted to {model.compute_dtype} first")
    y = model(x)
    return inputs, y if isinstance(y, list) else [y]


class PlannedStep(Step):
    """A training step on the CPU, by a plan where the model has one for batches of this shape."""

    def __init__(self, model: Any):
        self.model, self.known = model, known(model)
        weights = model.weights if self.known.problem else self.known.weights  # a list of the user's own may have grown unseen
        self.trained = [w for w in weights if w.requires_grad] if model.trainable else []
        self.untrained = [w for w in weights if not w.requires_grad]
        self.statistics = []

    def differentiate(self, x: Any, y: Any, weight: Any) -> tuple[Tensor, Tensor]:
        model, loss, inputs = self.model, self.model.loss, x if isinstance(x, list) else [x]

        def run() -> tuple[list[Any], list[Tensor]]:
            if any(type(a) is not np.ndarray for a in (*inputs, y)):
                raise Unplanned("its batches are not all NumPy arrays")
            prediction = model.prediction(x, training=True)
            target = self.target(y, prediction.shape)
            return [*inputs, target, weight], [total_loss(model, target, prediction, weight), prediction]

        plan = None
        if type(loss) in LOSSES and not self.known.penalised:
            plan = plan_for(model, (loss, *vars(loss).items()), [*inputs, y, weight], run)
        if plan is None:
            return super().differentiate(x, y, weight)
        saved: list[Any] = []
        shape = plan.shapes[1]
        values = plan.forward([*inputs, self.target(y, shape), weight], saved)
        total, prediction = (Tensor(values[place]) for place in plan.outputs)
        if plan.compares_prediction:
            loss.check_prediction(prediction)
        plan.backward(values, saved)
        return prediction, total
