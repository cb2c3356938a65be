"""Tensor: an array that remembers how it was computed, so that gradients can flow back to the inputs.

Calling an op on Tensors writes a `Node` on the tape: the op, its inputs, and what its forward saved. `backward` walks
the nodes from the result to the leaves, and each op's own hand-written backward turns the gradient of its output
into gradients of its inputs. This walk is the chain rule; the engine has no other calculus.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinydx.arithmetic import Arithmetic
from tinydx.dispatch import Implementation, gradients_of
from tinydx.factored import multiplied_out
from tinydx.noting import noted
from tinydx.op import Op

recording: ContextVar[bool | None] = ContextVar("recording", default=True)  # None: also what needs no gradient, for a plan


class Node:
    """One op that ran: its inputs and constants, what it saved, and the shape of each of its outputs."""

    __slots__ = ("constants", "implementation", "inputs", "op", "outputs", "saved")

    def __init__(self, op: Op, implementation: Implementation, saved: Any, inputs: tuple, constants: dict, outputs: tuple):
        self.op, self.implementation, self.saved, self.inputs, self.constants = op, implementation, saved, inputs, constants
        self.outputs = [(y.shape, y.dtype) for y in outputs]


class Tensor(Arithmetic):
    """An array with a gradient. Its operators, and NumPy's functions of it, are ops of the table (tinydx/arithmetic.py).

    Arguments: array, floating (Python lists become float32); requires_grad, whether `backward` fills `.grad`; name, shown
    in messages.
    Raises: TypeError for integers, which the caller must convert.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "data", "gradient", "index", "mask", "name", "node", "requires_grad")

    def __init__(self, array: Any, requires_grad: bool = False, name: str = ""):
        self.data = as_array(array)
        self.requires_grad = requires_grad
        self.name = name
        self.gradient: Any = None  # as backward left it: an array or a FactoredGradient
        self.node: Node | None = None
        self.index = 0
        self.mask: Any = None  # (N,T) of bool, for padded sequences: which time steps are real

    @property
    def grad(self) -> Any:
        """The gradient as an array, None before `backward`."""
        self.gradient = multiplied_out(self.gradient)
        return self.gradient

    @grad.setter
    def grad(self, value: Any) -> None:
        self.gradient = value

    def record(self, op: Op, arguments: Sequence[Any], constants: dict[str, Any], chosen: Implementation | None = None) -> Any:
        """Run an op on tensors and arrays, and write it on the tape if one of them requires a gradient.

        Arguments: op; arguments, its arrays; constants, its keyword arguments; chosen, the implementation that runs
        (default: the one that dispatch chooses).
        Returns: a Tensor, or a tuple of them for an op with several outputs.
        """
        arguments = tuple(self._like_me(a) for a in arguments)
        constants = {name: _constant(op, name, value) for name, value in constants.items()}
        arrays = tuple(a.data if isinstance(a, Tensor) else a for a in arguments)
        y, saved, implementation = op.run(arrays, constants, chosen)
        outputs = y if isinstance(y, tuple) else (y,)
        tensors = tuple(Tensor(part) for part in outputs)
        tape = recording.get()
        if tape is None or (tape and any(isinstance(a, Tensor) and a.requires_grad for a in arguments)):
            node = noted(Node(op, implementation, saved, arguments, constants, outputs))
            for i, t in enumerate(tensors):
                t.node, t.index, t.requires_grad = node, i, True
        return tensors if isinstance(y, tuple) else tensors[0]

    def _like_me(self, a: Any) -> Any:
        """Python numbers take my dtype, so that x * 2 stays float32."""
        return self.dtype.type(a) if isinstance(a, int | float) else a

    def backward(self, grad: Any = None) -> None:
        """Fill `.grad` of every leaf that this tensor was computed from.

        Each call replaces `.grad`; gradients live in the pass, so calling twice does not double them.

        Arguments: grad, the gradient of the final result with respect to this tensor (default 1, for scalars only).
        Raises: ValueError where nothing requires a gradient, or where grad is missing or has another shape.
        """
        if not self.requires_grad:
            raise ValueError("backward: nothing that this tensor was made from has requires_grad=True")
        if grad is None and self.data.size != 1:
            raise ValueError(f"backward: a tensor of shape {self.shape} needs its gradient: y.backward(dy)")
        grad = np.ones_like(self.data) if grad is None else as_array(grad)
        flowing, leaves = _chain_rule(self, grad, keep=set())
        for leaf in leaves:
            leaf.gradient = flowing[_key(leaf)]

    # ---- changing the numbers ----

    def replaced_by(self, y: Tensor) -> Tensor:
        """What `self += other` leaves in the place of self, where y = self + other.

        Where the tape recorded y, that is y, a new Tensor. Otherwise self gets the numbers of y, in an array of its own: what was
        computed from the numbers before keeps them, and its gradient stays right.

        Raises: RuntimeError for a weight outside of `no_grad`, and for a result of the tape inside.
        """
        if y.requires_grad and self.node is None and self.requires_grad:
            raise RuntimeError(f"{self._called()} changes in place only inside `with no_grad():`; outside, write w = w + ...")
        if y.requires_grad:
            return y
        self._set(y.data, "x = x + ... makes a new Tensor")
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        if recording.get() and (self.requires_grad or getattr(value, "requires_grad", False)):
            raise RuntimeError(f"{self._called()}[...] = ... would lose a gradient: do it inside `with no_grad():`")
        data = self.data.copy()
        data[key] = value.data if isinstance(value, Tensor) else value
        self._set(data, "its numbers belong to its gradient")

    def _set(self, array: Any, otherwise: str) -> None:
        """Give the tensor other numbers; RuntimeError for a result of the tape, ValueError for another shape."""
        if self.node is not None:
            raise RuntimeError(f"{self._called()} was computed with a gradient and cannot change in place: {otherwise}")
        if array.shape != self.shape:
            raise ValueError(f"{self._called()} has shape {self.shape}, and cannot become {array.shape} in place")
        self.data = array.astype(self.dtype, copy=False)

    def _called(self) -> str:
        return self.name or "a Tensor"

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: the numbers and what they are, without a gradient; a result of the tape is refused."""
        if self.node is not None:
            raise TypeError(f"{self._called()}: a result of the tape cannot be copied or pickled: take its numbers, x.numpy()")
        return _leaf, (self.data, self.requires_grad, self.name, self.mask)

    def __copy__(self) -> Tensor:
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        label = f"{self.name}, " if self.name else ""
        values = np.array2string(self.numpy(), threshold=20, precision=4)
        return f"Tensor({label}{values}, {self.dtype}, shape {self.shape})"


def _leaf(array: Any, requires_grad: bool, name: str, mask: Any) -> Tensor:
    leaf = Tensor(array, requires_grad, name)
    leaf.mask = mask
    return leaf


def as_array(value: Any) -> Any:
    """The value as a floating array: Python lists and numbers become float32, floating arrays stay as they are.

    Raises: TypeError for integer arrays.
    """
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value):
        raise TypeError("Tensor: a list of Tensors would lose their gradients: np.stack(list), or ops.concatenate(*list)")
    given = hasattr(value, "dtype") and hasattr(value, "shape")
    array = value if given and not isinstance(value, np.generic) else np.asarray(value)
    if not given and array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype.kind not in "fc" or array.dtype == np.float16:
        raise TypeError(f"Tensor: {array.dtype} is not float32 or float64: convert with .astype('float32')")
    return array


def _constant(op: Op, name: str, value: Any) -> Any:
    """The constant of an op, as an array if it is a Tensor; TypeError where the tape would have to differentiate it."""
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad and recording.get():
        raise TypeError(f"{op.name}: no gradient flows into {name}, which is a constant: give its numbers, {name}.numpy()")
    return value.data


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without the tape: results of this context cannot be differentiated, and their ops save nothing.

    >>> with no_grad():
    ...     y = Tensor([2.0], requires_grad=True) * 3.0
    >>> y.requires_grad
    False
    """
    before = recording.get()
    recording.set(False)
    try:
        yield
    finally:
        recording.set(before)


def gradients(y: Tensor, wrt: Sequence[Tensor], grad: Any = None) -> list[Any]:
    """The gradients of y with respect to any tensors, leaves or intermediate; `.grad` stays untouched.

    Arguments: y; wrt, the tensors; grad, the gradient of the final result with respect to y (default: ones).
    Returns: one array per tensor of wrt, zeros where y does not depend on it.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> h = x * x
    >>> gradients(h * h, [h, x])
    [array([18.], dtype=float32), array([108.], dtype=float32)]
    """
    flowing, _ = _chain_rule(y, np.ones_like(y.data) if grad is None else as_array(grad), keep={_key(t) for t in wrt})
    return [multiplied_out(flowing[_key(t)]) if _key(t) in flowing else np.zeros_like(t.data) for t in wrt]


def _chain_rule(y: Tensor, grad: Any, keep: set) -> tuple[dict, list[Tensor]]:
    """Visit each node once, after all its uses: the gradients by key (of leaves and of `keep`), and the leaves."""
    flowing: dict[tuple[int, int], Any] = {_key(y): fitted(grad, y.shape, "backward")}
    leaves = {id(y): y} if y.node is None else {}
    for node in reversed(topological(y.node)):
        keys = [(id(node), i) for i in range(len(node.outputs))]
        parts = [flowing.get(k) if k in keep else flowing.pop(k, None) for k in keys]
        dys = tuple(cotangent(p, grad, *o) for p, o in zip(parts, node.outputs, strict=True))
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in node.inputs)
        grads = gradients_of(node.implementation, dys if len(dys) > 1 else dys[0], node.saved, needs)
        for x, g, needed in zip(node.inputs, grads, needs, strict=False):
            if needed and g is not None:
                g = fitted(g, x.shape, node.op.name)
                g = g if x.node is None else multiplied_out(g)  # only at a leaf may a gradient stay factored
                g = np.asarray(g) if isinstance(g, np.generic) else g  # NumPy's product of arrays without axes is no array
                flowing[_key(x)] = flowing[_key(x)] + g if _key(x) in flowing else g
                if x.node is None:
                    leaves[id(x)] = x
    return flowing, list(leaves.values())


def fitted(gradient: Any, shape: tuple[int, ...], giver: str) -> Any:
    """The gradient; ValueError unless it has that shape: the next backward may be a kernel, which reads memory by it."""
    if gradient.shape != shape:
        raise ValueError(f"{giver}: gradient has shape {gradient.shape}, expected {shape}, that of its array")
    return gradient


def cotangent(gradient: Any, beside: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """An output's gradient in its dtype, as a kernel expects it; zeros, on the device of `beside`, where none came."""
    if gradient is None:
        return np.zeros_like(beside, dtype, shape=shape)
    return gradient if gradient.dtype == dtype else multiplied_out(gradient).astype(dtype)


def _key(t: Tensor) -> tuple[int, int]:
    return (id(t), -1) if t.node is None else (id(t.node), t.index)


def topological(root: Node | None) -> list[Node]:
    """Nodes in the order in which they can run, by an explicit stack: long sequences would hit the recursion limit."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(root, False)] if root else []
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((x.node, False) for x in node.inputs if isinstance(x, Tensor) and x.node)
    return order
