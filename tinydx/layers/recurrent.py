"""Recurrent layers for sequences (N,T,D)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import activations, ops
from tinydx.layers.base import Layer, Shape, count, expect_last_axis, expect_rank
from tinydx.layers.core import apply, known_axis
from tinydx.tensor import Tensor


class SimpleRNN(Layer):
    """The document's recurrence h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h).

    Arguments: units; activation ("tanh" runs as one fused op); return_sequences gives every h_t instead of the last;
    return_state gives the last state besides; go_backwards reads the sequence from its end (and leaves the output
    reversed). Weights: kernel (D,units), recurrent_kernel (units,units), bias (units,).
    Shapes: (N,T,D) -> (N,units) or (N,T,units). Masked steps copy the state and the output before them; before the
    first real step the output is 0, also where the initial_state is not.

    >>> SimpleRNN(4, return_sequences=True)(np.ones((2, 5, 3), "float32")).shape
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        **common: Any,
    ):
        super().__init__(**common)
        self.units, self.activation, self.use_bias = count(self, "units", units), activations.get(activation), use_bias
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.initializers = kernel_initializer, recurrent_initializer, bias_initializer
        self.passes_mask = return_sequences

    def build(self, input_shape: Shape) -> None:
        self.kernel = self.add_weight("kernel", (known_axis(self, input_shape, 2), self.units), self.initializers[0])
        self.recurrent_kernel = self.add_weight("recurrent_kernel", (self.units, self.units), self.initializers[1])
        self.bias = self.add_weight("bias", (self.units,), self.initializers[2]) if self.use_bias else None

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 3, "(N, time, features)")
        if self.built:
            expect_last_axis(self, input_shape, self.kernel.shape[0])

    def call(self, x: Tensor, training: bool = False, initial_state: Any = None, mask: Any = None) -> Any:
        mask = x.mask if mask is None else np.asarray(mask, bool)
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        h0 = Tensor(np.zeros((x.shape[0], self.units), x.dtype, like=x.data)) if initial_state is None else initial_state
        h0 = h0[0] if isinstance(h0, list | tuple) else h0
        outputs = states = self._run(x, h0, mask)
        if mask is not None and initial_state is not None:
            outputs = states * np.logical_or.accumulate(mask, axis=1)[..., None].astype(x.dtype)
        out = outputs if self.return_sequences else outputs[:, -1]
        return [out, states[:, -1]] if self.return_state else out

    def _run(self, x: Tensor, h0: Any, mask: Any) -> Tensor:
        """Every hidden state (N,T,units): the fused op for tanh, one step after the other for any other activation."""
        if self.activation is ops.tanh:
            return ops.simple_rnn(x, h0, self.kernel, self.recurrent_kernel, self.bias, mask=mask)
        inputs, h, states = ops.dense(x, self.kernel, self.bias), h0, []
        for t in range(x.shape[1]):
            new = apply(self.activation, inputs[:, t] + h @ self.recurrent_kernel)
            if mask is not None:
                keep = mask[:, t, None].astype(x.dtype)
                new = new * keep + h * (1 - keep)
            h = new
            states.append(h.reshape(x.shape[0], 1, self.units))
        return ops.concatenate(*states, axis=1)

    def output_shape(self, input_shape: Shape) -> Any:
        out = (*input_shape[:2], self.units) if self.return_sequences else (input_shape[0], self.units)
        return [out, (input_shape[0], self.units)] if self.return_state else out
