"""Recurrent layers for sequences (N,T,D), in one direction or both.

All are one class but for their cell: inputs and outputs (states, masks, dropout, direction) are the same for each. With
the default activations a whole sequence is one op of the table; with others, or with recurrent dropout, it is a chain of
small ones.

    x (N,T,D) --dropout--> op, or step by step --> states (N,T,U) --> every one, or the last
                initial_state ---^      ^--- mask: a masked step copies the state before it

Stacked layers need every state: LSTM(64, return_sequences=True), then LSTM(32). The document's output layer
y_t = W_hy h_t + b_y at every step is Dense(K) on such a sequence.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinydx import activations, initializers, ops, regularizers
from tinydx.layers.base import NO_SEQUENCE, Layer, Shape, count, expect_last_axis, expect_mask, expect_rank
from tinydx.layers.core import BatchNormalization, apply, expect_rate, filled, kept, known_axis
from tinydx.noting import made
from tinydx.tensor import Tensor


class Recurrent(Layer):
    """What SimpleRNN, LSTM and GRU share.

    Masked steps copy state and output; before the first real step the output is 0, even if the initial_state is not. With an
    initial_state the input's own mask is ignored, as in Keras: give it as mask= where it matters.

    Arguments: units; activation; use_bias; return_sequences, whether to return every output instead of the last;
    return_state, whether to return the last states, too; go_backwards, whether to read the sequence from its end (the output
    stays reversed); kernel_initializer, recurrent_initializer, bias_initializer, names or functions; kernel_regularizer,
    recurrent_regularizer, bias_regularizer, penalties (`tinydx.regularizers`), names, objects or None; dropout and
    recurrent_dropout, the shares of inputs and of states that are dropped for each example in training, the same ones at
    every step; the rest as Layer. A call takes x (N,T,D); initial_state, a list of (N,units), instead of zeros; mask (N,T) of
    bool, instead of the input's own.
    Weights: kernel (D,G), recurrent_kernel (units,G), bias (G,), where G holds the gates side by side.
    Returns: (N,units), or (N,T,units) with return_sequences; with return_state a list of it and the states (N,units).
    Raises: ValueError for inputs, states or masks of other shapes.
    """

    gates: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ("h",)
    zero_output_for_mask = False  # Bidirectional, as in Keras: in a sequence, masked steps give 0 instead of a copy

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **common: Any,
    ):
        super().__init__(**common)
        self.units, self.activation, self.use_bias = count(self, "units", units), activations.get(activation), use_bias
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.initializers = kernel_initializer, recurrent_initializer, bias_initializer
        penalties = kernel_regularizer, recurrent_regularizer, bias_regularizer
        self.regularizers = [regularizers.get(penalty) for penalty in penalties]
        self.dropout = expect_rate(self, "dropout", dropout)
        self.recurrent_dropout = expect_rate(self, "recurrent_dropout", recurrent_dropout)

    # ---- what a subclass defines ----

    def has_op(self) -> bool:
        """Whether its activations are those of the op."""
        return self.activation is ops.tanh

    def run_op(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, list[Tensor]]:
        """Every output (N,T,units), and the last states, by one op for the whole sequence."""
        raise NotImplementedError

    def step(self, scores: Tensor, states: list[Any], seen: Any) -> list[Tensor]:
        """The new states, by small ops; scores = x_t W + b, and `seen` is h as the gates see it, after dropout."""
        raise NotImplementedError

    # ---- weights ----

    def build(self, input_shape: Shape) -> None:
        features, width = known_axis(self, input_shape, 2), self.gates * self.units
        kernel, recurrent, bias = self.initializers
        penalties = self.regularizers
        self.kernel = self.add_weight("kernel", (features, width), kernel, regularizer=penalties[0])
        self.recurrent_kernel = self.add_weight("recurrent_kernel", (self.units, width), recurrent, regularizer=penalties[1])
        self.bias = self.add_weight("bias", self.bias_shape(), bias, regularizer=penalties[2]) if self.use_bias else None

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 3, "(N, time, features)")
        if self.built:
            expect_last_axis(self, input_shape, self.kernel.shape[0])

    # ---- the function ----

    def call(self, x: Tensor, training: bool = False, initial_state: Any = None, mask: Any = None) -> Any:
        mask = expect_mask(self, mask, x.shape[:2])
        carried, mask = (x.mask if mask is None else mask), mask_of(self, x, mask, initial_state)
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else made(lambda mask: mask[:, ::-1], mask)
        if training and self.dropout:
            x = ops.dropout(x, mask=kept(x, (x.shape[0], 1, x.shape[2]), self.dropout), rate=self.dropout)
        states = self._initial_states(x, initial_state)
        if training and self.recurrent_dropout:
            drawn = kept(states[0], states[0].shape, self.recurrent_dropout)
            outputs, last = self._step_by_step(x, states, mask, drawn)
        else:
            outputs, last = self.run_op(x, states, mask) if self.has_op() else self._step_by_step(x, states, mask)
        if mask is not None and self.return_sequences and self.zero_output_for_mask:
            outputs = outputs * made(lambda mask, x: mask[..., None].astype(x.dtype), mask, x)
        elif mask is not None and initial_state is not None:
            outputs = outputs * made(_begun, mask, x)
        out = outputs if self.return_sequences else outputs[:, -1]
        out.mask = carried if self.return_sequences else None
        return [out, *last] if self.return_state else out

    def compute_mask(self, x: Tensor, mask: Any) -> Any:
        return mask if self.return_sequences else None  # the last output has seen all real steps

    def _initial_states(self, x: Tensor, given: Any) -> list[Any]:
        """The states at the start: zeros, or those given, one array or a list."""
        if given is None:
            return [Tensor(filled(0, (x.shape[0], self.units), x.dtype, x)) for _ in self.states]
        given = list(given) if isinstance(given, list | tuple) else [given]
        shapes = [getattr(s, "shape", None) for s in given]
        if shapes != [(x.shape[0], self.units)] * len(self.states):
            wanted = " and ".join(f"{s} {(x.shape[0], self.units)}" for s in self.states)
            raise ValueError(f"{self.name}: initial_state has shapes {shapes}, expected {wanted}")
        return [s if isinstance(s, Tensor) else Tensor(np.asarray(s, x.dtype, like=x.data)) for s in given]

    def _step_by_step(self, x: Tensor, states: list[Any], mask: Any, kept: Any = None) -> tuple[Tensor, list[Tensor]]:
        """The same as run_op, for any activation and with recurrent dropout."""
        scores, outputs = ops.dense(x, self.kernel, self._input_bias()), []
        for t in range(x.shape[1]):
            h = states[0]
            seen = h if kept is None else ops.dropout(h, mask=kept, rate=self.recurrent_dropout)
            new = self.step(scores[:, t], states, seen)
            if mask is not None:
                real = mask[:, t, None].astype(x.dtype)
                new = [n * real + s * (1 - real) for n, s in zip(new, states, strict=True)]
            states = new
            outputs.append(states[0].reshape(x.shape[0], 1, self.units))
        return ops.concatenate(*outputs, axis=1), states

    def _input_bias(self) -> Tensor | None:
        """The part of the bias that is added to x W."""
        return self.bias

    def _gates(self, z: Tensor) -> list[Tensor]:
        """Split (N,G) into the gates, (N,units) each."""
        return [z[:, k * self.units : (k + 1) * self.units] for k in range(z.shape[1] // self.units)]

    def output_shape(self, input_shape: Shape) -> Any:
        state = (input_shape[0], self.units)
        out = (*input_shape[:2], self.units) if self.return_sequences else state
        return [out, *(state for _ in self.states)] if self.return_state else out


def _begun(mask: Any, x: Any) -> Any:
    """1 from the first real time step on, 0 before it: (N,T,1), in the dtype of x."""
    return np.logical_or.accumulate(mask, axis=1)[..., None].astype(x.dtype)


def mask_of(layer: Layer, x: Tensor, mask: Any, initial_state: Any) -> Any:
    """The mask that counts: the one given, else the input's own, unless there is an initial_state."""
    return expect_mask(layer, x.mask if mask is None and initial_state is None else mask, x.shape[:2])


class SimpleRNN(Recurrent):
    """The document's recurrence h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h); its output layer is a Dense after it.

    Arguments, Returns, Raises: as Recurrent.
    Weights: kernel (D,units), recurrent_kernel (units,units), bias (units,).
    Source: document, 2.2.

    >>> SimpleRNN(4, return_sequences=True)(np.ones((2, 5, 3), "float32")).shape
    (2, 5, 4)
    """

    def run_op(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, list[Tensor]]:
        y = ops.simple_rnn(x, *states, self.kernel, self.recurrent_kernel, self.bias, mask=mask)
        return y, [y[:, -1]]

    def step(self, scores: Tensor, states: list[Any], seen: Any) -> list[Tensor]:
        return [apply(self.activation, scores + seen @ self.recurrent_kernel)]


class _Gated(Recurrent):
    """A network whose gates have an activation of their own."""

    def __init__(self, units: int, activation: Any, recurrent_activation: Any, **common: Any):
        super().__init__(units, activation, **common)
        self.recurrent_activation = activations.get(recurrent_activation)

    def has_op(self) -> bool:
        return self.activation is ops.tanh and self.recurrent_activation is ops.sigmoid


class LSTM(_Gated):
    """The LSTM: gates i, f, o and a candidate g, and a cell state c' = f c + i g beside h' = o tanh(c').

    Arguments: units; activation; recurrent_activation, of the gates; unit_forget_bias, whether the forget gate's bias starts
    at 1; the rest as Recurrent. Its states are h, c.
    Weights: kernel (D,4 units), recurrent_kernel (units,4 units), bias (4 units,), gates in Keras's order i, f, g, o.
    Returns, Raises: as Recurrent.

    >>> y, h, c = LSTM(4, return_state=True)(np.ones((2, 5, 3), "float32"))
    >>> y.shape, c.shape
    ((2, 4), (2, 4))
    """

    gates = 4
    states = ("h", "c")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        unit_forget_bias: bool = True,
        **common: Any,
    ):
        super().__init__(units, activation, recurrent_activation, **common)
        if unit_forget_bias:
            self.initializers = *self.initializers[:2], self._bias_of_open_gates

    def _bias_of_open_gates(self, shape: tuple[int, ...]) -> np.ndarray:
        """The initial bias, with 1 for the forget gates: at first nothing is forgotten. Source: Jozefowicz et al. 2015."""
        values = np.array(initializers.get(self.config.get("bias_initializer", "zeros"))(shape))
        values[self.units : 2 * self.units] = 1
        return values

    def run_op(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, list[Tensor]]:
        y, c = ops.lstm(x, *states, self.kernel, self.recurrent_kernel, self.bias, mask=mask)
        return y, [y[:, -1], c]

    def step(self, scores: Tensor, states: list[Any], seen: Any) -> list[Tensor]:
        i, f, g, o = self._gates(scores + seen @ self.recurrent_kernel)
        i, f, o = (apply(self.recurrent_activation, gate) for gate in (i, f, o))
        c = f * states[1] + i * apply(self.activation, g)
        return [o * apply(self.activation, c), c]


class GRU(_Gated):
    """The GRU: h' = z h + (1 - z) g, where the update gate z keeps the old state and the reset gate r shapes the candidate g.

    Arguments: units; activation; recurrent_activation, of the gates; reset_after, whether r multiplies U h + b_1 (Keras's
    default), or h before the product; the rest as Recurrent.
    Weights: kernel (D,3 units), recurrent_kernel (units,3 units), bias (2,3 units), or (3 units,) with reset_after=False,
    gates in Keras's order z, r, g.
    Returns, Raises: as Recurrent.

    >>> GRU(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        reset_after: bool = True,
        **common: Any,
    ):
        super().__init__(units, activation, recurrent_activation, **common)
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Tensor | None:
        return self.bias[0] if self.bias is not None and self.reset_after else self.bias

    def run_op(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, list[Tensor]]:
        op = ops.gru if self.reset_after else ops.gru_reset_before
        y = op(x, *states, self.kernel, self.recurrent_kernel, self.bias, mask=mask)
        return y, [y[:, -1]]

    def step(self, scores: Tensor, states: list[Any], seen: Any) -> list[Tensor]:
        xz, xr, xg = self._gates(scores)
        from_h = seen @ self.recurrent_kernel
        hz, hr, s = self._gates(from_h if self.bias is None or not self.reset_after else from_h + self.bias[1])
        z, r = apply(self.recurrent_activation, xz + hz), apply(self.recurrent_activation, xr + hr)
        s = r * s if self.reset_after else (r * seen) @ self.recurrent_kernel[:, 2 * self.units :]
        return [z * states[0] + (1 - z) * apply(self.activation, xg + s)]


class Bidirectional(Layer):
    """Two layers like the one given: one reads each sequence forwards, the other backwards.

    In a sequence of outputs, masked steps give 0 (as in Keras).

    Arguments: layer, such as LSTM(32); merge_mode, how their outputs are combined: "concat", "sum", "mul", "ave", or None
    for both; backward_layer, if it differs from layer; the rest as Layer. A call takes initial_state and mask as Recurrent,
    the forward layer's states first.
    Weights: those of the forward layer, then those of the backward layer.
    Returns: the combined outputs; with return_state a list of them and the states of both, in the same order.
    Raises: ValueError for another merge_mode, or layers that do not fit each other.

    >>> Bidirectional(GRU(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 8)
    """

    def __init__(self, layer: Any, merge_mode: str | None = "concat", backward_layer: Any = None, **common: Any):
        super().__init__(**common)
        if not isinstance(layer, Recurrent) or not isinstance(backward_layer, Recurrent | None):
            raise ValueError(f"{self.name}: expected a recurrent layer such as LSTM(32), got {layer!r}, {backward_layer!r}")
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ValueError(f"{self.name}: merge_mode is {merge_mode!r}, expected 'concat', 'sum', 'mul', 'ave' or None")
        self.merge_mode = merge_mode
        turned = {"go_backwards": not layer.go_backwards}
        self.forward_layer = type(layer)(**layer.config | {"name": f"forward_{layer.name}"})
        self.backward_layer = backward_layer or type(layer)(**layer.config | turned | {"name": f"backward_{layer.name}"})
        self._check_twins()
        for twin in (self.forward_layer, self.backward_layer):
            twin.zero_output_for_mask = layer.return_sequences

    def _check_twins(self) -> None:
        a, b = self.forward_layer, self.backward_layer
        if a.go_backwards == b.go_backwards:
            raise ValueError(f"{self.name}: both layers have go_backwards={a.go_backwards}, expected one of each")
        for option in ("return_sequences", "return_state"):
            if getattr(a, option) != getattr(b, option):
                raise ValueError(f"{self.name}: its layers differ in {option}")

    def build(self, input_shape: Shape) -> None:
        for layer in self.layers:
            layer.ensure_built(input_shape, self.dtype)

    def check_input(self, input_shape: Shape) -> None:
        self.forward_layer.check_input(input_shape)

    def call(self, x: Tensor, training: bool = False, initial_state: Any = None, mask: Any = None) -> Any:
        mask, halves = mask_of(self, x, mask, initial_state), [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            halves = [initial_state[:half], initial_state[half:]]
        ys = [layer(x, initial_state=s, mask=mask) for layer, s in zip(self.layers, halves, strict=True)]
        states = [s for y in ys for s in y[1:]] if self.forward_layer.return_state else []
        forwards, backwards = [y[0] for y in ys] if self.forward_layer.return_state else ys
        if self.forward_layer.return_sequences:
            seen, backwards = forwards.mask, backwards[:, ::-1]
            backwards.mask = seen
        merged = self._merge(forwards, backwards)
        out = merged if isinstance(merged, list) else [merged]
        out[0].mask = forwards.mask
        return [*out, *states] if len(out) + len(states) > 1 else out[0]

    def compute_mask(self, x: Tensor, mask: Any) -> Any:
        return self.forward_layer.compute_mask(x, mask)

    def _merge(self, a: Tensor, b: Tensor) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate(a, b)
        if self.merge_mode is None:
            return [a, b]
        return a * b if self.merge_mode == "mul" else a + b if self.merge_mode == "sum" else (a + b) * 0.5

    def output_shape(self, input_shape: Shape) -> Any:
        one = self.forward_layer.output_shape(input_shape)
        out, *states = one if isinstance(one, list) else [one]
        wide = (*out[:-1], out[-1] * 2) if self.merge_mode == "concat" else out
        shapes = [*([out, out] if self.merge_mode is None else [wide]), *states, *states]
        return shapes if len(shapes) > 1 else wide


class TimeDistributed(Layer):
    """Another layer at every time step, on all steps as one batch of N*T examples.

    A Dense layer works along the last axis and needs no TimeDistributed.

    Arguments: layer; the rest as Layer.
    Returns: (N,T,...) for x (N,T,...).
    Raises: ValueError for inputs of fewer than three axes.

    >>> from tinydx.layers import Conv2D
    >>> TimeDistributed(Conv2D(4, 3))(np.ones((2, 5, 8, 8, 1), "float32")).shape
    (2, 5, 6, 6, 4)
    """

    supports_masking = True

    def __init__(self, layer: Any, **common: Any):
        super().__init__(**common)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.name}: expected a layer such as Dense(10), got {layer!r}")
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        self.layer.ensure_built((None, *input_shape[2:]), self.dtype)

    def check_input(self, input_shape: Shape) -> None:
        if isinstance(input_shape, list) or len(input_shape) < 3:
            raise ValueError(f"{self.name}: expected input (N, time, ...), got {input_shape}; {NO_SEQUENCE}")
        self.layer.check_input((None, *input_shape[2:]))

    def call(self, x: Any, training: bool = False) -> Tensor:
        steps = {"mask": x.mask.reshape(-1)} if isinstance(self.layer, BatchNormalization) and x.mask is not None else {}
        y = self.layer(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), **steps)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], *self.layer.output_shape((None, *input_shape[2:]))[1:])


class Masking(Layer):
    """Masks the time steps in which all numbers are mask_value, and sets them to 0: later layers skip them.

    Arguments: mask_value; the rest as Layer.
    Returns: (N,T,D) for x (N,T,D), with a mask (N,T).

    >>> Masking()(np.array([[[1.0, 0.0], [0.0, 0.0]]])).mask
    array([[ True, False]])
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **common: Any):
        super().__init__(**common)
        if mask_value != mask_value:
            raise ValueError(f"{self.name}: mask_value is nan, which equals no number: np.nan_to_num(x) makes it 0")
        self.mask_value = mask_value

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 3, "(N, time, features)")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        mask = made(lambda x: (x != self.mask_value).any(axis=-1), x)
        y = x * made(lambda mask, x: mask[..., None].astype(x.dtype), mask, x)
        y.mask = mask
        return y

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
