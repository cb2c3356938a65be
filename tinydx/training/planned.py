"""The plans of a model: when it has one, when it is made, and when it is forgotten.

A plan (`tinydx.training.plan`) is made when a shape comes for the second time, and forgotten when an attribute of any layer is
set, an array of a weight is replaced, or `use` chooses otherwise. The readable path runs, as ever: under use("numpy"), trace and
tapped, on a GPU, for classes and functions of the user's own, and where a run does more than ops and what layers say they have
`made` beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from tinydx import dispatch, distributed, layers, random, regularizers
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
from tinydx.noting import noting
from tinydx.op import Op
from tinydx.tensor import Tensor, recording
from tinydx.training.plan import Noted, Plan, Unplanned
from tinydx.training.step import Step, total_loss

MOST_PLANS = 16  # of a model; the oldest is dropped
LAYERS = {
    layers.Activation, layers.Add, layers.AdditiveAttention, layers.Attention, layers.Average, layers.AveragePooling2D,
    layers.BatchNormalization, layers.Bidirectional, layers.Concatenate, layers.Conv2D, layers.Dense, layers.DepthwiseConv2D,
    layers.Dropout, layers.Embedding, layers.Flatten, layers.GRU, layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.LSTM, layers.LayerNormalization, layers.Masking,
    layers.MaxPooling2D, layers.Multiply, layers.ReLU, layers.Reshape, layers.SeparableConv2D, layers.SimpleRNN,
    layers.TimeDistributed, layers.ZeroPadding2D,
}  # fmt: skip # their `call` does the same for all numbers of a shape; a subclass may do anything
LOSSES = {
    BinaryCrossentropy, CategoricalCrossentropy, Huber, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
}  # fmt: skip
PENALTIES = {regularizers.L1, regularizers.L1L2, regularizers.L2}

# () -> the arrays that a run takes, what it computes of them, how many of these are read
Run = Callable[[], tuple[Sequence[Any], Sequence[Tensor], int]]


class Known(NamedTuple):
    """A model as it is: what its plans rest on, and the plans by use and shapes of the inputs, None where there is none."""

    choice: Any
    revision: object
    weights: list[Tensor]
    arrays: list[Any]
    trained: list[bool]
    changing: list[Tensor]  # the weights that training changes
    penalties: list[Any]  # its regularizers
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
            named = any(call.keywords for call in getattr(layer, "graph", []))
            if own or named or "call" in vars(layer) or not all(f is None or isinstance(f, Op) for f in functions):
                problem = problem or f"{layer.name} ({type(layer).__name__}) may compute by other means than ops"
        arrays, trained = [w.data for w in weights], list(map(_TRAINED, weights))
        penalties = [penalty for layer in model.all_layers() for _, penalty in layer._penalties]
        changing = [w for w in weights if w.requires_grad] if model.trainable else []
        return cls(_choice(), now, weights, arrays, trained, changing, penalties, problem, {})

    def holds(self) -> bool:
        """Whether the model is still as it was."""
        return (
            self.revision is revision()
            and (self.choice is (choice := _choice()) or self.choice == choice)
            and all(map(is_, map(_DATA, self.weights), self.arrays))
        )

    def trains(self) -> bool:
        """Whether training still changes the same weights: `requires_grad` may be set past the layers."""
        return list(map(_TRAINED, self.weights)) == self.trained

    def plan_for(self, use: Any, given: Sequence[Any], run: Run | None) -> Plan | None:
        """The plan for arrays of these shapes, made when they come for the second time; None: the readable path runs.

        Arguments: use, what else the run depends on; given, arrays or None; run() computes with them (None: make no plan).
        """
        if self.problem or self.choice is None or is_tapped():
            return None
        key = (use, *[None if a is None else (type(a), a.shape, a.dtype) for a in given])
        plan = self.plans.get(key)
        if isinstance(plan, Plan) and plan.stands():
            return plan
        if run is None or isinstance(plan, Unplanned):
            return None
        if key not in self.plans:
            while len(self.plans) >= MOST_PLANS:
                self.plans.pop(next(iter(self.plans)), None)
            self.plans[key] = None
            return None
        try:
            plan = recorded(self.weights, run)
        except Unplanned as reason:
            plan = reason
        self.plans[key] = plan
        return plan if isinstance(plan, Plan) else None


_DATA, _TRAINED = attrgetter("data"), attrgetter("requires_grad")


def _choice() -> Any:
    """What `use` has set, where it allows Numba's kernels and these can run; None also while somebody traces."""
    choice = dispatch.untraced_choice()
    planned = choice is not None and choice.backend in (None, "numba") and dispatch.load_kernels("numba") is None
    return choice if planned else None


def known(model: Any, training: bool = False) -> Known:
    """The model as it is, looked at anew where it has changed."""
    kept = model._known
    if kept is None or not kept.holds() or (training and not kept.trains()):
        kept = vars(model)["_known"] = Known.of(model)  # past __setattr__: what is known of the model does not change it
    return kept


def recorded(weights: list[Tensor], run: Run) -> Plan:
    """The plan of a run, which leaves no trace: weights and random numbers are then as before.

    Raises: Unplanned where the run did more than calls of ops, and what was `made`.
    """
    state, before = random.state(), [w.data for w in weights]
    token = recording.set(None)
    try:
        with np.errstate(all="ignore"):  # the run that counts has warned
            with noting() as steps:
                inputs, outputs, read = run()
            after = random.state()
            plan = Plan(Noted(inputs, weights, before, steps, outputs, read))
            if after != state:
                random.load_state(state)
                plan.forward(inputs)
                if random.state() != after:
                    raise Unplanned("it draws random numbers that were not `made`")
    finally:
        recording.reset(token)
        for w, data in zip(weights, before, strict=True):
            w.data = data
        if random.state() != state:
            random.load_state(state)
    return plan


# ---- predictions -----------------------------------------------------------------------------------------------------


def predicted(model: Any, x: Any, make: bool = True) -> tuple[Plan, list[Any]] | None:
    """The plan by which a model predicts, and the values that it computes; None where there is none.

    Arguments: model; x, arrays; make, whether to make a plan where there is none yet.
    """
    inputs = x if isinstance(x, list) else [x]
    plan = known(model).plan_for("predict", inputs, (lambda: _prediction(model, inputs)) if make else None)
    return None if plan is None else (plan, plan.forward(inputs))


def outputs_of(plan: Plan, values: list[Any]) -> Any:
    """The output among the values of a prediction, or the list of them."""
    if len(plan.outputs) == 1:
        return values[plan.outputs[0]]
    return [values[place] for place in plan.outputs]


def tensors_of(plan: Plan, values: list[Any]) -> Any:
    """The output of a prediction as a Tensor with its mask, or the list of them."""
    outputs = [Tensor(values[place]) for place in plan.outputs]
    for y, mask in zip(outputs, plan.masks, strict=True):
        y.mask = None if mask is None else values[mask]
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
        return recorded(model.weights, lambda: _prediction(model, zeros))
    except Unplanned as reason:
        raise Unplanned(f"{model.name} has no plan: {reason}") from None


def _prediction(model: Any, inputs: list[Any]) -> tuple[Sequence[Any], Sequence[Tensor], int]:
    if any(type(a) is not np.ndarray or (a.dtype.kind == "f" and a.dtype != model.compute_dtype) for a in inputs):
        raise Unplanned(f"its input is converted to {model.compute_dtype} first")
    x = [a.view() for a in inputs]  # two inputs may be one array now, and two at the next call
    y = model(x if len(x) > 1 else x[0])
    outputs = y if isinstance(y, list) else [y]
    return x, outputs, len(outputs)


# ---- training --------------------------------------------------------------------------------------------------------


class PlannedStep(Step):
    """A training step on the CPU, by a plan where the model has one for batches of this shape."""

    def __init__(self, model: Any):
        self.known = known(model, training=True)
        if self.known.problem:  # a list of the user's own may have grown unseen
            super().__init__(model)
        else:
            self.model, self.trained, self.statistics = model, self.known.changing, []
            self.untrained = [w for w in self.known.weights if not w.requires_grad]

    def differentiate(self, x: Any, y: Any, weight: Any) -> dict[str, Any]:
        model, inputs = self.model, x if isinstance(x, list) else [x]
        plan = self._plan(inputs, y, weight)
        if plan is None:
            return super().differentiate(x, y, weight)
        saved: list[Any] = []
        target = self.target(y, plan.shapes[1])
        with distributed.own_numbers(model.optimizer.iterations):
            values = plan.forward([*inputs, target, weight], saved)
        total, prediction = plan.outputs
        if plan.compares_prediction:
            model.loss.check_prediction(Tensor(values[prediction]))
        plan.backward(values, saved)
        self.statistics = [(old, values[place]) for old, place in plan.statistics]
        numbers = {"loss": values[total]}
        if plan.masks[1] is not None and len(plan.shapes[1]) > 2:
            numbers["mask"] = values[plan.masks[1]]
        return {**numbers, "prediction": values[prediction]} if model.metrics or model.weighted_metrics else numbers

    def _plan(self, inputs: list[Any], y: Any, weight: Any) -> Plan | None:
        """The plan for batches of this shape. The prediction is no output of it where no metric reads it."""
        model, loss, penalties = self.model, self.model.loss, self.known.penalties
        if type(loss) not in LOSSES or not PENALTIES.issuperset(map(type, penalties)):
            return None
        read = 2 if model.metrics or model.weighted_metrics else 1

        def run() -> tuple[Sequence[Any], Sequence[Tensor], int]:
            if any(type(a) is not np.ndarray for a in (*inputs, y)):
                raise Unplanned("its batches are not all NumPy arrays")
            x = [a.view() for a in inputs]  # the labels may be the input: that of one batch, and not of another
            prediction = model.prediction(x if len(x) > 1 else x[0], training=True)
            target = self.target(y.view(), prediction.shape)
            return [*x, target, weight], [total_loss(model, target, prediction, weight), prediction], read

        settings = [tuple(vars(part).values()) for part in (loss, *penalties)]
        return self.known.plan_for((type(loss), *settings, read), [*inputs, y, weight], run)
