"""The calls in a graph of layers, in the words of both generations, made again on Symbols.

Keras 3        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, output]}}], "kwargs": {...}}
before         [[layer, node, output, {keywords}], ...]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from tinydx.layers import declared
from tinydx.layers.base import Symbol
from tinydx.saving.header import expect_count, expect_dict, expect_list, part, short
from tinydx.saving.keras.configs import config_of

Key = tuple[str, int]  # a node: the name of a layer, and which of its calls
TENSOR = "__keras_tensor__"


def run_nodes(layers: dict[str, Any], values: dict[Key, list[Symbol]], waiting: list[tuple[Key, Any]]) -> None:
    """Call the layers, each node once its inputs are known; their outputs go into `values`.

    Raises: ValueError where a node needs itself, or one that there is not.
    """
    read = {key: _node(node) for key, node in waiting}
    missing = {key: {needed for needed, _ in _references([x, keywords])} - set(values) for key, (x, keywords) in read.items()}
    takers: dict[Key, list[Key]] = {}
    for key, needed in missing.items():
        for one in needed:
            takers.setdefault(one, []).append(key)
    ready = deque(key for key, needed in missing.items() if not needed)
    while ready:
        key = ready.popleft()
        x, keywords = (with_values(given, values) for given in read[key])
        y = layers[key[0]](x, **keywords)
        values[key] = list(y) if isinstance(y, list | tuple) else [y]
        if not all(isinstance(v, Symbol) for v in values[key]):
            raise ValueError(f"{short(key[0])} is called on no value of the model")
        declared.expect_output(key[0], [v.shape for v in values[key]])
        for taker in takers.get(key, []):
            missing[taker].discard(key)
            if not missing[taker]:
                ready.append(taker)
    for key in read:
        if key not in values:
            raise ValueError(f"{short(key[0])} needs a value that no layer before it computes")


class Reference(tuple):
    """A value in a description: (node, which of its outputs)."""


def reference(value: Any) -> Reference | None:
    """[layer, node, output] or [layer, node, output, {}] as a Reference."""
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return None
    name, node, output = value[:3]
    return Reference(((name, expect_count(node, "a node")), expect_count(output, "an output")))


def _node(node: Any) -> tuple[Any, dict[str, Any]]:
    """(the argument x, keywords) of a call, with References for values, from either generation's words."""
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
        keywords = expect_dict(entries[0][3] if len(entries[0]) == 4 else {}, "the keywords of a node")
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


def with_values(value: Any, values: dict[Key, list[Symbol]]) -> Any:
    if isinstance(value, Reference):
        key, output = value
        return values[key][expect_count(output, "an output", below=len(values[key]))]
    if isinstance(value, dict):
        return {k: with_values(v, values) for k, v in value.items()}
    return [with_values(v, values) for v in value] if isinstance(value, list) else value
