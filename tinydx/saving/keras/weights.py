"""The weights of a model in Keras's files: their names and their order.

Keras 3     layers/dense_1/vars/0      models count their layers by class; other layers go by the attribute that they are;
                                       the weights of a recurrent layer are those of its cell
before      for each layer of the model its weights in a row, trainable ones first; the names are not used, their order is
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydx.layers.base import Layer, assign
from tinydx.layers.recurrent import Recurrent
from tinydx.saving.header import short
from tinydx.saving.keras.configs import config_of, inner, is_graph, is_sequential
from tinydx.saving.keras.describing import keras_order
from tinydx.saving.keras.hdf5 import Tree, expect_name
from tinydx.tensor import Tensor

OLD_NAME = "_layer_checkpoint_dependencies"  # of the group `layers`, in files of TensorFlow 2.12 to 2.15


def snake(name: str) -> str:
    """A class's name as Keras's files write it.

    >>> snake("MaxPooling2D"), snake("GRU"), snake("ReLU"), snake("TimeDistributed")
    ('max_pooling2d', 'gru', 're_lu', 'time_distributed')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"(?<=.)(?=[A-Z][a-z])", "_", name)).replace("__", "_").lower()


def in_order(model: Layer, config: Any = None) -> list[tuple[Layer, Any]]:
    """The layers of a chain or graph in Keras's order, each with its configuration where the file has one."""
    if config is None:
        return [(layer, None) for layer in (model.layers if is_sequential(model) else keras_order(model))]
    by_name = {layer.name: layer for layer in model.layers}
    found = []
    for entry in inner(config):
        name = entry.get("name") or config_of(entry)["name"]
        found.append((by_name[name], config_of(entry)))
    return found


def children(layer: Layer, config: Any = None) -> Iterator[tuple[str, Layer, Any]]:
    """(part of the path, layer, configuration) of the layers directly inside."""
    if is_sequential(layer) or is_graph(layer):
        yield from _counted("layers", in_order(layer, config))
        return
    for name, value in vars(layer).items():
        if isinstance(value, Layer):
            wrapped = config.get(name) if isinstance(config, dict) else None
            yield name, value, config_of(wrapped) if isinstance(wrapped, dict) else None
        elif isinstance(value, list | tuple | dict) and name != "config":
            several = value.values() if isinstance(value, dict) else value
            yield from _counted(name, [(v, None) for v in several if isinstance(v, Layer)])


def _counted(group: str, layers: list[tuple[Layer, Any]]) -> Iterator[tuple[str, Layer, Any]]:
    """Layers under names of their classes: dense, dense_1, dense_2 ..."""
    used: dict[str, int] = {}
    for layer, config in layers:
        name = "functional" if is_graph(layer) else snake(type(layer).__name__)
        used[name] = used.get(name, -1) + 1
        yield f"{group}/{name}_{used[name]}" if used[name] else f"{group}/{name}", layer, config


def variables(layer: Layer, config: Any = None, at: str = "", seen: set[Layer] | None = None) -> Iterator[tuple[str, Tensor]]:
    """(path, weight) of all weights, each layer once, as Keras 3 names them."""
    seen = set() if seen is None else seen
    if layer in seen:
        return
    seen.add(layer)
    own = "cell/vars" if isinstance(layer, Recurrent) else "vars"
    for i, (weight, _) in enumerate(layer._own):
        yield f"{at}{own}/{i}", weight
    for name, child, inside in children(layer, config):
        yield from variables(child, inside, f"{at}{name}/", seen)


def rows(model: Layer, config: Any = None) -> dict[str, list[Tensor]]:
    """For each layer of a model its weights as older files have them: those that training changes, then the others."""
    found = {}
    layers = in_order(model, config) if is_sequential(model) or is_graph(model) else [(v, None) for v in model.layers]
    for layer, inside in layers:
        weights = [w for _, w in variables(layer, inside)]
        found[layer.name] = [w for w in weights if w.requires_grad] + [w for w in weights if not w.requires_grad]
    return found


# ---- reading -------------------------------------------------------------------------------------------------------


def arrays_for(model: Layer, tree: Tree, config: Any = None) -> list[tuple[Tensor, np.ndarray]]:
    """Each weight of the model with its array in the file.

    Raises: ValueError where one is missing, has another shape, or belongs to no layer; nothing is changed before.
    """
    group = "model_weights" if "model_weights" in tree.attributes else ""
    old = "layer_names" in tree.attributes.get(group, {})
    pairs = _from_rows(model, tree, group, config) if old else _from_paths(model, tree, config)
    for weight, array in pairs:
        if weight.shape != array.shape:
            raise ValueError(f"{weight.name} has shape {weight.shape}, but that in the file has {array.shape}")
    return pairs


def _from_paths(model: Layer, tree: Tree, config: Any) -> list[tuple[Tensor, np.ndarray]]:
    arrays = {path.replace(OLD_NAME, "layers"): array for path, array in tree.arrays.items()}
    wanted = dict(variables(model, config))
    for path in wanted:
        if path not in arrays:
            raise ValueError(f"it holds no {short(path)}, which is {wanted[path].name}")
    for path in arrays:
        if path not in wanted:
            raise ValueError(f"it holds {short(path)}, which no layer of the model has")
    return [(weight, arrays[path]) for path, weight in wanted.items()]


def _from_rows(model: Layer, tree: Tree, group: str, config: Any) -> list[tuple[Tensor, np.ndarray]]:
    wanted = {name: weights for name, weights in rows(model, config).items() if weights}
    held = {name: _row(tree, group, name) for name in tree.attributes[group]["layer_names"]}
    held = {name: arrays for name, arrays in held.items() if arrays}
    if len(held) != len(wanted):
        raise ValueError(f"it holds the weights of {len(held)} layers, the model has {len(wanted)} with weights")
    by_name = set(held) == set(wanted)  # other names: as Keras does, one layer after the other
    pairs: list[tuple[Tensor, np.ndarray]] = []
    for (name, weights), other in zip(wanted.items(), held.values(), strict=True):
        arrays = held[name] if by_name else other
        if len(arrays) != len(weights):
            raise ValueError(f"it holds {len(arrays)} weights for {short(name)}, which has {len(weights)}")
        pairs += zip(weights, arrays, strict=True)
    return pairs


def _row(tree: Tree, group: str, layer: str) -> list[np.ndarray]:
    """The arrays of one layer in the order of weight_names."""
    above = f"{group}/{layer}" if group else layer
    found = []
    for name in tree.attributes.get(above, {}).get("weight_names", []):
        path = f"{above}/{name}"
        if path not in tree.arrays:
            raise ValueError(f"it holds no {short(path)}")
        found.append(tree.arrays[path])
    return found


def fill(pairs: list[tuple[Tensor, np.ndarray]]) -> None:
    """Give the weights their arrays; float64 stays float64."""
    assign("the file", pairs)


# ---- writing -------------------------------------------------------------------------------------------------------


def tree_of(model: Layer) -> Tree:
    """The weights as Keras 3 has them."""
    return Tree({path: weight.numpy() for path, weight in variables(model)}, {})


def rows_of(model: Layer) -> Tree:
    """The weights as older files have them."""
    found, names = Tree({}, {"": {}}), []
    for layer, weights in rows(model).items():
        names.append(expect_name(layer, "a layer"))
        found.attributes[layer] = {"weight_names": [f"{i}/{w.name.rsplit('/', 1)[-1]}" for i, w in enumerate(weights)]}
        paths = found.attributes[layer]["weight_names"]
        found.arrays.update((f"{layer}/{path}", w.numpy()) for path, w in zip(paths, weights, strict=True))
    found.attributes[""]["layer_names"] = names
    return found
