"""Begin from a trained network: `tinydx diagnose --from FILE [--freeze N]`.

    FILE ─ open_start ─> Start: the network, how its inputs are read, its digest
                           │
    kind ─── begin_from ───┴──> the same kind, but read as the file says, and built from the file's layers and weights

The last layer is new, for the new classes; the first N layers, as `model.summary()` lists them, keep their weights ("all": all
but the last one). A frozen BatchNormalization keeps its statistics, too, and frozen layers below the first trained one cost no
backward pass. By default nothing is frozen: frozen features are those of the source's images, and on images of another hospital
they were often worse than training from scratch, which weights that may move were not (docs/transfer.md).

Inputs are read as the file says: size, colours and scaling of images, vocabulary and length of texts, features of sounds. What
contradicts it is one line. A network of images from elsewhere, whose file does not say so, is taken to read pixels from 0 to 1.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tinydx.datasets.study import Study
from tinydx.diagnosis import ensemble, finished, kinds
from tinydx.diagnosis.kind import Kind, Options, Plan, classification_loss, output_layer
from tinydx.diagnosis.kinds.image import NETWORKS, ImageKind, reasons
from tinydx.diagnosis.kinds.sound import SoundKind
from tinydx.diagnosis.kinds.text import TextKind, unit
from tinydx.layers import Dense
from tinydx.layers.quantized import expect_floats
from tinydx.models import Model, load_model

READ = {  # kind -> what of a model's `preprocessing` says how its inputs are read, the size first
    "image": ("target_size", "color_mode", "interpolation", "rescale", "standardise"),
    "sound": ("seconds", "features", "mean", "spread"),
    "text": ("size", "codec"),
}


class Start(NamedTuple):
    """A trained network to begin from."""

    path: str
    digest: str  # SHA-256 of the file
    model: Any
    kind: str
    reading: dict[str, Any]  # how its inputs are read
    freeze: int  # of its first layers
    noted: bool  # whether the file says how its inputs are read

    @property
    def size(self) -> int:
        """Of an input, in the kind's unit."""
        size = self.reading[READ[self.kind][0]]
        return size[0] if isinstance(size, list) else size

    @property
    def frozen(self) -> list[str]:
        """The names of the layers that keep their weights."""
        return [layer.name for layer in self.model.layers[: self.freeze]]

    @property
    def digests(self) -> str:
        """Those of its training examples, eight characters each; "" where the file does not hold them."""
        return ((self.model.preprocessing or {}).get("training") or {}).get("digests", "")


# ---- the network ---------------------------------------------------------------------------------------------------


def begun(source: Any, optimizer: Any, classes: int, freeze: int = 0) -> Model:
    """A network with the source's layers and weights, but a new last layer.

    Arguments: source, a built Sequential or functional model that ends in a Dense layer; optimizer; classes, how many; freeze,
    how many of the first layers keep their weights.
    Returns: a compiled model, which shares nothing with the source.
    Raises: ValueError as `replaceable`.

    >>> from tinydx.models import Sequential
    >>> source = Sequential([Dense(4, input_shape=(3,), name="hidden"), Dense(1, activation="sigmoid")])
    >>> model = begun(source, "adam", classes=5, freeze=1)
    >>> model.output_shape((None, 3)), [w.name.split("/")[1] for w in model.trainable_weights]
    ((None, 5), ['kernel', 'bias'])
    """
    layers = replaceable(source, source.name)
    if not 0 <= freeze <= layers:
        has = f"{source.name} has {layers} layers before the last one"
        raise ValueError(f"freeze is {freeze}, but {has}")
    body = copy.deepcopy(source)
    answer = output_layer(classes)(body.layers[-1].input)
    model = Model(body.input, answer, name="diagnosis")
    model.trainable = True
    for layer in model.layers[:freeze]:
        layer.trainable = False
    model.compile(optimizer, classification_loss(classes), metrics=["accuracy"])
    return model


def replaceable(source: Any, name: str) -> int:
    """The number of layers before the last one; ValueError unless that is a Dense layer, which can be replaced.

    Arguments: source; name of it, for the message.
    """
    if ensemble.members(source):
        raise ValueError(f"{name} holds {len(ensemble.members(source))} models: begin from a single one")
    last = source.layers[-1] if source.layers else None
    if type(last) is not Dense or source.output is not last.output:
        found = "no layers" if last is None else f"{last.name} ({type(last).__name__}) as its last layer"
        raise ValueError(f"{name} has {found}: to begin from it, it must end in one Dense layer, which is replaced")
    return len(source.layers) - 1


# ---- the file ------------------------------------------------------------------------------------------------------


def open_start(path: str, freeze: int | str | None = None) -> Start:
    """Read the network to begin from.

    Arguments: path of its file; freeze, how many of its first layers keep their weights, or "all" (None: none).
    Raises: the errors of `load_model`; ValueError for a network whose last layer cannot be replaced, for more frozen layers than
    it has, and for a file that does not say how its inputs are read, unless their shape tells it.
    """
    model = load_model(path)
    expect_floats(model, path)
    layers = replaceable(model, path)
    if freeze == "all":
        freeze = layers
    if not 0 <= (count := int(freeze or 0)) <= layers:
        raise ValueError(f"--freeze {freeze}: {path} has {layers} layers before the last one: give at most {layers}, or all")
    how = model.preprocessing
    noted = isinstance(how, dict) and "kind" in how
    if not noted:
        model.preprocessing = how = _guessed(model, path)
    else:
        finished.kind_of(model, path)
    if how["kind"] not in READ:
        raise ValueError(f"{path} is a network of kind {how['kind']}: --from takes networks of {', '.join(READ)}")
    reading = {key: how[key] for key in READ[how["kind"]] if key in how}
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    start = Start(str(path), digest, model, how["kind"], reading, count, noted)
    if start.kind == "image":
        _check_images(start)
    return start


def _guessed(model: Any, path: str) -> dict[str, Any]:
    """How a network of square images from elsewhere reads them, as far as its input shape says it."""
    shape = model.input_shape
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[1] and shape[1] == shape[2] and shape[3] in (1, 3)):
        raise ValueError(f"{path} does not say how its inputs are read, and their shape {shape} is none of square images")
    colours = "rgb" if shape[3] == 3 else "grayscale"
    how = {"target_size": list(shape[1:3]), "color_mode": colours, "interpolation": "bilinear", "rescale": 1 / 255}
    return {"kind": "image", **how}


def _check_images(start: Start) -> None:
    """ValueError where training could not read images as the file says."""
    how = start.reading
    height, width = how["target_size"]
    scaled = how.get("standardise") or how["rescale"] in (1 / 255, 1.0 / 255)
    if height != width or how["interpolation"] != "bilinear" or not scaled:
        words = f"{height}x{width} pixels, {how['interpolation']}, rescale {how['rescale']}"
        raise ValueError(f"{start.path} reads images of {words}: to begin from it, they must be square, bilinear and from 0 to 1")


# ---- the kinds -----------------------------------------------------------------------------------------------------


class Begun(Kind):
    """A kind whose networks begin from a trained one."""

    start: Start
    own_network = ""  # of the kind, whose optimizer is used

    def usual_size(self, path: str | Path | None, options: Options) -> int | None:
        return self.start.size

    def open_study(
        self,
        path: str | Path | None,
        *,
        size: int | None,
        limit: int | None,
        seed: int,
        patient: str | None = None,
        site: str | None = None,
    ) -> Study:
        """The study, read as the file says."""
        if size not in (None, self.start.size):
            raise ValueError(f"--size {size}: {self.start.path} reads {self.noun} of size {self.start.size}: leave --size out")
        study = super().open_study(path, size=self.start.size, limit=limit, seed=seed, patient=patient, site=site)
        return self.read_alike(study)

    def read_alike(self, study: Study) -> Study:
        """The study with the file's reading in the place of its own, of which what is no matter of reading stays."""
        kept = {k: v for k, v in study.preprocessing.items() if k not in READ[self.start.kind]}
        return replace(study, preprocessing={**kept, **self.start.reading})

    def plan(self, study: Study, options: Options) -> Plan:
        """How the network is trained further: as the kind trains its own."""
        if options.network is not None:
            raise ValueError(f"--network {options.network}: the network is that of {self.start.path}: leave --network out")
        return self.begun_plan(super().plan(study, options))

    def begun_plan(self, plan: Plan) -> Plan:
        """The plan, which says from where the weights begin."""
        file, layers = Path(self.start.path).name, len(self.start.model.layers) - 1
        frozen = f"{self.start.freeze} of the {layers} layers before it are frozen"
        why = f"The weights begin as those of {file}; the last layer is new, and {frozen}."
        return plan._replace(network=f"from {file}", why=(why, *plan.why))

    def describe_network(self, plan: Plan) -> str:
        return f"the network of {Path(self.start.path).name} with a new last layer"

    def build(self, study: Study, plan: Plan) -> Any:
        """The network, compiled with the optimizer of the kind's own."""
        fresh = super().build(study, plan._replace(network=self.own_network))
        return begun(self.start.model, fresh.optimizer, len(study.class_names), self.start.freeze)


class BegunImages(Begun, ImageKind):
    """Images, augmented so that they are then scaled as the file says."""

    own_network = "blocks"

    def plan(self, study: Study, options: Options) -> Plan:
        scaled = "framing" if self.start.reading.get("standardise") else "document"
        ways = ("framing",) if scaled == "framing" else ("document", "none")
        if options.augment not in (None, *ways):
            reads = "each image standardised" if scaled == "framing" else "pixels from 0 to 1"
            raise ValueError(f"--augment {options.augment}: {self.start.path} reads {reads}: give --augment {' or '.join(ways)}")
        usual = options if options.network else options._replace(augment=options.augment or scaled)
        plan = super().plan(study, usual)
        study.preprocessing = self.read_alike(study).preprocessing
        own = reasons(study, plan._replace(network=self.own_network))
        return self.begun_plan(plan._replace(why=tuple(line for line in own if line != NETWORKS[self.own_network].reason)))


class BegunSounds(Begun, SoundKind):
    """Recordings, as spectra or as summaries scaled by those of the source."""

    def read_alike(self, study: Study) -> Study:
        if study.preprocessing["features"] != self.start.reading["features"]:
            raise ValueError(f"{self.start.path} reads other features of recordings than this version: train it anew")
        return super().read_alike(study)


class BegunTexts(Begun, TextKind):
    """Texts, as the tokens of the source's vocabulary; other words are unknown."""

    def read_alike(self, study: Study) -> Study:
        study = super().read_alike(study)
        return replace(study, form=f"{study.preprocessing['size']} {unit(study.preprocessing)}")


BEGUN: dict[str, type[Begun]] = {"image": BegunImages, "sound": BegunSounds, "text": BegunTexts}


def begin_from(start: Start, kind: str) -> Begun:
    """The kind of that name, whose networks begin from a trained one; ValueError where that is of another kind."""
    if kind != start.kind:
        words = f"{start.path} reads {kinds.get(start.kind).noun}, the data holds {kinds.get(kind).noun}"
        raise ValueError(f"{words}: begin from a network of that kind (--kind says which the data is)")
    begun = BEGUN[start.kind]()
    begun.start = start
    return begun


def sentences(start: Start) -> list[str]:
    """What a reader must know of the beginning, in sentences."""
    model, file = start.model, Path(start.path).name
    names = f" of the classes {', '.join(model.class_names)}" if model.class_names else ""
    count = f"{len(start.digests) // 8} examples" if start.digests else "examples that it does not name"
    digest, listed = start.digest[:16], f": {', '.join(start.frozen)}" if start.frozen else ""
    said = [
        f"The weights begin as those of {file} (SHA-256 {digest}...), trained on {count}{names}; the last layer is new.",
        f"Frozen: {len(start.frozen)} of the {len(model.layers) - 1} layers before it{listed}.",
    ]
    if not start.noted:
        said.append(f"{file} does not say how its images were scaled: 0 to 1 is assumed, and may be wrong.")
    return said
