"""Where models become fused ops: the one place.

A model is a chain (or graph) of layers that know nothing of each other. Where neighbours are together one op of the
table (tinydx/ops/fused.py), and a kernel for it exists here and now, one call computes them all; else they run one by
one. Both ways give the same numbers but for rounding; `tinydx.use("auto", fused=False)` switches it off.

    Conv2D(activation="relu"), MaxPooling2D()     correlate2d_relu_max_pool2d
    Conv2D(activation="relu")                     correlate2d_relu
    Dense(activation="relu")                      dense_relu
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinydx import ops
from tinydx.dispatch import can_fuse
from tinydx.layers import Conv2D, Dense, MaxPooling2D
from tinydx.layers.base import Call, Layer, Symbol
from tinydx.op import Op
from tinydx.tensor import Tensor


class Fused:
    """Layers that are together one op; called like a layer."""

    def __init__(self, record: Op, layers: Sequence[Any], **constants: Any):
        self.record, self.layers, self.constants = record, layers, constants

    def __call__(self, x: Tensor) -> Tensor:
        first = self.layers[0]
        if all(layer.built for layer in self.layers):
            first.check_input(x.shape)
            arrays = x, first.kernel, first.bias
            if can_fuse(self.record, tuple(None if a is None else a.data for a in arrays), self.constants):
                y = self.record(*arrays, **self.constants)
                first.pass_mask(x, y)
                return y
        for layer in self.layers:
            x = layer(x)
        return x


def fuse(layers: Sequence[Any]) -> Fused | None:
    """The one op that these layers are together, if there is one."""
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
    """The calls that run a graph. Two become one where nobody else looks at what is between them."""
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
