"""Lowering: a model's layers become fused ops, and its last activation joins the loss. All fusing is decided in this file.

A model is a chain or graph of layers that know nothing of each other. Where the table has one op for neighbouring layers
(tinydx/ops/fused.py), lowering replaces their calls by one `Fused` call. It runs that op's kernel, or the layers where
there is none. Apart from rounding both give the same numbers; `tinydx.use("auto", fused=False)` always runs the layers.

    layers                                        op
    Conv2D(activation="relu"), MaxPooling2D()     correlate2d_relu_max_pool2d
    Conv2D(activation="relu")                     correlate2d_relu
    Dense(activation="relu")                      dense_relu
    BatchNormalization(), ReLU()                  batch_normalization_relu in training
    Conv2D(), BatchNormalization(), ReLU() ...    otherwise one of those above, with weights that normalise, too; Dense as well
    Add() of two, ReLU()                          add_relu

    last activation and loss                      op
    sigmoid, BinaryCrossentropy                   sigmoid_binary_crossentropy
    softmax, CategoricalCrossentropy              softmax_crossentropy
    softmax, SparseCategoricalCrossentropy        sparse_softmax_crossentropy

    backward of Dense and update                  the gradient stays factored until Adam's kernel multiplies it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tinydx import ops
from tinydx.dispatch import Implementation, choose_kernel, may_fuse
from tinydx.layers import Activation, Add, BatchNormalization, Conv2D, Dense, MaxPooling2D, ReLU
from tinydx.layers.base import Call, Layer, Symbol, in_training
from tinydx.layers.core import filled
from tinydx.layers.quantized import QuantizedKernel
from tinydx.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy
from tinydx.op import Op
from tinydx.tensor import Tensor

MOST = 4  # layers in one call: Conv2D, BatchNormalization, ReLU, MaxPooling2D

# ---- layers ----------------------------------------------------------------------------------------------------------


class Fused:
    """Neighbouring layers as one op; called like a layer.

    Arguments: op, their composition; layers, the first of which has the weights; constants of the op.
    """

    def __init__(self, op: Op, layers: Sequence[Any], **constants: Any):
        self.op, self.layers, self.constants = op, layers, constants
        self.apart = [*lower(layers[:-1]), *layers[-1:]]  # where there is no kernel: a shorter op may have one

    def __call__(self, x: Any) -> Tensor:
        first = self.layers[0]
        first.check_input([v.shape for v in x] if isinstance(x, list) else x.shape)
        kernel = None
        if may_fuse() and self.holds(x):
            data = tuple(a.data if isinstance(a, Tensor) else a for a in self.arrays(x))
            kernel = choose_kernel(self.op, data, self.constants)
        if kernel is None:
            return self.run_apart(x)
        y = self.run_fused(x, kernel)
        first.pass_mask(x, y)
        return y

    def holds(self, x: Any) -> bool:
        """Whether the op computes what the layers do with this x."""
        return not isinstance(self.layers[0].kernel, QuantizedKernel)  # whose op is another one

    def arrays(self, x: Any) -> Sequence[Any]:
        """The op's arrays, which decide whether there is a kernel."""
        return x, self.layers[0].kernel, self.layers[0].bias

    def run_fused(self, x: Any, kernel: Implementation) -> Tensor:
        """The op."""
        arrays = self.arrays(x)
        return arrays[0].record(self.op, arrays, self.constants, kernel)

    def run_apart(self, x: Any) -> Tensor:
        """Its calls one after the other."""
        for call in self.apart:
            x = call(x)
        return x


class FusedSum(Fused):
    """Add of two inputs, and ReLU."""

    def holds(self, x: Any) -> bool:
        return isinstance(x, list) and len(x) == 2

    def arrays(self, x: Any) -> Sequence[Any]:
        return x


class FusedNormalization(Fused):
    """BatchNormalization by the statistics of the batch, and ReLU."""

    def holds(self, x: Any) -> bool:
        return x.mask is None and self.layers[0].is_along_last(x) and self.layers[0].uses_batch(in_training())

    def arrays(self, x: Any) -> Sequence[Any]:
        return x, *self.layers[0].scale_and_shift(x)

    def run_fused(self, x: Any, kernel: Implementation) -> Tensor:
        return self.layers[0].normalize_batch(x, lambda *arrays, **constants: x.record(self.op, arrays, constants, kernel))


class Folded(Fused):
    """Dense or Conv2D, BatchNormalization by its own statistics, and what follows: the op without it, on other weights.

    Arguments: op, which computes the layers without BatchNormalization; layers; constants of the op.
    """

    def __init__(self, op: Op, layers: Sequence[Any], **constants: Any):
        super().__init__(op, layers, **constants)
        self.apart = [layers[0], *lower(layers[1:])]

    def holds(self, x: Any) -> bool:
        own = x.mask is None and self.layers[1].is_along_last(x) and not self.layers[1].uses_batch(in_training())
        return own and super().holds(x)

    def arrays(self, x: Any) -> Sequence[Any]:
        first, size = self.layers[0], self.layers[0].kernel.shape[-1]
        return x, first.kernel, filled(0, (size,), x.dtype, x) if first.bias is None else first.bias

    def run_fused(self, x: Any, kernel: Implementation) -> Tensor:
        x, *weights = self.arrays(x)
        return x.record(self.op, (x, *self.layers[1].folded_into(*weights)), self.constants, kernel)


def fuse(layers: Sequence[Any]) -> Fused | None:
    """The call of the op that computes exactly these layers; None if there is none."""
    first, rest, fused = layers[0], list(layers[1:]), Fused  # a subclass may compute something else
    if type(first) is BatchNormalization and len(rest) == 1 and is_relu(rest[0]):
        return FusedNormalization(ops.batch_normalization_relu, layers)
    if type(first) is Add and len(rest) == 1 and is_relu(rest[0]):
        return FusedSum(ops.add_relu, layers)
    if type(first) not in (Conv2D, Dense):
        return None
    rectified = first.activation is ops.relu
    if rest and type(rest[0]) is BatchNormalization and first.activation is None:
        rest, fused = rest[1:], Folded
        if rest and is_relu(rest[0]):
            rest, rectified = rest[1:], True
    op, constants = op_of(first, rectified, rest)
    return None if op is None or not (rectified or fused is Folded) else fused(op, layers, **constants)


def is_relu(layer: Any) -> bool:
    """Whether the layer is max(0, x) and nothing else."""
    if type(layer) is ReLU:
        return layer.limit is None and layer.slope == layer.threshold == 0
    return type(layer) is Activation and layer.activation is ops.relu


def op_of(layer: Any, rectified: bool, rest: Sequence[Any]) -> tuple[Op | None, dict[str, Any]]:
    """The op, None if there is none, and its constants, of Conv2D or Dense, ReLU if rectified, and the rest, maybe pooling."""
    if type(layer) is Dense:
        return None if rest else ops.dense_relu if rectified else ops.dense, {}
    constants = {"stride": layer.strides, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
    if not rest:
        return ops.correlate2d_relu if rectified else ops.correlate2d, constants
    pooling = rest[0]
    if not rectified or len(rest) > 1 or type(pooling) is not MaxPooling2D or pooling.strides != pooling.pool_size:
        return None, {}
    return None if pooling.padding != "valid" else ops.correlate2d_relu_max_pool2d, {**constants, "size": pooling.pool_size}


def longest(layers: Sequence[Any]) -> Fused | None:
    """The call of the op that computes the most of these layers, from the first on; None if there is none for the first."""
    return next((call for n in range(len(layers), 0, -1) if (call := fuse(layers[:n]))), None)


def lower(chain: Sequence[Layer]) -> list[Any]:
    """The calls that run a chain of layers: layers, and `Fused` ones."""
    calls: list[Any] = []
    at = 0
    while at < len(chain):
        fused = longest(chain[at : at + MOST])
        calls.append(fused or chain[at])
        at += len(fused.layers) if fused else 1
    return calls


def lower_graph(graph: Sequence[Call], outputs: Sequence[Symbol]) -> list[Call]:
    """The calls that run a graph. Several become one where no other call, and no output, uses the values between them."""
    uses = Counter([*outputs, *(symbol for call in graph for symbol in call.inputs)])
    takers = {call.x: call for call in graph if isinstance(call.x, Symbol) and not call.keywords}
    calls: list[Call] = []
    gone: set[Call] = set()
    for call in graph:
        if call in gone:
            continue
        line = [] if call.keywords else [call]
        while line and len(line) < MOST and len(line[-1].outputs) == uses[line[-1].outputs[0]] == 1:
            after = takers.get(line[-1].outputs[0])
            if after is None:
                break
            line.append(after)
        fused = longest([c.layer for c in line])
        if fused:
            gone.update(line[: len(fused.layers)])
            call = Call(fused, call.x, outputs=line[len(fused.layers) - 1].outputs)
        calls.append(call)
    return calls


class Lowered:
    """The calls that run a model: lowered at its first call, and again where layers or activations have changed since."""

    def __init__(self) -> None:
        self._plan: tuple[list[Any], list[Any]] = ([], [])  # the layers with their activations, and the calls

    def calls(self, layers: Sequence[Layer], lowered: Callable[[], list[Any]]) -> list[Any]:
        """The calls for these layers; lowered() makes them."""
        structure = [(layer, getattr(layer, "activation", None)) for layer in layers]
        if structure != self._plan[0]:
            self._plan = structure, lowered()
        return self._plan[1]


# ---- loss and update -------------------------------------------------------------------------------------------------

_ACTIVATIONS = {
    BinaryCrossentropy.loss: ops.sigmoid,
    CategoricalCrossentropy.loss: ops.softmax,
    SparseCategoricalCrossentropy.loss: ops.softmax,
}


def loss_of(loss: Loss, target: Any, prediction: Tensor, weight: Any) -> Tensor:
    """The loss of a prediction, with its last activation fused into it where the pair is in the table above.

    On clipped probabilities the gradient of a confident mistake would be 0; so this does not depend on `use(fused=...)`.

    Arguments: loss; target, labels from `loss.prepare`; prediction (N,...); weight (N,...) of the examples, or None.
    Returns: a Tensor with one number.
    """
    activation = _ACTIVATIONS.get(type(loss).loss)  # not of a subclass with a `loss` of its own
    node = prediction.node
    if activation is None or node is None or node.op is not activation or loss.from_logits:  # type: ignore[attr-defined]
        return loss.compare(target, prediction, weight)
    return loss.compare(target, prediction, weight, scores=node.inputs[0])


def gradients_for_update(weights: Sequence[Tensor]) -> list[Any]:
    """The gradients as the optimizer takes them: factored ones stay so where fusing is allowed."""
    return [w.gradient if may_fuse() else w.grad for w in weights]
