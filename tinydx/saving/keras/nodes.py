"""The calls in a graph of layers, in the words of both generations, made again on Symbols.

Keras 3        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, output]}}], "kwargs": {...}}
before         [[layer, node, output, {keywords}], ...]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from tinydx.layers import Bidirectional, declared
from tinydx.layers.base import Symbol
from tinydx.layers.recurrent import Recurrent
from tinydx.saving.header import expect_count, expect_dict, expect_list, part, short
from tinydx.saving.keras.configs import config_of

Key = tuple[str, int]  # a node: the name of a layer, and which of its calls
TENSOR = "__keras_tensor__"


class Reference(tuple):
    """A value in a description: (node, which of its outputs)."""


Call = tuple[Any, dict[str, Any]]  # the argument x and the keywords, with References for values


def numbered(nodes: dict[str, list[Any]], layers: dict[str, Any], ends: list[Any]) -> dict[Key, Call]:
    """The calls of all layers by their nodes.

    Keras 2 counts the call that made a model as its first: the nodes of a model inside another one then begin at 1.
    """
    read = {name: [_node(node) for node in several] for name, several in nodes.items()}
    used = {key for key, _ in _references([ends, *([x, keywords] for calls in read.values() for x, keywords in calls)])}
    first = {name: int(hasattr(layers[name], "compile") and (name, len(calls)) in used) for name, calls in read.items()}
    return {(name, i + first[name]): call for name, calls in read.items() for i, call in enumerate(calls)}


def run_nodes(layers: dict[str, Any], values: dict[Key, list[Symbol]], calls: dict[Key, Call]) -> None:
    """Call the layers, each node once its inputs are known; their outputs go into `values`.

    Raises: ValueError where a node needs itself, or one that there is not.
    """
    missing = {key: {needed for needed, _ in _references(list(call))} - set(values) for key, call in calls.items()}
    takers: dict[Key, list[Key]] = {}
    for key, needed in missing.items():
        for one in needed:
            takers.setdefault(one, []).append(key)
    ready = deque(key for key, needed in missing.items() if not needed)
    while ready:
        key = ready.popleft()
        values[key] = _called(layers[key[0]], *calls[key], values)
        declared.expect_output(key[0], [v.shape for v in values[key]])
        for taker in takers.get(key, []):
            missing[taker].discard(key)
            if not missing[taker]:
                ready.append(taker)
    for key in calls:
        if key not in values:
            raise ValueError(f"{short(key[0])} needs a value that no layer before it computes")


def _called(layer: Any, x: Any, keywords: dict[str, Any], values: dict[Key, list[Symbol]]) -> list[Symbol]:
    """The outputs of one call."""
    if not any(_references(x)):
        raise ValueError(f"{layer.name} is called on no value of the model")
    x, keywords = with_values(x, values), with_values(keywords, values)
    if isinstance(layer, Recurrent | Bidirectional) and isinstance(x, list):  # Keras 2 writes [x, *initial_state]
        x, keywords = x[0], {"initial_state": x[1:], **keywords}
    y = layer(x, **keywords)
    found = list(y) if isinstance(y, list | tuple) else [y]
    if not all(isinstance(v, Symbol) for v in found):
        raise ValueError(f"{layer.name} is called on no value of the model")
    return found


# ---- words -> References --------------------------------------------------------------------------------------------


def reference(value: Any) -> Reference | None:
    """[layer, node, output] or [layer, node, output, {}] as a Reference."""
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return None
    if not isinstance(value[-1], int | dict) or isinstance(value[-1], int) != (len(value) == 3):
        return None
    name, node, output = value[:3]
    return Reference(((name, expect_count(node, "a node")), expect_count(output, "an output")))


def _node(node: Any) -> Call:
    """A call from either generation's words."""
    if isinstance(node, dict):
        arguments, keywords = expect_list(part(node, "args", "a node"), "args"), expect_dict(node.get("kwargs", {}), "kwargs")
        if len(arguments) != 1:
            raise ValueError(f"a call has {len(arguments)} arguments, expected one, or a list of them")
        x = _tensors(arguments[0])
    else:
        entries = [expect_list(e, "a node") for e in expect_list(node, "a node")]
        found = [reference(e) for e in entries]
        if not found or None in found:
            raise ValueError(f"a node is {short(node)}, expected values of layers")
        keywords = entries[0][3] if len(entries[0]) == 4 else {}
        if any(len(e) == 4 and e[3] not in ({}, keywords) for e in entries):
            raise ValueError(f"the values of a node have different keywords: {short(node)}")
        x = found[0] if len(found) == 1 else found
    kept = {k: _tensors(v, old=not isinstance(node, dict)) for k, v in keywords.items() if v is not None}
    return x, {k: v for k, v in kept.items() if not (isinstance(v, list) and all(one is None for one in v))}


def _tensors(value: Any, old: bool = False) -> Any:
    """The value with a Reference for each tensor in it."""
    if isinstance(value, dict):
        if value.get("class_name") != TENSOR:
            raise ValueError(f"an argument of a call is {short(value)}, expected a value of a layer, or a plain one")
        history = part(expect_dict(config_of(value), TENSOR), "keras_history", TENSOR)
        found = reference(history)
        if found is None:
            raise ValueError(f"a value is {short(history)}, expected a layer's")
        return found
    if isinstance(value, list):
        found = reference(value) if old else None
        return found or [_tensors(v, old) for v in value]
    return value


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, list | dict):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _references(v)


def read_ends(value: Any) -> Any:
    """The inputs or outputs of a model as References: one, where the file names one that is no list."""
    entries = expect_list(value, "the ends of a model")
    alone = reference(value)
    found = [alone] if alone else [reference(expect_list(e, "an end of a model")) for e in entries]
    if not found or None in found:
        raise ValueError(f"the ends of a model are {short(value)}, expected values of its layers")
    return found[0] if len(found) == 1 else found


def with_values(value: Any, values: dict[Key, list[Symbol]]) -> Any:
    """The value with symbols in the places of References; ValueError where there is no such value."""
    if isinstance(value, Reference):
        key, output = value
        if output >= len(values.get(key, [])):
            raise ValueError(f"there is no value {output} of call {key[1]} of {short(key[0])}")
        return values[key][output]
    if isinstance(value, dict):
        return {k: with_values(v, values) for k, v in value.items()}
    return [with_values(v, values) for v in value] if isinstance(value, list) else value
