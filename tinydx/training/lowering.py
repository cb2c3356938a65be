"""Lowering: a model's layers become fused ops, and its last activation joins the loss. All fusing is decided in this file.

A model is a chain or graph of layers that know nothing of each other. Where the table has one op for neighbouring layers
(tinydx/ops/fused.py), lowering replaces their calls by one `Fused` call. It runs that op's kernel, or the layers where
there is none. Apart from rounding both give the same numbers; `tinydx.use("auto", fused=False)` always runs the layers.

    layers                                        op
    Conv2D(activation="relu"), MaxPooling2D()     correlate2d_relu_max_pool2d
    Conv2D(activation="relu")                     correlate2d_relu
    Dense(activation="relu")                      dense_relu

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
from tinydx.dispatch import choose_kernel, may_fuse
from tinydx.layers import Conv2D, Dense, MaxPooling2D
from tinydx.layers.base import Call, Layer, Symbol
from tinydx.layers.quantized import QuantizedKernel
from tinydx.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy
from tinydx.op import Op
from tinydx.tensor import Tensor

# ---- layers ----------------------------------------------------------------------------------------------------------


class Fused:
    """Neighbouring layers as one op; called like a layer.

    Arguments: op, their composition; layers, the first of which has the weights; constants of the op.
    """

    def __init__(self, op: Op, layers: Sequence[Any], **constants: Any):
        self.op, self.layers, self.constants = op, layers, constants

    def __call__(self, x: Tensor) -> Tensor:
        first = self.layers[0]
        first.check_input(x.shape)
        arrays, kernel = (x, first.kernel, first.bias), None
        if may_fuse() and not isinstance(first.kernel, QuantizedKernel):  # whose op is another one
            kernel = choose_kernel(self.op, tuple(None if a is None else a.data for a in arrays), self.constants)
        if kernel is None:
            for layer in self.layers:
                x = layer(x)
            return x
        y = x.record(self.op, arrays, self.constants, kernel)
        first.pass_mask(x, y)
        return y


def fuse(layers: Sequence[Any]) -> Fused | None:
    """The call of the op that computes exactly these layers; None if there is none."""
    first, kinds = layers[0], [type(layer) for layer in layers]  # a subclass may compute something else
    if kinds == [Dense] and first.activation is ops.relu:
        return Fused(ops.dense_relu, layers)
    if kinds[0] is not Conv2D or first.activation is not ops.relu:
        return None
    constants = {"stride": first.strides, "padding": first.padding, "dilation": first.dilation, "groups": first.groups}
    if kinds == [Conv2D]:
        return Fused(ops.correlate2d_relu, layers, **constants)
    if kinds == [Conv2D, MaxPooling2D] and layers[1].strides == layers[1].pool_size and layers[1].padding == "valid":
        return Fused(ops.correlate2d_relu_max_pool2d, layers, **constants, size=layers[1].pool_size)
    return None


def lower(chain: Sequence[Layer]) -> list[Any]:
    """The calls that run a chain of layers: layers, and `Fused` ones."""
    calls: list[Any] = []
    at = 0
    while at < len(chain):
        fused = fuse(chain[at : at + 2]) or fuse(chain[at : at + 1])
        calls.append(fused or chain[at])
        at += len(fused.layers) if fused else 1
    return calls


def lower_graph(graph: Sequence[Call], outputs: Sequence[Symbol]) -> list[Call]:
    """The calls that run a graph. Two become one where no other call, and no output, uses the value between them."""
    uses = Counter([*outputs, *(symbol for call in graph for symbol in call.inputs)])
    takers = {call.x: call for call in graph if isinstance(call.x, Symbol) and not call.keywords}
    calls: list[Call] = []
    gone: set[Call] = set()
    for call in graph:
        if isinstance(call.x, Symbol) and not call.keywords and call not in gone:
            y = call.outputs[0]
            after = takers.get(y) if len(call.outputs) == uses[y] == 1 else None
            pair = fuse([call.layer, after.layer]) if after else None
            if after and pair:
                gone.add(after)
                calls.append(Call(pair, call.x, outputs=after.outputs))
                continue
            call = Call(fuse([call.layer]) or call.layer, call.x, outputs=call.outputs)
        calls += [] if call in gone else [call]
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
