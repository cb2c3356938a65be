"""Random stacks of layers, beside PyTorch in float64: outputs, masks, gradients of all weights and inputs, moving averages.

PyTorch is no dependency of tinydx; it lives in an environment of its own:

    python -m venv /tmp/venv-torch
    /tmp/venv-torch/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu && /tmp/venv-torch/bin/pip install .
    PYTHONPATH=. /tmp/venv-torch/bin/python tests/torch_reference/stacks.py --stacks 2000 --seed 0

tinydx runs in float64, and so on its NumPy reference, or with --float32 on its kernels. twins.py says what each layer computes,
in PyTorch's words. A stack has its own seed: `--first 17 --stacks 1` makes stack 17 of that seed again and prints its layers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

import numpy as np
import torch
from twins import TWINS, State, Value

import tinydx
from tinydx import layers
from tinydx.layers import Input
from tinydx.models import Model

ACTIVATIONS = [None, None, "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "softplus", "silu"]
TOLERANCE = {"float64": 1e-8, "float32": 5e-3}  # of the largest number of each array, and of 1
WORDS = 7
KINDS = ("vector", "sequence", "sequence", "words", "two texts", "two texts", "images", "images")


class Draw:
    """The choices of one stack."""

    def __init__(self, seed: list[int]):
        self.rng = np.random.default_rng(seed)
        self.training = bool(self.rng.integers(2))

    def n(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one(self, *options: Any) -> Any:
        return options[self.n(0, len(options) - 1)]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)


# ---- layers that fit a shape -----------------------------------------------------------------------------------------


def anywhere(d: Draw, shape: tuple) -> Any:
    """A layer for any number of axes."""
    kinds = [
        lambda: layers.Dense(d.n(1, 5), activation=d.one(*ACTIVATIONS), use_bias=d.chance(0.8)),
        lambda: layers.Activation(d.one(*ACTIVATIONS[2:])),
        lambda: layers.Dropout(0.0 if d.training else 0.5),
        lambda: layers.BatchNormalization(center=d.chance(0.8), scale=d.chance(0.8), momentum=d.one(0.99, 0.9)),
        lambda: layers.LayerNormalization(epsilon=d.one(1e-3, 1e-2)),
    ]
    return d.one(*kinds)()


def recurrent(d: Draw, **config: Any) -> Any:
    kind = d.one(layers.SimpleRNN, layers.LSTM, layers.GRU)
    extra = {"reset_after": d.chance(0.5)} if kind is layers.GRU else {}
    return kind(d.n(1, 4), use_bias=d.chance(0.8), **extra, **config)


def of_sequence(d: Draw, shape: tuple) -> Any:
    """A layer for (N,T,D)."""
    kinds = [
        lambda: recurrent(d, return_sequences=True, go_backwards=d.chance(0.2)),
        lambda: recurrent(d, return_sequences=d.chance(0.5)),
        lambda: layers.Bidirectional(recurrent(d, return_sequences=d.chance(0.6)), d.one("concat", "sum", "mul", "ave")),
        lambda: layers.TimeDistributed(layers.Dense(d.n(1, 4), activation=d.one(*ACTIVATIONS))),
        lambda: layers.GlobalAveragePooling1D(),
        lambda: layers.Masking(),
        lambda: layers.Flatten(),
        lambda: layers.Reshape((shape[1], 1, shape[2])),
        lambda: layers.LayerNormalization(axis=(1, 2)),
    ]
    return d.one(*kinds)()


def of_images(d: Draw, shape: tuple) -> Any:
    """A layer for (N,H,W,C)."""
    height, width, channels = shape[1:]
    size = d.n(1, min(3, height)), d.n(1, min(3, width))
    padding, strides = d.one("valid", "same"), d.one(1, 1, 2, (1, 2), (2, 1))
    groups = d.one(1, channels)
    dilation = 2 if strides == 1 and padding == "same" and d.chance(0.3) else 1
    convolution = {"strides": strides, "padding": padding, "dilation_rate": dilation, "groups": groups}
    pooling = {"pool_size": size, "strides": d.one(None, 1, 2), "padding": padding}
    kinds = [
        lambda: layers.Conv2D(groups * d.n(1, 3), size, **convolution, activation=d.one(*ACTIVATIONS), use_bias=d.chance(0.8)),
        lambda: layers.Conv2D(groups * d.n(1, 3), size, **convolution),
        lambda: layers.MaxPooling2D(**pooling),
        lambda: layers.AveragePooling2D(**pooling),
        lambda: layers.ZeroPadding2D(((d.n(0, 2), d.n(0, 2)), (d.n(0, 2), d.n(0, 2)))),
        lambda: d.one(layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)(),
        lambda: layers.BatchNormalization(axis=1),
        lambda: layers.TimeDistributed(recurrent(d, return_sequences=d.chance(0.5))),
        lambda: layers.Flatten(),
        lambda: layers.Reshape((height, width * channels)),
    ]
    return d.one(*kinds)()


def branches(d: Draw, symbol: Any) -> Any:
    """Two or three layers side by side, joined again."""
    rank, units = len(symbol.shape), d.n(1, 4)
    if rank == 3 and d.chance(0.4):
        query = layers.Dense(units)(symbol)
        value = layers.Dense(units)(layers.Masking()(symbol) if d.chance(0.5) else symbol)
        key = [layers.Dense(units)(symbol)] if d.chance(0.3) else []
        return d.one(layers.Attention, layers.AdditiveAttention)(use_scale=d.chance(0.5))([query, value, *key])
    parts = [layers.Dense(units)(layers.Masking()(symbol) if rank == 3 and d.chance(0.4) else symbol) for _ in range(d.n(2, 3))]
    if d.chance(0.5):
        return d.one(layers.Add, layers.Average)()(parts)
    return layers.Concatenate(axis=d.n(1, rank - 1) - (rank if d.chance(0.5) else 0))(parts)


# ---- a stack ---------------------------------------------------------------------------------------------------------


def draw_inputs(d: Draw, dtype: str) -> tuple[list[Any], Any, list[np.ndarray]]:
    """Inputs, the symbol that the stack begins with, and arrays for the inputs."""
    n, kind = d.n(2, 4), d.one(*KINDS)
    if "t" in kind[:2] or kind == "words":  # one text, or two
        length = d.n(2, 5)
        inputs = [Input((length,), dtype="int64") for _ in range(2 if kind == "two texts" else 1)]
        size = d.n(1, 4)
        vectors = [layers.Embedding(WORDS, size, mask_zero=d.chance(0.7), dtype=dtype)(i) for i in inputs]
        merge = d.one(layers.Add(), layers.Average(), layers.Concatenate(), layers.Concatenate(axis=1), layers.Attention())
        start = merge(vectors) if len(vectors) > 1 else vectors[0]
        return inputs, start, [d.rng.integers(0, WORDS, (n, length)) * (d.rng.random((n, length)) < 0.6) for _ in inputs]
    shape = {"vector": (d.n(1, 5),), "sequence": (d.n(1, 5), d.n(1, 4)), "images": (d.n(1, 6), d.n(1, 6), d.n(1, 3))}[kind]
    x = d.rng.normal(size=(n, *shape))
    if kind == "sequence":
        x[d.rng.random((n, shape[0])) < 0.3] = 0  # for Masking
    one = Input(shape, dtype=dtype)
    return [one], one, [x.astype(dtype)]


def draw_stack(d: Draw, dtype: str) -> tuple[Model, list[np.ndarray]]:
    """A model of one to seven layers or joins, with random weights, and its inputs."""
    inputs, symbol, arrays = draw_inputs(d, dtype)
    if len(symbol.shape) == 3 and d.chance(0.4):
        symbol = layers.Masking()(symbol)
    for _ in range(d.n(1, 7)):
        rank = len(symbol.shape)
        own = {2: anywhere, 3: of_sequence, 4: of_images}.get(rank, anywhere)
        symbol = branches(d, symbol) if d.chance(0.2) else (own if d.chance(0.6) else anywhere)(d, symbol.shape)(symbol)
    model = Model(inputs if len(inputs) > 1 else inputs[0], symbol)
    for w in model.weights:
        values = d.rng.normal(size=w.shape) * (0.7 if w.ndim > 1 else 0.5)
        w.data = (values**2 + 0.3 if "variance" in w.name else values).astype(dtype)
    return model, arrays


def run_tinydx(model: Model, arrays: list[np.ndarray], training: bool, cotangent: Any) -> tuple[Any, Any, dict[str, np.ndarray]]:
    """Output and its mask; gradients and moving averages by name."""
    xs = [a if a.dtype.kind == "i" else tinydx.Tensor(a, requires_grad=True) for a in arrays]
    y = model(xs if len(xs) > 1 else xs[0], training=training)
    found: dict[str, np.ndarray] = {}
    if y.requires_grad:
        y.backward(cotangent(y.shape).astype(y.dtype))
    for k, t in enumerate([x for x in xs if isinstance(x, tinydx.Tensor)] + model.trainable_weights):
        found[f"gradient {k} ({t.name})"] = np.zeros(t.shape) if t.grad is None else t.grad
    return y.numpy(), y.mask, found


def run_torch(model: Model, arrays: list[np.ndarray], training: bool, cotangent: Any) -> tuple[Any, Any, list[Any], State]:
    """The same, by PyTorch; gradients in the same order."""
    state = State(model.weights, training)
    leaves = [torch.tensor(a) if a.dtype.kind == "i" else torch.tensor(a).double().requires_grad_() for a in arrays]
    inputs = model.inputs if isinstance(model.inputs, list) else [model.inputs]
    values = {symbol: Value(leaf) for symbol, leaf in zip(inputs, leaves, strict=True)}
    for call in model.graph:
        x = [values[s] for s in call.x] if isinstance(call.x, list | tuple) else values[call.x]
        values[call.outputs[0]] = TWINS[type(call.layer).__name__](call.layer, x, state)
    y = values[model.outputs]
    wanted = [v for v in leaves if v.requires_grad] + [state[w] for w in model.trainable_weights]
    total, gradients = (y.x * torch.tensor(cotangent(y.x.shape))).sum(), [None] * len(wanted)
    if wanted and total.requires_grad:
        gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    return y.x, y.mask, [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, gradients, strict=True)], state


def difference(model: Model, arrays: list[np.ndarray], d: Draw, tolerance: float) -> str | None:
    """What differs, in words; None if nothing does."""
    seed = d.n(0, 2**31)

    def cotangent(shape: Any) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=tuple(shape))

    want, want_mask, want_gradients, state = run_torch(model, arrays, d.training, cotangent)  # before the averages move
    got, got_mask, gradients = run_tinydx(model, arrays, d.training, cotangent)
    pairs = [("output", got, want), *((name, g, w) for (name, g), w in zip(gradients.items(), want_gradients, strict=True))]
    pairs += [(w.name, w.numpy(), state.moved[id(w)]) for w in model.weights if id(w) in state.moved]
    if (got_mask is None) != (want_mask is None) or (got_mask is not None and not np.array_equal(got_mask, want_mask.numpy())):
        return f"mask: {got_mask} instead of {want_mask}"
    for name, a, b in pairs:
        b = b.detach().numpy()
        if a.shape != b.shape or not np.isfinite(b).all():
            return f"{name}: shape {a.shape} instead of {b.shape}, or PyTorch's is not finite"
        gap = np.max(np.abs(a - b), initial=0.0) / max(1.0, np.max(np.abs(b), initial=0.0))
        if not gap <= tolerance:
            return f"{name}: differs by {gap:.1e}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first stack")
    parser.add_argument("--float32", action="store_true", help="tinydx in float32, on its kernels")
    arguments = parser.parse_args()
    dtype = "float32" if arguments.float32 else "float64"
    torch.set_num_threads(1)
    used, found = Counter(), 0
    for k in range(arguments.first, arguments.first + arguments.stacks):
        d = Draw([arguments.seed, k])
        model, arrays = draw_stack(d, dtype)
        names = [type(call.layer).__name__ for call in model.graph]
        used.update(names)
        said = difference(model, arrays, d, TOLERANCE[dtype])
        if said or arguments.stacks == 1:
            found += said is not None
            shapes = ", ".join(str(a.shape) for a in arrays)
            print(f"--seed {arguments.seed} --first {k}  {shapes}, training={d.training}: {said or 'agrees'}")
            print("    " + " -> ".join(f"{call.layer!r}{call.outputs[0].shape}" for call in model.graph), flush=True)
    counts = ", ".join(f"{n} {name}" for name, n in sorted(used.items()))
    print(f"{arguments.stacks} stacks in {dtype}, seed {arguments.seed}, of {counts}: {found} differ")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
