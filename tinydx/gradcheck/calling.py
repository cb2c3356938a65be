"""Calling a learner's backward: which of its parameters get what, and what a result or an error means.

The first parameter is the cotangent dy. The others are named `saved` (what forward saved), `y` (its result), `needs`, or like
the arrays and constants of the forward: `backward(dy, x, w, stride)`. One other parameter of unknown name, as in the
signatures `backward(dA, Z)` and `backward(dout, cache)` of well-known courses, is tried as each thing it may stand for.

Where the first parameter is named like an array of the forward, dy goes to one of unknown name, `backward(x, dout)`, or nowhere:
a loss's `backward(p, t)` and an activation's `slope(x)` give the gradient for dy = 1.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinydx.op import Op

Arrays = Sequence[np.ndarray]
INPUTS = {"a_prev", "input", "inputs", "inp", "features", "x_in", "data"}  # other names of the first array
BEFORE = {"z", "x", *INPUTS}  # what came into an activation
AFTER = {"a", "out", "output", "outputs", "h", "probs", "res"}  # what came out of it
MEANING = {"saved": "what forward saved", "y": "forward's result", "arrays": "forward's inputs", "shape": "forward's shapes"}
ALONE = "alone"  # reading the one parameter of a backward as the place at which it gives the slope, without a dy


class Stop(Exception):
    """An error that a backward raises to end the check: it reaches the caller as it is."""


class Failed(Exception):
    """A learner's function raised an error, or returned no numbers; the text is one sentence."""


def offer(op: Op | None, names: Sequence[str], arrays: Arrays, constants: Mapping[str, Any], result: tuple) -> dict[str, Any]:
    """Everything that a backward's parameters can name; constants that were left out have the op's defaults.

    Arguments: op, or None; names of the arrays; arrays; constants; result, forward's (y, saved).
    """
    y, saved = result
    defaults = _defaults(op) if op else {}
    offered: dict[str, Any] = {"y": y, "saved": saved, "cache": saved, "needs": (True,) * len(arrays)}
    offered["names"] = tuple(names[: len(arrays)])
    offered |= {"*": tuple(arrays), "**": dict(constants), "arrays": arrays[0] if len(arrays) == 1 else tuple(arrays)}
    offered |= dict.fromkeys(INPUTS, arrays[0]) if len(arrays) else {}
    return offered | defaults | dict(constants) | dict(zip(names, arrays, strict=False))


def _defaults(op: Op) -> dict[str, Any]:
    """The op's constants that have a default, such as eps."""
    parameters = op.signature.parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}


def readings(op: Op | None, backward: Callable, names: Sequence[str], saves: bool) -> list[str]:
    """What a backward's one other parameter may stand for, the most likely first; ["saved"] where its name says it.

    Arguments: op, or None for a forward of one's own; backward; names of forward's parameters; saves, whether forward saved
    anything.
    """
    takes_dy = cotangent(backward, names)
    others = [p for p in positional(backward) if p.name != takes_dy]
    own = [op.backward, *(s.backward for s in op.slips)] if op else []
    if len(positional(backward)) == 1 and (op is not None or not saves) and _is_place(positional(backward)[0].name, names):
        return [ALONE, "saved"]
    if len(others) != 1 or any(backward is known for known in own):
        return ["saved"]
    name = others[0].name.lower()
    if (saves and op is None) or {name, others[0].name} & {*names, "y", "needs"} or (saves and name == "saved"):
        return ["saved"]
    if op is None:
        return ["y" if name in AFTER else "arrays"]
    if name in BEFORE:
        return ["arrays"]
    return ["y", "saved"] if name in AFTER else ["saved", "arrays"]


def cotangent(backward: Callable, names: Sequence[str]) -> str | None:
    """The parameter that gets dy; None where every one that a call must fill is named like one of the forward, or is y."""
    return _cotangent(list(inspect.signature(backward).parameters.values()), names)


def _cotangent(parameters: Sequence[inspect.Parameter], names: Sequence[str]) -> str | None:
    """The same, of a signature that is known."""
    every, known = [p.name for p in parameters], {"y", *(n.lower() for n in names)}
    first, *rest = [p.name for p in _required(parameters)] or every[:1] or [""]
    if first.lower() in ("saved", "cache") and len(rest) == 1 and rest[0].lower() not in known:
        return rest[0]
    if not rest or first != every[0] or first.lower() not in known:
        return every[0] if every else None
    return next((n for n in rest if n.lower() not in known | {"saved", "cache"}), None)


def _is_place(name: str, names: Sequence[str]) -> bool:
    """Whether a parameter is named like what comes into, or out of, a function of one array."""
    return len(names) == 1 and name.lower() in {names[0].lower(), "y", *BEFORE, *AFTER}


def ask(backward: Callable, dy: Any, offered: Mapping[str, Any], reading: str = "saved") -> Any:
    """Call a backward with dy and with what its other parameters name; reading, what one of unknown name gets.

    Raises: TypeError for an unknown name, Failed where the backward raises.
    """
    parameters = list(inspect.signature(backward).parameters.values())  # asked for once: a search calls hundreds of backwards
    required = _required(parameters)
    own = None if reading == ALONE else _cotangent(parameters, (*offered["names"], *offered["**"]))
    place = required[0].name.lower() if reading == ALONE else ""
    offered = dict(offered) | {ALONE: offered["y" if place in {"y", *AFTER} else "arrays"]}
    given, keywords = list[Any](), dict[str, Any]()
    others = [p for p in required if p.name != own]
    one_other = others if len(others) == 1 else []
    for p in parameters:
        if p.name == own:
            given.append(dy)
        elif p.kind is p.VAR_POSITIONAL:
            given += offered["*"]
        elif p.kind is p.VAR_KEYWORD:
            keywords |= {k: v for k, v in offered["**"].items() if k not in keywords}
        elif p in one_other and reading != "saved":
            given.append(offered[reading])
        elif (name := _offered_name(p.name, offered)) is not None:
            if p.kind is p.KEYWORD_ONLY:
                keywords[p.name] = offered[name]
            else:
                given.append(offered[name])
        elif p in one_other:
            given.append(offered["saved"])
        elif p.default is p.empty:
            known = ", ".join(k for k in offered if k not in ("*", "**", "cache", "arrays", "names", ALONE, *INPUTS))
            raise TypeError(f"gradcheck: backward asks for {p.name!r}, known are: the gradient dy first, then {known}")
        elif p.kind is not p.KEYWORD_ONLY:
            given.append(p.default)
    result = _in_order(attempt("backward", backward, given, [p.name for p in parameters], keywords), offered["names"])
    return result if own else _times(result, dy)


def _times(raw: Any, dy: Any) -> Any:
    """The gradients of a backward that takes no dy, times dy; Failed where forward's result has another shape."""
    if isinstance(raw, tuple | list):
        return tuple(_times(g, dy) for g in raw)
    if not isinstance(raw, np.ndarray | np.number | float | int) or isinstance(raw, bool):
        return raw
    if isinstance(dy, tuple | list) or (dy.size != 1 and dy.shape != np.shape(raw)):
        raise Failed("backward takes no dy, so forward's result must be one number: let it take the result's gradient first.")
    return raw * (dy if dy.size > 1 else dy.item())


def _in_order(raw: Any, names: Sequence[str]) -> Any:
    """A dict {"dx": ..., "dw": ...} of gradients as a tuple in forward's order; anything else as it is."""
    if not isinstance(raw, dict):
        return raw
    found = {str(k).lower(): v for k, v in raw.items()}
    keys = [next((k for k in (f"d{n}".lower(), n.lower(), f"grad_{n}".lower()) if k in found), None) for n in names]
    return raw if None in keys else tuple(found[k] for k in keys if k is not None)


def call_with(function: Callable, arrays: Arrays, constants: Mapping[str, Any]) -> Any:
    """The function's result: arrays are given by position or, where a constant stands before one of them, by name."""
    if not constants or not any(p.name in constants for p in positional(function)[: len(arrays)]):
        return function(*arrays, **constants)
    free = [p.name for p in positional(function) if p.name not in constants]
    return function(**dict(zip(free, arrays, strict=True)), **constants)


def attempt(what: str, function: Callable, given: Sequence[Any], names: Sequence[str], keywords: Mapping[str, Any]) -> Any:
    """The function's result; Failed with one sentence where it raises.

    Arguments: what, "forward" or "backward"; function; given, its arguments, with their names; keywords.
    """
    try:
        return call_with(function, given, keywords)
    except (Stop, Failed, TimeoutError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        passed = ", ".join(f"{n} {shape(v)}" for n, v in zip(names, given, strict=False))
        kind = type(error).__name__
        raise Failed(f"{what} raised {kind}: {text}{_place(error, function)}; it was called with {passed}.") from error


def _place(error: Exception, function: Callable) -> str:
    """The line of the learner's file in which the error arose."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f" (line {lines[-1].lineno}: {(lines[-1].line or '')[:80]})" if lines else ""


def shape(value: Any) -> str:
    """The shape of an array, or of each part of a tuple; the type's name of anything else."""
    if isinstance(value, np.ndarray | np.generic | float | int):
        return str(np.shape(value))
    if isinstance(value, tuple | list) and len(value) <= 8:
        return "(" + ", ".join(map(shape, value)) + ")"
    return type(value).__name__


def checked_outputs(y: Any) -> list[np.ndarray]:
    """The result of a learner's forward as a list of arrays; Failed with one sentence for anything but numbers."""
    parts = list(y) if isinstance(y, tuple | list) else [y]
    for part in parts:
        kind = np.asarray(part).dtype.kind if part is not None and not isinstance(part, dict | set | str) else "O"
        if part is None:
            raise Failed("forward returned None, expected an array: is `return` missing?")
        if kind not in "iufcb" or isinstance(part, bool | np.bool_):
            raise Failed(f"forward returned a {type(part).__name__}, expected an array of numbers.")
    return [np.asarray(p) for p in parts]


def unnamed_constants(op: Op, backward: Callable) -> dict[str, Any]:
    """The constants that no parameter names, with their defaults: the backward can only be right for these values."""
    parameters = inspect.signature(backward).parameters.values()
    names, by_position = {p.name.lower() for p in parameters}, positional(backward)
    known = {"y", *op.signature.parameters, *(n.lower() for n in op.arrays)}
    others = by_position[1:]
    gets_saved = names & {"saved", "cache"} or (len(others) == 1 and others[0].name.lower() not in known | BEFORE | AFTER)
    if gets_saved or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {}
    return {n: d for n, d in _defaults(op).items() if n not in names}


def _offered_name(name: str, offered: Mapping[str, Any]) -> str | None:
    """The name under which it is offered: as it stands, or in lower case (dW for dw)."""
    return next((n for n in (name, name.lower()) if n in offered and n not in ("arrays", "names", ALONE, "*", "**")), None)


def positional(function: Callable) -> list[inspect.Parameter]:
    """The parameters that a call must fill by position."""
    return _required(inspect.signature(function).parameters.values())


def _required(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [p for p in parameters if p.kind in kinds and p.default is p.empty]
