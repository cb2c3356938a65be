"""Kind: what differs between a diagnosis from images, from sounds and from texts.

diagnose                                   Kind
open the data  -> train, val, test         open_study
decide how to train                        plan, from the options and the data
make a network                             build
fit                                        training_batches
test                                       plain_batches
test on changed examples                   shifted
the baseline's numbers                     features
write the report                           plot, and the words of its page
predict                                    inputs, read; example, gist: is the input like the training data?
test a finished model on other data        open_labelled, statistics
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.copies import keys_of
from tinydx.datasets.study import Examples, Study
from tinydx.datasets.table_files import cells_of, is_table
from tinydx.explain import Explanation
from tinydx.files import visible_files
from tinydx.layers.outputs import classification_loss as classification_loss
from tinydx.layers.outputs import output_layer as output_layer


class Options(NamedTuple):
    """What the user asked for; None leaves the choice to `Kind.plan`."""

    network: str | None = None  # a name of Kind.networks
    augment: str | None = None  # a name of Kind.augmentations
    epochs: int | None = None
    steps: int | None = None  # batches in an epoch
    batch: int | None = None  # examples in a batch


class Plan(NamedTuple):
    """How a model is trained, and why."""

    network: str  # a name of Kind.networks, or the kind's only network
    augment: str
    epochs: int
    steps: int | None  # batches in an epoch (None: one pass over the data)
    batch: int
    # "best": of the epoch with the lowest validation loss; "last": of the end, averaged over the last steps; "each": of several
    # models, each its own
    weights: str = "best"
    threshold: float = 0.5  # on the probability of the positive class
    why: tuple[str, ...] = ()  # a line for each step of the recipe


class Training(NamedTuple):
    """One of several trainings of which a model is made: its name, and what `Kind.build` and `Kind.training_batches` take."""

    name: str
    kind: Kind
    study: Study
    plan: Plan


class Heard(NamedTuple):
    """A recording, and its part that speaks for a class."""

    rate: int  # Hz
    whole: np.ndarray  # samples (L,)
    part: np.ndarray  # samples (L,)


class Kind:
    """A kind of data: its words, and the parts of a diagnosis that depend on it."""

    noun: str  # a word for the examples, in the plural: "images"
    endings: tuple[str, ...]  # of this kind's files, in lower case
    table_column: str = ""  # of a study's table, the column of this kind's files or texts
    network: str  # the network of `build` in a few words, for the page
    synthetic_title: str  # title of the page for synthetic data
    synthetic_notice: str  # the sentence on the page that says that the data is synthetic
    schedule: tuple[int, int | None] = (10, None)  # epochs, and batches in each (None: one pass over the data)
    synthetic_schedule: tuple[int, int | None] = (10, None)  # the same for synthetic data
    batch: int = 32  # examples in a batch
    networks: tuple[str, ...] = ()  # names for --network; none where there is only one
    augmentations: tuple[str, ...] = ("document", "none")  # names for --augment, the default first
    features_name: str = ""  # what `features` returns, in a few words: "pixels at 32x32"
    changes: tuple[str, ...] = ()  # words for the changes of `shifted`, in its order: "framed differently"
    copied: str = "equal"  # what `copies` finds, in words
    columns: int  # of the page's grid of examples
    panel_height: float  # of an example with its caption on the page, in inches

    def usual_size(self, path: str | Path | None, options: Options) -> int | None:
        """The size of an example where the user names none, in this kind's unit; None: `open_study` chooses."""
        return None

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
        """Read the data at a path into memory, as splits; without a path, synthetic data.

        Arguments: path; size, how much of an example is kept, in this kind's unit (None: its default); limit, at most how many
        examples of each class and split (None: all); seed of the splits; patient and site, of a table the names of the columns
        (None: the usual names), else regular expressions on a file's path below the data folder, whose only group is the patient
        or the site (None: by the names that public sets give).
        Raises: one-line errors for data that cannot be used.
        """
        raise NotImplementedError

    def learn_reading(self, study: Study) -> Study:
        """The study with what its own training examples say about how examples are read, such as the vocabulary of texts.

        Folds use it, so that nothing of an example that is left out has a part in reading the others.
        """
        return replace(study, preprocessing=dict(study.preprocessing))

    def plan(self, study: Study, options: Options) -> Plan:
        """How to train on these examples: what the options say, and for the rest what suits the kind and the number of examples.

        Raises: ValueError for a network or an augmentation that this kind does not have.
        """
        if options.network is not None and options.network not in self.networks:
            raise ValueError(f"--network {options.network} is not for {self.noun}: {self._offers(self.networks)}")
        if options.augment is not None and options.augment not in self.augmentations:
            raise ValueError(f"--augment {options.augment} is not for {self.noun}: {self._offers(self.augmentations)}")
        epochs, steps = self.synthetic_schedule if study.synthetic else self.schedule
        augment = options.augment or self.augmentations[0]
        return Plan(
            options.network or self.network,
            augment,
            options.epochs or epochs,
            options.steps or steps,
            options.batch or self.batch,
        )

    @staticmethod
    def _offers(names: tuple[str, ...]) -> str:
        return f"there is {', '.join(names)}" if names else "there is only one"

    def describe_network(self, plan: Plan) -> str:
        """The network of a plan in a few words, for the page."""
        return self.network

    def foresee(self, path: str | Path | None, size: int | None, options: Options) -> Study | None:
        """A study of a batch of blank examples of the form that the run's will have, where it is known before they are read."""
        return None

    def build(self, study: Study, plan: Plan) -> Any:
        """A compiled model for these examples and classes."""
        raise NotImplementedError

    def trainings(self, study: Study, plan: Plan) -> list[Training]:
        """The trainings of which the model is made, where it is more than the one of `build` and `training_batches`."""
        return []

    def assemble(self, study: Study, plan: Plan, models: dict[str, Any]) -> Any:
        """The model that is made of the models of `trainings`, by their names."""
        raise NotImplementedError

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        """Endless shuffled batches (x, y) of the training examples, augmented unless plan.augment is "none"."""
        raise NotImplementedError

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        """Batches (x, y) of some examples in their order, without augmentation."""
        raise NotImplementedError

    def shifted(self, study: Study, part: Examples, seed: int) -> Examples | None:
        """Examples as another place might have recorded them: each one several times, changed in fixed, stated ways.

        Returns: all examples under the first change, then all under the second, and so on; None where the kind states no changes.
        """
        return None

    def copies(self, x: np.ndarray) -> list[tuple[int, int]]:
        """Pairs (i, j), i < j, of examples that are copies of each other: here equal ones."""
        keys = keys_of(x)
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        return [(first[key], j) for j, key in enumerate(keys) if first[key] < j]

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """The numbers of which the baseline of `tinydx.diagnosis.baselines` makes its diagnosis: float32 (N,D)."""
        raise NotImplementedError

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        """TypeError, ValueError or KeyError unless a model's file says how its inputs are read, and they fit the model.

        Arguments: preprocessing, the study's attribute of that name; model.
        """

    def reading(self, paths: Sequence[str]) -> dict[str, Any]:
        """How files of this kind are read, before anything is learnt: a study's preprocessing.

        Raises: OSError or ValueError for files that cannot be read.
        """
        raise NotImplementedError

    def reads(self, path: str) -> bool:
        """Whether `read` takes a file of this name, when a folder is given to `tinydx predict`."""
        return path.lower().endswith(self.endings)

    def inputs(self, entry: str, preprocessing: dict[str, Any]) -> list[str]:
        """What an entry of `tinydx predict` stands for: a table's rows, the files of this kind in a folder, otherwise itself.

        Arguments: entry; preprocessing, the study's attribute of that name.
        """
        if self.table_column and is_table(entry) and os.path.isfile(entry):
            return cells_of(entry, self.table_column)
        files = (str(path) for path in visible_files(entry)) if os.path.isdir(entry) else ()
        return [file for file in files if self.reads(file)] or [entry]

    def given(self, columns: Mapping[str, str], preprocessing: dict[str, Any]) -> str:
        """The input that `tinydx predict MODEL --age 63 --sex f` stands for.

        Arguments: columns, the cells by the name of their column; preprocessing, the study's attribute of that name.
        Raises: ValueError for columns that the model does not read: here for all.
        """
        raise ValueError(
            f"--{next(iter(columns))} is neither an option nor a column: this model reads {self.noun}"
        )

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        """Read one input of `tinydx predict`.

        Arguments: entry, a file's path, or a text; preprocessing, the study's attribute of that name.
        Returns: a batch of one example (1, ...) for the model.
        Raises: OSError or ValueError, in one line that names the entry.
        """
        raise NotImplementedError

    def parts(self, entry: str, preprocessing: dict[str, Any]) -> list[str] | None:
        """Words for the places of an explanation with one axis, such as a text's tokens; None for pixels and frames."""
        return None

    def explain(self, model: Any, x: Any, target: Any) -> Explanation | None:
        """This kind's own explanation of a batch of one, where those of `tinydx.explain` do not apply; None where they do."""
        return None

    def heard(self, entry: str, preprocessing: dict[str, Any], evidence: np.ndarray) -> Heard | None:
        """A recording, and what of it speaks for a class by an explanation's map; None for what cannot be played."""
        return None

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        """Read labelled data on which a finished model is tested, as its training data was read.

        Arguments: path; class_names, the model's, to which the data's are matched in any case; preprocessing, the study's
        attribute of that name; split "train", "val" or "test" (None: all of the data).
        Raises: ValueError where the data's classes are not the model's; the errors of `open_study`.
        """
        raise NotImplementedError

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Numbers (N,) of each example that say how it was recorded, by name; see `tinydx.diagnosis.inputs`."""
        return {}

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        """One input of `tinydx predict` as the training examples were kept, before they become numbers for the model.

        Arguments: as for `read`.
        Returns: examples of which there is one; its class number, 0, says nothing.
        Raises: as `read`.
        """
        raise NotImplementedError

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Numbers, (N,) or (N,D) for each name, of what the model sees of each example; see `tinydx.diagnosis.unlike`."""
        raise NotImplementedError

    def plot(self, axes: Any, example: Any) -> None:
        """Plot an example of `Examples.x` on matplotlib's axes, which have neither ticks nor grid."""
        raise NotImplementedError


def parts_of(examples: Examples, counts: Sequence[int]) -> list[Examples]:
    """Examples cut into parts of these numbers, in their order.

    >>> [part.y.tolist() for part in parts_of(Examples(np.zeros(3), np.array([0, 1, 2]), ["a", "b", "c"]), [2, 1])]
    [[0, 1], [2]]
    """
    ends = np.cumsum(counts).tolist()
    cuts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [examples.take(cut) for cut in cuts]
